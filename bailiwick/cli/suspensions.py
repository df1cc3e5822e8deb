"""What `agent`, `mount`, `stop`, `resume` and `status` have in common: they ask the gateway that runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from bailiwick.gateway.admin_client import AdminClient
    from bailiwick.gateway.wire import Json

PolicyPath = Annotated[Path, typer.Option("--policy", help="The policy that the gateway serves.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="Default: gateway.yaml beside the policy.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept in the ledger, and not told to agents.")]
HERE = Path("policy.yaml")


def client(policy: Path, config: Path | None) -> AdminClient:
    """Return who answers for the gateway that is asked."""
    from bailiwick.cli.asking import client_of

    return client_of(policy, config)


def say(found: Mapping[str, Json], words: str, *, as_json: bool) -> None:
    """Print what was done, as JSON or in words."""
    typer.echo(json.dumps(found, indent=2) if as_json else words)


def sessions_cut(found: Mapping[str, Json]) -> str:
    """Return how many sessions were cut, in words."""
    return "1 session cut" if found["sessions"] == 1 else f"{found['sessions']} sessions cut"


def show(listed: Sequence[Json], *, as_json: bool, nothing: str) -> None:
    """Print suspensions as a table."""
    if as_json:
        typer.echo(json.dumps(listed, indent=2))
        return
    if not listed:
        typer.echo(nothing)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("suspended", "name", "since", "by", "reason"):
        table.add_column(title, overflow="fold")
    for each in cast("Sequence[Mapping[str, Json]]", listed):
        table.add_row(*(escape(str(each[name])) for name in ("kind", "name", "at", "by", "reason")))
    Console().print(table)


def listed(kind: str, policy: Path, config: Path | None) -> list[Json]:
    """Return the suspensions of a kind."""
    found = client(policy, config).ask("suspension.list", {})
    every = cast("Sequence[Mapping[str, Json]]", found["suspensions"])
    return [dict(each) for each in every if each["kind"] == kind]
