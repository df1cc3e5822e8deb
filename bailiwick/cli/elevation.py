"""`bailiwick elevation`: extra roles for a while: ask for one, decide on it, see what is in force, end it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bailiwick.cli.suspensions import HERE, AsJson, ConfigPath, PolicyPath, client

if TYPE_CHECKING:
    from bailiwick.gateway.wire import Json

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
Named = Annotated[str, typer.Argument(metavar="ID", help="As `elevation list` shows it.")]


@app.command()
def request(
    elevation: Annotated[str, typer.Argument(metavar="ELEVATION", help="Its name in the policy.")],
    duration: Annotated[str, typer.Option("--for", help="How long, e.g. 30m.")],
    reason: Annotated[str, typer.Option("--reason", help="What it is for.", prompt=True)],
    agent: Annotated[str | None, typer.Option("--agent", help="For all sessions of this agent.")] = None,
    session: Annotated[str | None, typer.Option("--session", help="For this session.")] = None,
    as_json: AsJson = False,
    policy: PolicyPath = HERE,
    config: ConfigPath = None,
) -> None:
    """Ask for an elevation of a session or an agent; somebody else has to approve it."""
    fields: dict[str, Json] = {"elevation": elevation, "duration": duration, "reason": reason}
    asked = client(policy, config).ask("elevation.request", {**fields, "agent": agent, "session": session})
    found = cast("Mapping[str, Json]", asked["elevation"])
    _say(found, f"{found['id']} waits for {', '.join(cast('list[str]', found['approvers']))}", as_json=as_json)


@app.command("list")
def list_elevations(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    as_json: AsJson = False,
    policy: PolicyPath = HERE,
    config: ConfigPath = None,
) -> None:
    """List what waits for people and what is in force."""
    found = client(policy, config).ask("elevation.list", {"all": everything})
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    rows = [
        *(("waits", each, "") for each in _of(found, "waiting")),
        *(("in force", each, f"until {each['ends_at']}") for each in _of(found, "in_force")),
        *((str(each["ended"]), each, f"until {each['ends_at']} at most") for each in _of(found, "over")),
    ]
    if not rows:
        typer.echo("no elevations")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("id", "elevation", "of", "state", "", "reason"):
        table.add_column(title, overflow="fold", no_wrap=title == "id")
    for state, each, until in rows:
        whose = f"{each['agent']} in {each['session']}" if each["session"] else str(each["agent"])
        cells = (str(each["id"]), str(each["elevation"]), whose, state, until, str(each["reason"]))
        table.add_row(*map(escape, cells))
    Console().print(table)


@app.command()
def approve(elevation: Named, as_json: AsJson = False, policy: PolicyPath = HERE, config: ConfigPath = None) -> None:
    """Approve it, as it stands now: it begins at once."""
    asking = client(policy, config)
    found = cast("Mapping[str, Json]", asking.ask("elevation.show", {"elevation": elevation})["elevation"])
    told = asking.ask("approval.approve", {"approval": elevation, "digest": found["digest"]})
    words = f"{found['elevation']} for {found['agent']}, {found['seconds']} s: approved"
    _say(cast("Mapping[str, Json]", told["approval"]), words, as_json=as_json)


@app.command()
def deny(
    elevation: Named,
    reason: Annotated[str, typer.Option("--reason", help="Why; the agent reads it.", prompt=True)],
    as_json: AsJson = False,
    policy: PolicyPath = HERE,
    config: ConfigPath = None,
) -> None:
    """Deny it, and say why."""
    told = client(policy, config).ask("approval.deny", {"approval": elevation, "reason": reason})
    _say(cast("Mapping[str, Json]", told["approval"]), f"{elevation} denied", as_json=as_json)


@app.command()
def revoke(
    elevation: Named,
    reason: Annotated[str, typer.Option("--reason", help="Why; for the ledger.")] = "",
    as_json: AsJson = False,
    policy: PolicyPath = HERE,
    config: ConfigPath = None,
) -> None:
    """End one that is in force, at once."""
    told = client(policy, config).ask("elevation.revoke", {"elevation": elevation, "reason": reason})
    _say(cast("Mapping[str, Json]", told["elevation"]), f"{elevation} is over", as_json=as_json)


def _of(found: Mapping[str, Json], name: str) -> Sequence[Mapping[str, Json]]:
    return cast("Sequence[Mapping[str, Json]]", found[name])


def _say(found: Mapping[str, Json], words: str, *, as_json: bool) -> None:
    typer.echo(json.dumps(found, indent=2) if as_json else words)
