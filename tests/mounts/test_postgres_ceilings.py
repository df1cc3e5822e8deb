"""Ceilings in the state machine: what is sent when, and that a cancel request never hits another statement."""

from __future__ import annotations

import pytest

from bailiwick.model.ceilings import Ceilings
from bailiwick.model.decision import Access, Allow, Decision, Denial, Hold, Queued, Request
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.errors import own_error
from bailiwick.sql.plan import Plan
from tests.mounts.fakes import planned
from tests.mounts.playbook import Playbook, described, done, error_of, failed, kinds, query, row

PARSED, BOUND, CLOSED = codec.message(b"1", b""), codec.message(b"2", b""), codec.message(b"3", b"")
SUSPENDED = codec.message(b"s", b"")
READY, ABORTED = codec.message(b"Z", b"I"), codec.message(b"Z", b"E")
OPENED = PARSED + BOUND + described("id")
POISONED = failed("42601")


def under(**most: int) -> Playbook:
    book = Playbook()

    def deciding(_: Request) -> Decision:
        return Allow(("grant",), ceilings=Ceilings(**most))

    book.ledger.deciding = deciding
    return book


def test_a_write_is_not_synced_before_its_count_is_known() -> None:
    book = under(batch=2)
    assert kinds(book.client(query("UPDATE items SET a = 1"))) == "PBDEH"
    assert book.server(PARSED, BOUND, codec.message(b"n", b""), done("UPDATE 2")) == b""
    assert kinds(book.to_server()) == "S"
    assert kinds(book.server(READY)) == "CZ"
    assert book.ledger.outcomes() == [("outcome", "", 2)]


def test_a_write_beyond_its_batch_is_poisoned_and_then_synced() -> None:
    book = under(batch=2)
    book.client(query("UPDATE items SET a = 1"))
    assert book.server(PARSED, BOUND, codec.message(b"n", b""), done("UPDATE 205")) == b""
    assert kinds(book.to_server()) == "PH"
    assert book.server(POISONED) == b""
    assert kinds(book.to_server()) == "S"
    reply = book.server(READY)
    assert kinds(reply) == "EZ"
    assert "205 rows" in error_of(reply)["M"]
    assert error_of(reply)["C"] == "42501"
    assert book.ledger.outcomes() == [("outcome", "batch_exceeded", 205)]


def test_a_write_whose_count_is_not_told_is_undone() -> None:
    book = under(batch=2)
    book.client(query("UPDATE items SET a = 1"))
    book.server(PARSED, BOUND, codec.message(b"n", b""), done("STRANGE"))
    assert kinds(book.to_server()) == "PH"


def test_a_query_is_asked_for_one_row_more_than_it_may_return() -> None:
    book = under(rows=2)
    sent = book.client(query("SELECT id FROM items"))
    assert codec.execute(b"", 3) in sent
    assert book.server(OPENED, row(b"1"), row(b"2"), row(b"3"), SUSPENDED) == b""
    assert kinds(book.to_server()) == "PH"
    book.server(POISONED)
    reply = book.server(READY)
    assert kinds(reply) == "TEZ"
    assert book.ledger.outcomes() == [("call", "rows_exceeded", 3)]


def test_a_query_within_its_rows_is_passed_on() -> None:
    book = under(rows=2)
    book.client(query("SELECT id FROM items"))
    book.server(OPENED, row(b"1"), row(b"2"), done("SELECT 2"))
    assert kinds(book.to_server()) == "S"
    assert kinds(book.server(READY)) == "TDDCZ"


def test_nothing_is_sent_while_a_cancel_request_is_under_way() -> None:
    book = under(timeout=1)
    book.client(query("SELECT id FROM items"), query("SELECT 2"))
    assert book.edge.alarms == [1]
    book.frontend.alarmed()
    assert book.edge.cancels == 1
    assert book.server(OPENED, failed("57014")) == b""
    assert book.to_server() == b""  # the request may still hit whatever the server runs
    book.frontend.cancelled()
    assert kinds(book.to_server()) == "S"
    reply = book.server(READY)
    assert kinds(reply) == "TEZ"
    assert error_of(reply[reply.index(b"E") :])["C"] == "57014"
    assert kinds(book.to_server()) == "PBDEH"  # now the next one
    assert book.edge.alarms[-1] == 1


def test_a_statement_that_ended_before_the_cancel_came_is_undone_all_the_same() -> None:
    book = under(timeout=1)
    book.client(query("UPDATE items SET a = 1"))
    book.frontend.alarmed()
    book.server(PARSED, BOUND, codec.message(b"n", b""), done("UPDATE 1"))
    book.frontend.cancelled()
    assert kinds(book.to_server()) == "PH"
    book.server(POISONED)
    assert kinds(book.server(READY)) == "EZ"
    assert book.ledger.outcomes() == [("outcome", "timeout_exceeded", 1)]


def test_a_server_that_does_not_stop_is_left() -> None:
    book = under(timeout=1)
    book.client(query("UPDATE items SET a = 1"))
    book.frontend.alarmed()
    book.frontend.cancelled()
    assert book.edge.alarms[-1] is not None
    book.frontend.alarmed()
    assert book.edge.closed
    assert book.edge.cancelled


def test_an_alarm_that_comes_late_does_nothing() -> None:
    book = under(timeout=1)
    book.client(query("SELECT id FROM items"))
    book.server(OPENED, row(b"1"), done("SELECT 1"))
    book.frontend.alarmed()
    assert book.edge.cancels == 0
    assert kinds(book.server(READY)) == "TDCZ"


def test_rows_beyond_the_bytes_are_dropped_and_the_server_is_stopped() -> None:
    book = under(bytes=40)
    book.client(query("SELECT id FROM items"))
    assert book.server(OPENED, row(b"x" * 20), row(b"y" * 20)) == b""
    assert book.edge.cancels == 1
    assert book.server(row(b"z" * 20), failed("57014")) == b""
    book.frontend.cancelled()
    reply = book.server(READY)
    assert kinds(reply) == "TEZ"
    assert b"xxx" not in reply
    assert error_of(reply[reply.index(b"E\x00") :])["C"] == "54000"


@pytest.mark.parametrize("asked", [1, 2, 3, 50])
def test_parts_of_a_portal_are_added_up(asked: int) -> None:
    book = under(rows=5)
    book.client(
        codec.parse(b"s", b"SELECT id FROM items"), codec.bind(b"p", b"s"), codec.execute(b"p", asked), codec.FLUSH
    )
    total = 0
    for _ in range(20):
        most = min(asked, 5 - total) if asked <= 5 - total else 5 - total + 1
        rows = [row(b"%d" % n) for n in range(most)]
        opening = (PARSED, BOUND) if not total else ()
        seen = kinds(book.server(*opening, *rows, SUSPENDED)).count("D")
        total += seen
        assert total <= 5
        if most > asked or total + most > 5 + seen:
            break
        book.client(codec.execute(b"p", asked), codec.FLUSH)
    assert book.edge.closed is False
    assert kinds(book.to_server()).endswith("PH")


INNER = Plan("WRITE", "WITH …", statement="WITH inner", tag="SELECT", inner=((Access("items", "delete"),),) * 2)
CLEARED = codec.message(b"3", b"") + PARSED + BOUND + row(b"") + done("SELECT 1") + codec.message(b"3", b"")
ASIDE = "CPBEC"


def counts(*told: str | None) -> bytes:
    cells = [None if each is None else each.encode() for each in told]
    return codec.message(b"3", b"") + PARSED + BOUND + row(*cells) + done("SELECT 1") + codec.message(b"3", b"")


def counted(**most: int) -> Playbook:
    book = Playbook(planned({"WITH inner": INNER}))
    book.ledger.deciding = lambda _: Allow(("grant",), ceilings=Ceilings(**most) if most else None)
    assert kinds(book.client(query("WITH inner"))) == f"PBD{ASIDE}E{ASIDE}H"
    return book


@pytest.mark.parametrize("most", [{"batch": 5}, {"rows": 9}, {}])
def test_what_with_queries_write_is_counted(most: dict[str, int]) -> None:
    book = counted(**most)
    assert book.server(OPENED, CLEARED, row(b"1"), done("SELECT 1"), counts("3,2")) == b""
    assert book.to_server() == codec.SYNC
    assert kinds(book.server(READY)) == "TDCZ"
    assert book.ledger.outcomes() == [("outcome", "", 5)]


@pytest.mark.parametrize(
    ("told", "code", "hint"),
    [
        ("3,3", "batch_exceeded", "narrow its condition"),
        ("", "statement_not_allowed", "one after the other"),
        ("5", "statement_not_allowed", "one after the other"),
        (None, "statement_not_allowed", "one after the other"),
    ],
)
def test_with_queries_that_write_too_much_or_are_not_counted_are_undone(told: str | None, code: str, hint: str) -> None:
    book = counted(batch=5)
    assert book.server(OPENED, CLEARED, row(b"1"), done("SELECT 1"), counts(told)) == b""
    assert kinds(book.to_server()) == "PH"
    book.server(POISONED)
    reply = book.server(READY)
    assert kinds(reply) == "TEZ"
    assert hint in error_of(reply)["H"]
    assert [(kind, found) for kind, found, _ in book.ledger.outcomes()] == [("outcome", code)]


def test_a_failure_beside_a_counted_write_is_one_of_the_write() -> None:
    book = counted(batch=5)
    book.server(OPENED, codec.message(b"3", b""), PARSED, BOUND, failed("25P02"))
    assert book.to_server() == codec.SYNC
    assert kinds(book.server(READY)) == "TEZ"
    assert book.ledger.outcomes() == [("outcome", "25P02", 0)]


@pytest.mark.parametrize("name", [b"bailiwick rows", b"bailiwick told"])
def test_names_of_the_gateways_own_are_not_the_clients(name: bytes) -> None:
    book = Playbook()
    assert kinds(book.client(codec.parse(name, b"SELECT 1"), codec.SYNC)) == "PS"
    assert error_of(book.server(POISONED, READY))["C"] == "42P05"


def test_a_result_that_is_too_long_ends_a_query_that_is_alone() -> None:
    book = Playbook(largest_result=60)
    for _ in range(3):  # by the long way first, then as an exchange that turns out not to be plain
        again = CLOSED if "C" in kinds(book.client(query("SELECT id FROM items"))) else b""
        cancels = book.edge.cancels
        assert book.server(again, OPENED, row(b"x" * 20), row(b"y" * 40)) == b""
        assert book.edge.cancels == cancels + 1
        assert book.server(row(b"z" * 40), failed("57014"), READY) == b""
        assert book.to_server() == b""
        book.frontend.cancelled()
        assert kinds(book.to_server()) == "S"
        reply = book.server(READY)
        assert kinds(reply).endswith("EZ")
        assert b"zzz" not in reply
        assert error_of(reply[reply.index(b"E\x00") :])["C"] == "54000"
    assert not book.edge.closed
    assert {code for _, code, _ in book.ledger.outcomes()} == {"bytes_exceeded"}


def test_a_result_that_is_too_long_beside_other_statements_ends_the_connection() -> None:
    book = Playbook(largest_result=60)
    book.client(query("SELECT id FROM items; UPDATE items SET a = 1"))
    reply = book.server(OPENED, row(b"x" * 20), row(b"y" * 40))
    assert error_of(reply)["C"] == "54000"
    assert book.edge.closed
    assert book.edge.cancelled


def test_a_held_write_is_never_executed_and_its_answer_is_an_error_in_its_place() -> None:
    book = Playbook()
    terms = Queued("rows", ("grant",))
    book.ledger.deciding = lambda _: Hold("queue", Denial("queued", "it waits"), terms)
    sent = book.client(
        codec.parse(b"", b"UPDATE items SET a = $1"), codec.bind(b"", b""), codec.execute(b""), codec.SYNC
    )
    assert kinds(sent) == "PBH"
    assert book.server(PARSED, BOUND) == b""
    assert [held.prepared.text for held in book.edge.held] == [b"UPDATE items SET a = $1"]
    assert book.to_server() == codec.SYNC  # nothing is held open
    assert book.server(READY) == b""
    book.frontend.held(own_error("42501", "held as change `chg_1`"))
    assert kinds(book.to_server()) == "PH"
    book.server(POISONED)
    assert kinds(book.to_server()) == "S"
    reply = book.server(READY)
    assert kinds(reply) == "12EZ"
    assert error_of(reply[10:])["M"] == "held as change `chg_1`"


def test_nothing_is_held_in_a_transaction_that_has_failed() -> None:
    book = Playbook()
    book.ledger.deciding = lambda _: Hold("queue", Denial("queued", "it waits"), Queued("rows", ("grant",)))
    book.client(query("UPDATE items SET a = 1"))
    book.server(failed("25P02"))
    assert book.edge.held == []
    assert kinds(book.to_server()) == "S"
    assert kinds(book.server(ABORTED)) == "EZ"
