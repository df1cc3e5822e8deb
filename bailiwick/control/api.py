"""`/api/v1`: what the command line does over the admin socket, over HTTP, for those with a role."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, cast

import bailiwick
from bailiwick.control.callers import Callers
from bailiwick.control.web import Asked, Handler, Json, Reply, Routes, json_object, problem
from bailiwick.errors import ProtocolError
from bailiwick.gateway.desk import Desk
from bailiwick.gateway.elevation_desk import ElevationDesk
from bailiwick.gateway.identity import Role
from bailiwick.gateway.ledger_address import LedgerAddress
from bailiwick.gateway.ledger_check import verified
from bailiwick.gateway.ledger_reader import Query, check_filter, open_reader
from bailiwick.gateway.moments import read_moment, utc_now
from bailiwick.gateway.wire import Fields
from bailiwick.gateway.wire import Json as WireJson
from bailiwick.model.approval import Reviewer

Kind = Literal[
    "flag",
    "text",
    "texts",
    "named",
    "claims",
    "number",
    "count",
    "object",
    "file",
    "files",
    "words",
    "moment",
    "decision",
    "verdict",
]
ROOT = "/api/v1"
_most_records = 1000
_most_values = 50
_longest_text = 4096
_longest_words = 2000
_longest_query = 500
_longest_file = 192 * 1024


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter of an operation: in the path (`*`), the query of a GET, or the body of a POST."""

    name: str
    kind: Kind
    says: str
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, as the desk answers it."""

    method: str
    path: str
    """With `*` in the place of `of`."""
    role: Role
    says: str
    do: str = ""
    """The desk's request; empty: it is about the ledger."""
    of: str = ""
    """What stands in the path in the place of `*`."""
    fields: tuple[Field, ...] = ()
    own: Literal["", "ask", "stands"] = ""
    """What it is for an agent that brings its session's token; empty: nothing."""


_everything = (Field("all", "flag", "also those that have ended"),)
_opening = (
    Field("agent", "text", "the agent that acts", needed=True),
    Field("task", "text", "the task that it does"),
    Field("user", "text", "the person it is done for"),
    Field("groups", "texts", "the person's groups"),
    Field("claims", "claims", "the person's claims"),
    Field("tenant", "text", "the tenant"),
    Field("values", "named", "values of the task"),
    Field("ttl", "text", "how long at most, e.g. 30m"),
    Field("mounts", "texts", "the mounts it is for"),
)
_why = (Field("reason", "words", "why; not told to agents", needed=True),)
_promoting = (Field("pending", "text", "the id of what was looked at", needed=True),)
_past = (Field("all", "flag", "also those that are over"),)
_elevating = (
    Field("elevation", "text", "its name in the policy", needed=True),
    Field("duration", "text", "for how long, e.g. 30m", needed=True),
    Field("reason", "text", "what it is for", needed=True),
    Field("agent", "text", "for all sessions of this agent; not by an agent itself"),
    Field("session", "text", "for this session; not by an agent itself"),
)
_revoking = (Field("reason", "text", "why"),)
_channel = (Field("channel", "text", "through this one alone"),)
_sink = (Field("sink", "text", "to this one alone"),)
_filters = (
    *(Field(name, "text", f"records with this {name}") for name in ("agent", "user", "session", "task", "resource")),
    *(Field(name, "text", f"records with this {name}") for name in ("action", "code", "kind")),
    Field("decision", "decision", "records with this decision"),
    Field("refers", "text", "records that belong to this one"),
    Field("filter", "text", "what else they meet, e.g. `rows>100 and not code:session`"),
    Field("since", "moment", "from then on, as RFC 3339 has it"),
    Field("until", "moment", "before then, as RFC 3339 has it"),
    *(Field(name, "count", f"only those {name} this sequence number") for name in ("after", "before")),
    Field("limit", "number", "at most so many, the newest"),
)
_holding = (
    Field("reason", "text", "why; it is kept in the ledger", needed=True),
    *(Field(name, "text", f"only records of this {name}") for name in ("agent", "user", "session")),
    Field("since", "moment", "only from then on"),
    Field("until", "moment", "only before then"),
)
_pruning = (Field("dry", "flag", "only say how many records it would be about"),)
_approvals = (
    Field("all", "flag", "also those that are decided or over"),
    Field("mine", "flag", "only those that the caller may decide on"),
)
_seen = (Field("seen", "count", "the number that the last answer had"),)
_digest = Field("digest", "text", "of the request that was looked at", needed=True)
_text = Field("text", "words", "what to say about it")
_approving = (_digest, _text)
_denying = (Field("reason", "words", "why; the agent reads it", needed=True),)
_changing = (_digest, Field("set", "object", "argument → its new value", needed=True), _text)
_handing = (Field("groups", "texts", "who decides instead", needed=True), _text)
_asking = (Field("text", "words", "what the agent or its person is to answer", needed=True),)
_asked = (
    Field("asked", "text", "a statement, an action, a tool, or a request (`GET /mount/path`)", needed=True),
    *_opening[:4],
    *(each for each in _opening if each.name in ("tenant", "values")),
    Field("mount", "text", "of a statement"),
    Field("args", "text", "of a call, as JSON"),
)
_matrix = tuple(Field(name, "text", f"only this {name}") for name in ("agent", "task", "resource"))
_policy = (
    Field("files", "files", "name of each file → its text", needed=True),
    Field("lock", "file", "the text of bailiwick.lock"),
)
_reviewing = (Field("agent", "text", "of this agent"), Field("owner", "text", "of all agents of this owner"))
_reviewed = (
    Field("line", "text", "its number, e.g. 3 or 3.1", needed=True),
    Field("verdict", "verdict", "keep, narrow, revoke or ask", needed=True),
    Field("note", "words", "why"),
)
_closed = (Field("all", "flag", "also those that are closed"),)
_holding = (
    Field("reason", "text", "why it is kept", needed=True),
    *(Field(name, "text", f"records with this {name}") for name in ("agent", "user", "session")),
    Field("since", "moment", "records from then on"),
    Field("until", "moment", "records before then"),
)
_pruning = (Field("dry", "flag", "only say what would go"),)
_valued = (Field("value", "text", "the value", needed=True), Field("person", "text", "of this person alone"))
_file_of = (Field("mount", "text", "its mount", needed=True), Field("path", "text", "its path", needed=True))
_version_of = (*_file_of, Field("version", "text", "the id of what was kept", needed=True))
_notes = (Field("checkpoints", "texts", "checkpoints that were kept elsewhere"),)
operations: tuple[Operation, ...] = (
    Operation("GET", "/status", "viewer", "How the gateway stands", "status"),
    Operation("GET", "/sessions", "viewer", "The sessions, the newest first", "session.list", fields=_everything),
    Operation("POST", "/sessions", "opener", "Open a session", "session.open", fields=_opening),
    Operation("GET", "/sessions/*", "viewer", "A session, and what it may do", "session.show", "session"),
    Operation("POST", "/sessions/*/close", "opener", "Close a session that is done", "session.close", "session"),
    Operation("POST", "/sessions/*/revoke", "opener", "Revoke a session at once", "session.revoke", "session"),
    Operation("GET", "/suspensions", "viewer", "What is suspended", "suspension.list"),
    Operation("POST", "/stop", "administrator", "Suspend everything at once", "everything.suspend", fields=_why),
    Operation("POST", "/resume", "administrator", "Let everything go on", "everything.resume"),
    Operation(
        "POST", "/sessions/*/suspend", "administrator", "Suspend a session at once", "session.suspend", "session", _why
    ),
    Operation("POST", "/sessions/*/resume", "administrator", "Let a session go on", "session.resume", "session"),
    Operation("POST", "/agents/*/suspend", "administrator", "Suspend an agent at once", "agent.suspend", "agent", _why),
    Operation("POST", "/agents/*/resume", "administrator", "Let an agent go on", "agent.resume", "agent"),
    Operation("POST", "/mounts/*/close", "administrator", "Close a mount at once", "mount.close", "mount", _why),
    Operation("POST", "/mounts/*/open", "administrator", "Open a mount again", "mount.open", "mount"),
    Operation("GET", "/policy/pending", "auditor", "The policy that waits to be promoted", "policy.pending"),
    Operation("POST", "/policy/promote", "administrator", "Put it in force", "policy.promote", fields=_promoting),
    Operation("GET", "/elevations", "viewer", "Elevations that wait or are in force", "elevation.list", fields=_past),
    Operation(
        "POST", "/elevations", "opener", "Ask for an elevation", "elevation.request", fields=_elevating, own="ask"
    ),
    Operation("GET", "/elevations/*", "viewer", "How a request stands", "elevation.show", "elevation", own="stands"),
    Operation(
        "POST", "/elevations/*/revoke", "approver", "End one at once", "elevation.revoke", "elevation", _revoking
    ),
    Operation("GET", "/notices", "administrator", "What people were told lately", "notify.list"),
    Operation("POST", "/notices/test", "administrator", "Send a test to people", "notify.test", fields=_channel),
    Operation("GET", "/findings", "auditor", "What agents did that they do not usually do", "findings.list"),
    Operation("GET", "/sinks", "auditor", "Where the ledger is delivered, and how far", "sinks.list"),
    Operation("POST", "/sinks/test", "administrator", "Send a test to a sink, or all", "sinks.test", fields=_sink),
    Operation("POST", "/policy/reload", "administrator", "Read the policy anew", "reload"),
    Operation("POST", "/policy/explain", "auditor", "What would be decided, and why", "policy.explain", fields=_asked),
    Operation("GET", "/policy/matrix", "auditor", "What agents may do at most", "policy.matrix", fields=_matrix),
    Operation("POST", "/policy/check", "auditor", "What is wrong with a policy", "policy.check", fields=_policy),
    Operation(
        "POST", "/policy/diff", "auditor", "What a policy would change of the one in force", "policy.diff", "", _policy
    ),
    Operation("POST", "/policy/shadow", "administrator", "Run a candidate beside it", "policy.shadow", fields=_policy),
    Operation("GET", "/policy/shadow", "auditor", "What the candidate would decide otherwise", "policy.shadow.status"),
    Operation("POST", "/policy/shadow/stop", "administrator", "End the candidate", "policy.shadow.stop"),
    Operation("POST", "/files/versions", "administrator", "What is kept of a file", "files.versions", fields=_file_of),
    Operation("POST", "/files/restore", "administrator", "Put a version back", "files.restore", fields=_version_of),
    Operation("GET", "/approvals", "approver", "What waits for people", "approval.list", fields=_approvals),
    Operation(
        "GET", "/approvals/watch", "approver", "The same, once something has changed", "approval.watch", fields=_seen
    ),
    Operation("GET", "/approvals/*", "approver", "An approval in full", "approval.show", "approval"),
    Operation("POST", "/approvals/*/approve", "approver", "Approve it", "approval.approve", "approval", _approving),
    Operation("POST", "/approvals/*/deny", "approver", "Deny it", "approval.deny", "approval", _denying),
    Operation(
        "POST", "/approvals/*/modify", "approver", "Change the request", "approval.modify", "approval", _changing
    ),
    Operation("POST", "/approvals/*/delegate", "approver", "Hand it on", "approval.delegate", "approval", _handing),
    Operation("POST", "/approvals/*/ask", "approver", "Ask back", "approval.ask", "approval", _asking),
    Operation("GET", "/reviews", "approver", "The reviews that are open", "review.list", fields=_closed),
    Operation("POST", "/reviews", "approver", "Open a review", "review.open", fields=_reviewing),
    Operation("GET", "/reviews/status", "viewer", "When reviews are due, agent by agent", "review.status"),
    Operation("GET", "/reviews/report", "auditor", "The use and the reviews of all grants, as a page", "review.report"),
    Operation("GET", "/reviews/*", "approver", "A review in full", "review.show", "review"),
    Operation("POST", "/reviews/*/decide", "approver", "Decide on a line", "review.decide", "review", _reviewed),
    Operation("POST", "/reviews/*/close", "approver", "Close it", "review.close", "review"),
    Operation("GET", "/reviews/*/patch", "approver", "What it changes of the policy", "review.patch", "review"),
    Operation("GET", "/ledger/records", "auditor", "Records that meet all conditions", fields=_filters),
    Operation("GET", "/ledger/records/*", "auditor", "A record", of="record"),
    Operation("GET", "/ledger/records/*/proof", "auditor", "The proof that a record is in the ledger", of="record"),
    Operation("GET", "/ledger/stats", "auditor", "How large the ledger is, how it grows, a forecast", "ledger.stats"),
    Operation("GET", "/ledger/holds", "auditor", "What is held from being pruned", "ledger.holds"),
    Operation("POST", "/ledger/holds", "administrator", "Hold records", "ledger.hold", fields=_holding),
    Operation("POST", "/ledger/holds/*/release", "administrator", "End a hold", "ledger.release", "hold"),
    Operation(
        "POST", "/ledger/prune", "administrator", "Remove what was kept long enough", "ledger.prune", fields=_pruning
    ),
    Operation("GET", "/ledger/checkpoint", "auditor", "The current signed checkpoint"),
    Operation("GET", "/ledger/holds", "auditor", "What is kept whatever retention says", "ledger.holds"),
    Operation("POST", "/ledger/holds", "administrator", "Keep records", "ledger.hold", fields=_holding),
    Operation("POST", "/ledger/holds/*/release", "administrator", "Keep them no longer", "ledger.release", "hold"),
    Operation("POST", "/ledger/prune", "administrator", "Remove what is past its time", "ledger.prune", "", _pruning),
    Operation(
        "POST", "/ledger/digests", "auditor", "How a value may stand in records", "ledger.digests", fields=_valued
    ),
    Operation("POST", "/ledger/verify", "auditor", "Recompute the ledger from its bytes", fields=_notes),
)


class Api:
    """The operations."""

    def __init__(
        self,
        callers: Callers,
        desk: Callable[[], Desk | None],
        ledger: LedgerAddress,
        folder: Path,
        elevations: ElevationDesk,
    ) -> None:
        self._callers = callers
        self._desk = desk
        self._ledger = ledger
        self._folder = folder
        self._elevations = elevations

    def routes(self) -> Routes:
        """Return who answers which path."""
        found: dict[str, dict[str, Handler]] = {}
        for each in operations:
            found.setdefault(ROOT + each.path, {})[each.method] = self._handler(each)
        return found

    def _handler(self, operation: Operation) -> Handler:
        async def answer(asked: Asked) -> Reply:
            own = await self._of_session(operation, asked) if operation.own else None
            if own is not None:
                return own
            caller = await self._callers.allowed(asked, operation.role)
            if isinstance(caller, Reply):
                return caller
            given = _given(operation, asked)
            if isinstance(given, Reply):
                return given
            if operation.do:
                return await self._at_desk(operation, given, caller.reviewer)
            return await asyncio.to_thread(self._of_ledger, operation, given)

        return answer

    async def _of_session(self, operation: Operation, asked: Asked) -> Reply | None:
        """Answer an agent that brings its session's token; None for anybody else."""
        caller = await self._callers.caller(asked)
        if isinstance(caller, Reply) or caller.live is None:
            return None
        given = _given(operation, asked)
        if isinstance(given, Reply):
            return given
        desk = self._elevations
        if operation.own == "stands":
            return Reply(200, cast("Json", await desk.stands(Fields(given), caller.live)))
        told = await desk.ask(Fields(given), caller.live)
        found = cast("Mapping[str, Json]", told["elevation"])
        return Reply(202, cast("Json", told), (("location", f"{ROOT}/elevations/{found['id']}"),))

    async def _at_desk(self, operation: Operation, given: Mapping[str, WireJson], by: Reviewer) -> Reply:
        desk = self._desk()
        if desk is None:
            return problem(503, "config", "the gateway is starting")
        return Reply(200, cast("Json", await desk.answer(operation.do, Fields(given), by)))

    def _of_ledger(self, operation: Operation, given: Mapping[str, WireJson]) -> Reply:
        with closing(open_reader(self._ledger)) as reader:
            if operation.path == "/ledger/verify":
                notes = Fields({**given}).texts("checkpoints")
                return Reply(200, cast("Mapping[str, Json]", verified(reader, self._folder, notes)))
            if operation.path == "/ledger/checkpoint":
                return Reply(200, {"checkpoint": reader.checkpoint()})
            if not operation.of:
                return Reply(200, {"records": [_record(each.body, each.seq) for each in reader.query(_query(given))]})
            found = next(iter(reader.query(Query(id=str(given["record"]), limit=1))), None)
            if found is None:
                return problem(404, "ledger", "there is no such record", "see `/api/v1/ledger/records`")
            if operation.path.endswith("/proof"):
                return Reply(200, {"proof": reader.prove(found.seq).text()})
            return Reply(200, {"record": _record(found.body, found.seq)})


def _record(body: bytes, seq: int) -> Json:
    return {"seq": seq, **cast("dict[str, Json]", json.loads(body))}


def _query(given: Mapping[str, WireJson]) -> Query:
    texts = {name: str(value) for name, value in given.items() if name not in ("limit", "after", "before")}
    decision = texts.get("decision", "")
    if decision not in ("", "allow", "deny", "hold"):
        raise ProtocolError("`decision` is none of allow, deny, hold")
    check_filter(texts.get("filter", ""))
    return Query(
        agent=texts.get("agent", ""),
        user=texts.get("user", ""),
        session=texts.get("session", ""),
        task=texts.get("task", ""),
        resource=texts.get("resource", ""),
        action=texts.get("action", ""),
        decision=decision,
        code=texts.get("code", ""),
        kind=texts.get("kind", ""),
        refers=texts.get("refers", ""),
        filter=texts.get("filter", ""),
        since=_moment(texts.get("since")),
        until=_moment(texts.get("until")),
        after=cast("int", given.get("after", -1)),
        before=cast("int", given.get("before", 2**62)),
        limit=cast("int", given.get("limit", 100)),
    )


def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else read_moment(text, utc_now())
    except (ValueError, OverflowError):
        raise ProtocolError("`since` or `until` is no time", remedy="write it as in `2026-11-22T08:00:00Z`") from None


def _given(operation: Operation, asked: Asked) -> dict[str, WireJson] | Reply:
    """Return the parameters of a request; each is checked by whoever takes it."""
    known = {field.name: field for field in operation.fields}
    found: dict[str, WireJson] = {}
    if operation.method == "GET":
        for name, text in asked.query.items():
            field = known.get(name)
            value = None if field is None else _from_query(field, text)
            if value is None:
                return problem(400, "protocol", "a parameter of the query is not known, or of another kind")
            found[name] = value
    elif asked.body:
        if asked.media != "application/json":
            return problem(415, "protocol", "the body is to be `application/json`")
        body = json_object(asked)
        if body is None or asked.query:
            return problem(400, "protocol", "the body is not an object of JSON, or there is a query too")
        found.update(cast("dict[str, WireJson]", body))
    elif asked.query:
        return problem(400, "protocol", "there is no query here")
    unknown = [name for name in found if name not in known]
    if unknown:
        return problem(400, "protocol", "a field is not known", ", ".join(known) or "there is none")
    missing = [name for name, field in known.items() if field.needed and found.get(name) is None]
    wrong = missing or [name for name, value in found.items() if not _fits(known[name], value)]
    if wrong:
        return problem(400, "protocol", f"`{wrong[0]}` is missing, or of another kind", known[wrong[0]].says)
    if operation.of:
        found[operation.of] = asked.part
    return found


def _fits(field: Field, value: WireJson) -> bool:
    """Return whether a value is of a field's kind, as it is described."""
    match field.kind:
        case "flag":
            return isinstance(value, bool)
        case "number" | "count":
            return isinstance(value, int) and not isinstance(value, bool) and value >= 0
        case "texts":
            return isinstance(value, list) and len(value) <= _most_values and all(map(_is_text, value))
        case "object":
            return isinstance(value, dict) and len(value) <= _most_values
        case "named" | "claims" | "files":
            if not isinstance(value, dict) or len(value) > _most_values:
                return False
            longest = _longest_file if field.kind == "files" else _longest_text
            many = field.kind == "claims"
            return all(
                _is_text(each, longest, least=0)
                or (many and isinstance(each, list) and all(_is_text(one, least=0) for one in each))
                for each in value.values()
            )
        case "words":
            return _is_text(value, _longest_words) and bool(str(value).strip())
        case "moment" | "decision" | "verdict":
            return isinstance(value, str) and re.fullmatch(str(_schemas[field.kind]["pattern"]), value) is not None
        case "text" | "file":
            return _is_text(value, _longest_file if field.kind == "file" else _longest_text)


def _is_text(value: WireJson, longest: int = _longest_text, least: int = 1) -> bool:
    return isinstance(value, str) and least <= len(value) <= longest and "\0" not in value


def _from_query(field: Field, text: str) -> WireJson:
    if field.kind == "flag":
        return {"true": True, "false": False}.get(text)
    if field.kind == "number":
        fine = text.isascii() and text.isdigit() and len(text) < 5 and 0 < int(text) <= _most_records
        return int(text) if fine else None
    if field.kind == "count":
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
    return text if 0 < len(text) <= _longest_query and _fits(field, text) else None


_no_zero: Json = "^[^\\u0000]*$"
_some_text: Json = {"type": "string", "minLength": 1, "maxLength": _longest_text, "pattern": _no_zero}
_value: Json = {"type": "string", "maxLength": _longest_text, "pattern": _no_zero}
_file: Json = {"type": "string", "maxLength": _longest_file, "pattern": _no_zero}
_moment_shape: Json = (
    "^(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-9]|3[01])"
    "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])$"
)
_schemas: Mapping[Kind, Mapping[str, Json]] = {
    "flag": {"type": "boolean"},
    "text": _some_text,
    "texts": {"type": "array", "items": _some_text, "maxItems": _most_values},
    "named": {"type": "object", "additionalProperties": _value, "maxProperties": _most_values},
    "claims": {
        "type": "object",
        "additionalProperties": {"anyOf": [_value, {"type": "array", "items": _value}]},
        "maxProperties": _most_values,
    },
    "number": {"type": "integer", "minimum": 1, "maximum": _most_records},
    "count": {"type": "integer", "minimum": 0, "maximum": 10**15 - 1},
    "object": {"type": "object", "maxProperties": _most_values},
    "words": {
        "type": "string",
        "minLength": 1,
        "maxLength": _longest_words,
        "pattern": "^[^\\u0000]*[A-Za-z0-9][^\\u0000]*$",
    },
    "moment": {"type": "string", "pattern": _moment_shape},
    "decision": {"type": "string", "pattern": "^(allow|deny|hold)$"},
    "verdict": {"type": "string", "pattern": "^(keep|narrow|revoke|ask)$"},
    "file": {**_file, "minLength": 1},
    "files": {"type": "object", "additionalProperties": _file, "minProperties": 1, "maxProperties": _most_values},
}


def description(url: str) -> Mapping[str, Json]:
    """Return the OpenAPI description."""
    paths: dict[str, dict[str, Json]] = {}
    for each in operations:
        path = ROOT + each.path.replace("*", "{" + each.of + "}")
        paths.setdefault(path, {})[each.method.lower()] = _described(each)
    scheme: Json = {"type": "http", "scheme": "bearer"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Bailiwick", "version": bailiwick.__version__},
        "servers": [{"url": url}],
        "security": [{"token": []}],
        "components": {"securitySchemes": {"token": scheme}},
        "paths": paths,
    }


def _described(operation: Operation) -> Json:
    parameters: list[Json] = []
    if operation.of:
        text: Json = {"type": "string", "minLength": 1, "pattern": "^[A-Za-z0-9_.-]+$"}
        parameters.append({"name": operation.of, "in": "path", "required": True, "schema": text})
    errors: Sequence[tuple[str, str]] = (
        ("400", "what was asked for is wrong, or refused"),
        ("401", "no token that counts"),
        ("403", f"without the role {operation.role}"),
        ("404", "there is no such thing"),
        ("405", "another method"),
        ("409", "as things stand it cannot be done"),
        ("413", "the body is too long"),
        ("415", "the body is not JSON"),
        ("502", "somebody else does not answer"),
        ("503", "not at the moment"),
    )
    told: dict[str, Json] = {"200": {"description": "done", "content": {"application/json": {"schema": {}}}}}
    for status, says in errors:
        told[status] = {"description": says, "content": {"application/problem+json": {"schema": {}}}}
    found: dict[str, Json] = {"summary": operation.says, "operationId": _name(operation), "responses": told}
    if operation.method == "GET":
        for field in operation.fields:
            schema = {**_schemas[field.kind], **({"maxLength": _longest_query} if field.kind == "text" else {})}
            parameters.append({"name": field.name, "in": "query", "description": field.says, "schema": schema})
    elif operation.fields:
        needed = any(field.needed for field in operation.fields)
        found["requestBody"] = {"required": needed, "content": {"application/json": {"schema": _object(operation)}}}
    return {**found, "parameters": parameters} if parameters else found


def _object(operation: Operation) -> Json:
    properties: dict[str, Json] = {
        field.name: {**_schemas[field.kind], "description": field.says} for field in operation.fields
    }
    needed: list[Json] = [field.name for field in operation.fields if field.needed]
    return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


def _name(operation: Operation) -> str:
    parts = [part for part in operation.path.split("/") if part and part != "*"]
    one = "One" if operation.path.endswith("*") else ""
    return operation.method.lower() + "".join(part.capitalize() for part in parts) + one
