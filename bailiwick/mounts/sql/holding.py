"""Statements of mounts of kind `sql` that wait for people: what is kept of one, and what its dry run tells. No I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import cast

from bailiwick.gateway.approvals.executing import Handed
from bailiwick.gateway.enforcer import LiveSession
from bailiwick.model.approval import ChangedRow, Previewed, Refused, Shown, Subject
from bailiwick.model.decision import Denial, Preview
from bailiwick.model.record import JsonValue
from bailiwick.mounts.sql.execution import Execution
from bailiwick.mounts.sql.results import Answer, Denied, Failed, Result
from bailiwick.mounts.sql.running import Job, Ran, Rows, Written

SHOWN = 20
"""Rows that are kept of a preview."""
_LONGEST = 300
OTHER = Denial("approval_changed", "what was approved is not what this statement would be any more")
NOT_APART = Denial(
    "statement_not_allowed",
    "it cannot be told beforehand which rows this statement would write, so it cannot wait for an approval",
    allowed="one INSERT, UPDATE or DELETE without ON CONFLICT",
    remedy="send what it writes as statements of their own",
)
_NOT_HELD = "nothing has been changed, and nothing is held: correct it and send it again"


def subject_of(live: LiveSession, mount: str, sql: str, given: Sequence[JsonValue], preview: Preview) -> Subject:
    """Return what was asked for."""
    content = json.dumps({"values": [*given]})
    return Subject("statement", mount, sql, content, digest_of(live, mount, sql, given), preview)


def digest_of(live: LiveSession, mount: str, sql: str, given: Sequence[JsonValue]) -> str:
    """Return its digest. INVARIANT: other text, parameters, session or policy give another one."""
    digest = hashlib.sha256()
    for part in (live.session.id, live.scope.id, mount, sql, json.dumps([*given])):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def previewed(ran: Ran, job: Job, execution: Execution) -> Previewed | Refused:
    """Return what a dry run tells, or why the statement is not even held."""
    if isinstance(ran, Written) and not ran.verdict:
        return Previewed(ran.rows, _changed(job, ran.returned), ran.digest)
    answer = execution.answer(ran)
    if isinstance(answer, Failed):
        message = f"a dry run of it failed: {answer.message}"
        return Refused(Denial("preview_failed", message, "", _NOT_HELD), answer.code)
    rows = ran.rows if isinstance(ran, Written) else None
    denial = answer.denial if isinstance(answer, Denied) else OTHER
    return Refused(denial, rows=rows)


def _changed(job: Job, found: Rows | None) -> tuple[ChangedRow, ...]:
    """Return the first rows as the scope shows them: after the change; of what is deleted, before it."""
    target = job.plan.target
    if found is None or target is None:
        return ()
    places = [found.names.index(name) for name in job.key] if {*job.key} <= {*found.names} else []
    told: list[ChangedRow] = []
    for row in found.rows[:SHOWN]:
        shown: Shown = {name: _text(value) for name, value in zip(found.names, row, strict=True)}
        key = tuple(_text(row[place]) for place in places)
        gone = target.verb == "delete"
        told.append(ChangedRow(key, shown if gone else None, None if gone else shown))
    return tuple(told)


def result_of(found: Handed) -> Answer:
    """Return the answer to a statement that the gateway has run, to whoever sends it again."""
    told = cast("Mapping[str, JsonValue]", found.told)
    record = str(told.get("record") or "")
    failed = cast("Mapping[str, str] | None", told.get("failed"))
    if failed is not None:
        return Failed(failed.get("code", ""), failed.get("message", ""), record)
    if "affected" not in told and "rows" not in told:
        message = f"`{found.approval.id}` was approved, and did not come to its end"
        return Denied(Denial("approval_closed", message, "", "ask how it stands: `approval_status`"), record)
    columns = cast("list[dict[str, str]]", told.get("columns") or [])
    rows = tuple(tuple(each) for each in cast("list[list[JsonValue]]", told.get("rows") or []))
    affected = cast("int | None", told.get("affected"))
    return Result(tuple((each["name"], each["type"]) for each in columns), rows, affected, record=record)


def code_of(answer: Answer) -> str:
    """Return the code with which a statement ended; empty when it succeeded."""
    if isinstance(answer, Failed):
        return answer.code
    return answer.denial.code if isinstance(answer, Denied) else ""


def _text(value: JsonValue) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
