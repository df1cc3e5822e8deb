"""What was observed of the rows that a request reached tells whether another policy's filters take any away."""

from __future__ import annotations

import pytest

from bailiwick.model.lock import Lock, LockedColumn, LockedTable
from bailiwick.model.record import JsonValue
from bailiwick.policy.load import load
from bailiwick.review.plan import plan
from bailiwick.review.records import Gatherer
from bailiwick.review.side import Side

POLICY = """
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${URL}
    resources: {tickets: {table: public.tickets, key: id}}
roles:
  r:
    grants:
      - {allow: tickets:read, id: reads, reason: x READ}
      - {allow: tickets:update:status, id: writes, reason: x WRITE}
agents:
  bot: {owner: o, purpose: p, roles: [r]}
tasks:
  work: {agents: [bot], context: {customer_id: integer, other: integer}}
"""
COLUMNS = tuple(LockedColumn(name, "integer", "b", True) for name in ("id", "customer_id", "status"))
LOCK = Lock({"crm": {("public", "tickets"): LockedTable("public", "tickets", "r", COLUMNS, ("id",))}})
READ = "SELECT id FROM tickets WHERE customer_id = $1"
WRITE = "UPDATE tickets SET status = $1 WHERE customer_id = $2"


def side(read: str = "", write: str = "") -> Side:
    text = POLICY.replace(" READ", f", {read}" if read else "").replace(" WRITE", f", {write}" if write else "")
    loaded = load({"policy.yaml": text})
    assert loaded.policy is not None, loaded.problems
    return Side(loaded.policy, LOCK)


def digest(text: str, **more: JsonValue) -> JsonValue:
    return {"type": "integer", "digest": text, "shape": "9", **more}


def clear(*values: int) -> list[JsonValue]:
    return [{"type": "integer", "value": each, "from": "constant"} for each in values]


def use(verb: str, *met: JsonValue, sets: list[JsonValue] | None = None) -> JsonValue:
    conditions: JsonValue = [
        {"field": "customer_id", "is": "equal" if len(each) == 1 else "one_of", "values": [*each]}
        for each in met
        if isinstance(each, list)
    ]
    return {
        "resource": "tickets",
        "verb": verb,
        "conditions": conditions,
        "sets": [] if sets is None else [{"field": "status", "values": sets}],
    }


def kinds(then: Side, new: Side, *uses: JsonValue) -> set[str]:
    """Return what becomes of one request that used the tickets so; of none, it was not observed."""
    gatherer = Gatherer(lambda _: None)
    who: dict[str, JsonValue] = {"agent": "bot", "task": "work", "session": "s", "user": "u", "at": "2026-01-01"}
    opened: dict[str, JsonValue] = {"context": ["customer_id", "other"], "passed": []}
    version = then.policy.version
    gatherer.take({**who, "kind": "session.opened", "detail": opened, "policy": version})
    values: dict[str, JsonValue] = {"customer_id": digest("d7"), "other": digest("d8")}
    writes = any(isinstance(each, dict) and each["verb"] == "update" for each in uses)
    used: JsonValue = {"v": 1, "values": values, "tables": [*uses]}
    gatherer.take(
        {
            **who,
            "kind": "call",
            "id": "rec_1",
            "mount": "crm",
            "decision": "allow",
            "policy": version,
            "statement": WRITE if writes else READ,
            "actions": ["tickets:update", "tickets:read"] if writes else ["tickets:read"],
            "fields": {"tickets": ["status", "customer_id"] if writes else ["id", "customer_id"]},
            "grants": ["reads", "writes"] if writes else ["reads"],
            "detail": {"used": used} if uses else {},
        }
    )
    found = plan(gatherer.groups.values(), new, {version: then}.get)
    return {kind for kind, count in found.counts.items() if count}


MINE, OTHERS, NOBODYS = [digest("d7")], [digest("d8")], [digest("d9")]
FILTER = "rows: {customer_id: $customer_id}"
ROWS: list[tuple[str, str, str, list[JsonValue], set[str]]] = [
    ("without an observation", "", FILTER, [], {"narrowed"}),
    ("the session's own rows", "", FILTER, [use("read", [*MINE])], {"unchanged"}),
    ("by its origin alone", "", FILTER, [use("read", [digest("", **{"from": "session", "from_name": "customer_id"})])],
     {"unchanged"}),
    ("those of another value of the session", "", FILTER, [use("read", [*OTHERS])], {"narrowed"}),
    ("those of no value of the session", "", FILTER, [use("read", [*NOBODYS])], {"narrowed"}),
    ("both at once", "", FILTER, [use("read", [*OTHERS], [*MINE])], {"unchanged"}),
    ("one of several", "", FILTER, [use("read", [*MINE, *OTHERS])], {"narrowed"}),
    ("two uses, one of them of all rows", "", FILTER, [use("read", [*MINE]), use("read")], {"narrowed"}),
    ("a constant that is listed", "", "rows: {customer_id: [7, 8]}", [use("read", clear(7))], {"unchanged"}),
    ("constants that are listed", "", "rows: {customer_id: {max: 9}}", [use("read", clear(7, 8))], {"unchanged"}),
    ("a constant that is not", "", "rows: {customer_id: [8]}", [use("read", clear(7))], {"narrowed"}),
    ("a filter that goes", FILTER, "", [use("read", [*MINE])], {"unchanged"}),
    ("a filter that goes, and could show more", FILTER, "", [use("read")], {"widened"}),
    ("what stands in what was read of a new row", "", FILTER, [use("create", [*MINE])], {"narrowed"}),
    ("what makes no sense", "", FILTER, [{"resource": 4, "verb": 3, "conditions": [{"values": 3}]}], {"narrowed"}),
]  # fmt: skip
SETS: list[tuple[str, str, list[JsonValue], set[str]]] = [
    ("a value that may be written", "set: {status: [1, 2]}", clear(1), {"unchanged"}),
    ("values that may be written", "set: {status: [1, 2]}", clear(1, 2), {"unchanged"}),
    ("a value that may not", "set: {status: [1, 2]}", clear(3), {"denied"}),
    ("a session's value", "set: {status: $other}", OTHERS, {"unchanged"}),
    ("another of the session's", "set: {status: $other}", MINE, {"unknown"}),
    ("a value that nobody knows", "set: {status: [1, 2]}", NOBODYS, {"unknown"}),
]


@pytest.mark.parametrize(("then", "new", "uses", "found"), [each[1:] for each in ROWS], ids=[each[0] for each in ROWS])
def test_rows_that_met_the_new_filter_anyway_are_not_taken_away(
    then: str, new: str, uses: list[JsonValue], found: set[str]
) -> None:
    assert kinds(side(then), side(new), *uses) == found


@pytest.mark.parametrize(("new", "values", "found"), [each[1:] for each in SETS], ids=[each[0] for each in SETS])
def test_what_was_written_is_compared_with_what_may_be(new: str, values: list[JsonValue], found: set[str]) -> None:
    assert kinds(side(), side(write=new), use("update", [*MINE], sets=values)) == found
