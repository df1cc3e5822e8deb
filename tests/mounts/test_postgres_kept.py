"""What is kept prepared at the server: nobody can tell, but by the time it takes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import count
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.gateway.enforcer import LiveSession
from bailiwick.model.decision import Denial
from bailiwick.mounts.postgres import codec, kept
from bailiwick.sql.literals import cut
from bailiwick.sql.plan import Drop, Plan
from tests.mounts.playbook import (
    BOUND,
    CLOSED,
    PARSED,
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

DESCRIBE, EXECUTE = codec.describe(b"P", b""), codec.execute(b"")
EMPTY = codec.message(b"n", b"")


def planner(text: str, live: LiveSession, mount: str, declared: tuple[int, ...] = ()) -> tuple[Plan | Denial, ...]:
    """Plan the few statements that the model of a server below knows."""
    del live, mount, declared
    word = text.split()[0]
    if word in ("BEGIN", "ROLLBACK"):
        return (Plan("CONTROL", text, returns=False, tag=word, statement=text),)
    if word in ("SET", "DEALLOCATE"):
        act = Drop(cursors=False, statements=True) if word == "DEALLOCATE" else None
        return (Plan("SESSION", text, returns=False, tag=word, statement=text, act=act),)
    number = count(1)
    statement = re.sub(r"\d+", lambda _: f"${next(number)}", text)
    shaped = statement if statement != text and "$" not in text else ""
    return (Plan("READ", text, tag="SELECT", first=1 + text.count("$"), statement=statement, shaped=shaped),)


@dataclass(slots=True)
class Server:
    """A model of a server: a row tells what was executed, and under which settings it was parsed."""

    zone: str = "0"
    before: str | None = None
    """The setting when the transaction began; None: there is none."""
    aborted: bool = False
    skipping: bool = False
    reports: bool = True
    statements: dict[bytes, tuple[str, str]] = field(default_factory=dict[bytes, tuple[str, str]])
    bound: tuple[str, str] = ("", "")

    def answer(self, sent: bytes) -> bytes:
        """Answer everything that is sent."""
        return b"".join(self._answer(codec.message(kind.encode(), body)) for kind, body in messages(sent))

    def _answer(self, raw: bytes) -> bytes:
        if raw[:1] == b"S":
            self.skipping = False
            return codec.message(b"Z", b"E" if self.aborted else b"I" if self.before is None else b"T")
        if self.skipping:
            return b""
        try:
            return {b"P": self._parse, b"B": self._bind, b"D": self._describe, b"E": self._execute, b"C": self._close}[
                raw[:1]
            ](raw)
        except KeyError as error:
            self.skipping = True
            self.aborted = self.aborted or self.before is not None
            return failed(str(error.args[0]))

    def _check(self, text: str) -> None:
        if self.aborted and text != "ROLLBACK":
            raise KeyError("25P02")

    def _parse(self, raw: bytes) -> bytes:
        name, text, _ = codec.read_parse(raw)
        if not name:
            self.statements.pop(name, None)
        self._check(text.decode())
        if text.startswith(b"bailiwick denied"):
            raise KeyError("42601")
        if name and name in self.statements:
            raise KeyError("42P05")
        self.statements[name] = (text.decode(), self.zone)
        return PARSED

    def _bind(self, raw: bytes) -> bytes:
        _, name, pos = codec.read_bind(raw)
        if name not in self.statements:
            raise KeyError("26000")
        text, zone = self.statements[name]
        self._check(text)
        _, count, own, _ = codec.read_bind_tail(raw, pos)
        for number in range(1, count + 1):
            size: int = codec.int32_at(own, 0)[0]
            text, own = text.replace(f"${number}", own[4 : 4 + size].decode()), own[4 + size :]
        if "no" in text:
            raise KeyError("22P02")
        self.bound = (text, zone)
        return BOUND

    def _describe(self, raw: bytes) -> bytes:
        kind, name = codec.read_named(raw)
        if kind == ord("S") and name not in self.statements:
            raise KeyError("26000")
        text = self.statements[name][0] if kind == ord("S") else self.bound[0]
        shown = described(text.split()[1]) if text.startswith("SELECT") else EMPTY
        return (codec.message(b"t", b"\0\0") if kind == ord("S") else b"") + shown

    def _execute(self, raw: bytes) -> bytes:
        del raw
        text, zone = self.bound
        word = text.split()[0]
        if word == "SELECT" and "fail" in text:
            raise KeyError("22012")
        if word == "BEGIN":
            self.before = self.zone if self.before is None else self.before
        elif word == "ROLLBACK":
            said = self._set(self.zone if self.before is None else self.before)
            self.before, self.aborted = None, False
            return said + done(word)
        elif word == "DEALLOCATE":
            self.statements = {name: each for name, each in self.statements.items() if not name}
        elif word == "SET" or "set_config" in text:
            return self._set(text.split()[-1]) + (row(b"x") if word == "SELECT" else b"") + done(word)
        return (row(f"{text} in {zone}".encode()) if word == "SELECT" else b"") + done(word)

    def _close(self, raw: bytes) -> bytes:
        self.statements.pop(codec.read_named(raw)[1], None)
        return CLOSED

    def _set(self, zone: str) -> bytes:
        changed, self.zone = self.zone != zone, zone
        return codec.parameter_status("TimeZone", zone) if changed and self.reports else b""


def unnamed(text: str, *values: bytes) -> bytes:
    return codec.parse(b"", text.encode()) + bind_values(b"", *values) + DESCRIBE + EXECUTE + codec.SYNC


TEXTS = ["SELECT a", "SELECT b", "SELECT c fail", "SELECT d 7", "SELECT d 8", "SELECT e set_config 5"]
OTHERS = ["SET zone 1", "SET zone 2", "BEGIN", "ROLLBACK", "DEALLOCATE ALL"]
AGAIN = (
    bind_values(b"") + DESCRIBE + EXECUTE + codec.SYNC,
    bind_values(b"") + EXECUTE + codec.SYNC,
    codec.describe(b"S", b"") + bind_values(b"") + EXECUTE + codec.SYNC,
    codec.message(b"C", b"S\0") + codec.SYNC,
    codec.message(b"C", b"S" + kept.NAMES[0] + b"\0") + codec.SYNC,
    bind_values(kept.NAMES[0]) + EXECUTE + codec.SYNC,
)
SAYS = st.one_of(
    st.sampled_from(TEXTS).map(unnamed),
    st.sampled_from(TEXTS).map(query),
    st.sampled_from([b"1", b"2", b"no"]).map(lambda value: unnamed("SELECT f $1", value)),
    st.sampled_from(OTHERS).flatmap(lambda text: st.sampled_from([unnamed(text), query(text)])),
    st.sampled_from(AGAIN),
    st.sampled_from(TEXTS).map(lambda text: codec.parse(b"", text.encode()) + codec.SYNC),
)


def told(turns: list[bytes], *, keeping: bool, reports: bool) -> list[object]:
    """What a client is told and what is recorded, turn by turn; that a Parse is complete is left out."""
    play, server = Playbook(planner), Server(reports=reports)
    seen: list[object] = []
    with patch.object(kept.Kept, "may", keeping and kept.Kept.may):
        for said in turns:
            sent = play.client(said)
            while sent:
                play.frontend.server_data(server.answer(sent))
                sent = play.to_server()
            seen.append([each for each in messages(play.to_client()) if each[0] != "1"])
            seen.append(play.ledger.outcomes())
    return seen


TURNS = st.lists(SAYS, min_size=2, max_size=4).flatmap(
    lambda few: st.lists(st.sampled_from(few), min_size=6, max_size=16)
)
"""Of few different ones, so that they come again."""


@settings(max_examples=400, deadline=None)
@given(TURNS, st.booleans(), st.sampled_from([1, 2, 64]))
def test_what_is_kept_does_what_is_parsed_anew(turns: list[bytes], reports: bool, most: int) -> None:
    with patch.object(kept, "NAMES", kept.NAMES[:most]), patch.object(kept, "MOST", most):
        assert told(turns, keeping=True, reports=reports) == told(turns, keeping=False, reports=reports)


def running(*turns: bytes) -> tuple[Playbook, Server]:
    """A connection on which the turns have been taken."""
    play, server = Playbook(planner), Server()
    for said in turns:
        play.server(server.answer(play.client(said)))
    return play, server


@pytest.mark.parametrize("said", [unnamed("SELECT a"), unnamed("SELECT f $1", b"1"), query("SELECT a")])
def test_what_comes_again_is_only_bound(said: bytes) -> None:
    play, server = running(said, said, said)
    sent = play.client(said)
    assert kinds(sent) == "BDES"
    assert [kind for kind, _ in messages(play.server(server.answer(sent)))][-4:] == ["T", "D", "C", "Z"]


def test_queries_that_differ_in_an_integer_are_one_statement() -> None:
    play, server = running(query("SELECT d 1"), query("SELECT d 2"), query("SELECT d 3"))
    sent = play.client(query("SELECT d 4"))
    assert kinds(sent) == "BDES"
    assert b"SELECT d 4 in 0" in play.server(server.answer(sent))


BITS = st.text(st.sampled_from("019aZ_.$'\"- \n\u0661"), max_size=11)


@settings(max_examples=300, deadline=None)
@given(BITS, BITS)
def test_a_text_is_of_a_shape_just_when_it_is_cut_to_it(one: str, other: str) -> None:
    play, _ = running(*[query(f"SELECT d {number} = (7)") for number in range(3)])
    shaped = play.frontend._translator._shaped  # pyright: ignore[reportPrivateUsage]  # what is found without a cut
    text = f"SELECT d {one} = ({other})"
    found, cut_anew = shaped.find(text.encode()), cut(text)
    if cut_anew is None or cut_anew.shape != "SELECT d \x02 = (\x02)":
        assert found is None
    else:
        sized = (codec.pack_int32(len(each)) + each.encode() for each in cut_anew.literals)
        assert found is not None
        assert found[1] == b"".join(sized)


def test_a_changed_setting_has_everything_parsed_anew() -> None:
    said = unnamed("SELECT a")
    play, server = running(said, said, said, query("SET zone 1"))
    sent = play.client(said)
    assert "P" in kinds(sent)
    assert b"SELECT a in 1" in play.server(server.answer(sent))
    play.server(server.answer(play.client(said)))
    assert kinds(play.client(said)) == "BDES"


@pytest.mark.parametrize("cut", [3, 7, -6, -2])
def test_what_the_server_refuses_to_run_as_it_was_is_parsed_anew(cut: int) -> None:
    said, refused = unnamed("SELECT a"), failed("0A000") + codec.message(b"Z", b"I")
    play, server = running(said, said, said)
    play.client(said)
    shown = play.server(refused[:cut]) + play.server(refused[cut:])
    sent = play.to_server()
    assert (shown, kinds(sent)) == (b"", "CPBDES")
    assert kinds(play.server(server.answer(sent))) == "12TDCZ"
    assert [each[0] for each in play.ledger.outcomes()].count("call") == 4


def test_what_cannot_be_parsed_anew_is_not_kept_any_more() -> None:
    said, ready = unnamed("SELECT a"), codec.message(b"Z", b"I")
    play, _ = running(said, said, said)
    play.client(said)
    play.server(failed("0A000") + ready)
    assert kinds(play.to_server()) == "CPBDES"
    assert error_of(play.server(CLOSED + failed("42703") + ready))["C"] == "42703"
    assert "P" in kinds(play.client(said))


def test_a_message_that_is_cut_elsewhere_is_not_the_one_before() -> None:
    text, types = b"SELECT f $1", b"\0\1\0\0\x08\x9d"  # a regclass, which may not be declared
    rest = bind_values(b"", b"1") + EXECUTE + codec.SYNC
    play, server = running()
    assert kinds(play.server(server.answer(play.client(codec.parse(b"", text, types) + rest)))) == "EZ"
    sent = play.client(codec.message(b"P", b"\0" + types[4:] + text + b"\0" + types[:4]) + rest)
    assert types not in sent


@pytest.mark.parametrize(
    "said", [unnamed("SELECT a"), query("SELECT a"), query("SELECT d 7")], ids=["parse", "query", "shape"]
)
@pytest.mark.parametrize("pipelined", [False, True])
def test_what_lapses_is_taken_away_before_a_statement_is_taken(said: bytes, pipelined: bool) -> None:
    ended = False

    def plan(text: str, live: LiveSession, mount: str, declared: tuple[int, ...] = ()) -> tuple[Plan | Denial, ...]:
        over = live.scope.id == "scope-2"
        return (Denial("resource_unknown", "it is over"),) if over else planner(text, live, mount, declared)

    play, server = Playbook(plan), Server()
    for _ in range(3):
        play.server(server.answer(play.client(said)))
    blocked = type(play.live).blocked

    def lapsing(live: object, mount: str = "") -> Denial | None:
        assert live is play.live
        if ended:
            play.live.reload("scope-2")
        return blocked(play.live, mount)

    with patch.object(type(play.live), "blocked", lapsing):
        sent = play.client(said)
        if pipelined:
            play.client(said)
            ended = True
            play.server(server.answer(sent))
            sent = play.to_server()
        else:
            play.server(server.answer(sent))
            ended = True
            sent = play.client(said)
        assert "it is over" in error_of(play.server(server.answer(sent)))["M"]


def test_a_name_that_is_used_again_stands_for_what_it_was_used_for_last() -> None:
    one, other = unnamed("SELECT a"), unnamed("SELECT b")
    with patch.object(kept, "MOST", 1):
        play, server = running(one, one, other, other, other)
        for said, shown in ((one, b"SELECT a in 0"), (other, b"SELECT b in 0"), (one, b"SELECT a in 0")):
            assert shown in play.server(server.answer(play.client(said)))


def test_the_unnamed_statement_is_the_last_that_was_parsed() -> None:
    said = unnamed("SELECT a")
    play, server = running(said, said, said, codec.parse(b"", b"SELECT b") + codec.SYNC)
    assert b"SELECT b in 0" in play.server(server.answer(play.client(AGAIN[1])))


def test_a_name_that_is_used_again_is_no_longer_the_clients_unnamed_statement() -> None:
    said, other = unnamed("SELECT a"), query("SELECT b")
    with patch.object(kept, "MOST", 1):
        play, server = running(other, other, said, said, said)
        answer = server.answer(play.client(other))
        play.server(answer[:9])  # in two pieces it goes the long way
        play.server(answer[9:])
        sent = play.client(AGAIN[1])
        assert error_of(play.server(server.answer(sent)))["C"] == "26000"


def test_nothing_is_kept_under_a_setting_that_may_be_taken_back() -> None:
    said = unnamed("SELECT a")
    play, _ = running(query("BEGIN"), query("SET zone 1"), said, said, said)
    assert kinds(play.client(said)) == "PBDES"


def test_a_client_cannot_close_what_is_kept_within_its_transaction() -> None:
    said = unnamed("SELECT a")
    play, server = running(said, said, said, query("BEGIN"), AGAIN[4])
    assert b"SELECT a in 0" in play.server(server.answer(play.client(said)))


def test_a_portal_may_have_a_name_that_is_kept() -> None:
    play, server = running(codec.parse(b"", b"SELECT a") + codec.SYNC)
    bound = codec.bind(kept.NAMES[0], b"")
    sent = play.client(bound + codec.message(b"C", b"P" + kept.NAMES[0] + b"\0") + codec.SYNC)
    assert [body for kind, body in messages(sent) if kind == "C"] == [b"P" + kept.NAMES[0] + b"\0"]
    play.server(server.answer(sent))


def test_the_server_never_holds_more_than_a_bounded_number() -> None:
    play, server = running()
    for number in range(3 * kept.MOST):
        for _ in range(3):
            play.server(server.answer(play.client(unnamed(f"SELECT a{number} x"))))
    assert len(server.statements) <= kept.MOST + 1
