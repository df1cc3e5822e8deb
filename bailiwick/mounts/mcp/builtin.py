"""The gateway's own tools: `my_permissions`, `query` for the SQL mounts that a session reaches, `approval_status`,
`request_elevation`.

What `query` asks is decided, recorded and executed by the mounts of the databases, on the same path.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, cast

from bailiwick.gateway.elevations.desk import ElevationDesk
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.sessions.live import Live
from bailiwick.model.decision import Denial
from bailiwick.model.lock import Lock
from bailiwick.model.record import JsonValue
from bailiwick.mounts.mcp import status
from bailiwick.mounts.mcp.contents import Result
from bailiwick.mounts.mcp.elevating import NAME as REQUEST
from bailiwick.mounts.mcp.elevating import definition, elevations_for, request_elevation
from bailiwick.mounts.mcp.message import Json
from bailiwick.mounts.mcp.offered import Offered, OwnRun
from bailiwick.mounts.mcp.permissions import permissions
from bailiwick.mounts.mcp.replies import denied
from bailiwick.mounts.sql import arrow
from bailiwick.mounts.sql.results import Answer, Denied, Failed

_FORMATS = ("json", "csv", "arrow")
_NO_ARROW = Denial(
    "argument_not_granted",
    "this gateway cannot tell rows as Arrow: the package `nanoarrow` is not installed",
    "formats: json, csv",
    "have its operator run pip install 'bailiwick[arrow]'",
)
_ARGUMENTS = frozenset({"sql", "mount", "parameters", "format", "reason"})
Run = Callable[[Mapping[str, Json]], Awaitable[Result]]


_PERMISSIONS: Mapping[str, Json] = {
    "name": "my_permissions",
    "title": "What this session may do",
    "description": "Says in words and as data what this session may do, what is left, and what people could open.",
    "inputSchema": {"type": "object", "properties": {}, "additionalProperties": False},
    "annotations": {"readOnlyHint": True, "openWorldHint": False},
}


class Databases(Protocol):
    """Mounts of one kind that can be asked statements."""

    def names(self, live: Live) -> Sequence[str]:
        """Return the mounts in which the session can do something."""
        ...

    def describe(self, live: Live, mount: str) -> str:
        """Return the engine, and the tables and columns that the session sees, in words for an agent."""
        ...

    async def query(
        self, live: Live, mount: str, sql: str, parameters: Sequence[JsonValue] = (), *, purpose: str = ""
    ) -> Answer:
        """Do one statement of a session, or say why not. On record, durably, when this returns.

        When the caller is cancelled, the statement is stopped and undone."""
        ...


class BuiltIn:
    """The gateway's own tools for every session."""

    def __init__(
        self,
        lock: Callable[[], Lock],
        databases: Sequence[Databases],
        gateway: Gateway | None = None,
        elevations: ElevationDesk | None = None,
        offered: Sequence[Offered] = (),
    ) -> None:
        self._lock = lock
        self._offered = offered
        self._elevations = elevations
        self._databases = databases
        self._gateway = gateway

    def listed(self, live: Live) -> list[dict[str, Json]]:
        """Return the definitions of those that a session has."""
        said = {mount: databases.describe(live, mount) for mount, databases in self._mounts(live).items()}
        waits = [dict(status.DEFINITION)] if self._gateway is not None and status.can_wait(live) else []
        rules = [] if self._elevations is None else elevations_for(live)
        more = [definition(rules)] if rules else []
        theirs = [each for offered in self._offered for each in offered.listed(live)]
        return [dict(_PERMISSIONS), *([_query(said)] if said else []), *theirs, *waits, *more]

    def offered(self, name: str, live: Live) -> OwnRun | None:
        """Return what runs a tool that mounts offer, None when the session has none of that name."""
        return next((run for each in self._offered if (run := each.named(name, live)) is not None), None)

    def named(self, name: str, live: Live) -> Run | None:
        """Return what runs the tool of that name, None when the session has none of it."""
        if name == "my_permissions":
            return lambda arguments: self._permissions(live, arguments)
        elevations = self._elevations
        if name == REQUEST and elevations is not None and elevations_for(live):
            return lambda arguments: request_elevation(elevations, live, arguments)
        if name == "query" and self._mounts(live):
            return lambda arguments: self._query(live, arguments)
        gateway = self._gateway
        if name == status.NAME and gateway is not None and status.can_wait(live):
            return lambda arguments: status.approval_status(gateway, live, arguments)
        return None

    def _mounts(self, live: Live) -> Mapping[str, Databases]:
        return {name: each for each in self._databases for name in each.names(live) if name in live.mounts}

    async def _permissions(self, live: Live, arguments: Mapping[str, Json]) -> Result:
        if arguments:
            return denied(Denial("argument_not_granted", "`my_permissions` takes no arguments", "", "leave them out"))
        limits = [] if self._gateway is None else await self._gateway.limits.told(live)
        said, data = permissions(live, self._lock(), limits)
        return {"content": [{"type": "text", "text": "\n".join(said)}], "structuredContent": data, "isError": False}

    async def _query(self, live: Live, arguments: Mapping[str, Json]) -> Result:
        mounts, sql = self._mounts(live), arguments.get("sql")
        mount = arguments.get("mount", next(iter(mounts)) if len(mounts) == 1 else None)
        given, form = arguments.get("parameters", []), arguments.get("format", "json")
        known = isinstance(given, list) and form in _FORMATS and {*arguments} <= _ARGUMENTS
        if not isinstance(sql, str) or not isinstance(mount, str) or not known:
            message = "`query` takes `sql`, `parameters`, `format`, `reason`, and `mount`"
            message += ", which is needed" if len(mounts) > 1 else ""
            allowed = f"mounts: {', '.join(mounts)}; formats: {', '.join(_FORMATS)}"
            return denied(Denial("argument_not_granted", message, allowed, "give texts, and a list of parameters"))
        if mount not in mounts:
            return denied(Denial("resource_unknown", "that is no database of this session", ", ".join(mounts)))
        if form == "arrow" and not arrow.available():
            return denied(_NO_ARROW)
        reason = arguments.get("reason")
        purpose = reason[:500] if isinstance(reason, str) else ""
        parameters = cast("list[JsonValue]", given)
        answer = await mounts[mount].query(live, mount, sql, parameters, purpose=purpose)
        if isinstance(answer, Denied):
            return denied(answer.denial, answer.record)
        data = cast("dict[str, Json]", answer.json())
        if form != "json" and not isinstance(answer, Failed) and answer.has_rows:
            return _as_csv(answer.csv(), data) if form == "csv" else _as_arrow(arrow.stream(answer), data)
        text = json.dumps(data, ensure_ascii=False)
        failed = isinstance(answer, Failed)
        return {"content": [{"type": "text", "text": text}], "structuredContent": data, "isError": failed}


def _as_csv(rows: str, data: Mapping[str, Json]) -> Result:
    """Return rows as CSV, and the rest of the answer (types, whether it was ended, its record) beside them."""
    rest = {name: value for name, value in data.items() if name != "rows"}
    told = [rows, *([json.dumps(rest["ended"], ensure_ascii=False)] if "ended" in rest else [])]
    return {
        "content": [{"type": "text", "text": each} for each in told],
        "structuredContent": {**rest, "csv": rows},
        "isError": False,
    }


def _as_arrow(rows: bytes, data: Mapping[str, Json]) -> Result:
    """Return rows as an Arrow stream, and the rest of the answer beside it."""
    rest = {name: value for name, value in data.items() if name != "rows"}
    held: dict[str, Json] = {
        "uri": f"bailiwick:result/{data['record']}",
        "mimeType": arrow.MIME_TYPE,
        "blob": base64.b64encode(rows).decode(),
    }
    told: list[Json] = [
        {"type": "resource", "resource": held},
        {"type": "text", "text": json.dumps(rest, ensure_ascii=False)},
    ]
    return {"content": told, "structuredContent": rest, "isError": False}


def _query(mounts: Mapping[str, str]) -> dict[str, Json]:
    properties: dict[str, Json] = {
        "sql": {"type": "string", "description": "One statement, in the database's own dialect."},
        "mount": {"type": "string", "enum": list(mounts), "description": "Which database."},
        "parameters": {
            "type": "array",
            "items": {"type": ["string", "number", "boolean", "null"]},
            "description": "One value for each `?` of the statement, or `$1`, `$2` … in order.",
        },
        "format": {"type": "string", "enum": list(_FORMATS), "description": "How rows are told."},
        "reason": {"type": "string", "description": "What it is for; people who review read it."},
    }
    return {
        "name": "query",
        "title": "Query a database",
        "description": "Runs one SQL statement on a database that holds exactly what this session may see. "
        + " ".join(f"{name} is {said}." for name, said in mounts.items()),
        "inputSchema": {
            "type": "object",
            "properties": properties,
            "required": ["sql"] if len(mounts) == 1 else ["sql", "mount"],
            "additionalProperties": False,
        },
    }
