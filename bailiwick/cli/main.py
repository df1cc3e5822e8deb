"""The root of the command line. A command's module is imported only when that command is invoked.

Every module of `bailiwick.cli` that is named in `commands` exposes `app`, a `typer.Typer`: a group of several
commands, or a single command, which is mounted under the name given here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer
from typer.main import get_command, get_group

from bailiwick.cli.quick import QuickGroup
from bailiwick.errors import BailiwickError

if TYPE_CHECKING:
    from typer._click import Command, Context  # typer carries its own click and exports no names of it


@dataclass(frozen=True, slots=True)
class Entry:
    """One name of the root: the module that has it, and the line that `--help` shows without importing it."""

    summary: str
    group: bool = False


commands: Mapping[str, Entry] = {
    "demo": Entry("Run a scripted agent on a made-up support desk."),
    "init": Entry("Write a starter policy from a live database; it grants nothing."),
    "accept": Entry("Show what changed in the databases, and accept it in the lock."),
    "drift": Entry("Show what changed behind the mounts since it was accepted."),
    "serve": Entry("Run the gateway for one policy."),
    "status": Entry("Show how the gateway stands, and what is suspended."),
    "stop": Entry("Stop everything that agents do, at once.", group=True),
    "resume": Entry("Let agents go on after `stop everything`.", group=True),
    "doctor": Entry("Look an installation over, or the place where an agent runs."),
    "session": Entry("Open, list, show, suspend, close and revoke sessions.", group=True),
    "agent": Entry("Suspend agents, and let them go on.", group=True),
    "mount": Entry("Close mounts, and open them again.", group=True),
    "approvals": Entry("See, approve, deny or modify what waits for people.", group=True),
    "elevation": Entry("Extra roles for a while: ask, approve, deny, revoke, list.", group=True),
    "notify": Entry("Test the ways to tell people, and list what they were told.", group=True),
    "review": Entry("Recertify what agents may do, line by line, with the evidence.", group=True),
    "policy": Entry("Check, lint, compare and promote policies.", group=True),
    "matrix": Entry("Show what each agent may do with each resource, in words."),
    "explain": Entry("Show how a statement or an action would be decided, and why."),
    "postgres": Entry("Compile, apply, compare, remove the policy inside PostgreSQL.", group=True),
    "mcp": Entry("Serve, import and connect clients that speak MCP.", group=True),
    "http": Entry("Write mounts for HTTP APIs from their OpenAPI documents.", group=True),
    "files": Entry("List versions of files that agents changed, and put them back.", group=True),
    "console": Entry("Log in to the console of the gateway that runs.", group=True),
    "learn": Entry("Propose the smallest policy that covers what an agent needs.", group=True),
    "ledger": Entry("Read, query and verify the audit ledger; prove records.", group=True),
}


ELSEWHERE = "BAILIWICK_GATEWAY"
"""Environment variable with the URL of a gateway elsewhere that is asked."""
_of_the_root = ("install_completion", "show_completion")
"""Options that typer gives to whatever it is asked for; they belong to the root alone."""


class LazyGroup(QuickGroup):
    """Knows its commands by their summaries alone; imports one only to run or complete it."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Parse as ever, after taking `--gateway URL`: a declared option with a value is slow (see `cli.quick`)."""
        first, _, value = args[0].partition("=") if args else ("", "", "")
        if first == "--gateway":
            taken = 1 if value else 2
            os.environ[ELSEWHERE] = value or (args[1] if len(args) > 1 else "")
            args = args[taken:]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """Return the command that was named, imported."""
        name, found, rest = super().resolve_command(ctx, args)
        return (name, found, rest) if name is None else (name, load(name), rest)


def load(name: str) -> Command:
    """Import a command's module and return the command, named as the root names it."""
    app: typer.Typer = import_module(f"bailiwick.cli.{name}").app
    command = get_group(app) if commands[name].group else get_command(app)
    command.params = [each for each in command.params if each.name not in _of_the_root]
    command.name = name
    if not command.help:
        command.help = commands[name].summary
    return command


app = typer.Typer(
    name="bailiwick",
    cls=LazyGroup,
    help="Least privilege for AI agents: what one agent may see and do, for one user, in one task, for a while."
    " Before a command, `--gateway URL` (or BAILIWICK_GATEWAY) asks a gateway elsewhere, by its API.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def print_version(wanted: bool) -> None:
    """Print the version and exit, if `--version` was given."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"bailiwick {version('bailiwick')}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def _summarised() -> None:
    """Stand in for a command in `--help`; `LazyGroup` puts the real one in its place before it runs."""


for _name, _entry in commands.items():
    app.command(_name, help=_entry.summary)(_summarised)


def run() -> None:
    """Run the command line. Exit codes: 0 as asked, 1 refused or failed, 2 used wrongly."""
    try:
        app()
    except BailiwickError as error:
        typer.echo(f"error: {error.message}", err=True)
        if error.remedy:
            typer.echo(f"  {error.remedy}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    run()
