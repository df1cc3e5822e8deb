"""Sessions that are kept out of learning: those that did what next to none else did. See docs/learn.md.

What an attacker makes one session in twenty do, each something else, must change nothing of what is proposed. What is
done alike by more sessions than that, and by several people, cannot be told from work.
"""

from __future__ import annotations

from decimal import Decimal

from bailiwick.learn.estimates import quantile, tail
from bailiwick.learn.facts import FEW, Atom, Slot
from bailiwick.learn.gathering import Gathered
from bailiwick.learn.settled import Settled, is_grave

MOST_ASIDE = 0.10
"""More sessions than this are never set aside for being rare: then everybody does what none else does."""
MOST_OF_FEW = 0.05
"""The same where there are fewer than `_MANY` sessions: then much that is rare is yet to come again."""
_MANY = 50
MOST_BEYOND = 0.08
"""So large a part of a slot's sessions may have gone beyond the session's own value and be set aside for it."""
_MOST_OF_RARE = 0.4
"""The same of a slot that few sessions use, if those beyond are at most one in fifty of all."""
_FEW_OF_ALL = 0.03
_MOST_RARE_VALUES = 0.03
_LEFT_OUT = 0.05
_ONE_PERSON = 0.001
_LEAST_SESSIONS = 10
_OUTLIER = 1e-4
Reasons = dict[int, list[str]]


def set_aside(gathered: Gathered) -> dict[int, tuple[str, ...]]:
    """Return the sessions that are kept out of learning, each with the reasons."""
    found: Reasons = {}
    everything = Settled(gathered)
    if len(everything.sessions) < _LEAST_SESSIONS:
        return {}
    least = _rare_parts(everything, found)
    _one_person(Settled(gathered, found), least, found)
    _left_out(Settled(gathered, found), max(2, least), found)
    while _beyond_the_session(Settled(gathered, found), found):
        pass  # who is set aside for one place no longer speaks against another
    _rare_values(Settled(gathered, found), max(2, least), found)
    _outliers(Settled(gathered, found), max(2, least), found)
    return {session: tuple(reasons) for session, reasons in sorted(found.items())}


def least_support(sessions: int) -> int:
    """Return how many sessions must have done something, so that it is nobody's alone: one in 150, at least two."""
    return max(2, sessions // 150)


def _rare_parts(settled: Settled, found: Reasons) -> int:
    """Set aside who did what too few did; return how many were enough. It falls until few enough are set aside."""
    gathered, total = settled.gathered, len(settled.sessions)
    most = (MOST_ASIDE if total >= _MANY else MOST_OF_FEW) * total
    for least in range(least_support(total), 1, -1):
        rare = {atom: having for atom, having in settled.of_atom.items() if len(having) < least}
        if len({each for having in rare.values() for each in having}) <= most:
            _blame(gathered, rare, found, "no other session did")
            return least
    grave = {
        atom: having
        for atom, having in settled.of_atom.items()
        if len(having) < 2 and is_grave(gathered, gathered.atoms[atom])
    }
    if len({each for having in grave.values() for each in having}) <= most:
        _blame(gathered, grave, found, "no other session did, and much hangs on it")
    return 1


def _one_person(settled: Settled, least: int, found: Reasons) -> None:
    """Set aside what one person's sessions alone did, though rarely, where there are people enough to tell."""
    gathered, total = settled.gathered, len(settled.sessions)
    if len(settled.people(settled.sessions)) < 5:
        return
    share: dict[int, int] = {}
    for each in settled.sessions:
        person = gathered.sessions[each].person
        share[person] = share.get(person, 0) + 1
    alone: dict[int, list[int]] = {}
    for atom, having in settled.of_atom.items():
        people = settled.people(having)
        if len(people) == 1 and 1 < len(having) < 4 * max(2, least):
            chance = (share[next(iter(people))] / total) ** (len(having) - 1)
            if chance < _ONE_PERSON:
                alone[atom] = having
    if len({each for having in alone.values() for each in having}) <= MOST_ASIDE * total:
        _blame(gathered, alone, found, "one person's sessions alone did")


def _blame(gathered: Gathered, rare: dict[int, list[int]], found: Reasons, why: str) -> None:
    for atom, having in rare.items():
        part = gathered.atoms[atom]
        if part.what == "clear":
            text = f"{in_words(gathered, part)}, in clear: {why}"
        else:
            text = f"{in_words(gathered, part)}: {why}"
        for session in having:
            found.setdefault(session, []).append(text)


def in_words(gathered: Gathered, atom: Atom) -> str:
    """Return a part of use as people read it."""
    deed = gathered.deeds[atom.deed]
    head = f"{deed.resource or deed.name}:{deed.verb or 'call'}" if deed.kind == "table" else deed.name
    return head if atom.what == "deed" else f"{head} {atom.name}"


def _left_out(settled: Settled, least: int, found: Reasons) -> None:
    """Set aside who left out an argument that next to every other call of the tool had."""
    gathered = settled.gathered
    of_deed: dict[int, list[tuple[int, frozenset[str]]]] = {}
    for number, form in enumerate(gathered.forms):
        if len(form.deeds) == 1 and gathered.deeds[form.deeds[0]].kind != "table":
            of_deed.setdefault(form.deeds[0], []).append((number, frozenset(form.given)))
    for deed, forms in of_deed.items():
        given = dict(forms)
        having = {s: [given[f] for f in gathered.sessions[s].forms if f in given] for s in settled.sessions}
        calling = {session: each for session, each in having.items() if each}
        for name in frozenset[str]().union(*given.values()):
            without = [session for session, each in calling.items() if any(name not in names for names in each)]
            if 0 < len(without) < least and len(without) <= _LEFT_OUT * len(calling):
                for session in without:
                    reason = f"{gathered.deeds[deed].name}: without `{name}`, which every other call has"
                    found.setdefault(session, []).append(reason)


def _beyond_the_session(settled: Settled, found: Reasons) -> bool:
    """Set aside who went beyond the session's own value, where nearly all kept to it; return whether anybody was."""
    before = len(found)
    for slot in settled.gathered.slots.values():
        best: tuple[int, str] | None = None
        if settled.names(slot):
            continue
        for name, violating in slot.violators.items():
            left = len(violating - settled.aside)
            if best is None or left < best[0]:
                best = (left, name)
        if best is None:
            continue
        left, name = best
        users = _sessions_of(settled, slot)
        most = max(MOST_BEYOND * users, min(_FEW_OF_ALL * len(settled.sessions), _MOST_OF_RARE * users))
        if users >= _LEAST_SESSIONS and left <= most and _differs(settled, name) >= 3:
            deed = settled.gathered.deeds[slot.deed]
            for session in slot.violators[name] - settled.aside:
                reason = f"{deed.name} {slot.name}: not `${name}`, which it is everywhere else"
                found.setdefault(session, []).append(reason)
    return len(found) > before


def _sessions_of(settled: Settled, slot: Slot) -> int:
    """Return how many sessions did the deed of a slot."""
    gathered = settled.gathered
    atom = next((n for n, each in enumerate(gathered.atoms) if each.deed == slot.deed and each.what == "deed"), -1)
    return len(settled.of_atom.get(atom, ()))


def _differs(settled: Settled, name: str) -> int:
    """Return how many different values a session value had, up to ten."""
    found: set[object] = set()
    for each in settled.sessions:
        seen = settled.gathered.sessions[each].values.get(name)
        if seen is not None:
            found.add(seen.value if seen.value is not None else seen.digest)
        if len(found) > 10:
            break
    return len(found)


def _rare_values(settled: Settled, least: int, found: Reasons) -> None:
    """Set aside who used a value of their own where everybody else took one of a few."""
    for slot in settled.gathered.slots.values():
        if slot.place not in ("argument", "set") or slot.beyond or settled.names(slot):
            continue
        supports = list(settled.values(slot))
        drawn = sum(left for _, left in supports)
        rare = [value for value, left in supports if left < least]
        common = len(supports) - len(rare)
        if drawn < 50 or not rare or common > 30 or common == 0:
            continue
        if sum(left for _, left in supports if left < least) <= _MOST_RARE_VALUES * drawn:
            deed = settled.gathered.deeds[slot.deed]
            for value in rare:
                for session in value.few[:FEW]:
                    reason = f"{deed.name} {slot.name}: a value that no other session used"
                    found.setdefault(session, []).append(reason)


def _outliers(settled: Settled, least: int, found: Reasons) -> None:
    """Set aside who used a number far beyond everybody else's."""
    for slot in settled.gathered.slots.values():
        ordered = settled.numbers(slot)
        if slot.place not in ("argument", "set") or len(ordered) < 30 or settled.names(slot):
            continue
        if quantile(ordered, 0.9) <= quantile(ordered, 0.5):
            continue  # a few constants: an enumeration
        high = 2 * tail(ordered, _OUTLIER)
        low = -2 * tail([-each for each in reversed(ordered)], _OUTLIER) if quantile(ordered, 0.5) < 0 else -abs(high)
        beyond = [
            value
            for value, left in settled.values(slot)
            if isinstance(value.value, int | Decimal) and left < least and not low <= value.value <= high
        ]
        if 0 < len(beyond) <= max(1, len(ordered) // 50):
            deed = settled.gathered.deeds[slot.deed]
            for value in beyond:
                for session in value.few:
                    reason = f"{deed.name} {slot.name}: far beyond the numbers of all others"
                    found.setdefault(session, []).append(reason)
