"""What each session has asked of relations that it may only aggregate: bounded, and kept across restarts.

A grouping that was asked for counts, told or refused. Until it is known to be refused, others are guarded against it
(`bailiwick.sql.groupings`): doubt makes a session be told less, never more.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from bailiwick.errors import ConfigError
from bailiwick.model.decision import Denial
from bailiwick.model.record import JsonValue
from bailiwick.sql.groupings import Cells, Grouping

if TYPE_CHECKING:
    from bailiwick.gateway.recorder import Durable  # which imports `live`, and that this module
    from bailiwick.gateway.state import State

_log = logging.getLogger("bailiwick.told")

TOO_CLOSE = Denial(
    "group_too_small",
    "together with what this session was told before, this would single out too few rows",
    "groupings that are repeated, and ones that divide the rows into larger groups",
    "leave small groups out of it by WHERE, use coarser groups, or ask in a session of its own",
)


class Entry:
    """One grouping of a session."""

    __slots__ = ("number", "open", "refused", "told", "was_told")

    def __init__(self, number: int, told: Cells, *, refused: bool = False, was_told: bool = False) -> None:
        self.number = number
        """From 1 on, of its relation."""
        self.told = told
        self.refused = refused
        """Whether it is known that nothing of it was told."""
        self.was_told = was_told
        self.open = 0
        """Statements under way that may tell of it."""


class Telling:
    """The groupings of one statement that is about to run."""

    __slots__ = ("_changed", "_done", "detail", "entries", "fresh", "told")

    def __init__(
        self, entries: Sequence[Entry], fresh: Sequence[Entry], told: Sequence[Cells], detail: Mapping[str, JsonValue]
    ) -> None:
        self.entries = entries
        self.fresh = fresh
        """Those that are to be stored before anything is told."""
        self.told = told
        """All that the statement is to be guarded against, its own among it."""
        self.detail = detail
        """For the ledger."""
        self._done = False
        self._changed: Callable[[Sequence[Entry]], None] | None = None
        for each in entries:
            each.open += 1

    def when_refused(self, changed: Callable[[Sequence[Entry]], None]) -> None:
        """Have the entries that turn out to be refused stored."""
        self._changed = changed

    def tell(self) -> None:
        """Something of the statement's result leaves."""
        for each in self.entries:
            each.was_told, each.refused = True, False
        self._end()

    def fail(self) -> None:
        """The statement ended, and nothing of its result has left."""
        if self._done:
            return
        self._end()
        gone = [each for each in self.entries if not each.open and not each.was_told]
        for each in gone:
            each.refused = True
        if gone and self._changed is not None:
            self._changed(gone)

    def _end(self) -> None:
        if not self._done:
            self._done = True
            for each in self.entries:
                each.open -= 1


class SessionGroupings:
    """The groupings of one session, of each relation in the order in which they were asked for."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: dict[str, dict[Cells, Entry]] = {}
        for each in entries:
            self._entries.setdefault(each.told.resource, {})[each.told] = each

    def asked(self, resource: str) -> int:
        """Return how many different groupings of a resource were asked for."""
        return len(self._entries.get(resource, {}))

    def ask(self, groupings: Sequence[Grouping], told: Sequence[Cells]) -> Telling | Denial:
        """Take up the groupings of a statement; `told` are they with their values. A denial: they are too many."""
        entries: dict[Cells, Entry] = {}
        fresh: list[Entry] = []
        numbers = {name: len(known) for name, known in self._entries.items()}
        for grouping, each in zip(groupings, told, strict=True):
            known = self._entries.get(each.resource, {})
            entry = known.get(each) or entries.get(each)
            if entry is None:
                number = numbers[each.resource] = numbers.get(each.resource, 0) + 1
                if number > grouping.most:
                    return _too_many(grouping)
                entry = Entry(number, each)
                fresh.append(entry)
            elif entry.refused:
                fresh.append(entry)  # stored as refused, which may be wrong from now on
            entries[each] = entry
        for entry in entries.values():
            self._entries.setdefault(entry.told.resource, {})[entry.told] = entry
            entry.refused = False
        resources = dict.fromkeys(each.resource for each in told)
        against = [e.told for name in resources for e in self._entries[name].values() if not e.refused]
        return Telling(tuple(entries.values()), fresh, against, _detail(entries.values(), groupings))


def _too_many(grouping: Grouping) -> Denial:
    return Denial(
        "limit_exceeded",
        f"this session has asked for {grouping.most} different groupings of `{grouping.resource}`, the most it may",
        "the same groupings again",
        "ask in a session of its own",
    )


def _detail(entries: Iterable[Entry], groupings: Sequence[Grouping]) -> Mapping[str, JsonValue]:
    """Return what the ledger tells of it: fields and numbers, no values."""
    most = {each.resource: each.most for each in groupings}
    told: list[JsonValue] = [
        {
            "resource": each.told.resource,
            "grouping": each.number,
            "of": most[each.told.resource],
            "fields": [*each.told.fields],
            "aggregated": [*each.told.measures],
        }
        for each in entries
    ]
    return {"groupings": told}


class ToldStore:
    """Keeps the groupings of sessions in the state store."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._one = asyncio.Lock()
        """So that what is written last is how it is."""
        self._writing: set[asyncio.Task[None]] = set()

    async def load(self, session: str) -> SessionGroupings:
        """Return what a session has asked so far."""
        return SessionGroupings(_entry(row) for row in await self._state.groupings(session))

    def keep(self, session: str, asked: Telling, durable: Durable) -> None:
        """Store what is new; `durable` is called once, later, when that is settled."""
        asked.when_refused(lambda gone: self._start(self._store(session, gone, _unheard)))
        if asked.fresh:
            self._start(self._store(session, asked.fresh, durable))
        else:
            asyncio.get_running_loop().call_soon(durable, True)

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _store(self, session: str, entries: Sequence[Entry], durable: Durable) -> None:
        try:
            async with self._one:
                await self._state.tell([_row(session, each) for each in entries])
        except ConfigError as error:
            _log.error("the groupings of a session could not be stored: %s", error.message)
            durable(False)
        else:
            durable(True)


def _unheard(_durable: bool) -> None:
    """A refusal that is not stored makes the session be told less after a restart, which is safe."""


def _row(session: str, entry: Entry) -> dict[str, str | int]:
    told = entry.told
    content = [told.filter, [*told.keys], [*told.measures], [*told.fields], [*told.key_fields]]
    return {
        "session": session,
        "resource": told.resource,
        "number": entry.number,
        "content": json.dumps(content),
        "refused": int(entry.refused),
    }


def _entry(row: Mapping[str, object]) -> Entry:
    filter_, *lists = cast("tuple[str, list[str], list[str], list[str], list[str]]", json.loads(str(row["content"])))
    keys, measures, fields, key_fields = map(tuple, lists)
    told = Cells(str(row["resource"]), filter_, keys, measures, fields, key_fields)
    refused = bool(row["refused"])
    return Entry(cast("int", row["number"]), told, refused=refused, was_told=not refused)
