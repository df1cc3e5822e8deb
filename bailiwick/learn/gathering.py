"""Gathering observations, one after the other: what is kept grows with what is different, not with their number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from bailiwick.learn.facts import (
    FEW,
    MOST_EARLIER,
    MOST_PARTS,
    MOST_VALUES,
    Atom,
    Deed,
    Form,
    FormUse,
    Place,
    SessionUse,
    Slot,
    Value,
)
from bailiwick.learn.keys import keys_of
from bailiwick.learn.lining import names_of_rows
from bailiwick.model.observation import NOWHERE_KNOWN, Observation, Seen, TableUse, ToolUse

_ONLY_WRITTEN = ("size", "modified")
_NO_NAMES = frozenset[str]()
_MOST_VIOLATORS = 1000
_EXAMPLES = 4
_MOST_ENDS = 32
_EPOCH = date(1970, 1, 1).toordinal()


class Gathered:
    """What the sessions of one agent used. Filled by `Gathering`; read by all that proposes."""

    def __init__(self, agent: str) -> None:
        self.agent = agent
        self.deeds: list[Deed] = []
        self.tables: dict[int, str] = {}
        """Deed on a table → the table, as its backend calls it."""
        self.effects: dict[int, set[str]] = {}
        self.atoms: list[Atom] = []
        self.forms: list[Form] = []
        self.uses: list[FormUse] = []
        """For each form."""
        self.slots: dict[tuple[int, Place, str], Slot] = {}
        self.sessions: list[SessionUse] = []
        self.people: list[str] = []
        self.links: set[tuple[tuple[str, str], tuple[str, str]]] = set()
        """Columns that were joined: resource and column, each way as it was told."""
        self.calls = 0
        self.refused = 0
        """Observations of what was denied or failed: nothing was used by them."""
        self.beyond = 0
        """Observations that were left out because there were `MOST_PARTS` different parts before."""
        self.hours: dict[tuple[int, int], tuple[int, list[int]]] = {}
        """(Weekday, hour in UTC) → calls, and the first sessions."""
        self.rates: dict[tuple[int, int], int] = {}
        """(Deed, hour since the epoch) → calls."""
        self.batches: dict[int, list[tuple[int, int]]] = {}
        """Write → the largest numbers of rows, each with its session."""


_Parts = tuple[int, int | None, tuple[int, ...]]
_Called = tuple[int, tuple[int, ...], tuple[Slot | None, ...]]


@dataclass(slots=True)
class _Lined:
    slots: dict[str, Slot] = field(default_factory=dict[str, Slot])
    times: int = 0
    earlier: set[int] = field(default_factory=set[int])
    """The first sessions, up to `MOST_EARLIER`."""


class Gathering:
    """Takes observations of one agent, in any order; those of a session may lie among others'."""

    def __init__(self, agent: str) -> None:
        self.gathered = Gathered(agent)
        self._deeds: dict[Deed, int] = {}
        self._atoms: dict[Atom, int] = {}
        self._forms: dict[Form, int] = {}
        self._sessions: dict[str, int] = {}
        self._people: dict[str, int] = {}
        self._parts: dict[tuple[object, ...], _Parts] = {}
        """What uses of a table are made of, by all that decides it."""
        self._called: dict[tuple[object, ...], _Called] = {}
        """The same of calls of tools."""
        self._lined: dict[int, _Lined] = {}
        """Of each deed on a table, what its rows were lined up with."""

    def add(self, seen: Observation) -> None:
        """Take one observation. What was denied, held or failed is counted, and teaches nothing."""
        session, number = self._session(seen)
        if seen.code or seen.decision in ("deny", "hold"):
            self.gathered.refused += 1
            return
        if len(self._atoms) >= MOST_PARTS and not self._knows(seen):
            self.gathered.beyond += 1
            return
        if not seen.tables and not seen.tools:
            return
        self.gathered.calls += 1
        atoms: set[int] = set()
        deeds: dict[int, None] = {}
        given: list[str] = []
        rows = names_of_rows(seen.tables, session.by_key) if seen.tables else ()
        for use, names in zip(seen.tables, rows, strict=True):
            self._table(seen, use, names, number, atoms, deeds)
        for use in seen.tools:
            given += self._tool(seen, use, number, atoms, deeds)
        self._form(seen, Form(tuple(sorted(atoms)), tuple(deeds), tuple(given)), session, number)
        self._when(seen.at, deeds, number)

    def _knows(self, seen: Observation) -> bool:
        """Return whether an observation is of nothing but what others did before, as far as is easily told."""
        deeds = [Deed(seen.mount, use.kind, use.name, use.resource, use.verb) for use in seen.tools]
        numbers = [self._deeds.get(each, -1) for each in deeds]
        return (
            all(
                Atom(number, "argument", each.name) in self._atoms
                for number, use in zip(numbers, seen.tools, strict=True)
                for each in use.arguments
            )
            and all(
                (seen.mount, use.resource, use.verb, _roles_of(use), use.links) in self._parts for use in seen.tables
            )
            and -1 not in numbers
        )

    def _session(self, seen: Observation) -> tuple[SessionUse, int]:
        name = seen.session or seen.record
        number = self._sessions.get(name, -1)
        if number < 0:
            number = self._sessions[name] = len(self.gathered.sessions)
            person = self._people.setdefault(seen.user, len(self._people))
            if person == len(self.gathered.people):
                self.gathered.people.append(seen.user)
            self.gathered.sessions.append(SessionUse(name, person, seen.task, seen.at, seen.at))
        session = self.gathered.sessions[number]
        if seen.at < session.first:
            session.first = seen.at
        elif seen.at > session.last:
            session.last = seen.at
        if seen.values and any(session.values.get(each) != value for each, value in seen.values.items()):
            session.values.update(seen.values)
            session.by_key = _by_key(session.values)
        return session, number

    def _deed(self, deed: Deed) -> int:
        number = self._deeds.get(deed)
        if number is None:
            number = self._deeds[deed] = len(self.gathered.deeds)
            self.gathered.deeds.append(deed)
        return number

    def _atom(self, atom: Atom) -> int:
        number = self._atoms.get(atom)
        if number is None:
            number = self._atoms[atom] = len(self.gathered.atoms)
            self.gathered.atoms.append(atom)
        return number

    def _table(
        self,
        seen: Observation,
        use: TableUse,
        names: dict[str, frozenset[str]],
        session: int,
        atoms: set[int],
        deeds: dict[int, None],
    ) -> None:
        key = (seen.mount, use.resource, use.verb, _roles_of(use), use.links)
        parts = self._parts.get(key)
        if parts is None:
            parts = self._parts[key] = self._parts_of(seen.mount, use)
        deed, looked, found = parts
        atoms.update(found)
        deeds[deed] = None
        if looked is not None:
            deeds[looked] = None
        if use.verb != "create" and use.rows != 0:
            self._row(deed, use, names, session)
            if looked is not None and looked != deed:
                self._row(looked, use, names, session)
        for each in use.sets:
            for value in each.values:
                self._value(self._slot(deed, "set", each.field), value, session)
        if use.verb != "read" and use.rows:
            _largest(self.gathered.batches.setdefault(deed, []), use.rows, session)

    def _parts_of(self, mount: str, use: TableUse) -> _Parts:
        """Return the deed of a use, the read that it needs beside, and the atoms of both."""
        deed = self._deed(Deed(mount, "table", use.resource, use.resource, use.verb))
        self.gathered.tables.setdefault(deed, use.table)
        atoms = {self._atom(Atom(deed, "deed"))}
        looked = self._looked(mount, use, atoms)
        atoms.update(self._atom(Atom(deed, "written", each)) for each in use.written)
        return deed, looked, tuple(atoms)

    def _looked(self, mount: str, use: TableUse, atoms: set[int]) -> int | None:
        """Add the columns that a use looks at, which need `read` whatever the verb; return that deed."""
        touched = {*use.read, *use.filtered, *use.joined, *use.counted, *use.compared}
        if not touched and use.verb != "read":
            return None
        read = self._deed(Deed(mount, "table", use.resource, use.resource, "read"))
        self.gathered.tables.setdefault(read, use.table)
        atoms.add(self._atom(Atom(read, "deed")))
        atoms.update(self._atom(Atom(read, "touched", each)) for each in touched)
        atoms.update(self._atom(Atom(read, "clear", each)) for each in {*use.read, *use.filtered})
        atoms.update(self._atom(Atom(read, "joined", each)) for each in use.joined)
        for link in use.links:
            self.gathered.links.add(((use.resource, link.field), (link.resource, link.other)))
        return read

    def _row(self, deed: int, use: TableUse, names: dict[str, frozenset[str]], session: int) -> None:
        """Line the columns of the rows that were touched up with the session's values."""
        lined = self._lined.setdefault(deed, _Lined())
        told = _told(use, names)
        for slot in lined.slots.values():
            if slot.name not in told:
                slot.missed += 1
                _bind(slot, _NO_NAMES, session)
        for column, value in told.items():
            slot = lined.slots.get(column)
            if slot is None:
                slot = lined.slots[column] = self._slot(deed, "row", column)
                slot.missed, slot.earlier = lined.times, set(lined.earlier)
            if value is None:
                slot.calls += 1
                slot.hidden += 1
                _bind(slot, names.get(column, _NO_NAMES), session)
            else:
                self._value(slot, value, session, names.get(column, _NO_NAMES))
        lined.times += 1
        if len(lined.earlier) < MOST_EARLIER:
            lined.earlier.add(session)

    def _tool(
        self, seen: Observation, use: ToolUse, session: int, atoms: set[int], deeds: dict[int, None]
    ) -> list[str]:
        named = tuple([each.name for each in use.arguments])
        key = (seen.mount, use.kind, use.name, use.resource, use.verb, use.effects, named)
        called = self._called.get(key)
        if called is None:
            called = self._called[key] = self._called_of(seen.mount, use)
        deed, found, slots = called
        deeds[deed] = None
        atoms.update(found)
        given: list[str] = []
        for each, slot in zip(use.arguments, slots, strict=True):
            if slot is None:
                continue
            if each.value.type != "null":
                given.append(each.name)
                self._value(slot, each.value, session)
            else:
                slot.types["null"] = slot.types.get("null", 0) + 1
        given.sort()
        return given

    def _called_of(self, mount: str, use: ToolUse) -> _Called:
        """Return the deed of a call, its atoms, and the slot of each argument, None where its value teaches nothing."""
        deed = self._deed(Deed(mount, use.kind, use.name, use.resource, use.verb))
        if use.effects:
            self.gathered.effects.setdefault(deed, set()).update(use.effects)
        atoms = {self._atom(Atom(deed, "deed"))}
        slots: list[Slot | None] = []
        for each in use.arguments:
            if use.kind == "file" and each.name in _ONLY_WRITTEN and use.verb not in ("create", "update"):
                slots.append(None)  # how large or old a file is that is read tells nothing of the next one
                continue
            atoms.add(self._atom(Atom(deed, "argument", each.name)))
            slots.append(self._slot(deed, "argument", each.name))
        return deed, tuple(atoms), tuple(slots)

    def _slot(self, deed: int, place: Place, name: str) -> Slot:
        key = (deed, place, name)
        slot = self.gathered.slots.get(key)
        if slot is None:
            slot = self.gathered.slots[key] = Slot(deed, place, name)
        return slot

    def _value(self, slot: Slot, seen: Seen, session: int, also: frozenset[str] = _NO_NAMES) -> None:
        slot.types[seen.type] = slot.types.get(seen.type, 0) + 1
        if seen.type == "null":
            if slot.place == "row":
                slot.missed += 1
                _bind(slot, _NO_NAMES, session)
            return
        slot.calls += 1
        if seen.origin is not NOWHERE_KNOWN and seen.origin.kind != "unknown":
            origin = f"{seen.origin.kind} {seen.origin.name}".rstrip()
            slot.origins[origin] = slot.origins.get(origin, 0) + 1
        keys = keys_of(seen)
        by_key = self.gathered.sessions[session].by_key
        names = also
        if by_key:
            for key in keys:
                known = by_key.get(key)
                if known is not None:
                    names |= known
        if seen.type == "list":
            for item in seen.items:
                self._value(self._slot(slot.deed, "element", slot.name), item, session)
            if not seen.whole:
                self._slot(slot.deed, "element", slot.name).partial = True
        elif not keys:
            slot.hidden += 1
        else:
            _keep(slot, keys[0], seen, session)
        _bind(slot, names, session)

    def _form(self, seen: Observation, form: Form, session: SessionUse, number: int) -> None:
        found = self._forms.get(form)
        if found is None:
            found = self._forms[form] = len(self.gathered.forms)
            self.gathered.forms.append(form)
            self.gathered.uses.append(FormUse())
        use = self.gathered.uses[found]
        use.calls += 1
        if len(use.examples) < _EXAMPLES and (not use.examples or use.examples[-1][1] != number):
            use.examples.append((seen.record or session.name, number))
        session.forms[found] = session.forms.get(found, 0) + 1

    def _when(self, at: datetime, deeds: Iterable[int], session: int) -> None:
        place = (at.weekday(), at.hour)
        calls, few = self.gathered.hours.get(place, (0, []))
        if len(few) <= FEW and session not in few:
            few.append(session)
        self.gathered.hours[place] = (calls + 1, few)
        hour = (at.toordinal() - _EPOCH) * 24 + at.hour
        for deed in deeds:
            self.gathered.rates[deed, hour] = self.gathered.rates.get((deed, hour), 0) + 1


def _roles_of(use: TableUse) -> tuple[tuple[str, ...], ...]:
    return (use.read, use.filtered, use.joined, use.counted, use.compared, use.written)


def _told(use: TableUse, names: dict[str, frozenset[str]]) -> dict[str, Seen | None]:
    """Return the columns that the session's values or the statement itself say something of; None: only the former.

    What rows happened to hold is no constant: it counts where it is a session value, and nowhere else."""
    told = dict[str, Seen | None].fromkeys(names)
    for condition in use.conditions:
        if condition.comparison == "equal" and len(condition.values) == 1:
            told[condition.field] = condition.values[0]
    return told


def _bind(slot: Slot, names: frozenset[str], session: int) -> None:
    """Say which session values a use of a slot was, and which it therefore was not."""
    for name in names:
        slot.aligned[name] = slot.aligned.get(name, 0) + 1
        if slot.aligned[name] == 1 and len(slot.earlier) < MOST_EARLIER:
            slot.violators[name] = set(slot.earlier)
    if len(names) < len(slot.violators):
        for name in [each for each in slot.violators if each not in names]:
            violating = slot.violators[name]
            violating.add(session)
            if len(violating) > _MOST_VIOLATORS:
                del slot.violators[name]
    if len(slot.earlier) < MOST_EARLIER:
        slot.earlier.add(session)


def _keep(slot: Slot, key: str, seen: Seen, session: int) -> None:
    found = slot.values.get(key)
    if found is None:
        if len(slot.values) >= MOST_VALUES:
            slot.beyond += 1
            _keep_end(slot, seen, session)
            return
        found = slot.values[key] = Value(seen.value)
    found.calls += 1
    if found.last != session and session not in found.few:
        found.sessions += 1
        if len(found.few) < FEW:
            found.few.append(session)
    found.last = session


def _keep_end(slot: Slot, seen: Seen, session: int) -> None:
    if isinstance(seen.value, int | Decimal) and not isinstance(seen.value, bool):
        slot.ends.append((Decimal(seen.value), session))
        if len(slot.ends) > 4 * _MOST_ENDS:
            slot.ends.sort()
            del slot.ends[_MOST_ENDS:-_MOST_ENDS]


def _by_key(values: dict[str, Seen]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for name, seen in values.items():
        for key in keys_of(seen):
            found[key] = found.get(key, _NO_NAMES) | {name}
    return found


def _largest(kept: list[tuple[int, int]], rows: int, session: int) -> None:
    kept.append((rows, session))
    if len(kept) > 64:
        kept.sort(reverse=True)
        del kept[32:]


def gather(agent: str, observations: Iterable[Observation]) -> Gathered:
    """Return what the observations of one agent say; those of others are left out."""
    gathering = Gathering(agent)
    for seen in observations:
        if seen.agent == agent:
            gathering.add(seen)
    return gathering.gathered
