"""`bailiwick status`: how the gateway that runs stands."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import typer

from bailiwick.cli.ledger_sinks import sink_line
from bailiwick.cli.suspensions import HERE, AsJson, ConfigPath, PolicyPath, client
from bailiwick.cli.suspensions import show as show_suspensions

if TYPE_CHECKING:
    from bailiwick.gateway.wire import Json

app = typer.Typer(rich_markup_mode=None)


@app.command()
def status(as_json: AsJson = False, policy: PolicyPath = HERE, config: ConfigPath = None) -> None:
    """Show the policy in force, where agents connect, the open sessions, and what is suspended."""
    asking = client(policy, config)
    found = asking.ask("status", {})
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    typer.echo(f"{'policy:':<13} {found['policy']}")
    for name, place in cast("Mapping[str, Mapping[str, Json]]", found["fronts"]).items():
        address = place.get("url") or f"{place['host']}:{place['port']}"
        typer.echo(f"{name + ':':<13} {address}")
    typer.echo(f"{'sessions:':<13} {found['sessions']} open, {found['connections']} connections")
    for each in cast("Sequence[Mapping[str, Json]]", found.get("sinks", ())):
        typer.echo(f"{'sink:':<13} {sink_line(each)}")
    for said in cast("list[str]", found["observed"]):
        typer.echo(f"{'observe:':<13} {said}")
    if found["pending"]:
        typer.echo("a changed policy waits to be promoted: `bailiwick policy pending`")
    for each in cast("list[Mapping[str, Json]]", asking.ask("review.status", {})["agents"]):
        if each["overdue"]:
            off = len(cast("list[Json]", each["off"]))
            said = f"; {off} of its grants are turned off" if off else ""
            typer.echo(f"the review of {each['agent']} is overdue since {each['due_at']}{said}")
    show_suspensions(cast("list[Json]", found["suspensions"]), as_json=False, nothing="nothing is suspended")
