"""`bailiwick notify`: whether people can be told, and what they were told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bailiwick.cli.suspensions import HERE, AsJson, ConfigPath, PolicyPath, client

if TYPE_CHECKING:
    from bailiwick.gateway.wire import Json

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.command("test")
def send_test(
    channel: Annotated[str | None, typer.Argument(metavar="CHANNEL", help="Default: all of `notify`.")] = None,
    as_json: AsJson = False,
    policy: PolicyPath = HERE,
    config: ConfigPath = None,
) -> None:
    """Send a test notice now. Exit code 1 if one of them did not arrive."""
    found = client(policy, config).ask("notify.test", {"channel": channel})
    channels = cast("Sequence[Mapping[str, Json]]", found["channels"])
    if as_json:
        typer.echo(json.dumps(channels, indent=2))
    elif not channels:
        typer.echo("gateway.yaml has no `notify`: nobody is told anything")
    else:
        for each in channels:
            typer.echo(f"{each['channel']}: {each['how']}" + (f" ({each['reason']})" if each["reason"] else ""))
    if any(each["how"] != "sent" for each in channels):
        raise typer.Exit(1)


@app.command("list")
def list_notices(as_json: AsJson = False, policy: PolicyPath = HERE, config: ConfigPath = None) -> None:
    """List what people were told in the last days, and what has become of it."""
    notices = cast("Sequence[Mapping[str, Json]]", client(policy, config).ask("notify.list", {})["notices"])
    if as_json:
        typer.echo(json.dumps(notices, indent=2))
        return
    if not notices:
        typer.echo("no notices")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("made at", "channel", "notice", "state", "attempts", "reason"):
        table.add_column(title, overflow="fold")
    for each in notices:
        names = ("made_at", "channel", "title", "state", "attempts", "reason")
        table.add_row(*(escape(str(each[name])) for name in names))
    Console().print(table)
