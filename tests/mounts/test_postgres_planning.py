"""A text that was not seen before is planned aside: its connection waits, in order, and can be cancelled and cut."""

from __future__ import annotations

import pytest

from bailiwick.gateway.enforcer import LiveSession
from bailiwick.model.decision import Denial
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.aside import LOST
from bailiwick.mounts.postgres.translate import Unplanned
from bailiwick.sql.plan import Declare, Fetch, Plan
from tests.mounts.fakes import passing
from tests.mounts.playbook import (
    BOUND,
    IN_TRANSACTION,
    PARSED,
    READY,
    Playbook,
    bind_values,
    described,
    done,
    error_of,
    failed,
    kinds,
    query,
    row,
)

ROWS = PARSED + BOUND + described("a") + row(b"1") + done("SELECT 1")
LIMIT = 64 * 1024


def parsed(text: str) -> bytes:
    """A statement, prepared and run."""
    return codec.parse(b"", text.encode()) + bind_values(b"") + codec.describe(b"P", b"") + codec.execute(b"")


def refused(text: str, live: LiveSession, mount: str, declared: tuple[int, ...] = ()) -> tuple[Denial]:
    """Plan nothing."""
    del text, live, mount, declared
    return (LOST,)


def test_nothing_is_sent_before_the_text_is_planned() -> None:
    play = Playbook(aside=True)
    assert play.client(query("SELECT 1")) == b""
    assert play.edge.plans == [(Unplanned("SELECT 1", ()), 1)]
    assert not play.frontend.idle
    assert kinds(play.plan()) == "PBDES"
    assert kinds(play.server(ROWS, READY)) == "TDCZ"
    assert play.ledger.outcomes() == [("call", "", 1)]


def test_what_comes_behind_a_text_that_is_being_planned_waits_in_order() -> None:
    play = Playbook(aside=True)
    whole = parsed("SELECT 1") + parsed("SELECT 2") + codec.SYNC + query("SELECT 3")
    for byte in whole:
        assert play.client(bytes((byte,))) == b""
    assert play.edge.plans == [(Unplanned("SELECT 1", ()), 1)]
    sent = play.plan()
    assert kinds(sent) == "PBDEPBDES"
    assert sent.index(b"SELECT 1") < sent.index(b"SELECT 2")
    shown = play.server(ROWS, ROWS, READY)
    assert kinds(shown) == "12TDC12TDCZ"
    assert play.edge.plans == [(Unplanned("SELECT 3", ()), 3)]
    assert b"SELECT 3" in play.plan()


def test_a_denied_text_fails_its_batch_and_no_other() -> None:
    play = Playbook(refused, aside=True)
    play.client(parsed("SELECT 1"), parsed("SELECT 2"), codec.SYNC)
    assert kinds(play.plan()) == "PS"
    shown = play.server(failed("42601"), READY)
    assert kinds(shown) == "EZ"
    assert [code for _, code, _ in play.ledger.outcomes()] == ["statement_unparsable"]
    assert play.frontend.idle


def test_a_cancel_request_ends_the_wait_for_a_plan() -> None:
    play = Playbook(aside=True)
    play.client(parsed("SELECT 1"), codec.SYNC)
    play.frontend.stop_planning()
    assert kinds(play.to_server()) == "PS"
    shown = play.server(failed("42601"), READY)
    assert kinds(shown) == "EZ"
    assert error_of(shown)["C"] == "57014"
    late = play.edge.plans.pop()
    assert play.client(query("SELECT 2")) == b""
    play.frontend.planned(late[1], (Plan("READ", "SELECT late", statement="SELECT late"),))
    assert play.to_server() == b"", "a late answer was taken for another"
    assert b"SELECT 2" in play.plan()


def test_a_cancel_request_is_nothing_to_a_connection_that_plans_nothing() -> None:
    play = Playbook()
    play.frontend.stop_planning()
    assert kinds(play.client(query("SELECT 1"))) == "PBDES"
    play.frontend.stop_planning()
    assert kinds(play.server(ROWS, READY)) == "TDCZ"


def test_a_client_that_leaves_while_its_text_is_planned_leaves_nothing_behind() -> None:
    play = Playbook(aside=True)
    play.client(query("UPDATE x"))
    play.frontend.client_lost()
    assert play.edge.closed
    assert play.plan() == b""
    assert play.ledger.written == []


def test_a_session_that_ends_while_its_text_is_planned_runs_nothing() -> None:
    play = Playbook(aside=True)
    play.client(query("UPDATE x"))
    play.frontend.cut(Denial("session_revoked", "this session was revoked"))
    assert kinds(play.to_client()) == "E"
    assert play.plan() == b""


def test_a_session_that_may_do_nothing_by_then_runs_nothing() -> None:
    play = Playbook(aside=True)
    play.client(query("UPDATE x"))
    play.live.denial = Denial("out_of_hours", "not at this hour")
    assert kinds(play.plan()) == "PS"
    assert error_of(play.server(failed("42601"), READY))["C"] == "42501"


def test_the_types_that_a_client_declares_are_planned_with() -> None:
    play = Playbook(aside=True)
    integer = b"\0\1" + codec.pack_int32(23)
    for number, types in enumerate((b"\0\0", integer), 1):
        play.client(codec.parse(b"", b"SELECT 1", types), codec.SYNC)
        assert play.edge.plans == [(Unplanned("SELECT 1", () if types == b"\0\0" else (23,)), number)]
        assert kinds(play.plan()) == "PS"
        play.server(PARSED, READY)


def test_a_failure_inside_the_planner_is_a_denial_and_the_connection_goes_on() -> None:
    def failing(text: str, live: LiveSession, mount: str, declared: tuple[int, ...] = ()) -> tuple[Plan | Denial, ...]:
        if "fault" in text:
            raise KeyError("CANARY")
        return passing(text, live, mount, declared)

    play = Playbook(failing)
    assert kinds(play.client(query("SELECT fault"))) == "PS"
    error = error_of(play.server(failed("42601"), READY))
    assert (error["C"], "CANARY" in str(error)) == ("XX000", False)
    assert kinds(play.client(query("SELECT 1"))) == "PBDES"


def test_plans_of_a_policy_that_is_no_longer_in_force_are_not_taken() -> None:
    play = Playbook(aside=True)
    play.client(query("SELECT 1"))
    text, number = play.edge.plans.pop()
    play.live.reload("scope-2")
    play.frontend.planned(number, (Plan("READ", "SELECT old", statement="SELECT old"),))
    assert play.to_server() == b""
    assert play.edge.plans == [(text, number + 1)]
    assert b"SELECT 1" in play.plan()


def test_what_the_server_says_meanwhile_is_passed_on() -> None:
    play = Playbook(aside=True)
    play.client(query("SELECT 1"))
    assert kinds(play.server(codec.message(b"S", b"TimeZone\0UTC\0"))) == "S"
    assert kinds(play.server(failed("57P01", S="FATAL", V="FATAL"))) == "E"
    assert play.edge.closed


def test_a_client_that_sends_on_is_not_read_without_end_and_is_read_again() -> None:
    play = Playbook(aside=True)
    play.client(query("SELECT 1"))
    long = query("SELECT " + "1" * LIMIT * 3)
    play.client(long[: 2 * LIMIT])
    assert not play.edge.reading_client
    play.plan()
    play.server(ROWS, READY)
    assert play.edge.reading_client, "the rest of a long message is never read"
    play.client(long[2 * LIMIT :])
    assert kinds(play.plan()) == "PBDES"


DECLARE = Plan("SESSION", "DECLARE c", returns=False, statement="DECLARE c", act=Declare("c", False), tag="DECLARE")
FETCH = Plan("READ", "FETCH c", statement="FETCH c", act=Fetch("c"), tag="FETCH")


def cursors(text: str, live: LiveSession, mount: str, declared: tuple[int, ...] = ()) -> tuple[Plan | Denial, ...]:
    """Plan DECLARE and FETCH of one cursor, and what passes."""
    known = {"DECLARE c": DECLARE, "FETCH c": FETCH}
    del declared
    return tuple(known.get(each.strip()) or passing(each, live, mount)[0] for each in text.split(";"))


@pytest.mark.parametrize("aside", [False, True])
def test_a_query_that_needs_another_plan_on_its_way_is_taken_once(aside: bool) -> None:
    play = Playbook(cursors, aside=aside)
    for text, tag in (("BEGIN", "BEGIN"), ("DECLARE c", "DECLARE CURSOR")):
        play.client(query(text))
        play.plan()
        play.server(PARSED, BOUND, codec.message(b"n", b""), done(tag), IN_TRANSACTION)
    play.live.reload("scope-2")  # the cursor's own text has to be planned anew before it is fetched from
    sent = play.client(query("SELECT 1; FETCH c")) + play.plan()
    assert kinds(sent) == "PBDEPBDES"
    assert kinds(play.server(ROWS, ROWS, IN_TRANSACTION)) == "TDCTDCZ"
