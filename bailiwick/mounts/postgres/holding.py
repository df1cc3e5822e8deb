"""A statement that people decide on: from what the client sent for it to what runs then, or what the client is told.

The client's own connection to the database, and so its transaction, has no part in the preview and the waiting.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from bailiwick.gateway.approvals.approvals import DryRunner, Told
from bailiwick.gateway.approvals.executing import Handed
from bailiwick.gateway.call import Call
from bailiwick.gateway.enforcer import Enforcer, LiveSession
from bailiwick.model.approval import Approval, Previewed, Refused, Subject
from bailiwick.model.ceilings import Ceilings
from bailiwick.model.decision import Allow, Denial, Hold, Queued
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.alone import past
from bailiwick.mounts.postgres.approved import Go, Past
from bailiwick.mounts.postgres.batch import Held
from bailiwick.mounts.postgres.codec import int16_at, int32_at
from bailiwick.mounts.postgres.errors import denied, own_error
from bailiwick.mounts.postgres.native import Depth
from bailiwick.mounts.postgres.planning import Analysis
from bailiwick.mounts.postgres.preview import Dry, preview
from bailiwick.mounts.postgres.upstream import Address, Upstream
from bailiwick.mounts.postgres.values import MaskPads, bound_values
from bailiwick.sql.plan import Bound, Plan
from bailiwick.sql.preview import DryRun, RowsQuery


@dataclass(frozen=True, slots=True)
class Database:
    """Where dry runs go, and under which settings."""

    address: Address
    settings: Mapping[str, str]
    statement_timeout: float
    depth: Depth | None = None
    """Where the mount says `enforce: both`: dry runs take the session's role too."""
    meant: Mapping[str, str] = field(default_factory=dict[str, str])
    """The settings of the client's own connection on which it depends what a text means."""


class Around(Protocol):
    """What a connection knows of its listener."""

    @property
    def enforcer(self) -> Enforcer: ...
    @property
    def analysis(self) -> Analysis: ...
    @property
    def pads(self) -> MaskPads: ...


Outcome = bytes | Go | Past


async def hold(held: Held, on: Database, live: LiveSession, around: Around, patience: float | None) -> Outcome:
    """Keep a statement for people to decide on, after its preview, and wait so many seconds for them.

    Returns the error that the client is sent, or what runs now, because it was approved, or what came of it when the
    gateway ran it. `patience` None: it stands within a transaction, where nothing waits, and nothing is handed over.
    """
    asked = await asking(held, on, live, around)
    if isinstance(asked, Denial):
        return denied(asked, "")
    call, queued = held.call, asked.queued
    found = await around.enforcer.hold(live, call, asked.subject, asked.run, patience)
    if isinstance(found, Told):
        return denied(found.denial, found.record, state=found.state)
    if isinstance(found, Handed):
        return past(found, held.bound)
    allowed = Allow(queued.grants, queued.labels, queued.ceilings, queued.budgets)
    detail = {**(call.detail or {}), "approval": found.approval.id}
    budgets = around.enforcer.budgets(live, allowed)
    run_as = Call(call.mount, call.statement, call.request, allowed, detail, budgets)
    return _go(found.approval, held, run_as, asked.made, queued)


@dataclass(frozen=True, slots=True)
class Asking:
    """What is asked of people: what would run, how its preview is had, and what that makes known of its rows."""

    subject: Subject
    queued: Queued
    run: DryRunner
    made: DryRun


async def asking(held: Held, on: Database, live: LiveSession, around: Around) -> Asking | Denial:
    """Return what is asked of people about a statement."""
    call = held.call
    queued = call.decision.queued if isinstance(call.decision, Hold) else None
    if queued is None:
        return _GONE

    def values(bound: tuple[Bound, ...]) -> bytes:
        return bound_values(bound, live.session, around.pads, datetime.now(UTC))

    plan = held.prepared.plan
    if plan.kind == "READ":
        queued = replace(queued, preview="off")  # what it would do is itself
    made = DryRun(plan.sql, 0, "") if plan.kind == "READ" else await around.analysis.dry_run(plan, live, call.mount)
    refusal = _refusal(plan, made, queued)
    if refusal is not None:
        queued = replace(queued, preview="count")  # so that it is looked at, and refused

    async def take(server: Upstream) -> None:
        if on.depth is not None:
            await on.depth.take(server, live)

    async def rows(count: int) -> RowsQuery | None:
        return await around.analysis.rows(plan, live, call.mount, count)

    async def run() -> Previewed | Refused:
        if made is None or refusal is not None:
            return Refused(refusal or _UNKNOWN)
        return await preview(Dry(held, made, queued, values, rows), on.address, _settings(on, queued), take)

    subject = subject_of(held, live, queued, on)
    return Asking(subject, queued, run, made or DryRun(plan.sql, 0, ""))


def _refusal(plan: Plan, made: DryRun | None, queued: Queued) -> Denial | None:
    """Return why a statement cannot be held at all."""
    if made is None:
        return _UNKNOWN
    # INVARIANT: where rows are previewed, what runs must be told apart from what was previewed.
    verbs = {access.verb for access in plan.accesses if access.verb != "read"}
    mixed = plan.inner or plan.tag == "MERGE" or len(verbs) > 1
    return _NOT_APART if mixed and queued.preview == "rows" else None


def _go(approval: Approval, held: Held, call: Call, made: DryRun, queued: Queued) -> Go:
    """Return what runs now: the write as it was previewed, with the keys of its rows where those are known."""
    plan = held.prepared.plan
    by_keys = bool(made.keys) and queued.preview == "rows" and not plan.inner
    previewed = approval.previewed
    return Go(
        approval.id,
        held,
        call,
        queued.ceilings or Ceilings(),
        (made.sql if by_keys else plan.sql).encode(),
        made.keys if by_keys else 0,
        previewed.rows,
        # the keys of new rows are often made by the database, at every run others
        previewed.keys if by_keys and made.verb != "create" else "",
    )


def subject_of(held: Held, live: LiveSession, queued: Queued, on: Database) -> Subject:
    """Return what was asked for. INVARIANT: other text, parameters, session, policy, or other settings on which it
    depends what a text means, give another digest."""
    types, formats, values = _parameters(held)
    shown = [_shown(value) for value in values]
    # under other settings the same text could mean something else to who runs it in the client's place
    meant = {name: value for name, value in on.settings.items() if name not in _WITHOUT_MEANING}
    content = {"types": types.hex(), "formats": formats.hex(), "values": shown, "settings": meant}
    parameters = json.dumps(content)
    text = held.prepared.text.decode(errors="replace")
    return Subject("statement", held.call.mount, text, parameters, _digest(held, live, on.meant), queued.preview)


def _digest(held: Held, live: LiveSession, meant: Mapping[str, str]) -> str:
    types, formats, values = _parameters(held)
    session, policy = live.session.id, live.scope.id
    under = json.dumps(meant, sort_keys=True).encode()
    mount = held.call.mount.encode()
    parts = (session.encode(), policy.encode(), mount, held.prepared.text, under, types, formats, *values)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def is_for(approval: Approval, held: Held, live: LiveSession, meant: Mapping[str, str]) -> bool:
    """Return whether a statement is exactly what was approved, for its session under its policy."""
    return _digest(held, live, meant) == approval.subject.digest


def _parameters(held: Held) -> tuple[bytes, bytes, list[bytes]]:
    """Return the agent's own types and formats, as on the wire, and values, each with its length in front."""
    own = held.prepared.plan.first - 1
    _, _, types = codec.read_parse(held.parsed)
    _, _, pos = codec.read_bind(held.bound)
    formats, count, data, _ = codec.read_bind_tail(held.bound, pos)
    values: list[bytes] = []
    at = 0
    for _ in range(min(own, count) if held.prepared.plan.bound else count):
        size: int = int32_at(data, at)[0]
        after = at + 4 + (0 if size == 0xFFFFFFFF else size)
        values.append(data[at:after])
        at = after
    declared = min(own, int16_at(types, 0)[0]) if held.prepared.plan.bound else int16_at(types, 0)[0]
    return types[2 : 2 + 4 * declared], formats[: 2 * max(len(values), 1)], values


def _shown(value: bytes) -> str | dict[str, str] | None:
    """Return a value as JSON: text where it is text, else its bytes in hex."""
    if int32_at(value, 0)[0] == 0xFFFFFFFF:
        return None
    text = value[4:].decode("utf-8", "replace")
    return text if text.isprintable() and "\ufffd" not in text else {"hex": value[4:].hex()}


def _settings(on: Database, queued: Queued) -> dict[str, str]:
    seconds = on.statement_timeout
    if queued.ceilings is not None and queued.ceilings.timeout is not None:
        seconds = min(seconds, queued.ceilings.timeout)
    return {**on.settings, "statement_timeout": f"{int(seconds * 1000)}ms"}


_WITHOUT_MEANING = frozenset({"application_name", "statement_timeout"})
CANCELLED = own_error("57014", "canceling statement due to user request", hint="what waits for people goes on waiting")
_NOT_APART = Denial(
    "statement_not_allowed",
    "it cannot be told beforehand which rows this statement would write, so it cannot wait for an approval",
    allowed="one INSERT, UPDATE or DELETE, without WITH queries that write and without ON CONFLICT",
    remedy="send what it writes as statements of their own",
)
_UNKNOWN = Denial(
    "statement_not_allowed",
    "it cannot be told what this statement would write, so it cannot wait for an approval",
    allowed="INSERT, UPDATE, DELETE and MERGE",
    remedy="ask for a new session",
)
_GONE = Denial("resource_unknown", "this mount is not in the policy any more", remedy="ask for a new session")
