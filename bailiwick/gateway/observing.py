"""What is observed of sessions in observe mode: who looks at their values, and what their records carry of it.

Does no I/O. Where nothing is observed nothing here is called."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from bailiwick.decide.ground import labels_of
from bailiwick.decide.seen import Observer
from bailiwick.gateway.call import Call
from bailiwick.match.masks import Digest
from bailiwick.model.label import level_of, levels
from bailiwick.model.observation import TableUse, ToolUse
from bailiwick.model.observation_record import USED, used_json
from bailiwick.model.record import JsonValue
from bailiwick.model.scope import Scope
from bailiwick.model.session import Session

_open_levels = levels[: levels.index("confidential")]
_most_sessions = 1000


class Observers:
    """The observers of the sessions of a front."""

    def __init__(self, digest: Digest) -> None:
        self._digest = digest
        self._kept: OrderedDict[str, Observer] = OrderedDict()

    def of(self, session: Session) -> Observer:
        """Return who looks at the values of a session."""
        found = self._kept.get(session.id)
        if found is None:
            found = self._kept[session.id] = Observer(session, self._digest)
            if len(self._kept) > _most_sessions:
                self._kept.popitem(last=False)
        return found


def is_clear(scope: Scope, resource: str, field: str) -> bool:
    """Return whether values of a field of a table may stand in records in clear: it is below `confidential`."""
    known = scope.resources.get(resource)
    return known is not None and level_of(labels_of(known.resource, field)) in _open_levels


def path_is_clear(labels: Mapping[str, frozenset[str]], path: str) -> bool:
    """Return whether what stands at a path of a result may: neither it, nor what it is in or has in it, is labelled
    `confidential` or higher."""
    closed = (at for at, marks in labels.items() if level_of(marks) not in _open_levels)
    return not any(at == "*" or f"{path}.".startswith(f"{at}.") or f"{at}.".startswith(f"{path}.") for at in closed)


def observed(call: Call, observer: Observer, tables: Iterable[TableUse] = (), tool: ToolUse | None = None) -> Call:
    """Return the call with what it used, for its records. The first of an observer has the session's values too."""
    detail: dict[str, JsonValue] = {**(call.detail or {}), USED: used_json(tuple(tables), tool, observer.first())}
    return replace(call, detail=detail)
