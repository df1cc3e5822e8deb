"""The state machine, scripted on both sides: what is sent, recorded and released, and in which order."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from bailiwick.gateway.enforcer import LiveSession
from bailiwick.gateway.sessions.live import LAPSED
from bailiwick.model.decision import Denial, Deny, Hold
from bailiwick.model.session import User
from bailiwick.model.value import Ref
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.translate import POISON_PARSE
from bailiwick.sql.plan import OUTSIDE, Bound, Plan
from tests.mounts.fakes import passing, planned
from tests.mounts.playbook import (
    BOUND,
    CLOSED,
    FAILED,
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
    messages,
    query,
    row,
)

EXECUTE = codec.execute(b"")
DESCRIBE = codec.describe(b"P", b"")
BIND = bind_values(b"")
SYNTAX_ERROR = failed("42601")


def select(name: bytes = b"", text: bytes = b"SELECT 1") -> bytes:
    return codec.parse(name, text) + bind_values(name) + DESCRIBE + EXECUTE


def a_row(tag: str = "SELECT 1") -> bytes:
    return described("a") + row(b"1") + done(tag)


# --- reads ---


def test_a_small_read_is_one_record_and_leaves_when_it_is_durable() -> None:
    play = Playbook(instant=False)
    assert kinds(play.client(select(), codec.SYNC)) == "PBDES"
    assert play.server(PARSED, BOUND, a_row(), READY) == b""
    assert play.ledger.outcomes() == [("call", "", 1)]
    play.durable()
    assert kinds(play.to_client()) == "12TDCZ"


def test_a_simple_query_runs_in_the_extended_protocol_and_reads_as_simple() -> None:
    play = Playbook()
    assert kinds(play.client(query("SELECT 1; SELECT 2"))) == "PBDEPBDES"
    reply = play.server((PARSED + BOUND + a_row()) * 2, READY)
    assert kinds(reply) == "TDCTDCZ"
    assert play.ledger.outcomes() == [("call", "", 1), ("call", "", 1)]


def test_an_empty_query_is_answered_as_empty() -> None:
    play = Playbook()
    assert kinds(play.client(query(""))) == "PBDES"
    assert kinds(play.server(PARSED, BOUND, codec.NO_DATA, codec.message(b"I", b""), READY)) == "IZ"


def test_a_long_read_is_intended_before_its_first_byte_and_settled_before_its_end() -> None:
    play = Playbook(instant=False)
    play.client(select(), codec.SYNC)
    assert play.server(PARSED, BOUND, described("a"), row(b"x" * 40000)) == b""
    assert play.server(row(b"x" * 40000)) == b""
    assert play.ledger.kinds() == ["intent"]
    play.durable()
    assert kinds(play.to_client()) == "12TDD"
    assert kinds(play.server(row(b"y"))) == "D"
    assert play.server(row(b"z"), done("SELECT 4"), READY) == b""
    assert play.ledger.outcomes() == [("outcome", "", 4)]
    play.durable()
    assert kinds(play.to_client()) == "DCZ"


def test_the_server_is_not_read_while_the_ledger_lags() -> None:
    play = Playbook(instant=False)
    play.client(select(), codec.SYNC)
    play.server(PARSED, BOUND, described("a"), row(b"x" * 2_000_000))
    assert not play.edge.reading_server
    play.durable()
    assert play.edge.reading_server


def test_a_read_that_fails_is_recorded_with_its_code() -> None:
    play = Playbook()
    play.client(select(), codec.SYNC)
    reply = play.server(PARSED, BOUND, described("a"), row(b"1"), failed("22012"), READY)
    assert kinds(reply) == "12TDEZ"
    assert play.ledger.outcomes() == [("call", "22012", 1)]


def test_each_execution_of_a_portal_is_a_call() -> None:
    play = Playbook()
    play.client(codec.parse(b"", b"SELECT 1"), BIND, codec.execute(b"", 1), codec.FLUSH)
    assert kinds(play.server(PARSED, BOUND, row(b"1"), codec.message(b"s", b""))) == "12Ds"
    assert kinds(play.client(codec.execute(b"", 1), codec.SYNC)) == "ES"
    assert kinds(play.server(row(b"1"), done("SELECT 1"), READY)) == "DCZ"
    assert play.ledger.outcomes() == [("call", "", 1), ("call", "", 1)]


def test_copy_out_streams_and_counts() -> None:
    play = Playbook()
    play.client(query("COPY (SELECT 1) TO STDOUT"))
    copying = codec.message(b"H", b"\0\0\1\0\0") + codec.message(b"d", b"1\n") * 3 + codec.message(b"c", b"")
    reply = play.server(PARSED, BOUND, codec.NO_DATA, copying, done("COPY 3"), READY)
    assert kinds(reply) == "HdddcCZ"
    assert play.ledger.outcomes() == [("call", "", 3)]


# --- what is hidden ---


def test_row_descriptions_do_not_tell_tables() -> None:
    play = Playbook()
    play.client(select(), codec.SYNC)
    reply = play.server(PARSED, BOUND, a_row(), READY)
    assert (
        codec.message(b"T", messages(described("a", table=0))[0][1].replace(b"\0\1\0\0\0\x17", b"\0\0\0\0\0\x17"))
        in reply
    )
    assert codec.pack_int32(16384) not in reply


@pytest.mark.parametrize("state", ["22P02", "23502", "42703", "42P01", "P0001", "XX000", "42601"])
def test_errors_while_running_pass_only_their_code(state: str) -> None:
    play = Playbook()
    play.client(select(), codec.SYNC)
    reply = play.server(PARSED, BOUND, failed(state, H="hidden", W="hidden", s="hidden", t="hidden", P="1"), READY)
    assert set(error_of(reply)) == {"S", "V", "C", "M"}
    assert error_of(reply)["C"] == state
    assert b"hidden" not in reply
    assert b"CANARY" not in reply


def test_errors_of_the_analysis_pass_their_message_but_no_detail() -> None:
    play = Playbook()
    play.client(select(), codec.SYNC)
    reply = play.server(failed("42883", "function f(integer) does not exist"), READY)
    assert error_of(reply)["M"] == "function f(integer) does not exist"
    assert b"CANARY" not in reply


def test_notices_notifications_and_secret_settings_do_not_pass() -> None:
    play = Playbook()
    notice = codec.error_response((("S", "NOTICE"), ("C", "00000"), ("M", "CANARY")), b"N")
    known = codec.error_response((("S", "WARNING"), ("C", "25P01"), ("M", "CANARY")), b"N")
    notification = codec.message(b"A", b"\0\0\0\1CANARY\0CANARY\0")
    settings = (
        codec.parameter_status("TimeZone", "UTC")
        + codec.parameter_status("is_superuser", "on")
        + codec.parameter_status("session_authorization", "CANARY")
        + codec.parameter_status("search_path", "CANARY")
    )
    reply = play.server(notice, known, notification, settings)
    assert kinds(reply) == "NSSS"
    assert b"CANARY" not in reply
    assert b"is_superuser\0off" in reply
    assert b"session_authorization\0bot" in reply


# --- writes ---


def test_a_write_waits_for_its_intent_and_its_reply_for_the_outcome() -> None:
    play = Playbook(instant=False)
    assert play.client(select(text=b"INSERT INTO t VALUES (1)"), codec.SYNC) == b""
    assert play.ledger.kinds() == ["intent"]
    play.durable()
    assert kinds(play.to_server()) == "PBDES"
    assert play.server(PARSED, BOUND, codec.NO_DATA, done("INSERT 0 1"), READY) == b""
    assert play.ledger.outcomes() == [("outcome", "", 1)]
    play.durable()
    assert kinds(play.to_client()) == "12nCZ"


LOCKING = "SELECT 1 FOR UPDATE"


def test_a_query_that_locks_rows_waits_for_its_intent_each_time() -> None:
    play = Playbook(planned({LOCKING: Plan("READ", LOCKING, locks=True)}), instant=False)
    for _ in range(2):
        assert play.client(select(text=LOCKING.encode()), codec.SYNC) == b""
        assert play.ledger.kinds()[-1] == "intent"
        play.durable()
        assert kinds(play.to_server()) == "PBDES"
        assert play.server(PARSED, BOUND, a_row(), READY) == b""
        assert play.ledger.outcomes()[-1] == ("outcome", "", 1)
        play.durable()
        assert kinds(play.to_client()) == "12TDCZ"
    assert play.ledger.kinds() == ["intent", "outcome"] * 2


@pytest.mark.parametrize("before", [PARSED + BOUND + described("a"), b""])
def test_a_query_that_locks_rows_and_fails_has_one_outcome(before: bytes) -> None:
    play = Playbook(planned({LOCKING: Plan("READ", LOCKING, locks=True)}))
    play.client(select(text=LOCKING.encode()), codec.SYNC)
    play.server(before, failed("55P03"), READY)
    assert play.ledger.kinds() == ["intent", "outcome"]
    assert play.ledger.outcomes() == [("outcome", "55P03", 0)]


def test_a_write_undone_by_a_later_error_of_its_batch_is_recorded_as_failed() -> None:
    play = Playbook()
    insert = select(text=b"INSERT INTO t VALUES (1)")
    play.client(insert, insert, codec.SYNC)
    play.server(PARSED, BOUND, codec.NO_DATA, done("INSERT 0 1"), PARSED, BOUND, codec.NO_DATA, failed("23505"), READY)
    assert play.ledger.outcomes() == [("outcome", "23505", 0), ("outcome", "23505", 1)]


def test_a_write_committed_before_a_later_error_is_recorded_as_done() -> None:
    play = Playbook()
    play.client(query("BEGIN; INSERT INTO t VALUES (1); COMMIT; SELECT 1"))
    part = PARSED + BOUND + codec.NO_DATA
    play.server(part + done("BEGIN") + part + done("INSERT 0 1") + part + done("COMMIT") + failed("22012") + READY)
    assert ("outcome", "", 1) in play.ledger.outcomes()
    assert ("call", "22012", None) in play.ledger.outcomes()


def test_a_commit_that_fails_fails_the_write() -> None:
    play = Playbook()
    play.client(select(text=b"INSERT INTO t VALUES (1)"), codec.SYNC)
    reply = play.server(PARSED, BOUND, codec.NO_DATA, done("INSERT 0 1"), failed("23503"), READY)
    assert kinds(reply) == "12nCEZ"
    assert play.ledger.outcomes() == [("outcome", "23503", 1)]


def test_a_write_is_never_suspended() -> None:
    play = Playbook()
    sent = play.client(codec.parse(b"", b"UPDATE t SET a = 1 RETURNING a"), BIND, codec.execute(b"", 1), codec.SYNC)
    assert dict(messages(sent))["E"] == b"\0\0\0\0\0"


# --- checked writes ---

CHECKED = Plan("WRITE", "UPDATE t RETURNING a, ok", checked=True, returns=True, statement="UPDATE t")
SILENT = Plan("WRITE", "UPDATE t RETURNING ok", checked=True, returns=False, statement="UPDATE t")
checking = planned({"UPDATE loud": CHECKED, "UPDATE silent": SILENT})


def test_a_checked_write_is_verified_before_it_can_commit() -> None:
    play = Playbook(checking)
    assert kinds(play.client(select(text=b"UPDATE loud"), codec.SYNC)) == "PBDEH"
    assert play.server(PARSED, BOUND, described("a", "ok"), row(b"1", b"t"), row(b"2", b"t")) == b""
    assert play.server(done("UPDATE 2")) == b""
    assert play.to_server() == codec.SYNC
    reply = play.server(READY)
    assert kinds(reply) == "12TDDCZ"
    assert row(b"1") in reply
    assert row(b"1", b"t") not in reply
    assert play.ledger.outcomes() == [("outcome", "", 2)]


def test_the_rows_of_a_silent_checked_write_are_not_the_clients() -> None:
    play = Playbook(checking)
    play.client(query("UPDATE silent"))
    play.server(PARSED, BOUND, described("ok"), row(b"t"), row(b"t"), done("UPDATE 2"))
    assert kinds(play.server(READY)) == "CZ"
    play.client(select(text=b"UPDATE silent"), codec.SYNC)
    play.server(PARSED, BOUND, described("ok"), row(b"t"), done("UPDATE 1"))
    assert kinds(play.server(READY)) == "12nCZ"


@pytest.mark.parametrize("value", [b"f", None, b"", b"\x01", b"true"])
def test_a_row_out_of_scope_undoes_the_write_and_shows_nothing_of_it(value: bytes | None) -> None:
    play = Playbook(checking)
    play.client(select(text=b"UPDATE loud"), codec.SYNC)
    rows = row(b"1", b"t") + row(b"2", value) + row(b"3", b"t")
    assert play.server(PARSED, BOUND, described("a", "ok"), rows, done("UPDATE 3")) == b""
    assert play.to_server() == POISON_PARSE + codec.FLUSH
    play.server(SYNTAX_ERROR)
    assert play.to_server() == codec.SYNC
    reply = play.server(READY)
    assert kinds(reply) == "12TEZ"
    assert error_of(reply)["C"] == "42501"
    assert "decision rec_1" in error_of(reply)["D"]
    assert play.ledger.outcomes() == [("outcome", "row_out_of_scope", 3)]


def test_a_row_out_of_scope_found_before_another_error_is_what_the_client_is_told() -> None:
    play = Playbook(checking)
    play.client(select(text=b"UPDATE loud"), select(text=b"SELECT 1"), codec.SYNC)
    play.server(PARSED, BOUND, described("a", "ok"), row(b"1", b"f"), done("UPDATE 1"), failed("42P01"))
    assert play.to_server() == codec.SYNC
    assert error_of(play.server(READY))["C"] == "42501"


def test_a_write_that_fails_by_its_own_check_is_out_of_scope() -> None:
    play = Playbook(planned({"WITH inner": Plan("WRITE", "WITH …", statement="WITH inner", tag="SELECT")}))
    play.client(select(text=b"WITH inner"), codec.SYNC)
    outside = failed("22P02", f'invalid input syntax for type boolean: "{OUTSIDE}"')
    reply = play.server(PARSED, BOUND, described("a"), outside, READY)
    assert kinds(reply) == "12TEZ"
    assert error_of(reply)["C"] == "42501"
    assert "decision rec_1" in error_of(reply)["D"]
    assert OUTSIDE.encode() not in reply
    assert play.ledger.outcomes() == [("outcome", "row_out_of_scope", 0)]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"s": "crm", "t": "items", "n": "items_pkey"}, True),
        ({"s": "crm", "t": "items", "n": "items_secret_key"}, False),
        ({"s": "crm", "t": "others", "n": "items_pkey"}, False),
        ({"n": "items_pkey"}, False),
    ],
)
def test_a_conflict_of_keys_names_its_constraint_where_the_plan_has_it(said: dict[str, str], told: bool) -> None:
    keys = frozenset({("crm", "items", "items_pkey")})
    play = Playbook(planned({"INSERT": Plan("WRITE", "INSERT", returns=False, keys=keys)}))
    play.client(query("INSERT"))
    reply = play.server(PARSED, BOUND, codec.NO_DATA, failed("23505", **said), READY)
    error = error_of(reply)
    assert {letter: error.get(letter) for letter in "stn"} == (said if told else dict.fromkeys("stn"))
    assert ("items_pkey" in error["M"]) == told
    assert b"CANARY" not in reply
    assert b"hidden value" not in reply


def test_another_error_names_no_constraint() -> None:
    keys = frozenset({("crm", "items", "items_pkey")})
    play = Playbook(planned({"INSERT": Plan("WRITE", "INSERT", returns=False, keys=keys)}))
    play.client(query("INSERT"))
    error = error_of(
        play.server(PARSED, BOUND, codec.NO_DATA, failed("23514", s="crm", t="items", n="items_pkey"), READY)
    )
    assert error.keys() == {"S", "V", "C", "M"}


@pytest.mark.parametrize("state", ["23505", "23P01"])
@pytest.mark.parametrize(("blind", "told"), [(True, "42501"), (False, "")])
def test_a_conflict_of_keys_is_told_only_where_it_tells_nothing_of_hidden_rows(
    state: str, blind: bool, told: str
) -> None:
    play = Playbook(planned({"INSERT": Plan("WRITE", "INSERT", returns=False, blind=blind)}))
    play.client(query("INSERT"))
    error = error_of(play.server(PARSED, BOUND, codec.NO_DATA, failed(state), READY))
    assert error["C"] == (told or state)
    assert play.ledger.outcomes() == [("outcome", "row_out_of_scope" if blind else state, 0)]


def test_another_failure_of_such_a_write_is_the_server_s() -> None:
    play = Playbook(planned({"WITH inner": Plan("WRITE", "WITH …", statement="WITH inner", tag="SELECT")}))
    play.client(select(text=b"WITH inner"), codec.SYNC)
    reply = play.server(PARSED, BOUND, described("a"), failed("22P02"), READY)
    assert error_of(reply)["C"] == "22P02"
    assert play.ledger.outcomes() == [("outcome", "22P02", 0)]


def test_a_binary_check_is_understood_when_results_are_binary() -> None:
    play = Playbook(checking)
    binary = bind_values(b"", results=b"\0\1\0\1")
    play.client(codec.parse(b"", b"UPDATE loud"), binary, EXECUTE, codec.SYNC)
    play.server(PARSED, BOUND, row(b"\0\0\0\1", b"\x01"), done("UPDATE 1"))
    assert play.to_server() == codec.SYNC
    assert kinds(play.server(READY)) == "12DCZ"


def test_the_check_gets_a_result_format_of_its_own() -> None:
    play = Playbook(checking)
    mixed = bind_values(b"", results=b"\0\2\0\1\0\1")
    sent = play.client(codec.parse(b"", b"UPDATE loud"), mixed, EXECUTE, codec.SYNC)
    assert dict(messages(sent))["B"].endswith(b"\0\3\0\1\0\1\0\0")


def test_a_commit_in_the_same_batch_waits_for_the_check() -> None:
    play = Playbook(checking)
    play.client(query("BEGIN"))
    play.server(PARSED, BOUND, codec.NO_DATA, done("BEGIN"), IN_TRANSACTION)
    sent = play.client(select(text=b"UPDATE loud"), select(text=b"COMMIT"), codec.SYNC)
    assert kinds(sent) == "PBDEPBDH"
    play.server(PARSED, BOUND, described("a", "ok"), row(b"1", b"f"), done("UPDATE 1"), PARSED, BOUND, codec.NO_DATA)
    assert play.to_server() == POISON_PARSE + codec.FLUSH
    play.server(SYNTAX_ERROR)
    assert play.to_server() == codec.SYNC
    assert kinds(play.server(FAILED)) == "12TEZ"


def test_many_checked_writes_of_a_batch_share_one_check() -> None:
    play = Playbook(checking)
    one = bind_values(b"s") + EXECUTE
    assert kinds(play.client(codec.parse(b"s", b"UPDATE silent"), one * 3, codec.SYNC)) == "PBEBEBEH"
    part = BOUND + row(b"t") + done("UPDATE 1")
    play.server(PARSED, part * 3)
    assert play.to_server() == codec.SYNC
    assert kinds(play.server(READY)) == "12C2C2CZ"
    assert play.ledger.kinds().count("intent") == 3


# --- denials ---


def test_a_denial_fails_the_batch_where_it_stands_and_is_recorded_first() -> None:
    play = Playbook(instant=False)
    batch = select(b"a") + select(b"b", b"SELECT * FROM secret WHERE x = 'CANARY'") + select(b"c")
    assert play.client(batch, codec.SYNC) == b""
    play.durable()
    assert kinds(play.to_server()) == "PBDEPS"
    play.server(PARSED, BOUND, a_row(), SYNTAX_ERROR, READY)
    play.durable()
    reply = play.to_client()
    assert kinds(reply) == "12TDCEZ"
    error = error_of(reply)
    assert (error["C"], error["S"], error["H"]) == ("42501", "ERROR", "ask the owner")
    assert error["D"] == "allowed: `items:read`\ncode action_not_granted, decision rec_1"
    assert [one.call.statement for one in play.ledger.written] == ["SELECT * FROM secret WHERE x = $1", "SELECT 1"]


def _breaking(text: str, live: LiveSession, mount: str, declared: tuple[int, ...] = ()) -> tuple[Plan | Denial, ...]:
    if "breaks" in text:
        raise KeyError("CANARY")
    return passing(text, live, mount, declared)


@pytest.mark.parametrize("sent", [query("SELECT breaks"), codec.parse(b"", b"SELECT breaks") + codec.SYNC])
def test_a_failure_of_the_rewriter_is_a_denial_and_the_connection_goes_on(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    play = Playbook(_breaking)
    assert play.client(sent) == POISON_PARSE + codec.SYNC
    error = error_of(play.server(SYNTAX_ERROR, READY))
    assert (error["C"], error["S"]) == ("XX000", "ERROR")
    assert "code internal_error, decision rec_1" in error["D"]
    assert play.ledger.outcomes() == [("call", "internal_error", None)]
    assert "planning a statement failed inside the gateway: KeyError at test_postgres_frontend.py" in caplog.text
    assert "CANARY" not in caplog.text + str(error)
    assert play.client(select(), codec.SYNC) == select() + codec.SYNC
    assert kinds(play.server(PARSED, BOUND, a_row(), READY)) == "12TDCZ"


def test_a_failure_to_bind_is_a_denial_and_the_connection_goes_on() -> None:
    play = Playbook(planned({"x": Plan("READ", "SELECT $1", bound=(Bound(Ref(("user", "breaks")), "text"),))}))
    play.live.session = replace(play.live.session, user=cast("User", 7))
    play.client(codec.parse(b"s", b"x"), codec.SYNC)
    play.server(PARSED, READY)
    assert play.client(bind_values(b"s"), EXECUTE, codec.SYNC) == POISON_PARSE + codec.SYNC
    assert error_of(play.server(SYNTAX_ERROR, READY))["C"] == "XX000"
    assert play.client(query("SELECT 1")) != b""
    assert not play.edge.closed


def test_a_text_of_several_statements_is_refused_whole() -> None:
    play = Playbook()
    assert play.client(query("INSERT INTO t VALUES (1); SELECT secret")) == POISON_PARSE + codec.SYNC
    assert kinds(play.server(SYNTAX_ERROR, READY)) == "EZ"
    assert play.ledger.outcomes() == [("call", "action_not_granted", None)]


def test_deny_and_hold_of_the_policy_are_denied() -> None:
    for decision in (Deny(Denial("needs_approval", "no")), Hold("delete", Denial("needs_approval", "no"))):
        play = Playbook()
        play.ledger.deciding = lambda _, decision=decision: decision
        assert play.client(query("SELECT 1")) == POISON_PARSE + codec.SYNC
        assert error_of(play.server(SYNTAX_ERROR, READY))["C"] == "42501"
        assert play.ledger.written[0].call.decision == decision


def test_a_poison_that_is_swallowed_ends_everything() -> None:
    play = Playbook()
    play.client(query("SELECT secret"))
    reply = play.server(PARSED, READY)
    assert error_of(reply)["S"] == "FATAL"
    assert play.edge.closed


def test_a_blocked_session_runs_nothing() -> None:
    play = Playbook()
    play.live.denial = Denial("out_of_hours", "not on sundays")
    assert play.client(select(text=b"INSERT INTO t VALUES (1)"), codec.SYNC) == POISON_PARSE + codec.SYNC
    assert error_of(play.server(SYNTAX_ERROR, READY))["M"] == "not on sundays"
    assert play.ledger.kinds() == ["call"]


def test_a_revoked_session_is_cut_at_its_next_batch() -> None:
    play = Playbook()
    play.live.denial = Denial("session_revoked", "the session was revoked")
    assert play.client(query("SELECT 1")) == b""
    error = error_of(play.to_client())
    assert (error["S"], error["C"]) == ("FATAL", "57P01")
    assert play.edge.closed


def test_a_cut_ends_a_running_statement() -> None:
    play = Playbook()
    play.client(select(text=b"INSERT INTO t VALUES (1)"), codec.SYNC)
    play.frontend.cut(Denial("session_idle", "the session was idle for too long"))
    assert error_of(play.to_client())["C"] == "57P05"
    assert play.edge.cancelled
    assert play.ledger.outcomes() == [("outcome", "session_idle", 0)]
    assert play.server(PARSED, READY) == b""


def test_function_calls_are_refused_and_the_connection_goes_on() -> None:
    play = Playbook()
    assert play.client(codec.message(b"F", b"\0\0\0\1\0\0\0\0\0\0")) == POISON_PARSE + codec.SYNC
    assert kinds(play.server(SYNTAX_ERROR, READY)) == "EZ"
    assert kinds(play.client(query("SELECT 1"))) == "PBDES"


def test_copy_data_outside_of_a_copy_is_ignored() -> None:
    play = Playbook()
    stray = codec.message(b"d", b"x") + codec.message(b"c", b"") + codec.message(b"f", b"x\0")
    assert kinds(play.client(stray, query("SELECT 1"))) == "PBDES"


# --- the ledger fails ---


def test_without_a_durable_intent_nothing_is_executed() -> None:
    play = Playbook(instant=False)
    play.client(select(text=b"INSERT INTO t VALUES (1)"), codec.SYNC)
    play.durable(False)
    assert play.to_server() == b""
    assert error_of(play.to_client())["C"] == "58030"
    assert play.edge.closed


def test_of_an_intent_that_came_too_late_the_client_is_told_what_is_true() -> None:
    play = Playbook(instant=False)
    play.live.lapsed = LAPSED
    play.client(select(text=b"INSERT INTO t VALUES (1)"), codec.SYNC)
    play.durable(False)
    assert play.to_server() == b""
    told = error_of(play.to_client())
    assert (told["C"], told["M"]) == ("42501", LAPSED.message)
    assert "elevation_ended" in told["D"]
    assert play.edge.closed


def test_without_a_durable_record_nothing_is_released() -> None:
    play = Playbook(instant=False)
    play.client(select(), codec.SYNC)
    play.server(PARSED, BOUND, described("a"), row(b"CANARY"), done("SELECT 1"), READY)
    play.durable(False)
    reply = play.to_client()
    assert kinds(reply) == "E"
    assert b"CANARY" not in reply


# --- error states ---


def test_after_an_error_everything_up_to_sync_is_ignored() -> None:
    play = Playbook()
    play.client(codec.parse(b"a", b"SELECT 1"), codec.FLUSH)
    assert kinds(play.server(failed("42883"))) == "E"
    assert play.client(select(), query("SELECT 1"), codec.FLUSH) == b""
    assert play.client(codec.SYNC) == codec.SYNC
    assert kinds(play.server(READY)) == "Z"
    assert kinds(play.client(query("SELECT 1"))) == "PBDES"


def test_a_query_behind_unsynced_messages_runs_after_them() -> None:
    play = Playbook()
    assert kinds(play.client(codec.parse(b"a", b"SELECT 1"), query("SELECT 2"))) == "PH"
    play.server(PARSED)
    assert kinds(play.to_server()) == "PBDES"


def test_batches_run_one_after_the_other() -> None:
    play = Playbook()
    assert kinds(play.client(query("SELECT 1"), query("SELECT 2"))) == "PBDES"
    assert kinds(play.server(PARSED, BOUND, a_row(), READY)) == "TDCZ"
    assert kinds(play.to_server()) == "PBDES"


def test_a_client_that_sends_far_ahead_is_not_read() -> None:
    play = Playbook()
    play.client(query("SELECT 1"))
    play.client(query("SELECT 1 -- " + "x" * 70000))
    assert not play.edge.reading_client
    play.server(PARSED, BOUND, a_row(), READY)
    play.server(PARSED, BOUND, a_row(), READY)
    assert play.edge.reading_client


def test_a_long_message_that_came_in_part_while_another_ran_is_read_to_its_end() -> None:
    play = Playbook()
    play.client(query("SELECT 1"))
    long = query("SELECT 2 -- " + "x" * 200_000)
    play.client(long[:130_000])
    assert not play.edge.reading_client
    play.server(PARSED, BOUND, a_row(), READY)
    assert play.edge.reading_client
    assert kinds(play.client(long[130_000:])) == "PBDES"


def test_a_long_batch_runs_before_its_sync() -> None:
    play = Playbook()
    play.client(codec.parse(b"s", b"SELECT 1"), codec.SYNC)
    play.server(PARSED, READY)
    sent = play.client(*[bind_values(b"s") + EXECUTE] * 600)
    assert kinds(sent) == "BE" * 500 + "BH"


def test_a_lost_server_is_told_as_such() -> None:
    play = Playbook()
    play.frontend.server_lost()
    assert error_of(play.to_client())["C"] == "08006"


def test_a_server_that_shuts_down_ends_the_client() -> None:
    play = Playbook()
    reply = play.server(codec.error_response((("S", "FATAL"), ("V", "FATAL"), ("C", "57P01"), ("M", "hidden"))))
    assert error_of(reply)["S"] == "FATAL"
    assert b"hidden" not in reply
    assert play.edge.closed


def test_a_server_that_begins_a_copy_in_is_cut() -> None:
    play = Playbook()
    play.client(query("SELECT 1"))
    play.server(PARSED, BOUND, codec.NO_DATA, codec.message(b"G", b"\0\0\0"))
    assert play.edge.closed


def test_close_forgets_a_statement() -> None:
    play = Playbook()
    play.client(codec.parse(b"a", b"SELECT 1"), codec.message(b"C", b"Sa\0"), codec.SYNC)
    assert kinds(play.server(PARSED, CLOSED, READY)) == "13Z"
    play.client(bind_values(b"a"), codec.SYNC)
    assert error_of(play.server(SYNTAX_ERROR, READY))["C"] == "26000"
