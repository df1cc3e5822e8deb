"""A small support desk to learn from: its policy before learning, and observations in a line each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from bailiwick.learn.covering import Cover
from bailiwick.learn.draft import Draft, Proposed
from bailiwick.learn.gathering import gather
from bailiwick.learn.propose import propose
from bailiwick.learn.surroundings import Around
from bailiwick.learn.writing import write
from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.observation import Argument, Condition, Held, Observation, Seen, TableUse, ToolUse
from bailiwick.model.policy import Policy
from bailiwick.policy.lint import lint
from bailiwick.policy.load import load
from bailiwick.policy.validate import check_against_lock

AGENT = "desk-bot"
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MOUNTS = """\
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources:
      customers:
        table: public.customers
        key: customer_id
        labels: {ssn: restricted, email: [confidential, pii], name: internal}
      tickets: {table: public.tickets, key: ticket_id}
  desk:
    kind: python
    functions:
      refund: {action: billing:refund, parameters: [customer_id, amount, currency, note]}
      search: {action: articles:search, parameters: [query, limit, tags]}
      wipe: {action: articles:wipe, parameters: [slug]}
      send: {action: mail:send, parameters: [recipient, order_id, label, password]}
      forward: {action: mail:forward, parameters: [recipient, label]}
"""
TABLES: Mapping[str, tuple[str, ...]] = {
    "customers": ("customer_id", "name", "email", "ssn"),
    "tickets": ("ticket_id", "customer_id", "status", "body", "priority"),
}
LOCK = Lock(
    {
        "crm": {
            ("public", name): LockedTable(
                "public",
                name,
                "r",
                tuple(LockedColumn(each, "integer" if each.endswith("_id") else "text") for each in columns),
            )
            for name, columns in TABLES.items()
        }
    }
)
Plain = str | int | float | bool | None | list[str]


def seen(value: Plain) -> Seen:
    """Return a value that was seen in clear."""
    if isinstance(value, list):
        return Seen("list", items=tuple(seen(each) for each in value))
    if isinstance(value, float):
        return Seen("number", Decimal(repr(value)))
    if value is None:
        return Seen("null")
    kind = "boolean" if isinstance(value, bool) else "integer" if isinstance(value, int) else "string"
    return Seen(kind, value)


def call(session: int, tool: str, *, user: str = "", **given: Plain) -> Observation:
    """Return a call of a function."""
    return called(session, tool, *(Argument(name, seen(value)) for name, value in given.items()), user=user)


def called(session: int, tool: str, *arguments: Argument, user: str = "") -> Observation:
    """Return a call of a function, with arguments as they were observed."""
    return _observed(session, user, "desk", (), ToolUse(tool, arguments=arguments))


def read(
    session: int,
    table: str,
    *columns: str,
    user: str = "",
    rows: int = 1,
    holds: Mapping[str, Plain] | None = None,
    counted: Sequence[str] = (),
    **where: Plain,
) -> Observation:
    """Return a read of columns where others equal these values."""
    use = TableUse(
        table,
        "read",
        read=tuple(sorted(columns)),
        filtered=tuple(sorted(where)),
        counted=tuple(sorted(counted)),
        conditions=tuple(Condition(name, "equal", (seen(value),)) for name, value in where.items()),
        holds=tuple(Held(name, (seen(value),)) for name, value in (holds or {}).items()),
        rows=rows,
    )
    return _observed(session, user, "crm", (use,), None)


def update(session: int, table: str, sets: Mapping[str, Plain], **where: Plain) -> Observation:
    """Return an update of one row."""
    use = TableUse(
        table,
        "update",
        filtered=tuple(sorted(where)),
        written=tuple(sorted(sets)),
        conditions=tuple(Condition(name, "equal", (seen(value),)) for name, value in where.items()),
        sets=tuple(Held(name, (seen(value),)) for name, value in sets.items()),
        rows=1,
    )
    return _observed(session, "", "crm", (use,), None)


def customer(session: int) -> int:
    """Return the customer that a session is about."""
    return 1000 + session


def _observed(session: int, user: str, mount: str, tables: tuple[TableUse, ...], tool: ToolUse | None) -> Observation:
    who = user or f"user{session % 7}"
    values = {"customer_id": seen(customer(session)), "user.id": seen(who)}
    at = START + timedelta(minutes=session)
    return Observation(AGENT, f"ses_{session}", at, who, "", mount, f"rec_{session}", values, tables, tool)


NOTHING = "roles: {}\nagents: {}\ntasks: {}\n"
BASE = load({"policy.yaml": MOUNTS + NOTHING}).policy
AROUND = Around(BASE, LOCK)


def learned(observations: Iterable[Observation], more: str = "") -> Draft:
    """Return the draft that is learned from observations; `more` of the policy stands beside its mounts."""
    around = Around(load({"policy.yaml": MOUNTS + NOTHING + more}).policy, LOCK) if more else AROUND
    return propose(gather(AGENT, observations), around)


def written(draft: Draft) -> str:
    """Return the draft's text."""
    return write(draft, AROUND)


def enforced(draft: Draft) -> Policy:
    """Return the draft as a policy: it passes `policy check`, and lint finds nothing in it."""
    result = load({"policy.yaml": MOUNTS, "learned.yaml": written(draft)})
    assert result.policy is not None, [str(each) for each in result.problems]
    assert not result.problems
    assert not check_against_lock(result.policy, LOCK)
    found = [str(each) for each in lint(result.policy, LOCK) if each.position.file == "learned.yaml"]
    # What was needed in clear is held by its gate; and who writes what limits it, was seen to.
    assert not [each for each in found if "BW109" not in each and "BW111" not in each], found
    return result.policy


def covered(draft: Draft) -> Cover:
    """Return what answers whether the draft, enforced, would admit observations."""
    return Cover(enforced(draft), LOCK)


def grant(draft: Draft, action: str) -> Proposed:
    """Return the one grant of an action."""
    (found,) = [each for each in draft.grants if str(each.action) == action]
    return found
