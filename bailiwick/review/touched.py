"""What is on record of the rows that an observed request reached, and of what it wrote there. Pure.

Of an observed call the ledger tells the conditions that each of its rows met, and where their values came from. That
is what another policy's row filters can be compared with: a filter that says the same takes no row away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, cast

from bailiwick.errors import ObservationError
from bailiwick.model.matcher import Equal, Every, Matcher, OneOf
from bailiwick.model.observation_json import read_seen
from bailiwick.model.record import JsonValue
from bailiwick.model.scope import RowFilter
from bailiwick.model.value import Operand, Ref

Object = Mapping[str, JsonValue]
Known = tuple[tuple[str, tuple[Operand, ...]], ...]
"""Field → what it was one of; a field that equals several things at once stands several times."""
_MOST_CONSTANTS = 40
"""Different constants of one place that are told apart: where there are more, no policy lists them."""


class Touched(NamedTuple):
    """One use of a table by a request."""

    resource: str
    verb: str
    met: Known
    wrote: Known


class Teller:
    """Reads what was used, with the values of sessions as far as their records tell them."""

    def __init__(self) -> None:
        self._names: dict[str, dict[str, tuple[str, ...]]] = {}
        """Session → what stands for a value → the names of session values that have it."""
        self._constants: dict[tuple[str, str], set[Operand]] = {}

    def touched(self, session: str, used: Object) -> tuple[Touched, ...]:
        """Return the uses of tables; what is said strangely, or not told, is left out."""
        values = used.get("values")
        if isinstance(values, dict):
            self._take_values(session, values)
        names = self._names.get(session, {})
        return tuple(self._use(each, names) for each in _objects(used.get("tables")))

    def _take_values(self, session: str, values: Object) -> None:
        found = self._names.setdefault(session, {})
        for name, value in values.items():
            token = _token(value)
            if token and name not in found.get(token, ()):
                found[token] = (*found.get(token, ()), name)

    def _use(self, use: Object, names: Mapping[str, tuple[str, ...]]) -> Touched:
        resource = str(use.get("resource"))
        met: list[tuple[str, tuple[Operand, ...]]] = []
        for each in _objects(use.get("conditions")):
            if each.get("is") in ("equal", "one_of"):
                met += self._known(resource, each, names)
        wrote: list[tuple[str, tuple[Operand, ...]]] = []
        for each in _objects(use.get("sets")):
            if each.get("whole") is not False:
                wrote += self._known(resource, each, names)
        return Touched(resource, str(use.get("verb")), tuple(met), tuple(wrote))

    def _known(
        self, resource: str, told: Object, names: Mapping[str, tuple[str, ...]]
    ) -> list[tuple[str, tuple[Operand, ...]]]:
        """Return what a field was one of, in every way in which that can be said; nothing where it is not known."""
        field, values = str(told.get("field")), _objects(told.get("values"))
        each = [self._operands((resource, field), value, names) for value in values]
        if not each or not all(each):
            return []
        if len(each) == 1:
            return [(field, (operand,)) for operand in each[0]]
        return [(field, tuple(operands[0] for operands in each))]

    def _operands(
        self, place: tuple[str, str], value: Object, names: Mapping[str, tuple[str, ...]]
    ) -> Sequence[Operand]:
        same = [*names.get(_token(value), ())]
        origin = value.get("from_name")
        if value.get("from") == "session" and isinstance(origin, str) and origin not in same:
            same.append(origin)
        found: list[Operand] = [Ref(tuple(name.split("."))) for name in same]
        try:
            constant = read_seen(value).value
        except ObservationError:
            return found
        seen = self._constants.setdefault(place, set())
        if constant is not None and (constant in seen or len(seen) < _MOST_CONSTANTS):
            seen.add(constant)
            found.append(constant)
        return found


def _token(value: JsonValue | Object) -> str:
    """Return what two records of one value have in common; empty: nothing tells that they are of one value."""
    if not isinstance(value, Mapping):
        return ""
    digest, clear = value.get("digest"), value.get("value")
    return str(digest) if digest else "" if clear is None else f"{value.get('type')} {clear}"


def _objects(found: JsonValue) -> list[Object]:
    return [cast("Object", each) for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def met_by(uses: Iterable[Touched], resource: str, verb: str) -> tuple[RowFilter, ...]:
    """Return what the rows of each use of a resource are known to have met; one that says nothing where none does."""
    reading = verb in ("read", "aggregate")
    mine = [each for each in uses if each.resource == resource and (reading or each.verb == verb)]
    found = [
        RowFilter(tuple((field, _matcher(operands)) for field, operands in each.met))
        if each.verb != "create"
        else RowFilter()  # what a new row holds beside what was written is not known
        for each in mine
    ]
    return tuple(found) or (RowFilter(),)


def written_by(uses: Iterable[Touched], resource: str, verb: str, field: str) -> tuple[Matcher, ...] | None:
    """Return what the values are that each use wrote into a field; None where that is not known."""
    found: list[Matcher] = []
    for each in uses:
        if each.resource == resource and each.verb == verb:
            ways = [_matcher(operands) for name, operands in each.wrote if name == field]
            if not ways:
                return None
            found.append(ways[0] if len(ways) == 1 else Every(tuple(ways)))
    return tuple(found) or None


def _matcher(operands: tuple[Operand, ...]) -> Equal | OneOf:
    return Equal(operands[0]) if len(operands) == 1 else OneOf(operands)
