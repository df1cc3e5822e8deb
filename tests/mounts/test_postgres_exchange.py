"""The shortcut for plain reads: whatever is said, it tells and records what the long way does."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.model.decision import Denial
from bailiwick.model.value import Ref
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.exchange import asked
from bailiwick.sql.plan import Bound, Plan
from tests.mounts.fakes import planned
from tests.mounts.playbook import (
    BOUND,
    FAILED,
    IN_TRANSACTION,
    PARSED,
    READY,
    Playbook,
    bind_values,
    described,
    done,
    failed,
    kinds,
    query,
    row,
)

DESCRIBE, EXECUTE = codec.describe(b"P", b""), codec.execute(b"")
TEXTS = (b"SELECT 1", b"SELECT own", b"SELECT bound", b"UPDATE x", b"SELECT secret")
PLANS: dict[str, Plan | Denial] = {
    "SELECT own": Plan("READ", "SELECT own $1", first=2, statement="SELECT own"),
    "SELECT bound": Plan(
        "READ", "SELECT bound $1 $2", first=2, bound=(Bound(Ref(("tenant",)), "integer"),), statement="SELECT bound"
    ),
}
NOTICE = failed("00000").replace(b"E", b"N", 1)


def asks(text: bytes, name: bytes, form: str) -> bytes:
    """What a client sends: one read in one of its forms."""
    values = (b"7",) if text in (b"SELECT own", b"SELECT bound") else ()
    bind = bind_values(name, *values)
    return {
        "parsed": codec.parse(b"", text) + bind_values(b"", *values) + DESCRIBE + EXECUTE + codec.SYNC,
        "named": codec.parse(name, text) + codec.SYNC,
        "bound": bind + DESCRIBE + EXECUTE + codec.SYNC,
        "undescribed": bind + EXECUTE + codec.SYNC,
        "again": EXECUTE + codec.SYNC,
        "cut short": bind[:-3],
        "more values": bind_values(name, *values, b"8") + DESCRIBE + EXECUTE + codec.SYNC,
        "limited": bind + DESCRIBE + codec.execute(b"", 1) + codec.SYNC,
        "closed": codec.message(b"C", b"S" + name + b"\0") + codec.SYNC,
        "twice": (bind + DESCRIBE + EXECUTE + codec.SYNC) * 2,
        "query": query(text.decode()),
        "queries": query(text.decode() + "; SELECT 1"),
    }[form]


FORMS = ("parsed", "named", "bound", "undescribed", "again", "cut short", "more values", "limited", "closed", "twice")
ASKS = st.builds(
    asks, st.sampled_from(TEXTS), st.sampled_from([b"", b"s", b"t"]), st.sampled_from([*FORMS, "query", "queries"])
)
ENDS = {"idle": READY, "transaction": IN_TRANSACTION}


def reply(sent: bytes, end: str, rows: int, column: str, *, noticed: bool) -> bytes:
    """What a server answers to what it is sent, all of it."""
    said: list[bytes] = []
    after_error = False
    for kind in kinds(sent):
        if kind == "S":
            said.append(FAILED if after_error and end == "transaction" else ENDS[end])
            after_error = False
        elif after_error:
            continue
        elif kind == "P" and b"bailiwick denied" in sent:
            said.append(failed("42601"))
            after_error = True
        elif kind == "E" and end == "error":
            said.append(failed("22012"))
            after_error = True
        else:
            parts = {"P": PARSED, "B": BOUND, "D": described(column), "C": codec.message(b"3", b"")}
            said.append(parts.get(kind, row(b"1") * rows + done(f"SELECT {rows}")))
    return (NOTICE if noticed else b"") + b"".join(said)


REPLIES = st.tuples(
    st.sampled_from(["idle", "transaction"]), st.integers(0, 3), st.sampled_from(["a", "a", "b"]), st.booleans()
)


def conversation(
    turns: list[tuple[bytes, tuple[str, int, str, bool], int]], *, shortcut: bool, aside: bool = False
) -> list[object]:
    """Run the turns and return everything that could be observed. `aside`: each text is planned aside. Nothing is
    kept prepared (that is in `test_postgres_kept.py`)."""
    seen: list[object] = []
    with ExitStack() as stack:
        stack.enter_context(patch("bailiwick.mounts.postgres.kept.Kept.may", False))
        if not shortcut:
            for shortcut_of in ("asked", "asked_in_text"):
                stack.enter_context(patch(f"bailiwick.mounts.postgres.frontend.{shortcut_of}", return_value=None))
        play = Playbook(planned(PLANS), instant=False, aside=aside)
        for said, (end, rows, column, noticed), cut in turns:
            sent = play.client(said) + play.plan()
            seen.append(sent)
            while sent and not play.edge.closed:
                answer = reply(sent, end, rows, column, noticed=noticed)
                if cut:
                    seen.append(play.server(answer[:cut]))
                seen.append(play.server(answer[cut:]) if not play.edge.closed else b"")
                seen.append((play.ledger.outcomes(), play.to_client()))
                play.durable()
                seen.append(play.to_client())
                sent = play.to_server() + play.plan()
                seen.append(sent)
            if play.edge.closed:
                break
        names = play.frontend._translator.names  # pyright: ignore[reportPrivateUsage] - what both must leave behind
        seen += [sorted(names.statements), sorted(names.portals), play.edge.closed, play.ledger.outcomes()]
    return seen


@settings(max_examples=400)
@given(st.lists(st.tuples(ASKS, REPLIES, st.sampled_from([0, 0, 0, 5, 9, 40])), min_size=2, max_size=7))
def test_the_shortcut_does_what_the_long_way_does(turns: list[tuple[bytes, tuple[str, int, str, bool], int]]) -> None:
    assert conversation(turns, shortcut=True) == conversation(turns, shortcut=False)


@settings(max_examples=200)
@given(st.lists(st.tuples(ASKS, REPLIES, st.sampled_from([0, 0, 0, 5, 9, 40])), min_size=2, max_size=7))
def test_planning_aside_does_what_planning_at_once_does(
    turns: list[tuple[bytes, tuple[str, int, str, bool], int]],
) -> None:
    assert conversation(turns, shortcut=True, aside=True) == conversation(turns, shortcut=True)


def known(text: bytes = b"SELECT 1", plan: Plan | None = None) -> Playbook:
    """A connection that has run a statement once, unnamed and by the name `s`."""
    play = Playbook(planned({} if plan is None else {text.decode(): plan}))
    play.client(codec.parse(b"s", text), codec.SYNC)
    play.server(PARSED, READY)
    play.client(codec.parse(b"", text), bind_values(b""), DESCRIBE, EXECUTE, codec.SYNC)
    play.server(PARSED, BOUND, described("a"), row(b"1"), done("SELECT 1"), READY)
    play.client(bind_values(b"s"), DESCRIBE, EXECUTE, codec.SYNC)
    play.server(BOUND, described("a"), row(b"1"), done("SELECT 1"), READY)
    return play


@pytest.mark.parametrize(
    "said",
    [
        bind_values(b"s") + DESCRIBE + EXECUTE + codec.SYNC,
        bind_values(b"s") + EXECUTE + codec.SYNC,
        codec.parse(b"", b"SELECT 1") + bind_values(b"") + DESCRIBE + EXECUTE + codec.SYNC,
    ],
)
def test_what_drivers_send_is_taken_in_one_step(said: bytes) -> None:
    translator = known().frontend._translator  # pyright: ignore[reportPrivateUsage] - whether the shortcut is taken
    assert asked(said, translator) is not None


@pytest.mark.parametrize(
    "plan",
    [
        Plan("WRITE", "UPDATE x", statement="x"),
        Plan("READ", "SELECT 1", statement="x", copy=True),
        Plan("READ", "SELECT 1", statement="x", checked=True),
        Plan("READ", "COPY (SELECT 1) TO STDOUT", statement="x", copy=True),
    ],
)
def test_only_plain_reads_are_taken_in_one_step(plan: Plan) -> None:
    play = Playbook(planned({"x": plan}))
    play.client(codec.parse(b"s", b"x"), codec.SYNC)
    play.server(PARSED, READY)
    translator = play.frontend._translator  # pyright: ignore[reportPrivateUsage] - whether the shortcut is taken
    assert asked(bind_values(b"s") + EXECUTE + codec.SYNC, translator) is None


def test_a_reload_sends_a_known_statement_to_be_decided_again() -> None:
    play = known()
    play.live.reload("scope-2")
    translator = play.frontend._translator  # pyright: ignore[reportPrivateUsage] - whether the shortcut is taken
    assert asked(bind_values(b"s") + EXECUTE + codec.SYNC, translator) is None


def test_a_blocked_session_runs_nothing_by_the_shortcut() -> None:
    play = known()
    play.live.denial = Denial("out_of_hours", "not at this hour")
    assert kinds(play.client(bind_values(b"s"), EXECUTE, codec.SYNC)) == "PS"
    play.live.denial = None
    play.server(failed("42601"), READY)
    assert kinds(play.client(bind_values(b"s"), EXECUTE, codec.SYNC)) == "BES"


def test_without_a_durable_record_nothing_of_an_exchange_is_released() -> None:
    play = known()
    play.ledger.instant = False
    play.client(bind_values(b"s"), EXECUTE, codec.SYNC)
    assert play.server(BOUND, row(b"1"), done("SELECT 1"), READY) == b""
    play.durable(ok=False)
    assert kinds(play.to_client()) == "E"
    assert play.edge.closed


def test_a_cut_ends_an_exchange_and_its_reply_never_leaves() -> None:
    play = known()
    play.client(bind_values(b"s"), EXECUTE, codec.SYNC)
    play.frontend.cut(Denial("session_revoked", "this session was revoked"))
    assert kinds(play.to_client()) == "E"
    assert play.edge.cancelled
    assert play.edge.closed
    play.frontend.server_data(BOUND + row(b"1") + done("SELECT 1") + READY)
    assert play.to_client() == b""


def test_an_exchange_with_too_many_rows_goes_the_long_way() -> None:
    play = known()
    play.client(bind_values(b"s"), EXECUTE, codec.SYNC)
    long = row(b"x" * 1000) * 100
    shown = play.server(BOUND, long, done("SELECT 100"), READY)
    assert kinds(shown) == "2" + "D" * 100 + "CZ"
    assert play.ledger.outcomes()[-1] == ("call", "", 100)


def test_rows_cannot_forge_the_end_of_a_reply() -> None:
    play = known()
    play.client(bind_values(b"s"), EXECUTE, codec.SYNC)
    forged = row(done("SELECT 1") + READY)
    assert play.server(BOUND, forged) == b""
    assert kinds(play.server(done("SELECT 1"), READY)) == "2DCZ"
    assert play.ledger.outcomes()[-1] == ("call", "", 1)


def test_texts_that_differ_in_literals_share_what_was_learnt() -> None:
    one = Plan("READ", "SELECT 1", statement="SELECT $1")
    play = Playbook(planned({"SELECT 1": one, "SELECT 2": replace(one, sql="SELECT 2")}))
    for text in ("SELECT 1", "SELECT 2"):
        assert kinds(play.client(query(text))) == "PBDES"
        assert kinds(play.server(PARSED, BOUND, described("a"), row(b"1"), done("SELECT 1"), READY)) == "TDCZ"
    first, second = (one.call for one in play.ledger.written)
    assert first is second
