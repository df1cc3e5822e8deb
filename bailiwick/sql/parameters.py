"""The parameters that are appended behind an agent's own: session values, `now` and the mask key's pads.

COPY takes no parameters: what stands for a value there reads it from a setting, in which the mount puts it for as long
as the statement runs. So no value of ours ever stands in a text.
"""

from __future__ import annotations

from collections.abc import Callable

from bailiwick.sql import plan

Inline = Callable[[plan.Bound, int], str]
"""Gives what stands in the text for a bound value, the how-manieth it is, where there are no parameters."""


class Parameters:
    """The parameters that we append behind the agent's own. Equal sources of equal types share one."""

    def __init__(self, first: int, inline: Inline | None = None) -> None:
        self.first = first
        self._inline = inline
        self._bound: dict[plan.Bound, int] = {}

    def use(self, source: plan.Source, type_name: str) -> str:
        """Return the SQL text that stands for the value."""
        bound = plan.Bound(source, type_name)
        number = self.number(bound)
        return f"${number}" if self._inline is None else self._inline(bound, number)

    def number(self, bound: plan.Bound) -> int:
        """Return the number of the parameter that is bound so."""
        return self._bound.setdefault(bound, self.first + len(self._bound))

    @property
    def bound(self) -> tuple[plan.Bound, ...]:
        """The parameters so far, in order."""
        return tuple(self._bound)

    @property
    def inline(self) -> bool:
        """Whether something else than parameters stands in the text; then nothing made with them may be kept."""
        return self._inline is not None


def lent(bound: plan.Bound, number: int) -> str:
    """Return a sub-query, which is evaluated once, of what a setting holds: nothing (NULL), or `=` and the value."""
    held = f"NULLIF(pg_catalog.current_setting('{plan.LENT}{number}'), '')"
    return f"((SELECT pg_catalog.substr({held}, 2))::{bound.type})"
