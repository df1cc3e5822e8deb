"""Plans of texts by their shape: what is the same for texts that differ in their literals only."""

from __future__ import annotations

from bailiwick.sql.literals import Cut, Form, cut
from bailiwick.sql.plan import Plan, with_sql

Shared = tuple[Plan, Form]
"""The plan of a text with stand-ins for its literals, and where these are in its SQL."""

_MOST = 4096
_LONGEST = 2048
"""Characters of a text that is looked up by its shape."""


def cut_for_shape(sql: str) -> Cut | None:
    """Cut a text at its literals; None for one that is not looked up by its shape."""
    return cut(sql) if len(sql) <= _LONGEST else None


class Shapes:
    """What is known of shapes under one scope: what their texts share, or that they share nothing."""

    __slots__ = ("_known", "_most")

    def __init__(self, most: int = _MOST) -> None:
        self._known: dict[str, Shared | None] = {}
        self._most = most

    def knows(self, found: Cut) -> bool:
        """Whether the shape was kept."""
        return found.shape in self._known

    def keep(self, found: Cut, shared: Shared | None) -> None:
        """Keep what texts of the shape share; None: each of them is analysed for itself."""
        if len(self._known) >= self._most:
            self._known.clear()
        self._known[found.shape] = shared

    def shared(self, found: Cut) -> Shared | None:
        """Return what texts of the shape share."""
        return self._known.get(found.shape)

    def plan(self, found: Cut) -> Plan | None:
        """Return the plan of a text, if its shape tells it."""
        known = self._known.get(found.shape)
        return None if known is None else with_sql(known[0], known[1].fill(found.literals))
