"""Saved searches: `searches` of gateway.yaml, and the running gateway that watches those with an alert.

searches:
  many-denials: {filter: decision:deny, alert: {count: 20, within: 5m, each: agent}}
  money: {filter: "resource:billing and not action:billing:read"}
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import yaml

from bailiwick.errors import ConfigError, LedgerError
from bailiwick.gateway.ledger.address import LedgerAddress
from bailiwick.gateway.ledger.reader import LedgerReader, Query, check_filter, open_reader
from bailiwick.gateway.moments import Clock, read_moment
from bailiwick.gateway.recorder import Fact, Recorder
from bailiwick.gateway.sections import Keys, Plain, place, plain
from bailiwick.ledger.alerts import Alert, Window
from bailiwick.ledger.encode import read
from bailiwick.ledger.filter import Filter, meets, parse
from bailiwick.model.notice import Notice
from bailiwick.model.record import JsonValue

SECTION = "searches"
_log = logging.getLogger("bailiwick.searches")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_EACH = ("agent", "user", "session", "task", "mount", "code", "kind")
_UNITS = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=7)
_AT_ONCE = 5_000
_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Search:
    """A filter with a name."""

    name: str
    filter: str
    alert: Alert | None = None


def search_told(search: Search) -> dict[str, JsonValue]:
    """Return a search as JSON has it."""
    alert = search.alert
    told: JsonValue = None
    if alert is not None:
        told = {"count": alert.count, "seconds": alert.within.total_seconds(), "each": alert.each}
    return {"name": search.name, "filter": search.filter, "alert": told}


def read_searches(path: Path, root: yaml.Node) -> Mapping[str, Search]:
    """Return the searches of a gateway.yaml. Raises ConfigError."""
    for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", root.value):
        if key.value == SECTION:
            found = plain(path, value)
            if not isinstance(found, dict) and found != "":
                raise ConfigError(f"{place(path, value)}: `{SECTION}` maps names to settings")
            return {name: _search(name, given) for name, given in found.items()} if isinstance(found, dict) else {}
    return {}


def _search(name: str, given: Plain) -> Search:
    keys = Keys(f"{SECTION}.{name}", given, ("filter", "alert"))
    if not _NAME.fullmatch(name):
        raise ConfigError(f"`{name[:100]}` cannot name a search", remedy="letters, digits, `_`, `-` and `.`")
    text = keys.text("filter") or ""
    try:
        check_filter(text)
    except ConfigError as error:
        raise ConfigError(f"`{keys.what}.filter`: {error.message}", remedy=error.remedy) from None
    alert = keys.mapping("alert")
    return Search(name, text, _alert(f"{keys.what}.alert", alert) if alert else None)


def _alert(what: str, given: Plain) -> Alert:
    keys = Keys(what, given, ("count", "within", "each"))
    count, each = keys.text("count") or "", keys.text("each") or ""
    span = re.fullmatch(r"([0-9]{1,6})(s|m|min|h|d)", keys.text("within") or "")
    within = timedelta(**{_UNITS[span[2]]: int(span[1])}) if span else timedelta(0)
    if not count.isascii() or not count.isdigit() or not 0 < int(count) <= 100_000:
        raise ConfigError(f"`{what}.count` is not a number from 1 to 100000", remedy="write e.g. `count: 20`")
    if not timedelta(0) < within <= _LONGEST:
        raise ConfigError(f"`{what}.within` is not a time of 7 days at most", remedy="write e.g. `within: 5m`")
    if each and each not in _EACH:
        raise ConfigError(f"`{what}.each` cannot be `{each[:40]}`", remedy=f"it can be {', '.join(_EACH)}")
    return Alert(int(count), within, each)


@dataclass(frozen=True, slots=True)
class Said:
    """An alert: what a search found so often."""

    search: Search
    alert: Alert
    key: str
    """The value that it was counted for; empty when it was for all together."""
    first: datetime
    last: datetime
    record: str
    """The id of the newest of them."""


@dataclass(eq=False, slots=True)
class _Watched:
    search: Search
    alert: Alert
    wanted: Filter
    window: Window


class Searches:
    """Watches the ledger for saved searches with an alert. `start` before, `stop` after.

    It reads what is written already, on a thread of its own, so nothing waits for it.
    """

    def __init__(
        self,
        searches: Sequence[Search],
        ledger: LedgerAddress,
        recorder: Recorder,
        tell: Callable[[Notice], None],
        clock: Clock,
    ) -> None:
        now = clock()
        self._watched = [
            _Watched(each, each.alert, parse(each.filter, lambda text: read_moment(text, now)), Window(each.alert))
            for each in searches
            if each.alert is not None
        ]
        self._ledger = ledger
        self._recorder = recorder
        self._tell = tell
        self._clock = clock
        self._next = 0
        self._before = 0
        """Records with a lower number were there at the start: what they led to may have been said already."""
        self._known: dict[tuple[str, str], list[datetime]] = {}
        """What was: by search and key, for which moments."""
        self._stopping = asyncio.Event()
        self._looking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up where a gateway before this one stopped, and watch from now on."""
        if not self._watched:
            return
        await asyncio.to_thread(self._begin)
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop watching, once what is written by now was looked at."""
        if self._task is None:
            return
        self._stopping.set()  # not cancelled: what the thread has read by then would be lost
        await self._task
        with contextlib.suppress(LedgerError):  # the gateway after this one takes up where this one stopped
            await self.look()

    async def look(self) -> None:
        """Look at what was written since the last time, and say what is to be said. Raises LedgerError."""
        async with self._looking:  # or a record would be counted by both
            while True:
                taken, said = await asyncio.to_thread(self._read)
                for each in said:
                    self._say(each)
                if taken < _AT_ONCE:
                    return

    async def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                await self.look()
            except LedgerError as error:
                _log.error("saved searches see nothing for now: %s", error.message)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _PAUSE)

    def _begin(self) -> None:
        """Begin so far back that every window is as it was, and recall what was said since."""
        longest = max(each.alert.within for each in self._watched)
        since = self._clock() - 3 * longest
        with closing(open_reader(self._ledger)) as reader:
            self._next = reader.first_since(since)
            newest = reader.query(Query(limit=1))
            self._before = newest[0].seq + 1 if newest else 0
            for stored in reader.each(Query(kind="search.alerted", after=self._next - 1)):
                detail = (read(stored.body) or {}).get("detail")
                at = _moment(detail.get("last")) if isinstance(detail, dict) else None
                if isinstance(detail, dict) and at is not None:
                    self._known.setdefault((str(detail.get("search")), str(detail.get("key"))), []).append(at)

    def _read(self) -> tuple[int, list[Said]]:
        with closing(open_reader(self._ledger)) as reader:
            return self._taken(reader)

    def _taken(self, reader: LedgerReader) -> tuple[int, list[Said]]:
        found = reader.following(self._next, _AT_ONCE)
        said: list[Said] = []
        for stored in found:
            new = self._found(read(stored.body) or {})
            said += [each for each in new if stored.seq >= self._before or not self._is_known(each)]
        if found:
            self._next = found[-1].seq + 1
        return len(found), said

    def _found(self, document: Mapping[str, JsonValue]) -> Iterator[Said]:
        """Yield the alerts that a record is the last cause of."""
        if document.get("kind") == "search.alerted":
            return  # a search that finds its own alerts would never end
        at = _moment(document.get("at"))
        for each in self._watched:
            if at is None or not meets(each.wanted, document):
                continue
            key = str(document.get(each.alert.each, "")) if each.alert.each else ""
            if each.window.take(key, at):
                first = each.window.first(key) or at
                yield Said(each.search, each.alert, key, first, at, str(document.get("id", "")))

    def _is_known(self, said: Said) -> bool:
        moments = self._known.get((said.search.name, said.key), [])
        return any(abs(said.last - moment) <= said.alert.within for moment in moments)

    def _say(self, said: Said) -> None:
        of = f" of {said.alert.each} {said.key}" if said.alert.each else ""
        message = f"`{said.search.name}` found {said.alert.count} records{of} from {said.first} to {said.last}"
        detail: dict[str, JsonValue] = {
            "search": said.search.name,
            "filter": said.search.filter,
            "key": said.key,
            "each": said.alert.each,
            "count": said.alert.count,
            "first": said.first.isoformat(),
            "last": said.last.isoformat(),
        }
        record = self._recorder.make(Fact("search.alerted", message=message, detail=detail))
        self._recorder.tell(record._replace(refers=said.record), lambda _: _log.error("an alert is not on record"))
        lines = (
            f"{said.alert.count} records{of} from {said.first:%Y-%m-%d %H:%M:%S} to {said.last:%H:%M:%S} UTC",
            f"the newest: {said.record}",
        )
        once = ":".join(("search", said.search.name, said.key, said.record))
        link = f"/console/ledger/{said.record}"
        self._tell(Notice("search", said.search.name, f"search {said.search.name}", lines, link, once))


def _moment(found: JsonValue) -> datetime | None:
    try:
        return datetime.fromisoformat(str(found))
    except ValueError:
        return None
