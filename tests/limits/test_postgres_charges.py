"""Charges in the state machine of a PostgreSQL connection: before anything is sent, and settled once it is known."""

from __future__ import annotations

from bailiwick.model.budget import Budget, Used
from bailiwick.mounts.postgres import codec
from tests.mounts.playbook import Playbook, described, done, error_of, failed, kinds, query, row

PARSED, BOUND = codec.message(b"1", b""), codec.message(b"2", b"")
READY = codec.message(b"Z", b"I")
OPENED = PARSED + BOUND + described("id")
LIMIT = (Budget("agent:bot:actions:60", "actions", 2, 60_000_000, "agent `bot`"),)
SELECT = query("SELECT id FROM items")


def limited(left: int = 1, *, instant: bool = True) -> Playbook:
    """A connection whose executions are charged; so many may run."""
    book = Playbook(instant=instant)
    book.ledger.limits, book.ledger.left = LIMIT, left
    return book


def test_what_is_charged_runs_and_is_settled_with_its_rows_and_bytes() -> None:
    book = limited()
    assert kinds(book.client(SELECT)) == "PBDES"
    rows = row(b"1") + row(b"22")
    assert kinds(book.server(OPENED, rows, done("SELECT 2"), READY)) == "TDDCZ"
    assert book.ledger.used == [Used(2, len(rows))]


def test_what_has_no_budget_left_is_denied_in_its_place_and_says_when_it_will_work() -> None:
    book = limited(0)
    assert kinds(book.client(SELECT)) == "PBDPS"
    reply = book.server(OPENED, failed("42601"), READY)
    assert kinds(reply) == "TEZ"
    told = error_of(reply)
    assert (told["C"], told["H"]) == ("53400", "try again in 7 seconds")
    assert "code limit_exceeded, retry after 7 s" in told["D"]
    assert book.ledger.used == []
    assert [one.call.decision.__class__.__name__ for one in book.ledger.written] == ["Deny"]


def test_what_is_known_and_plain_is_charged_each_time_too() -> None:
    book = limited(2)
    for _ in range(2):
        assert kinds(book.client(SELECT)) == "PBDES"
        book.server(OPENED, row(b"1"), done("SELECT 1"), READY)
    assert kinds(book.client(SELECT)) == "PBDPS"
    assert len(book.ledger.used) == 2


def test_nothing_is_sent_before_the_charge_is_answered() -> None:
    book = limited(instant=False)
    assert book.client(SELECT, query("SELECT 2")) == b""
    assert book.ledger.written == []
    book.ledger.answer_charges()
    assert kinds(book.to_server()) == "PBDES"


def test_no_intent_of_a_write_stands_before_its_charge() -> None:
    book = limited(0, instant=False)
    book.client(query("UPDATE items SET id = 1"))
    assert book.ledger.kinds() == []
    book.ledger.answer_charges()
    assert book.ledger.kinds() == ["call"]
    assert book.to_server() == b""
    book.durable()
    assert kinds(book.to_server()) == "PBDPS"


def test_what_stands_before_the_denied_one_runs_and_what_stands_behind_it_does_not() -> None:
    book = limited(1)
    sent = book.client(query("SELECT id FROM items; UPDATE items SET id = 1; SELECT id FROM items"))
    assert kinds(sent) == "PBDEPBDPS"
    reply = book.server(OPENED, row(b"1"), done("SELECT 1"), OPENED, failed("42601"), READY)
    assert kinds(reply)[-2:] == "EZ"
    assert book.ledger.used == [Used(1, len(row(b"1")))]
    assert "intent" not in book.ledger.kinds()


def test_what_the_server_skips_after_an_error_is_given_back() -> None:
    book = limited(3)
    book.client(query("SELECT id FROM items; SELECT id FROM items WHERE id = 2"))
    book.server(OPENED, failed("22012"), READY)
    assert book.ledger.used == [Used(0, 0), None]


def test_transactions_and_settings_are_charged_to_nothing() -> None:
    book = limited(0)
    assert kinds(book.client(query("BEGIN"))) == "PBDES"


def test_a_charge_that_is_answered_after_the_client_has_left_is_given_back() -> None:
    book = limited(instant=False)
    book.client(SELECT)
    book.frontend.client_lost()
    book.ledger.answer_charges()
    assert book.ledger.used == [None]


def test_what_ran_when_the_connection_was_lost_is_settled() -> None:
    book = limited()
    book.client(SELECT)
    book.server(OPENED, row(b"1"))
    book.frontend.client_lost()
    assert book.ledger.used == [Used(1, len(row(b"1")))]
