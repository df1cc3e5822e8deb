"""Saved searches: what gateway.yaml may say of them, and when they tell people."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bailiwick.cli.ledger import app
from bailiwick.errors import ConfigError, LedgerError
from bailiwick.gateway.ledger.searches import Search, Searches, read_searches
from bailiwick.gateway.ledger.writer import LedgerWriter
from bailiwick.gateway.recorder import Recorder
from bailiwick.gateway.ulid import Ulids
from bailiwick.ledger.alerts import Alert, Window
from bailiwick.model.notice import Notice
from bailiwick.model.record import Record
from tests.gateway.ledger_rig import START, fill, new_store, record

MINUTE = timedelta(minutes=1)


def read(text: str) -> dict[str, Search]:
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert root is not None
    return dict(read_searches(Path("gateway.yaml"), root))


def test_a_search_has_a_filter_and_perhaps_an_alert() -> None:
    found = read(
        "searches:\n  denials: {filter: 'decision:deny', alert: {count: 20, within: 5m, each: agent}}\n  all: {}\n"
    )
    alert = Alert(20, timedelta(minutes=5), "agent")
    assert found == {"denials": Search("denials", "decision:deny", alert), "all": Search("all", "")}
    assert read("searches:\n") == {}
    assert read("other: 1\n") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("searches: [x]", "maps names to settings"),
        ("searches: {'a b': {filter: x}}", "cannot name a search"),
        ("searches: {a: {filtre: x}}", "unknown key `filtre`"),
        ("searches: {a: {filter: 'agnet:x'}}", "`agnet` is not a member"),
        ("searches: {a: {alert: {within: 5m}}}", "`searches.a.alert.count` is not a number"),
        ("searches: {a: {alert: {count: 0, within: 5m}}}", "`searches.a.alert.count` is not a number"),
        ("searches: {a: {alert: {count: 3, within: 8d}}}", "`searches.a.alert.within` is not a time"),
        ("searches: {a: {alert: {count: 3, within: soon}}}", "`searches.a.alert.within` is not a time"),
        ("searches: {a: {alert: {count: 3, within: 5m, each: rows}}}", "`searches.a.alert.each` cannot be `rows`"),
    ],
)
def test_what_is_wrong_with_a_search_is_said(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(text)
    assert said in error.value.message


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 6), st.integers(1, 60))
def test_an_alert_comes_at_the_count_and_then_not_again_while_it_counts(
    gaps: list[int], count: int, within: int
) -> None:
    window = Window(Alert(count, timedelta(seconds=within)))
    moments = [START + timedelta(seconds=sum(gaps[: number + 1])) for number in range(len(gaps))]
    said = [number for number, at in enumerate(moments) if window.take("k", at)]
    for number in said:
        assert number + 1 >= count
        assert moments[number] - moments[number - count + 1] <= timedelta(seconds=within)
    for earlier, later in pairwise(said):
        assert moments[later] - moments[earlier] > timedelta(seconds=within)
    full = [
        number
        for number in range(count - 1, len(moments))
        if moments[number] - moments[number - count + 1] <= timedelta(seconds=within)
    ]
    assert said[:1] == full[:1]  # the first time that it is full, it is said


def test_keys_count_by_themselves() -> None:
    window = Window(Alert(2, MINUTE))
    assert not window.take("a", START)
    assert not window.take("b", START)
    assert window.take("a", START)
    assert window.first("a") == START
    assert window.first("c") is None


@dataclass
class Rig:
    path: Path
    writer: LedgerWriter
    recorder: Recorder
    told: list[Notice] = field(default_factory=list[Notice])

    def searches(self, *found: Search, now: datetime = START) -> Searches:
        return Searches(found, self.path, self.recorder, self.told.append, lambda: now)

    async def keep(self, records: Sequence[Record]) -> None:
        for each in records:
            await self.recorder.keep(each)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncGenerator[Rig]:
    store = new_store(tmp_path / "ledger.db")
    fill(store, [record(0)])
    writer = LedgerWriter(store, asyncio.get_running_loop())
    yield Rig(tmp_path / "ledger.db", writer, Recorder(writer, lambda: START, Ulids()))
    await writer.close()


DENIALS = Search("denials", "decision:deny", Alert(2, MINUTE, "agent"))


async def test_people_are_told_once_and_it_is_on_record(rig: Rig) -> None:
    searches = rig.searches(DENIALS, Search("quiet", "decision:deny"))
    await searches.start()
    await rig.keep([record(9), record(19), record(29), record(39, agent="other")])
    await searches.stop()
    assert [(each.kind, each.subject) for each in rig.told] == [("search", "denials")]
    notice = rig.told[0]
    assert notice.lines[0] == "2 records of agent support-bot from 2026-11-22 08:00:09 to 08:00:19 UTC"
    assert notice.link == "/console/ledger/rec_00000000000000000000000019"
    await rig.keep([record(49)])
    found = CliRunner().invoke(app, ["query", "kind:search.alerted", "--json", "--ledger", str(rig.path)])
    assert found.stdout.count("search.alerted") == 1
    assert '"refers":"rec_00000000000000000000000019"' in found.stdout


async def test_after_a_restart_nothing_is_said_twice_and_nothing_is_lost(rig: Rig) -> None:
    first = rig.searches(DENIALS)
    await first.start()
    await rig.keep([record(9), record(19)])
    await first.stop()
    assert len(rig.told) == 1
    await rig.keep([record(39, agent="other")])
    again = rig.searches(DENIALS)
    await again.start()
    await again.look()
    assert len(rig.told) == 1
    await rig.keep([record(49, agent="other")])  # with the one from before the start it is two
    await again.stop()
    assert [each.lines[0].split(" from ")[0] for each in rig.told[1:]] == ["2 records of agent other"]


async def test_what_a_killed_gateway_did_not_say_is_said_by_the_next(rig: Rig) -> None:
    await rig.keep([record(9), record(19)])
    searches = rig.searches(DENIALS)
    await searches.start()
    await searches.stop()
    assert len(rig.told) == 1


async def test_what_was_pruned_is_not_found_and_what_comes_after_it_is(rig: Rig) -> None:
    await rig.keep([record(9), record(19), record(29, agent="other")])
    await rig.writer.run(lambda store: store.drain())
    await rig.writer.run(lambda store: store.prune([(0, 2)]))
    searches = rig.searches(DENIALS)
    await searches.start()
    await rig.keep([record(39, agent="other"), record(49)])
    await searches.stop()
    assert [each.lines[0].split(" from ")[0] for each in rig.told] == ["2 records of agent other"]


async def test_a_search_does_not_find_its_own_alerts(rig: Rig) -> None:
    searches = rig.searches(Search("all", "", Alert(1, MINUTE)))
    await searches.start()
    await searches.stop()
    again = rig.searches(Search("all", "kind:search.alerted", Alert(1, MINUTE)))
    await again.start()
    await again.stop()
    assert [each.subject for each in rig.told] == ["all"]


def test_saved_searches_are_listed_and_used(tmp_path: Path) -> None:
    store = new_store(tmp_path / "ledger.db")
    fill(store, [record(number) for number in range(30)])
    store.close()
    (tmp_path / "policy.yaml").write_text("bailiwick: 1\n")
    (tmp_path / "gateway.yaml").write_text(
        "searches:\n  denials: {filter: 'decision:deny', alert: {count: 2, within: 1h, each: agent}}\n"
    )

    def asked(*arguments: str) -> list[str]:
        result = CliRunner().invoke(app, [*arguments, "--policy", str(tmp_path / "policy.yaml")])
        if result.exception is not None:
            raise result.exception
        return result.stdout.splitlines()

    ledger = ("--ledger", str(tmp_path / "ledger.db"), "--json")
    assert asked("searches") == ["denials: decision:deny   (told at 2 of one agent within 1:00:00)"]
    assert len(asked("query", "--saved", "denials", *ledger)) == 3
    assert len(asked("query", "seq>9 or agent:x", "--saved", "denials", *ledger)) == 2
    with pytest.raises(LedgerError, match="there is no search `else`"):
        asked("query", "--saved", "else", *ledger)
