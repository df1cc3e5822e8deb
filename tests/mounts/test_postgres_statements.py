"""Prepared statements, their bound values, their names, and what a changed policy does to them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from bailiwick.gateway.enforcer import LiveSession
from bailiwick.model.decision import Denial
from bailiwick.model.value import Ref, Scalar
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.translate import POISON_PARSE
from bailiwick.mounts.postgres.values import MaskPads, bound_values, type_oid
from bailiwick.sql.plan import Bound, Plan
from tests.mounts.fakes import MOMENT, a_session, passing, planned
from tests.mounts.playbook import (
    BOUND,
    CLOSED,
    KEY,
    PARSED,
    READY,
    Playbook,
    bind_values,
    described,
    done,
    error_of,
    failed,
    kinds,
    messages,
    parameters,
    query,
    row,
)

EXECUTE = codec.execute(b"")
SYNTAX_ERROR = failed("42601")
TENANT = Bound(Ref(("tenant",)), "integer")
SCOPED = Plan("READ", "SELECT x WHERE a = $1 AND tenant = $2", first=2, bound=(TENANT,))
NOW = Plan("READ", "SELECT now", first=1, bound=(Bound("now", "timestamp with time zone"),))
CHECKED = Plan("WRITE", "UPDATE t RETURNING ok", checked=True, returns=False)
planner = planned({"scoped": SCOPED, "now": NOW, "checked": CHECKED})


def body(data: bytes, kind: str) -> bytes:
    return next(content for found, content in messages(data) if found == kind)


def test_types_of_bound_values_follow_the_agents_own() -> None:
    play = Playbook(planner)
    sent = play.client(codec.parse(b"s", b"scoped"), codec.SYNC)
    assert body(sent, "P").endswith(b"$2\0" + b"\0\2" + codec.pack_int32(0) + codec.pack_int32(23))
    play.server(PARSED, READY)
    sent = play.client(codec.parse(b"t", b"scoped", b"\0\1" + codec.pack_int32(20)), codec.SYNC)
    assert body(sent, "P").endswith(b"\0\2" + codec.pack_int32(20) + codec.pack_int32(23))


def test_a_text_is_planned_for_the_types_that_its_parameters_are_declared_with() -> None:
    seen: list[tuple[str, tuple[int, ...]]] = []

    def plan(text: str, live: LiveSession, mount: str, declared: tuple[int, ...] = ()) -> tuple[Plan | Denial, ...]:
        seen.append((text, declared))
        return passing(text, live, mount)

    play = Playbook(plan)
    float8 = b"\0\1" + codec.pack_int32(701)
    both = b"\0\2" + codec.pack_int32(0) + codec.pack_int32(23)
    for types in (b"\0\0", float8, both, float8, b"\0\0"):
        play.client(codec.parse(b"", b"SELECT $1", types), codec.SYNC)
        play.server(PARSED, READY)
    assert seen == [("SELECT $1", ()), ("SELECT $1", (701,)), ("SELECT $1", (0, 23))]
    play.client(codec.parse(b"kept", b"SELECT $1", float8), codec.SYNC)
    play.server(PARSED, READY)
    play.live.reload("scope-2")
    play.client(bind_values(b"kept", b"1"), EXECUTE, codec.SYNC)
    assert seen[3:] == [("SELECT $1", (701,))]


def test_more_declared_types_than_parameters_are_refused() -> None:
    play = Playbook(planner)
    declared = b"\0\2" + codec.pack_int32(23) * 2
    assert play.client(codec.parse(b"s", b"scoped", declared), codec.SYNC) == POISON_PARSE + codec.SYNC


@pytest.mark.parametrize(
    ("given", "sent"),
    [(b"\0\0", b"\0\0"), (b"\0\1\0\0", b"\0\2\0\0\0\0"), (b"\0\1\0\1", b"\0\2\0\1\0\0")],
)
def test_bound_values_are_text_behind_the_agents(given: bytes, sent: bytes) -> None:
    play = Playbook(planner)
    play.client(codec.parse(b"s", b"scoped"), codec.SYNC)
    play.server(PARSED, READY)
    data = play.client(bind_values(b"s", b"12", formats=given, results=b"\0\1\0\1"), EXECUTE, codec.SYNC)
    values = b"\0\2" + b"\0\0\0\x0212" + b"\0\0\0\x013"
    assert body(data, "B") == b"\0s\0" + sent + values + b"\0\1\0\1"


@pytest.mark.parametrize("values", [(), (b"1", b"9"), (b"1", b"9", b"9")])
def test_an_agent_cannot_fill_the_gateways_places(values: tuple[bytes, ...]) -> None:
    play = Playbook(planner)
    play.client(codec.parse(b"s", b"scoped"), codec.SYNC)
    play.server(PARSED, READY)
    assert play.client(bind_values(b"s", *values), EXECUTE, codec.SYNC) == POISON_PARSE + codec.SYNC
    assert error_of(play.server(SYNTAX_ERROR, READY))["C"] == "08P01"


def test_a_parameter_is_declared_with_an_allowed_type_only() -> None:
    """One declared as regclass (2205) would be looked up in the real catalogue when its value is read."""
    for oid, allowed in ((2205, False), (24, False), (16384, False), (23, True), (25, True), (0, True)):
        play = Playbook(planner)
        sent = play.client(codec.parse(b"", b"SELECT $1", b"\0\1" + codec.pack_int32(oid)), codec.SYNC)
        assert (sent == POISON_PARSE + codec.SYNC) is not allowed, oid


def test_parameters_are_refused_in_the_simple_protocol() -> None:
    play = Playbook(planner)
    assert play.client(query("scoped")) == POISON_PARSE + codec.SYNC


def test_the_agent_sees_its_own_parameters_only() -> None:
    play = Playbook(planner)
    play.client(codec.parse(b"s", b"scoped"), codec.describe(b"S", b"s"), codec.SYNC)
    reply = play.server(PARSED, parameters(25, 23), described("x"), READY)
    assert kinds(reply) == "1tTZ"
    assert body(reply, "t") == b"\0\1" + codec.pack_int32(25)


def test_the_check_column_is_not_described() -> None:
    play = Playbook(planner)
    play.client(codec.parse(b"s", b"checked"), codec.describe(b"S", b"s"), codec.SYNC)
    assert kinds(play.server(PARSED, parameters(), described("ok"), READY)) == "1tnZ"


def test_the_moment_is_bound_at_each_execution() -> None:
    play = Playbook(planner)
    assert b"2026-01-02T03:04:05+00:00" in play.client(query("now"))


def test_a_copy_is_lent_its_values_for_as_long_as_it_runs() -> None:
    lent = (Bound(Ref(("tenant",)), "integer"), Bound(Ref(("nothing",)), "text"), Bound("mask.inner", "bytea"))

    def plan(text: str, live: LiveSession, mount: str, declared: tuple[int, ...] = ()) -> tuple[Plan | Denial, ...]:
        assert (text, live.scope.id, mount, declared) == ("COPY", "scope-1", "crm", ())
        return (Plan("READ", "COPY (SELECT 1) TO STDOUT", copy=True, lent=lent),)

    play = Playbook(plan)
    own = (CLOSED, PARSED, BOUND, row(b"x", b"", b"y"), done("SELECT 1"), CLOSED)
    copied = (codec.message(b"H", b"\0\0\1\0\0"), codec.message(b"d", b"1\n"), codec.message(b"c", b""))
    sent = play.client(query("COPY"))
    assert kinds(sent) == "PBDCPBECECPBECS"
    pad = b"=\\x" + MaskPads.of(KEY).inner.hex().encode()
    assert codec.pack_int32(2) + b"=3" + codec.pack_int32(0) + codec.pack_int32(len(pad)) + pad in sent
    reply = play.server(PARSED, BOUND, codec.NO_DATA, *own, *copied, done("COPY 1"), *own, READY)
    assert kinds(reply) == "HdcCZ"
    play.client(codec.parse(b"s", b"COPY"), bind_values(b"s"), EXECUTE, codec.SYNC)
    reply = play.server(PARSED, BOUND, *own, *copied, done("COPY 1"), *own, READY)
    assert kinds(reply) == "12HdcCZ"
    assert play.ledger.outcomes() == [("call", "", 1), ("call", "", 1)]
    play.client(bind_values(b"s"), EXECUTE, codec.SYNC)
    reply = play.server(BOUND, *own, failed("22P02"), READY)
    assert kinds(reply) == "2EZ"
    assert play.client(codec.parse(b"bailiwick lent", b"SELECT 1"), codec.SYNC) == POISON_PARSE + codec.SYNC


# --- names ---


def test_a_name_in_use_keeps_its_plan() -> None:
    play = Playbook(planner)
    play.client(codec.parse(b"s", b"checked"), codec.SYNC)
    play.server(PARSED, READY)
    play.client(codec.parse(b"s", b"SELECT 1"), codec.SYNC)
    play.server(failed("42P05"), READY)
    assert kinds(play.client(bind_values(b"s"), EXECUTE, codec.SYNC)) == "BEH"


def test_a_parse_that_failed_makes_no_statement() -> None:
    play = Playbook(planner)
    play.client(codec.parse(b"s", b"SELECT nonsense"), codec.SYNC)
    play.server(failed("42703"), READY)
    assert play.client(bind_values(b"s"), codec.SYNC) == POISON_PARSE + codec.SYNC
    assert error_of(play.server(SYNTAX_ERROR, READY))["C"] == "26000"


def test_names_that_a_server_would_cut_are_refused() -> None:
    """Two of them could be one statement of the server, and so one would run under the other's plan."""
    play = Playbook(planner)
    kept, long = b"x" * 63, b"x" * 64
    assert kinds(play.client(codec.parse(kept, b"SELECT 1"), codec.SYNC)) == "PS"
    play.server(PARSED, READY)
    assert play.client(codec.parse(long, b"checked"), codec.SYNC) == POISON_PARSE + codec.SYNC
    assert error_of(play.server(SYNTAX_ERROR, READY))["C"] == "42622"
    bound = codec.bind(long, kept)
    assert play.client(bound, codec.SYNC) == POISON_PARSE + codec.SYNC


def test_a_portal_of_an_unknown_name_is_not_executed() -> None:
    play = Playbook(planner)
    assert play.client(codec.execute(b"cursor"), codec.SYNC) == POISON_PARSE + codec.SYNC
    assert error_of(play.server(SYNTAX_ERROR, READY))["C"] == "34000"


def test_portals_end_with_their_transaction() -> None:
    play = Playbook(planner)
    play.client(codec.parse(b"", b"SELECT 1"), codec.bind(b"p", b""), codec.SYNC)
    play.server(PARSED, BOUND, READY)
    assert play.client(codec.execute(b"p"), codec.SYNC) == POISON_PARSE + codec.SYNC


def test_a_closed_name_can_be_used_for_another_plan() -> None:
    play = Playbook(planner)
    play.client(codec.parse(b"s", b"SELECT 1"), codec.SYNC)
    play.server(PARSED, READY)
    play.client(codec.message(b"C", b"Ss\0"), codec.parse(b"s", b"checked"), codec.SYNC)
    play.server(CLOSED, PARSED, READY)
    assert kinds(play.client(bind_values(b"s"), EXECUTE, codec.SYNC)) == "BEH"


def test_several_statements_cannot_be_prepared_at_once() -> None:
    play = Playbook(planner)
    assert play.client(codec.parse(b"s", b"SELECT 1; SELECT 2"), codec.SYNC) == POISON_PARSE + codec.SYNC
    assert error_of(play.server(SYNTAX_ERROR, READY))["C"] == "42601"


def test_text_that_is_not_utf8_is_refused() -> None:
    play = Playbook(planner)
    assert play.client(codec.parse(b"s", b"SELECT '\xff'"), codec.SYNC) == POISON_PARSE + codec.SYNC
    assert error_of(play.server(SYNTAX_ERROR, READY))["C"] == "22021"


# --- the policy changes ---


def reloaded(after: Plan | Denial) -> Playbook:
    """A statement `s` prepared under one policy; then the policy changes, and its text is planned as `after`."""
    plans: dict[str, Plan | Denial] = {"SELECT x": SCOPED}
    play = Playbook(planned(plans))
    play.client(codec.parse(b"s", b"SELECT x"), codec.SYNC)
    play.server(PARSED, READY)
    play.live.reload("scope-2")
    plans["SELECT x"] = after
    return play


def test_a_prepared_statement_goes_on_when_the_new_policy_does_not_change_it() -> None:
    play = reloaded(SCOPED)
    assert kinds(play.client(bind_values(b"s", b"1"), EXECUTE, codec.SYNC)) == "BES"


def test_a_prepared_statement_ends_with_the_policy_that_rewrote_it() -> None:
    play = reloaded(Plan("READ", "SELECT x WHERE false", first=2, bound=(TENANT,)))
    assert play.client(bind_values(b"s", b"1"), EXECUTE, codec.SYNC) == POISON_PARSE + codec.SYNC
    assert error_of(play.server(SYNTAX_ERROR, READY))["H"] == "prepare the statement again"


def test_a_prepared_statement_that_is_no_longer_granted_is_denied() -> None:
    play = reloaded(Denial("action_not_granted", "not any more"))
    assert play.client(bind_values(b"s", b"1"), EXECUTE, codec.SYNC) == POISON_PARSE + codec.SYNC
    assert error_of(play.server(SYNTAX_ERROR, READY))["M"] == "not any more"


def test_a_bound_portal_is_decided_anew_as_well() -> None:
    plans: dict[str, Plan | Denial] = {}
    play = Playbook(planned(plans))
    play.client(codec.parse(b"", b"SELECT x"), codec.bind(b"p", b""), codec.FLUSH)
    play.server(PARSED, BOUND)
    play.live.reload("scope-2")
    plans["SELECT x"] = Denial("action_not_granted", "not any more")
    assert play.client(codec.execute(b"p"), codec.SYNC) == POISON_PARSE + codec.SYNC


def test_the_agents_claim_of_its_reason_is_in_the_records_behind_it() -> None:
    claim = Plan("SESSION", "SELECT 1", purpose="ticket 7")
    play = Playbook(planned({"SET reason": claim}))
    reply = PARSED + BOUND + described("a") + row(b"1") + done("SELECT 1") + READY
    for text in ("SELECT 1", "SET reason", "SELECT 1"):
        play.client(query(text))
        play.server(reply)
    assert [one.call.request.purpose for one in play.ledger.written] == ["", "", "ticket 7"]


# --- values ---


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (7, b"7"),
        (True, b"t"),
        (Decimal("1.50"), b"1.50"),
        ("O'Hara\\", b"O'Hara\\"),
        (date(2026, 1, 2), b"2026-01-02"),
        (datetime(2026, 1, 2, tzinfo=UTC), b"2026-01-02T00:00:00+00:00"),
    ],
)
def test_values_as_text(value: Scalar, wire: bytes) -> None:
    session = replace(a_session(), context={"v": value})
    sent = bound_values((Bound(Ref(("v",)), "text"),), session, MaskPads.of(b"k"), None)
    assert sent == codec.pack_int32(len(wire)) + wire


def test_a_missing_value_is_null_and_lists_are_arrays() -> None:
    pads = MaskPads.of(b"k")
    assert bound_values((Bound(Ref(("none",)), "text"),), a_session(), pads, MOMENT) == codec.NULL_VALUE
    array = bound_values((Bound(Ref(("name",)), "text[]"),), a_session(), pads, MOMENT)
    assert array[4:] == b'{"O\'Hara"}'


def test_type_oids() -> None:
    assert [type_oid(name) for name in ("integer", "text[]", "character varying(20)", "numeric(10,2)[]")] == [
        23,
        1009,
        1043,
        1231,
    ]
    assert type_oid("public.mood") == 0
