"""The parameters that are appended behind an agent's own: session values, `now` and the mask key's pads."""

from __future__ import annotations

from collections.abc import Callable

from bailiwick.sql import plan

Inline = Callable[[plan.Bound], str]
"""Gives the literal for a bound value, where a statement can take no parameters."""


class Parameters:
    """The parameters that we append behind the agent's own. Equal sources of equal types share one."""

    def __init__(self, first: int, inline: Inline | None = None) -> None:
        self.first = first
        self._bound: dict[plan.Bound, int] = {}
        self._inline = inline

    def use(self, source: plan.Source, type_name: str) -> str:
        """Return the SQL text that stands for the value."""
        bound = plan.Bound(source, type_name)
        if self._inline is not None:
            return self._inline(bound)
        return f"${self.number(bound)}"

    def number(self, bound: plan.Bound) -> int:
        """Return the number of the parameter that is bound so; never for `inline` ones."""
        return self._bound.setdefault(bound, self.first + len(self._bound))

    @property
    def bound(self) -> tuple[plan.Bound, ...]:
        """The parameters so far, in order."""
        return tuple(self._bound)

    @property
    def inline(self) -> bool:
        """Whether values are given as literals; then nothing made with them may be kept."""
        return self._inline is not None
