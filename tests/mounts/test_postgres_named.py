"""Cursors and prepared statements of SQL: what a name stands for, at every moment of a batch."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bailiwick.model.decision import Access, Denial
from bailiwick.model.value import Ref
from bailiwick.mounts.postgres import codec, named
from bailiwick.mounts.postgres.translate import POISON_PARSE
from bailiwick.sql.plan import Bound, Constant, Declare, Drop, Fetch, Plan, Prepare, Run
from tests.mounts.fakes import planned
from tests.mounts.playbook import (
    BOUND,
    IN_TRANSACTION,
    PARSED,
    READY,
    Playbook,
    described,
    done,
    error_of,
    failed,
    kinds,
    messages,
    query,
    row,
)

NO_DATA = codec.NO_DATA
SYNTAX_ERROR = failed("42601")
READS = (Access("items", "read", ("a",)),)
OTHERS = (Access("others", "read", ("b",)),)
TENANT = Bound(Ref(("tenant",)), "integer")
DECLARE_A = Plan("SESSION", "DECLARE c A", accesses=READS, bound=(TENANT,), returns=False, act=Declare("c", False))
DECLARE_B = replace(DECLARE_A, sql="DECLARE c B", accesses=OTHERS)
HOLD = replace(DECLARE_A, sql="DECLARE c HOLD", act=Declare("c", True))
FETCH = Plan("READ", "FETCH c", statement="FETCH c", act=Fetch("c"))
CLOSE = Plan("SESSION", "CLOSE c", returns=False, act=Drop(cursors=True, statements=False, name="c"))
CHECKED = Plan("WRITE", "INSERT RETURNING ok", checked=True)
INNER = Plan("READ", "SELECT a WHERE x = $1 AND tenant = $2", first=2, bound=(TENANT,), accesses=READS, statement="S")
PREPARE = Plan("SESSION", "PREPARE p", accesses=READS, returns=False, act=Prepare("p", INNER))
RUN = Plan("SESSION", "", statement="EXECUTE p", act=Run("p", (Constant("5"),)))
DEALLOCATE = Plan("SESSION", "DEALLOCATE p", returns=False, act=Drop(cursors=False, statements=True, name="p"))
TEXTS: dict[str, Plan | Denial] = {
    "declare a": DECLARE_A,
    "declare b": DECLARE_B,
    "declare hold": HOLD,
    "fetch": FETCH,
    "close": CLOSE,
    "checked": CHECKED,
    "prepare": PREPARE,
    "run": RUN,
    "run two": replace(RUN, act=Run("p", (Constant("5"), Constant("6")))),
    "deallocate": DEALLOCATE,
}
DECLARED = PARSED + BOUND + NO_DATA + done("DECLARE CURSOR")
FETCHED = PARSED + BOUND + described("a") + row(b"1") + done("FETCH 1")


def play(*, aside: bool = False) -> tuple[Playbook, dict[str, Plan | Denial]]:
    texts = dict(TEXTS)
    return Playbook(planned(texts), aside=aside), texts


def ran(book: Playbook, text: str, reply: bytes, end: bytes = IN_TRANSACTION) -> bytes:
    """Run one text as a simple query that succeeds; return what the server was sent."""
    sent = book.client(query(text)) + book.plan()
    book.server(reply, end)
    return sent


def refused(book: Playbook, text: str) -> str:
    """Run one text that never reaches the server; return the SQLSTATE."""
    assert book.client(query(text)) + book.plan() == POISON_PARSE + codec.SYNC
    return error_of(book.server(SYNTAX_ERROR, IN_TRANSACTION))["C"]


def test_each_fetch_is_recorded_as_a_read_of_its_cursor() -> None:
    book, _ = play()
    ran(book, "declare a", DECLARED)
    ran(book, "fetch", FETCHED)
    ran(book, "fetch", FETCHED)
    found = [(one.call.request.accesses, one.outcome and one.outcome.rows) for one in book.ledger.written]
    assert found == [(READS, 0), (READS, 1), (READS, 1)]


def test_a_cursor_is_gone_with_its_transaction_unless_it_is_held() -> None:
    book, _ = play()
    assert refused(book, "fetch") == "34000"
    ran(book, "declare a", DECLARED)
    ran(book, "COMMIT", PARSED + BOUND + NO_DATA + done("COMMIT"), READY)
    assert refused(book, "fetch") == "34000"
    ran(book, "declare hold", DECLARED)
    ran(book, "COMMIT", PARSED + BOUND + NO_DATA + done("COMMIT"), READY)
    assert kinds(ran(book, "fetch", FETCHED)) == "PBDES"


def test_a_cursor_that_failed_to_open_has_no_name() -> None:
    book, _ = play()
    book.client(query("declare a"))
    book.server(PARSED, BOUND, NO_DATA, failed("25P01"), READY)
    assert refused(book, "fetch") == "34000"


def test_a_name_that_is_declared_again_stands_for_the_new_cursor() -> None:
    book, _ = play()
    ran(book, "declare a", DECLARED)
    ran(book, "close", PARSED + BOUND + NO_DATA + done("CLOSE CURSOR"))
    assert refused(book, "fetch") == "34000"
    ran(book, "declare b", DECLARED)
    ran(book, "fetch", FETCHED)
    assert book.ledger.written[-1].call.request.accesses == OTHERS


def test_a_prepared_fetch_is_of_the_cursor_of_the_moment() -> None:
    book, _ = play()
    ran(book, "declare a", DECLARED)
    book.client(codec.parse(b"f", b"fetch"), codec.bind(b"q", b"f"), codec.FLUSH)
    book.server(PARSED, BOUND)
    closing = [codec.parse(b"", b"close"), codec.bind(b"", b""), codec.execute(b"")]
    declaring = [codec.parse(b"", b"declare b"), codec.bind(b"", b""), codec.execute(b"")]
    book.client(*closing, *declaring, codec.execute(b"q"), codec.SYNC)
    book.server(PARSED, BOUND, done("CLOSE CURSOR"), PARSED, BOUND, done("DECLARE CURSOR"))
    book.server(row(b"1"), done("FETCH 1"), IN_TRANSACTION)
    assert book.ledger.written[-1].call.request.accesses == OTHERS


@pytest.mark.parametrize("declared", [(), (codec.parse(b"d", b"declare a"),)], ids=["", "after an idle DECLARE"])
def test_rows_of_an_unchecked_write_cannot_be_fetched(declared: tuple[bytes, ...]) -> None:
    """A portal of a checked write, fetched from by name, would run it and show the check, and nobody would look."""
    book, _ = play()
    book.client(codec.parse(b"w", b"checked"), codec.bind(b"c", b"w"), *declared, codec.FLUSH)
    book.server(PARSED, BOUND, *(PARSED for _ in declared))
    assert kinds(book.client(codec.parse(b"", b"fetch"), codec.bind(b"", b""), codec.execute(b""), codec.SYNC)) == "PPS"
    assert error_of(book.server(PARSED, SYNTAX_ERROR, READY))["C"] == "42501"


def test_a_declaration_counts_for_its_batch_only_when_it_is_executed() -> None:
    book, _ = play()
    write = [codec.parse(b"w", b"checked"), codec.bind(b"c", b"w")]
    fetch = [codec.parse(b"", b"fetch"), codec.bind(b"", b""), codec.execute(b"")]
    declare = [codec.parse(b"", b"declare a"), codec.bind(b"", b"")]
    assert kinds(book.client(*write, *declare, *fetch, codec.SYNC)) == "PBPBPPS"
    book, _ = play()
    assert kinds(book.client(*declare, codec.execute(b""), *fetch, codec.SYNC)) == "PBEPBES"


def test_a_protocol_portal_of_a_query_is_a_cursor() -> None:
    book, _ = play()
    book.client(codec.parse(b"", b"SELECT x"), codec.bind(b"c", b""), codec.FLUSH)
    book.server(PARSED, BOUND)
    sent = book.client(codec.parse(b"", b"fetch"), codec.bind(b"", b""), codec.execute(b""), codec.SYNC)
    assert kinds(sent) == "PBES"


@pytest.mark.parametrize("aside", [False, True])
def test_a_cursor_ends_with_the_policy_that_rewrote_it(aside: bool) -> None:
    book, texts = play(aside=aside)
    ran(book, "declare a", DECLARED)
    book.live.reload("scope-2")
    assert kinds(ran(book, "fetch", FETCHED)) == "PBDES"
    book.live.reload("scope-3")
    texts["declare a"] = replace(DECLARE_A, sql="DECLARE c A WHERE narrower")
    assert refused(book, "fetch") == "42501"
    texts["declare a"] = Denial("action_not_granted", "not any more")
    assert refused(book, "fetch") == "42501"
    assert kinds(ran(book, "close", PARSED + BOUND + NO_DATA + done("CLOSE CURSOR"))) == "PBDES"


def test_execute_binds_the_prepared_statement_with_its_arguments_and_ours() -> None:
    book, _ = play()
    ran(book, "prepare", PARSED + BOUND + NO_DATA + done("PREPARE"))
    sent = ran(book, "run", FETCHED)
    parsed, bound = messages(sent)[:2]
    assert parsed == ("P", b"\0\0\0\0")
    assert bound == ("B", b"\0p\0" + b"\0\0" + b"\0\2" + b"\0\0\0\x015" + b"\0\0\0\x013" + b"\0\0")
    call = book.ledger.written[-1].call
    assert (call.request.accesses, call.statement) == (READS, "EXECUTE p AS S")


def test_execute_has_the_number_of_arguments_that_was_prepared() -> None:
    book, _ = play()
    ran(book, "prepare", PARSED + BOUND + NO_DATA + done("PREPARE"))
    assert refused(book, "run two") == "42601"


def test_a_statement_of_the_protocol_is_executed_by_its_name() -> None:
    book, _ = play()
    assert refused(book, "run") == "26000"
    texts = {**TEXTS, "scoped": INNER}
    book = Playbook(planned(texts))
    book.client(codec.parse(b"p", b"scoped"), codec.SYNC)
    book.server(PARSED, READY)
    assert messages(ran(book, "run", FETCHED))[1][1].startswith(b"\0p\0")
    ran(book, "deallocate", PARSED + BOUND + NO_DATA + done("DEALLOCATE"))
    assert refused(book, "run") == "26000"


def test_a_prepared_statement_of_sql_is_bound_by_the_protocol() -> None:
    book, _ = play()
    ran(book, "prepare", PARSED + BOUND + NO_DATA + done("PREPARE"))
    value = codec.bind(b"", b"p", b"\0\0\0\1\0\0\0\x015\0\0")
    assert messages(book.client(value, codec.execute(b""), codec.SYNC))[0][1].endswith(
        b"\0\2\0\0\0\x015\0\0\0\x013\0\0"
    )
    book.server(BOUND, row(b"1"), done("SELECT 1"), READY)
    nothing = codec.bind(b"", b"p", b"\0\0\0\2\0\0\0\x015\0\0\0\x019\0\0")
    assert book.client(nothing, codec.execute(b""), codec.SYNC) == POISON_PARSE + codec.SYNC


def test_a_prepared_execute_is_of_the_statement_of_the_moment() -> None:
    book, texts = play()
    ran(book, "prepare", PARSED + BOUND + NO_DATA + done("PREPARE"))
    assert messages(book.client(codec.parse(b"e", b"run"), codec.describe(b"S", b"e"), codec.SYNC)) == [
        ("P", b"e\0\0\0\0"),
        ("D", b"Sp\0"),
        ("S", b""),
    ]
    book.server(PARSED, codec.message(b"t", b"\0\2" + b"\0\0\0\x17" * 2), described("a"))
    assert "t" in kinds(book.server(READY))
    ran(book, "deallocate", PARSED + BOUND + NO_DATA + done("DEALLOCATE"))
    texts["prepare"] = replace(PREPARE, accesses=OTHERS, act=Prepare("p", replace(INNER, accesses=OTHERS)))
    ran(book, "prepare", PARSED + BOUND + NO_DATA + done("PREPARE"))
    book.client(codec.bind(b"", b"e"), codec.execute(b""), codec.SYNC)
    book.server(BOUND, row(b"1"), done("SELECT 1"), READY)
    assert book.ledger.written[-1].call.request.accesses == OTHERS


@pytest.mark.parametrize("aside", [False, True])
def test_execute_is_decided_under_the_policy_of_the_moment(aside: bool) -> None:
    book, texts = play(aside=aside)
    ran(book, "prepare", PARSED + BOUND + NO_DATA + done("PREPARE"))
    book.live.reload("scope-2")
    assert kinds(ran(book, "run", FETCHED)) == "PBDES"
    book.live.reload("scope-3")
    texts["prepare"] = replace(PREPARE, act=Prepare("p", replace(INNER, sql="narrower")))
    assert refused(book, "run") == "42501"
    texts["prepare"] = Denial("action_not_granted", "not any more")
    assert refused(book, "run") == "42501"


def test_there_is_an_end_to_names() -> None:
    book, texts = play()
    for number in range(named.MOST):
        texts["declare a"] = replace(DECLARE_A, act=Declare(f"c{number}", False))
        ran(book, "declare a", DECLARED)
    texts["declare a"] = replace(DECLARE_A, act=Declare("one more", False))
    assert kinds(book.client(query("declare a"))) == "PBDPS"
    assert error_of(book.server(PARSED, BOUND, NO_DATA, SYNTAX_ERROR, IN_TRANSACTION))["C"] == "54000"
