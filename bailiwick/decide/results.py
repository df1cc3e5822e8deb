"""What a session sees of a tool's result: items, fields and masks over JSON. Pure; values in, values out.

Grants add up: an item is shown if some grant admits it, a field of it in clear if some grant that admits *that item*
shows it clear, else masked, else not at all. A path leads through lists. What cannot be understood is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from bailiwick.match.evaluate import Resolve, holds
from bailiwick.match.masks import Digest, masked
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
    look = _Look(view, resolve, now, digest)
    if isinstance(looked_at, list):
        kept = look.items(cast("list[object]", looked_at))
        return Shown(_within(view.path, kept), len(kept))
    one = look.item(looked_at)
    if one is _missing:
        return Shown(None, 0, found=False)
    return Shown(_within(view.path, one), 1)


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
        self._resolve = resolve
        self._now = now
        self._digest = digest
        self._states: dict[str, _State] = {
            grant.grant: (_parts(grant, view.hidden), grant.fields is None) for grant in view.grants
        }
        self._every = list(self._states.values())
        self._conditions = {grant.grant: _conditions(grant.items) for grant in (*view.grants, *view.denies)}
        self._conditional = any(grant.items for grant in view.grants)

    def items(self, found: Iterable[object]) -> list[object]:
        """Return the items that are shown."""
        return [shown for shown in map(self.item, found) if shown is not _missing]

    def item(self, item: object) -> object:
        """Return what is shown of an item; `_missing` when it is none of those."""
        for deny in self._view.denies:
            if self._fits(deny, item) is not False:
                return _missing
        states = self._every
        if self._conditional:
            states = [self._states[grant.grant] for grant in self._view.grants if self._fits(grant, item) is True]
        return self._walk(item, states) if states else _missing

    def _fits(self, grant: CallGrant, item: object) -> bool | None:
        unknown = False
        for keys, matcher in self._conditions[grant.grant]:
            known = holds(matcher, _value(item, keys), self._resolve, self._now)
            if known is False:
                return False
            unknown = unknown or known is None
        return None if unknown else True

    def _walk(self, value: object, states: Sequence[_State]) -> object:
        if len(states) == 1:
            return self._alone(value, *states[0])
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

    def _alone(self, value: object, part: _Part, shown: bool) -> object:  # a state, taken apart
        """Return the same as `_walk` where one grant speaks, in half the time."""
        below = part.below
        if shown and not below:
            return value
        if isinstance(value, list):
            kept = [self._alone(inner, part, shown) for inner in cast("list[object]", value)]
            return [inner for inner in kept if inner is not _missing]
        if not isinstance(value, dict):
            return value if shown else _missing
        found: dict[str, object] = {}
        for key, inner in cast("dict[str, object]", value).items():
            named = below.get(key)
            if named is None:
                if shown:
                    found[key] = inner
            elif named.mask is not None:
                found[key] = masked(named.mask, inner, self._digest)
            elif not named.below:
                if not named.hide and (named.show or shown):
                    found[key] = inner
            elif not named.hide:
                under = self._alone(inner, named, named.show or shown)
                if under is not _missing:
                    found[key] = under
        return found


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
