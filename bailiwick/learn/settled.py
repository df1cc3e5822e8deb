"""What is left of what was gathered once some sessions are set aside: supports, and the values of slots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from bailiwick.learn.estimates import Interval, unseen
from bailiwick.learn.facts import FEW, Atom, Deed, Slot, Value
from bailiwick.learn.gathering import Gathered
from bailiwick.model.value import Scalar
from bailiwick.policy.suspects import suspect

_READING = frozenset(
    {"read", "get", "list", "search", "find", "fetch", "query", "lookup", "look", "show", "view", "count", "check"}
    | {"describe", "browse", "head", "select"}
)
_GRAVE_VERBS = frozenset({"delete", "remove", "drop", "purge", "wipe", "revoke", "transfer", "pay", "export"})


@dataclass(frozen=True, slots=True)
class Pooled:
    """Values of one name, of whatever tool."""

    values: tuple[Scalar | None, ...]
    """None: known as a digest alone."""
    drawn: int
    """Pairs of a session and a value that it had."""
    new: Interval
    """The chance that the next one is none of these."""


class Settled:
    """A view of what was gathered without the sessions of `aside`."""

    def __init__(self, gathered: Gathered, aside: Mapping[int, object] | None = None) -> None:
        self.gathered = gathered
        self.aside = frozenset(aside or ())
        self.sessions = [n for n, each in enumerate(gathered.sessions) if each.forms and n not in self.aside]

    @cached_property
    def of_atom(self) -> dict[int, list[int]]:
        """Atom → sessions that have it."""
        of_form = [form.atoms for form in self.gathered.forms]
        alike: dict[tuple[int, ...], list[int]] = {}  # many sessions do the same
        for number in self.sessions:
            alike.setdefault(tuple(self.gathered.sessions[number].forms), []).append(number)
        found: dict[int, list[int]] = {}
        for forms, sessions in alike.items():
            for atom in {atom for form in forms for atom in of_form[form]}:
                found.setdefault(atom, []).extend(sessions)
        return found

    def people(self, sessions: list[int]) -> set[int]:
        """Return the people of sessions."""
        return {self.gathered.sessions[each].person for each in sessions}

    def values(self, slot: Slot) -> Iterator[tuple[Value, int]]:
        """Yield the values of a slot that are left, each with the number of its sessions."""
        for value in slot.values.values():
            if value.sessions <= FEW:
                left = sum(1 for each in value.few if each not in self.aside)
            else:
                left = value.sessions - sum(1 for each in value.few if each in self.aside)
            if left:
                yield value, left

    def unseen(self, slot: Slot) -> tuple[int, int, Interval]:
        """Return values that one session alone had, pairs of session and value, and the chance of a new one."""
        supports = [left for _, left in self.values(slot)]
        once, drawn = sum(1 for each in supports if each == 1), sum(supports)
        return once + slot.beyond, drawn + slot.beyond, unseen(once + slot.beyond, drawn + slot.beyond)

    def of_the_name(self, slot: Slot) -> Pooled:
        """Return what arguments of that name of all tools of the mount tell together."""
        return self._by_name.get((self.gathered.deeds[slot.deed].mount, slot.name), Pooled((), 0, unseen(0, 0)))

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], Pooled]:
        having: dict[tuple[str, str], dict[str, tuple[Value, set[int]]]] = {}
        for slot in self.gathered.slots.values():
            if slot.place not in ("argument", "element"):
                continue
            of_value = having.setdefault((self.gathered.deeds[slot.deed].mount, slot.name), {})
            for key, value in slot.values.items():
                left = {each for each in value.few if each not in self.aside}
                if left:
                    of_value.setdefault(key, (value, set()))[1].update(left)
        found: dict[tuple[str, str], Pooled] = {}
        for at, of_value in having.items():
            sessions = [len(each) for _, each in of_value.values()]
            values = tuple(value.value for value, _ in of_value.values())
            found[at] = Pooled(values, sum(sessions), unseen(sum(1 for each in sessions if each == 1), sum(sessions)))
        return found

    def numbers(self, slot: Slot) -> list[float]:
        """Return the numbers of a slot in order, each as often as sessions had it (at most ten times)."""
        found = [float(value) for value in _numeric(value.value for value, _ in self.values(slot))]
        found += [float(end) for end, session in slot.ends if session not in self.aside]
        return sorted(found)

    def names(self, slot: Slot) -> list[str]:
        """Return the session values that a slot always was."""
        return [name for name, violating in slot.violators.items() if violating <= self.aside and slot.aligned[name]]


def _numeric(values: Iterator[Scalar | None] | list[Scalar | None]) -> Iterator[Decimal]:
    for value in values:
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            yield Decimal(value)


def is_reading(deed: Deed) -> bool:
    """Guess from its verb and name whether a deed only reads."""
    if deed.kind in ("document", "prompt"):
        return True
    if deed.verb:
        return deed.verb.lower() in _READING
    return first_word(deed.name) in _READING


def first_word(name: str) -> str:
    """Return the first word of a tool's name, in small letters."""
    return name.replace("-", "_").replace(" ", "_").replace(".", "_").split("_")[0].lower()


def is_grave(gathered: Gathered, atom: Atom) -> bool:
    """Return whether much hangs on a part of use: it looks sensitive, or cannot be undone."""
    if atom.what in ("touched", "clear", "written"):
        return suspect(atom.name) is not None
    return atom.what == "deed" and is_destroying(gathered, atom.deed)


def is_destroying(gathered: Gathered, deed: int) -> bool:
    """Return whether a deed cannot be undone, as its verb, its name or its effects say."""
    words = {gathered.deeds[deed].verb.lower(), first_word(gathered.deeds[deed].name)}
    return bool(words & _GRAVE_VERBS or gathered.effects.get(deed))
