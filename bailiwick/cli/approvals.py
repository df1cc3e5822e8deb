"""`bailiwick approvals`: what waits for people to decide on it, at the gateway that runs."""

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
Named = Annotated[str, typer.Argument(metavar="APPROVAL", help="Its id, as `approvals list` shows it.")]
Digest = Annotated[
    str | None, typer.Option("--digest", help="Only if it is still exactly this; default: what `show` would show now.")
]
Said = Annotated[str | None, typer.Option("--text", help="What to say about it.")]
_here = Path("policy.yaml")


@app.command("list")
def list_approvals(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are decided or over.")] = False,
    mine: Annotated[bool, typer.Option("--mine", help="Only those that you may decide on.")] = False,
    as_json: AsJson = False,
    policy: PolicyPath = _here,
    config: ConfigPath = None,
) -> None:
    """List what waits for people, the newest first."""
    found = _client(policy, config).ask("approval.list", {"all": everything, "mine": mine})
    approvals = cast("Sequence[Mapping[str, Json]]", found["approvals"])
    if as_json:
        typer.echo(json.dumps(approvals, indent=2))
        return
    if not approvals:
        typer.echo("no approvals" if everything else "nothing waits for people")
        return
    from bailiwick.cli.approvals_shown import table_of

    table_of(approvals)


@app.command()
def show(approval: Named, as_json: AsJson = False, policy: PolicyPath = _here, config: ConfigPath = None) -> None:
    """Show what would run, why, what it would do, up to 20 rows before and after, and what was decided so far."""
    _tell(_shown(_client(policy, config), approval), as_json=as_json)


@app.command()
def approve(
    approval: Named,
    digest: Digest = None,
    text: Said = None,
    as_json: AsJson = False,
    policy: PolicyPath = _here,
    config: ConfigPath = None,
) -> None:
    """Approve it: exactly what `show` shows runs, once."""
    client = _client(policy, config)
    digest = digest or cast("str", _shown(client, approval)["digest"])
    _decide(client, "approval.approve", {"approval": approval, "digest": digest, "text": text}, as_json=as_json)


@app.command()
def deny(
    approval: Named,
    reason: Annotated[str, typer.Option("--reason", help="Why; the agent reads it.", prompt=True)],
    as_json: AsJson = False,
    policy: PolicyPath = _here,
    config: ConfigPath = None,
) -> None:
    """Deny it, and say why."""
    fields: dict[str, Json] = {"approval": approval, "reason": reason}
    _decide(_client(policy, config), "approval.deny", fields, as_json=as_json)


@app.command()
def modify(
    approval: Named,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="An argument of a call; JSON, else text. Repeat."),
    ] = None,
    statement: Annotated[str | None, typer.Option("--statement", help="Another statement, which does less.")] = None,
    parameters: Annotated[
        str | None, typer.Option("--parameters", metavar="JSON", help="Its values, where they are others: a list.")
    ] = None,
    digest: Digest = None,
    text: Said = None,
    as_json: AsJson = False,
    policy: PolicyPath = _here,
    config: ConfigPath = None,
) -> None:
    """Put other arguments, or a narrower statement, in its place; decided and previewed anew, it still waits."""
    client = _client(policy, config)
    digest = digest or cast("str", _shown(client, approval)["digest"])
    wanted: dict[str, Json] = {}
    if statement is not None:
        wanted["statement"] = statement
    if parameters is not None:
        wanted["parameters"] = _value(parameters)
    for each in changes or ():
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise typer.BadParameter("write NAME=VALUE", param_hint="--set")
        wanted[name] = _value(value)
    if not wanted:
        raise typer.BadParameter("say what is changed, by `--set` or `--statement`")
    fields: dict[str, Json] = {"approval": approval, "digest": digest, "set": wanted, "text": text}
    _decide(client, "approval.modify", fields, as_json=as_json)


@app.command()
def delegate(
    approval: Named,
    groups: Annotated[list[str], typer.Option("--to", metavar="GROUP", help="Who decides instead. Repeat.")],
    text: Said = None,
    as_json: AsJson = False,
    policy: PolicyPath = _here,
    config: ConfigPath = None,
) -> None:
    """Hand what you could decide to other groups."""
    fields: dict[str, Json] = {"approval": approval, "groups": [*groups], "text": text}
    _decide(_client(policy, config), "approval.delegate", fields, as_json=as_json)


@app.command()
def ask(
    approval: Named,
    text: Annotated[str, typer.Option("--text", help="What you want to know.", prompt=True)],
    as_json: AsJson = False,
    policy: PolicyPath = _here,
    config: ConfigPath = None,
) -> None:
    """Ask back; it goes on waiting."""
    _decide(_client(policy, config), "approval.ask", {"approval": approval, "text": text}, as_json=as_json)


@app.command()
def watch(as_json: AsJson = False, policy: PolicyPath = _here, config: ConfigPath = None) -> None:
    """Show what begins to wait, as it does; on a terminal, ask what to do with it. Ends with Ctrl-C."""
    from bailiwick.cli.approvals_watch import watched

    watched(_client(policy, config), as_json=as_json)


def _decide(client: AdminClient, what: str, fields: Mapping[str, Json], *, as_json: bool) -> None:
    found = client.ask(what, fields)["approval"]
    _tell(cast("Mapping[str, Json]", found), as_json=as_json)


def _shown(client: AdminClient, approval: str) -> Mapping[str, Json]:
    return cast("Mapping[str, Json]", client.ask("approval.show", {"approval": approval})["approval"])


def _tell(found: Mapping[str, Json], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    from bailiwick.cli.approvals_shown import lines_of

    for line in lines_of(found):
        typer.echo(line)


def _value(text: str) -> Json:
    try:
        return cast("Json", json.loads(text))
    except ValueError:
        return text


def _client(policy: Path, config: Path | None) -> AdminClient:
    from bailiwick.cli.asking import client_of

    return client_of(policy, config)
