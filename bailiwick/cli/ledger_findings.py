"""`bailiwick ledger findings`: what agents did that they do not usually do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import typer

from bailiwick.cli.suspensions import HERE, AsJson, ConfigPath, PolicyPath, client

if TYPE_CHECKING:
    from bailiwick.gateway.wire import Json

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command("findings")
def findings(as_json: AsJson = False, policy: PolicyPath = HERE, config: ConfigPath = None) -> None:
    """List departures from what agents usually do, the newest first; the gateway must run."""
    found = cast("Sequence[Mapping[str, Json]]", client(policy, config).ask("findings.list", {})["findings"])
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    if not found:
        typer.echo("nothing out of the usual was found")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("at", "severity", "finding", "record"):
        table.add_column(title, overflow="fold")
    for each in found:
        table.add_row(*(escape(str(each[name])) for name in ("at", "severity", "message", "record")))
    Console().print(table)
