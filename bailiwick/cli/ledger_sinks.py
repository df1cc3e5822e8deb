"""`bailiwick ledger sinks`: where the ledger is delivered, how far, and whether it arrives."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bailiwick.cli.suspensions import HERE, AsJson, ConfigPath, PolicyPath, client

if TYPE_CHECKING:
    from bailiwick.gateway.wire import Json

app = typer.Typer(rich_markup_mode=None)
_NONE = "gateway.yaml has no `sinks`: the ledger is delivered nowhere"


@app.callback(invoke_without_command=True)
def sinks(asked: typer.Context, as_json: AsJson = False, policy: PolicyPath = HERE, config: ConfigPath = None) -> None:
    """List the sinks: how far each was delivered, what waits for it, why it fails."""
    if asked.invoked_subcommand is not None:
        return
    found = cast("Sequence[Mapping[str, Json]]", client(policy, config).ask("sinks.list", {})["sinks"])
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for each in found:
        typer.echo(sink_line(each))
    if not found:
        typer.echo(_NONE)


@app.command("test")
def send_test(
    sink: Annotated[str | None, typer.Argument(metavar="SINK", help="Default: all of `sinks`.")] = None,
    as_json: AsJson = False,
    policy: PolicyPath = HERE,
    config: ConfigPath = None,
) -> None:
    """Send a test now, which is marked as one. Exit code 1 if a sink did not take it."""
    found = cast("Sequence[Mapping[str, Json]]", client(policy, config).ask("sinks.test", {"sink": sink})["sinks"])
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    for each in () if as_json else found:
        typer.echo(f"{each['sink']}: {each['how']}" + (f" ({each['reason']})" if each["reason"] else ""))
    if not found and not as_json:
        typer.echo(_NONE)
    if any(each["how"] != "sent" for each in found):
        raise typer.Exit(1)


def sink_line(each: Mapping[str, Json]) -> str:
    """Return how a sink stands, in one line."""
    words = [f"{each['name']} ({each['kind']}, {each['format']}): {each['state']}"]
    if each["behind"]:
        words.append(f"{each['behind']} records behind, the oldest of {each['since']}")
    words.append(f"{each['delivered']} delivered")
    if each["refused"]:
        words.append(f"{each['refused']} refused")
    if each["reason"]:
        words.append(str(each["reason"]))
    return ", ".join(words)
