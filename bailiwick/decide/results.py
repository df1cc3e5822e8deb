"""What a session sees of a tool's result: items, fields and masks over JSON. Pure; values in, values out.

Grants add up: an item is shown if some grant admits it, a field of it in clear if some grant that admits *that item*
shows it clear, else masked, else not at all. A path leads through lists. What cannot be understood is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from bailiwick.match.evaluate import Resolve, all_of, checker
from bailiwick.match.masks import Digest, masked, masker
from bailiwick.model.mask import Mask
from bailiwick.model.matcher import Matcher
from bailiwick.model.scope import CallGrant

_missing = object()


@dataclass(frozen=True, slots=True)
class View:
    """What of a result is shown: the grants that admitted the call, and the denies that take items away."""

    path: tuple[str, ...]
    """Where the items stand."""
    grants: tuple[CallGrant, ...]
    denies: tuple[CallGrant, ...] = ()
    hidden: frozenset[str] = frozenset()

    @property
    def whole(self) -> bool:
        """Whether results are shown as they are, without being looked at."""
        return not self.denies and not self.hidden and any(grant.whole for grant in self.grants)


@dataclass(frozen=True, slots=True)
class Shown:
    """A result as it is shown. `found` is False when it is not of the expected form: then nothing of it is shown."""

    value: object
    items: int
    found: bool = True


def show(view: View, result: object, resolve: Resolve, now: datetime, digest: Digest) -> Shown:
    """Return what is shown of a result. Beside the items nothing is: counts and cursors tell of what is hidden."""
    looked_at = _at(result, view.path)
    if looked_at is _missing:
        return Shown(None, 0, found=False)
    if len(view.grants) == 1 and not view.denies and not view.grants[0].items:  # nothing is asked of the items
        return _walked(view, looked_at, digest)
    look = _Look(view, resolve, now, digest)
    if isinstance(looked_at, list):
        kept = look.items(cast("list[object]", looked_at))
        return Shown(_within(view.path, kept), len(kept))
    one = look.item(looked_at)
    if one is _missing:
        return Shown(None, 0, found=False)
    return Shown(_within(view.path, one), 1)


def _walked(view: View, found: object, digest: Digest) -> Shown:
    walk = _way(view.grants[0], view.hidden, digest).walk
    if isinstance(found, list):
        kept = [shown for item in cast("list[object]", found) if (shown := walk(item)) is not _missing]
        return Shown(_within(view.path, kept), len(kept))
    one = walk(found)
    return Shown(None, 0, found=False) if one is _missing else Shown(_within(view.path, one), 1)


def count(view: View, result: object) -> int:
    """Return how many items a result has that is shown as it is: one, where there is no list of them."""
    found = _at(result, view.path)
    return len(cast("list[object]", found)) if isinstance(found, list) else 1


class _Part:
    """One step of the paths of a grant: what is said of what stands there, and of what is below it."""

    __slots__ = ("below", "hide", "mask", "show")

    def __init__(self) -> None:
        self.below: dict[str, _Part] = {}
        self.show = False
        self.hide = False
        self.mask: Mask | None = None

    def at(self, path: str) -> _Part:
        """Return the part at a path below this one."""
        part = self
        for key in path.split("."):
            part = part.below.setdefault(key, _Part())
        return part


_State = tuple[_Part, bool]
"""What one grant says at a place, and whether what it does not name there is shown."""


class _Look:
    """The view on one result."""

    def __init__(self, view: View, resolve: Resolve, now: datetime, digest: Digest) -> None:
        self._view = view
        self._digest = digest
        ways = {grant.grant: _way(grant, view.hidden, digest) for grant in view.grants}
        self._states: dict[str, _State] = {name: way.state for name, way in ways.items()}
        self._every = list(self._states.values())
        self._fits = {
            grant.grant: _all_of(_conditions(grant.items), resolve, now) for grant in (*view.grants, *view.denies)
        }
        self._conditional = any(grant.items for grant in view.grants)
        self._only: tuple[_Fits, _Walk] | None = None
        if len(view.grants) == 1:
            (name, way), *_ = ways.items()
            self._only = (self._fits[name], way.walk)

    def items(self, found: Iterable[object]) -> list[object]:
        """Return the items that are shown."""
        if self._only is None or self._view.denies:
            return [shown for shown in map(self.item, found) if shown is not _missing]
        fits, walk = self._only
        return [shown for item in found if fits(item) is True and (shown := walk(item)) is not _missing]

    def item(self, item: object) -> object:
        """Return what is shown of an item; `_missing` when it is none of those."""
        for deny in self._view.denies:
            if self._fits[deny.grant](item) is not False:
                return _missing
        if self._only is not None:
            fits, walk = self._only
            return walk(item) if fits(item) is True else _missing
        states = self._every
        if self._conditional:
            states = [self._states[grant.grant] for grant in self._view.grants if self._fits[grant.grant](item) is True]
        return self._walk(item, states) if states else _missing

    def _walk(self, value: object, states: Sequence[_State]) -> object:
        if isinstance(value, dict):
            found: dict[str, object] = {}
            for key, inner in cast("dict[str, object]", value).items():
                shown = self._field(inner, key, states)
                if shown is not _missing:
                    found[key] = shown
            return found
        if isinstance(value, list):
            kept = (self._walk(inner, states) for inner in cast("list[object]", value))
            return [inner for inner in kept if inner is not _missing]
        return value if any(shown for _, shown in states) else _missing

    def _field(self, value: object, key: str, states: Sequence[_State]) -> object:
        below: list[_State] = []
        mask: Mask | None = None
        for part, shown in states:
            named = part.below.get(key)
            if named is None:
                if shown:
                    return value
            elif named.mask is not None:
                mask = mask or named.mask
            elif not named.hide and (named.show or shown or named.below):
                if not named.below:
                    return value
                below.append((named, named.show or shown))
        if below:
            return self._walk(value, below)
        return _missing if mask is None else masked(mask, value, self._digest)


_Walk = Callable[[object], object]
"""Value → what is shown of it, or `_missing`."""
_Fits = Callable[[object], bool | None]


def _walker(part: _Part, digest: Digest, *, shown: bool) -> _Walk:
    """Return what `_Look._walk` does where one grant speaks, in a third of the time: what a key means is known before.

    `shown`: whether what the grant does not name is shown."""
    if shown and not part.below:
        return _as_it_is
    kept, dropped, deeper = set[str](), set[str](), dict[str, _Walk]()
    for key, named in part.below.items():
        if named.mask is not None:
            deeper[key] = masker(named.mask, digest)
        elif named.hide or not (named.below or named.show or shown):
            dropped.add(key)
        elif named.below:
            deeper[key] = _walker(named, digest, shown=named.show or shown)
        else:
            kept.add(key)
    kept.update(deeper)

    def walk(value: object) -> object:
        if isinstance(value, list):
            return [inner for each in cast("list[object]", value) if (inner := walk(each)) is not _missing]
        if not isinstance(value, dict):
            return value if shown else _missing
        given = cast("dict[str, object]", value)
        if shown:
            found = {key: inner for key, inner in given.items() if key not in dropped}
        else:
            found = {key: inner for key, inner in given.items() if key in kept}
        for key, under in deeper.items():
            if key in found:
                inner = found[key] = under(found[key])
                if inner is _missing:
                    del found[key]
        return found

    return walk


@dataclass(frozen=True, slots=True)
class _Way:
    """What a grant says of places in results, worked out. It holds what it was made of: so their ids stay theirs."""

    grant: CallGrant
    digest: Digest
    state: _State
    walk: _Walk


_ways: dict[tuple[int, int, frozenset[str]], _Way] = {}
_most_ways = 1024


def _way(grant: CallGrant, hidden: frozenset[str], digest: Digest) -> _Way:
    """Return how a grant is followed: made once, for it is the same for every result."""
    key = (id(grant), id(digest), hidden)
    known = _ways.get(key)
    if known is None:
        if len(_ways) >= _most_ways:
            _ways.clear()
        part, shown = _parts(grant, hidden), grant.fields is None
        known = _ways[key] = _Way(grant, digest, (part, shown), _walker(part, digest, shown=shown))
    return known


def _as_it_is(value: object) -> object:
    return value


def _all_of(conditions: _Conditions, resolve: Resolve, now: datetime) -> _Fits:
    """Return whether an item is known to match, known not to (False), or neither (None)."""
    if len(conditions) == 1 and len(conditions[0][0]) == 1:
        (key,), check = conditions[0][0], checker(conditions[0][1], resolve, now)
        return lambda item: check(cast("dict[str, object]", item).get(key) if isinstance(item, dict) else None)
    checks = tuple((keys, checker(matcher, resolve, now)) for keys, matcher in conditions)
    return lambda item: all_of(check(_value(item, keys)) for keys, check in checks)


_Conditions = tuple[tuple[tuple[str, ...], Matcher], ...]


def _conditions(items: Mapping[str, Matcher]) -> _Conditions:
    """Return what items must match, with the paths taken apart."""
    return tuple((tuple(path.split(".")), matcher) for path, matcher in items.items())


def _parts(grant: CallGrant, hidden: frozenset[str]) -> _Part:
    root = _Part()
    for path in grant.fields or ():
        root.at(path).show = True
    for path, mask in grant.masks.items():
        root.at(path).mask = mask
    for path in grant.hidden | hidden:
        part = root.at(path)
        part.hide, part.mask, part.show = True, None, False
    return root


def _value(item: object, path: Sequence[str]) -> object:
    """Return the value at a path of an item; None when there is none. It does not lead through lists."""
    for key in path:
        if not isinstance(item, dict):
            return None
        item = cast("dict[str, object]", item).get(key)
    return item


def _at(result: object, path: Sequence[str]) -> object:
    for key in path:
        if not isinstance(result, dict):
            return _missing
        result = cast("dict[str, object]", result).get(key, _missing)
    return result


def _within(path: Sequence[str], value: object) -> object:
    for key in reversed(path):
        value = {key: value}
    return value
