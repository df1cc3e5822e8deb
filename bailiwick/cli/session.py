"""`bailiwick session`: open, list, show, suspend, close and revoke sessions of the gateway that runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bailiwick.errors import SessionError

if TYPE_CHECKING:
    from bailiwick.gateway.admin_client import AdminClient
    from bailiwick.gateway.wire import Json

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

PolicyPath = Annotated[Path, typer.Option("--policy", help="The policy that the gateway serves.")]
ConfigPath = Annotated[Path | None, typer.Option("--config", help="Default: gateway.yaml beside the policy.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="Its id, as `session list` shows it.")]
_here = Path("policy.yaml")


class Format(StrEnum):
    """How connection details are given."""

    env = "env"
    service = "service"
    json = "json"


@app.command("open")
def open_session(
    agent: Annotated[str, typer.Option("--agent", help="The agent that acts.")],
    task: Annotated[str | None, typer.Option("--task", help="The task that it does.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="The person it is done for.")] = None,
    group: Annotated[list[str] | None, typer.Option("--group", help="A group of the person; repeatable.")] = None,
    claim: Annotated[list[str] | None, typer.Option("--claim", help="NAME=VALUE of the person; repeatable.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="The tenant.")] = None,
    values: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of the task; repeatable.")] = None,
    ttl: Annotated[str | None, typer.Option("--ttl", help="How long at most, e.g. 30m.")] = None,
    mount: Annotated[
        str | None, typer.Option("--mount", help="The mount to connect to, where there are several.")
    ] = None,
    details: Annotated[Format, typer.Option("--format", help="Of the connection details.")] = Format.env,
    service_file: Annotated[
        Path | None, typer.Option("--service-file", help="For --format service; a passfile is put beside it.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="Write the token alone into this file, for `mcp stdio`.")
    ] = None,
    policy: PolicyPath = _here,
    config: ConfigPath = None,
) -> None:
    """Open a session. Its scope is said on standard error; standard output is fit for `eval`."""
    if details is Format.service and service_file is None:
        raise SessionError("--format service needs a file", remedy="name one: `--service-file PATH`")
    asked: dict[str, Json] = {
        "agent": agent,
        "task": task,
        "user": user,
        "groups": [*(group or [])],
        "claims": cast("dict[str, Json]", _claims(claim or [])),
        "tenant": tenant,
        "values": cast("dict[str, Json]", _pairs("--set", values or [])),
        "ttl": ttl,
        "mounts": [] if mount is None else [mount],
    }
    opened = _client(policy, config).ask("session.open", asked)
    _say(opened)
    if token_file is not None:
        from bailiwick.cli.session_details import write_private

        write_private(token_file, f"{opened['token']}\n")
        typer.echo(f"wrote {token_file}", err=True)
        return
    if details is Format.json:
        typer.echo(json.dumps(opened, indent=2))
        return
    from bailiwick.cli.session_details import Details

    made = Details.of(opened)
    if details is Format.env:
        typer.echo(made.exports())
    elif service_file is not None:
        typer.echo(made.write_service(service_file))


@app.command("list")
def list_sessions(
    everything: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    as_json: AsJson = False,
    policy: PolicyPath = _here,
    config: ConfigPath = None,
) -> None:
    """List the open sessions, the newest first."""
    found = _client(policy, config).ask("session.list", {"all": everything})
    sessions = cast("Sequence[Mapping[str, Json]]", found["sessions"])
    if as_json:
        typer.echo(json.dumps(sessions, indent=2))
        return
    if not sessions:
        typer.echo("no sessions" if everything else "no open sessions")
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("session", "agent", "task", "user", "state", "expires", "connections"):
        table.add_column(title, overflow="fold", no_wrap=title == "session")
    for each in sessions:
        names = ("id", "agent", "task", "user", "state", "expires_at", "connections")
        table.add_row(*(escape(_cell(each[name])) for name in names))
    Console().print(table)


@app.command()
def show(session: SessionId, as_json: AsJson = False, policy: PolicyPath = _here, config: ConfigPath = None) -> None:
    """Show a session and, while it is open, what it may do."""
    found = _client(policy, config).ask("session.show", {"session": session})
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for name, value in cast("Mapping[str, Json]", found["session"]).items():
        if value not in (None, "", [], {}):
            typer.echo(f"{name + ':':<13} {_cell(value)}")
    for line in cast("Sequence[str]", found["words"]):
        typer.echo(f"  {line}")
    for budget in cast("Sequence[Mapping[str, Json]]", found["budgets"]):
        back = f", back from {budget['resets_at']}" if budget["resets_at"] else ""
        typer.echo(f"budget: {budget['name']}: {budget['used']} used ({budget['percent']} %){back}")


@app.command()
def close(session: SessionId, as_json: AsJson = False, policy: PolicyPath = _here, config: ConfigPath = None) -> None:
    """Close a session that is done. Its connections are cut, what is in flight is rolled back."""
    _end("session.close", "closed", session, as_json, _client(policy, config))


@app.command()
def revoke(session: SessionId, as_json: AsJson = False, policy: PolicyPath = _here, config: ConfigPath = None) -> None:
    """Revoke a session at once. Its connections are cut, what is in flight is rolled back."""
    _end("session.revoke", "revoked", session, as_json, _client(policy, config))


@app.command()
def suspend(
    session: SessionId,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept in the ledger, and not told to agents.")],
    as_json: AsJson = False,
    policy: PolicyPath = _here,
    config: ConfigPath = None,
) -> None:
    """Suspend a session at once, without ending it: its connections are cut, nothing is let through."""
    found = _client(policy, config).ask("session.suspend", {"session": session, "reason": reason})
    typer.echo(json.dumps(found, indent=2) if as_json else f"{session} suspended")


@app.command()
def resume(session: SessionId, as_json: AsJson = False, policy: PolicyPath = _here, config: ConfigPath = None) -> None:
    """Let a suspended session go on."""
    found = _client(policy, config).ask("session.resume", {"session": session})
    typer.echo(json.dumps(found, indent=2) if as_json else f"{session} goes on")


def _end(do: str, done: str, session: str, as_json: bool, client: AdminClient) -> None:
    found = client.ask(do, {"session": session})
    typer.echo(json.dumps(found, indent=2) if as_json else f"{session} {done}; {found['cut']} connections cut")


def _client(policy: Path, config: Path | None) -> AdminClient:
    from bailiwick.cli.asking import client_of

    return client_of(policy, config)


def _say(opened: Mapping[str, Json]) -> None:
    """Say on standard error what was opened, in words."""
    session = cast("Mapping[str, Json]", opened["session"])
    whom = f" for {session['user']}" if session["user"] else ""
    typer.echo(f"{session['id']}: {session['agent']}{whom}, until {session['expires_at']}", err=True)
    words = cast("Sequence[str]", opened["words"])
    for line in words or ["nothing: no grant is left within this task"]:
        typer.echo(f"  {line}", err=True)


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise SessionError(f"`{option} {pair}` is not NAME=VALUE", remedy=f"write e.g. `{option} ticket_id=7`")
        if name in found:
            raise SessionError(f"`{option} {name}` is given twice", remedy="give it once")
        found[name] = value
    return found


def _claims(given: Sequence[str]) -> dict[str, str | list[str]]:
    """Return claims; one that is given several times is a list."""
    found: dict[str, str | list[str]] = {}
    for pair in given:
        ((name, value),) = _pairs("--claim", [pair]).items()
        before = found.get(name)
        if before is None:
            found[name] = value
        else:
            found[name] = [*(before if isinstance(before, list) else [before]), value]
    return found


def _cell(value: Json) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(_cell(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}={_cell(each)}" for name, each in value.items())
    return str(value)
