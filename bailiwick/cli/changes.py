"""`bailiwick changes`: the held changes of the gateway that runs: writes that wait for people to decide on them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from bailiwick.gateway.admin_client import AdminClient
    from bailiwick.gateway.wire import Json

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

PolicyPath = Annotated[Path, typer.Option("--policy", help="The policy that the gateway serves.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="Default: gateway.yaml beside the policy.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_here = Path("policy.yaml")


@app.command("list")
def list_changes(
    everything: Annotated[bool, typer.Option("--all", help="Also those whose session has ended.")] = False,
    as_json: AsJson = False,
    policy: PolicyPath = _here,
    config: ConfigPath = None,
) -> None:
    """List the changes that wait, the newest first."""
    found = _client(policy, config).ask("change.list", {"all": everything})
    changes = cast("Sequence[Mapping[str, Json]]", found["changes"])
    if as_json:
        typer.echo(json.dumps(changes, indent=2))
        return
    if not changes:
        typer.echo("no changes" if everything else "no changes wait")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("change", "state", "agent", "user", "actions", "rows", "held at"):
        table.add_column(title, overflow="fold", no_wrap=title == "change")
    for each in changes:
        names = ("id", "state", "agent", "user", "actions", "rows", "made_at")
        table.add_row(*(escape(_cell(each[name])) for name in names))
    Console().print(table)


@app.command()
def show(
    change: Annotated[str, typer.Argument(metavar="CHANGE", help="Its id, as `changes list` shows it.")],
    as_json: AsJson = False,
    policy: PolicyPath = _here,
    config: ConfigPath = None,
) -> None:
    """Show a change: what would run, how many rows it would write, and up to 20 of them before and after."""
    found = cast("Mapping[str, Json]", _client(policy, config).ask("change.show", {"change": change})["change"])
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        if name not in ("shown", "parameters"):
            typer.echo(f"{name:<11}{_cell(value)}")
    parameters = cast("Mapping[str, Json]", found["parameters"])
    for place, value in enumerate(cast("Sequence[Json]", parameters["values"]), 1):
        typer.echo(f"{f'${place}':<11}{'NULL' if value is None else _cell(value)}")
    for row in cast("Sequence[Mapping[str, Json]]", found["shown"]):
        typer.echo(f"row {_cell(row['key'])}")
        for line in _differences(row):
            typer.echo(f"  {line}")


def _differences(row: Mapping[str, Json]) -> list[str]:
    """Return what a change does to one row: new values, each with the old one; all values of one that comes or goes."""
    before = cast("Mapping[str, str | None] | None", row["before"])
    after = cast("Mapping[str, str | None] | None", row["after"])
    if before is None or after is None:
        sign = "-" if after is None else "+"
        return [f"{sign} {name}: {_value(value)}" for name, value in (before or after or {}).items()]
    changed = [name for name in after if before.get(name) != after[name]]
    return [f"{name}: {_value(before.get(name))} -> {_value(after[name])}" for name in changed] or ["as it was"]


def _value(value: str | None) -> str:
    return "NULL" if value is None else repr(value)


def _cell(value: Json) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(_cell(each) for each in value)
    return value if isinstance(value, str) else json.dumps(value)


def _client(policy: Path, config: Path | None) -> AdminClient:
    import os

    from bailiwick.gateway.admin_client import AdminClient
    from bailiwick.gateway.config import load_config

    return AdminClient(load_config(policy, os.environ, config).admin_socket, f"bailiwick serve {policy}")
