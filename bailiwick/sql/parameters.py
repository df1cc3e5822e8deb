"""The parameters that are appended behind an agent's own: session values, `now` and the mask key's pads.

COPY takes no parameters: what stands for a value there reads it from a setting, in which the mount puts it for as long
as the statement runs. So no value of ours ever stands in a text.
"""

from __future__ import annotations

from bailiwick.sql import plan


class Parameters:
    """The parameters that we append behind the agent's own. Equal sources of equal types share one."""

    def __init__(self, first: int, *, lent: bool = False) -> None:
        """`lent`: the statement takes no parameters, and reads its values from settings."""
        self.first = first
        self.lent = lent
        """If so, a text holds the number of a value, and nothing made with these may be kept for another statement."""
        self._bound: dict[plan.Bound, int] = {}

    def use(self, source: plan.Source, type_name: str) -> str:
        """Return the SQL text that stands for the value."""
        bound = plan.Bound(source, type_name)
        number = self.number(bound)
        return _setting(number, type_name) if self.lent else f"${number}"

    def number(self, bound: plan.Bound) -> int:
        """Return the number of the parameter that is bound so."""
        return self._bound.setdefault(bound, self.first + len(self._bound))

    @property
    def bound(self) -> tuple[plan.Bound, ...]:
        """The parameters so far, in order."""
        return tuple(self._bound)


def _setting(number: int, type_name: str) -> str:
    """Return a sub-query, which is evaluated once, of what a setting holds: nothing (NULL), or `=` and the value."""
    held = f"NULLIF(pg_catalog.current_setting('{plan.LENT}{number}'), '')"
    return f"((SELECT pg_catalog.substr({held}, 2))::{type_name})"
