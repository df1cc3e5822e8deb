"""What a call of a tool, a route or a function used, where the session is observed: its arguments, and what it showed.

No I/O. Nothing of it is made for sessions that are not observed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Protocol, cast

from bailiwick.decide.calls import Admitted
from bailiwick.decide.seen import Observer, is_harmless
from bailiwick.gateway.observing import open_levels, path_is_clear
from bailiwick.model.files import facts
from bailiwick.model.observation import Argument, Held, Seen, ToolUse
from bailiwick.model.observation_record import used_json
from bailiwick.model.record import JsonValue
from bailiwick.model.tool import Tool

_most_items, _most_paths, _most_values = 50, 100, 5
"""Of a result, what is looked at: items, paths in them, different values at each path."""
_deepest = 8


class Watching(Protocol):
    """Looks at something that is observed, and says what it used once it is over."""

    def used(self, cost: Decimal | None) -> dict[str, JsonValue]:
        """Return what it used, as its record has it."""
        ...


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

    def told(self, shown: object) -> None:
        """Remember what is shown of a result whose names are the agent's own: they say nothing of labels."""
        for _, value in _leaves(shown, "result", 0):
            self._observer.told(self._name, value, clear=False)

    def selected(self, fields: Iterable[str]) -> None:
        """Note paths of the result that are asked for, whether there is something or not."""
        self._read.update(list(fields)[:_most_paths])

    def used(self, cost: Decimal | None) -> dict[str, JsonValue]:
        """Return what it used, as its record has it."""
        return used_json((), self.use(), self._observer.first(), cost)

    def use(self) -> ToolUse:
        """Return what it used so far."""
        tool = self._tool.tool
        holds = (Held(path, tuple(values), path not in self._cut) for path, values in sorted(self._holds.items()))
        return ToolUse(
            tool.name,
            tool.action.resource,
            tool.action.verb,
            tool.kind,
            self._arguments,
            tuple(sorted(self._read)),
            tuple(holds),
            tuple(sorted(tool.effects)),
        )

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


class Several:
    """Several calls that are one request: the fields of an operation."""

    def __init__(self, calls: Sequence[Watched], observer: Observer) -> None:
        self.calls = calls
        self._observer = observer

    def used(self, cost: Decimal | None) -> dict[str, JsonValue]:
        """Return what they used."""
        first, *more = (each.use() for each in self.calls)
        return used_json((), first, self._observer.first(), cost, tuple(more))


class Facts:
    """What is done with files: what is known of each of them stands for arguments, as grants have it."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._uses: dict[tuple[str, str], ToolUse] = {}

    def file(self, tool: Tool, known: Mapping[str, object], level: str) -> None:
        """Note a file: of each resource and level the first one with what is known of it, of others nothing more."""
        clear = level in open_levels
        given = [Argument(name, self._seen(name, known[name], clear=clear)) for name in facts if name in known]
        action = tool.action
        use = ToolUse(tool.name, action.resource, action.verb, tool.kind, tuple(given))
        self._uses.setdefault((tool.name, level), use)

    def used(self, cost: Decimal | None) -> dict[str, JsonValue]:
        """Return what they are."""
        uses = (*self._uses.values(),)
        return used_json((), uses[0] if uses else None, self._observer.first(), cost, uses[1:])

    def _seen(self, name: str, value: object, *, clear: bool) -> Seen:
        return self._observer.seen(value, clear=name in _ABOUT or clear)


_ABOUT = frozenset({"size", "type", "modified", "level"})
"""What is known of a file and tells nothing of what it is about."""


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
