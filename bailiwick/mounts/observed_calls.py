"""What a call of a tool, a route or a function used, where the session is observed: its arguments, and what it showed.

No I/O. Nothing of it is made for sessions that are not observed.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import cast

from bailiwick.decide.calls import Admitted
from bailiwick.decide.seen import Observer, is_harmless
from bailiwick.gateway.observing import path_is_clear
from bailiwick.model.observation import Argument, Held, Seen, ToolUse
from bailiwick.model.observation_record import used_json
from bailiwick.model.record import JsonValue

_most_items, _most_paths, _most_values = 50, 100, 5
"""Of a result, what is looked at: items, paths in them, different values at each path."""
_deepest = 8


class Watched:
    """One call that is observed."""

    def __init__(self, admitted: Admitted, observer: Observer) -> None:
        self._tool = admitted.tool
        self._observer = observer
        self._labels = admitted.tool.resource.labels
        self._items = admitted.tool.tool.items
        self._name = admitted.tool.resource.name
        given = admitted.arguments.items()
        self._arguments = tuple(Argument(name, self._seen(name, value)) for name, value in given)
        self._read: set[str] = set()
        self._holds: dict[str, list[Seen]] = {}
        self._cut: set[str] = set()
        """Paths of which not every value is kept."""

    def result(self, shown: object) -> None:
        """Look at what the agent is shown of the result, as JSON; anything else has no paths."""
        found = self._found(shown)
        items = cast("list[object]", found) if isinstance(found, list) else [found]
        for place, item in enumerate(items):
            for path, value in _leaves(item, "", 0):
                self._hold(path, value, kept=place < _most_items)

    def used(self, cost: Decimal | None) -> dict[str, JsonValue]:
        """Return what it used, as its record has it."""
        tool = self._tool.tool
        holds = (Held(path, tuple(values), path not in self._cut) for path, values in sorted(self._holds.items()))
        use = ToolUse(
            tool.name,
            tool.action.resource,
            tool.action.verb,
            tool.kind,
            self._arguments,
            tuple(sorted(self._read)),
            tuple(holds),
            tuple(sorted(tool.effects)),
        )
        return used_json((), use, self._observer.first(), cost)

    def _seen(self, name: str, value: object) -> Seen:
        return self._observer.seen(value, clear=is_harmless(value) and path_is_clear(self._labels, name))

    def _found(self, shown: object) -> object:
        for key in self._items:
            shown = cast("dict[str, object]", shown).get(key) if isinstance(shown, dict) else None
        return shown

    def _hold(self, path: str, value: object, *, kept: bool) -> None:
        if path not in self._read and len(self._read) >= _most_paths:
            return
        self._read.add(path)
        clear = path_is_clear(self._labels, path)
        values = self._holds.setdefault(path, [])
        seen = self._observer.seen(value, clear=clear)
        if seen not in values:
            if kept and len(values) < _most_values:
                values.append(seen)
            else:
                self._cut.add(path)
        self._observer.told(f"{self._name}.{path}" if path else self._name, value, clear=clear)


def _leaves(value: object, path: str, depth: int) -> Iterator[tuple[str, object]]:
    """Yield the values of an item with their paths; lists are passed through."""
    if isinstance(value, dict) and depth < _deepest:
        for key, inner in cast("dict[str, object]", value).items():
            yield from _leaves(inner, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list) and depth < _deepest:
        for inner in cast("list[object]", value):
            yield from _leaves(inner, path, depth + 1)
    elif path:
        yield path, value
