"""Commands that start at once.

typer converts every value that is not there already through pydantic, whose import costs 0.3 s: also the absent
`--help` of each group and command on the way. Here those flags are false unless given, so a command without declared
arguments never needs it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from typer._click import Context, Parameter  # typer carries its own click and exports no names of it

_FLAGS = frozenset({"help", "install_completion", "show_completion"})


class QuickCommand(TyperCommand):
    """A command for `@app.command(cls=QuickCommand)`."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Parse as ever, with the flags that everything has false instead of absent."""
        _settle(self.get_params(ctx))
        return super().parse_args(ctx, args)


class QuickGroup(TyperGroup):
    """A group for `typer.Typer(cls=QuickGroup)`."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Parse as ever, with the flags that everything has false instead of absent."""
        _settle(self.get_params(ctx))
        return super().parse_args(ctx, args)


def _settle(parameters: Iterable[Parameter]) -> None:
    for parameter in parameters:
        if parameter.name in _FLAGS and parameter.default is None:
            parameter.default = False
