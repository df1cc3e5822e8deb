"""`bailiwick doctor`: looks an installation over, or the place where an agent runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from bailiwick.control.remote_client import RemoteClient
    from bailiwick.gateway.doctor.agent import Target
    from bailiwick.gateway.doctor.finding import Finding

app = typer.Typer(rich_markup_mode=None)


@app.command()
def doctor(
    policy: Annotated[
        Path | None, typer.Argument(metavar="[POLICY]", help="The policy, a file or a folder; default: policy.yaml.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Default: gateway.yaml beside the policy.")] = None,
    as_agent: Annotated[bool, typer.Option("--as-agent", help="Look at where this runs as an agent's place.")] = False,
    backend: Annotated[
        list[str] | None,
        typer.Option(help="With --as-agent: host:port, URL or folder to try; repeat it."),
    ] = None,
    gateway: Annotated[str | None, typer.Option(help="With --as-agent: URL or host:port of the gateway.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check an installation: clock, keys, files, TLS, backends, rights. Exit 1 if there is a problem."""
    import asyncio
    import os

    if as_agent:
        if policy is not None or config is not None:
            raise typer.BadParameter("--as-agent needs no policy and no settings")
        named = backend or ()
        targets = [Path(text) if text.startswith("/") else _target("--backend", text) for text in named]
        front = None if gateway is None else _target("--gateway", gateway)
        found = asyncio.run(_as_agent(targets, front))
    else:
        if backend or gateway is not None:
            raise typer.BadParameter("--backend and --gateway go with --as-agent")
        from bailiwick.cli.asking import remote
        from bailiwick.control.doctor import examine

        elsewhere = remote()
        found = (
            _asked(elsewhere)
            if elsewhere is not None
            else asyncio.run(examine(policy or Path("policy.yaml"), os.environ, config))
        )
    _print(found, as_json=as_json)
    if any(each.level == "problem" for each in found):
        raise typer.Exit(1)


def _asked(client: RemoteClient) -> Sequence[Finding]:
    """Return what a gateway elsewhere finds wrong with its own installation."""
    from bailiwick.gateway.doctor.finding import Finding, Level

    rows = cast("Sequence[Mapping[str, str]]", client.ask("doctor", {})["findings"])
    return [Finding(each["check"], cast("Level", each["level"]), each["message"], each["remedy"]) for each in rows]


def _target(option: str, text: str) -> Target:
    """Return an address that was given; what is wrong is said without the text, which may hold a password."""
    from bailiwick.errors import ConfigError
    from bailiwick.gateway.doctor.agent import parse_target

    try:
        return parse_target(text)
    except ConfigError as error:
        raise typer.BadParameter(f"{option}: {error.message}; {error.remedy}") from None


async def _as_agent(targets: Sequence[Target | Path], gateway: Target | None) -> Sequence[Finding]:
    import asyncio
    import os

    from bailiwick.gateway.doctor.agent import (
        backend_findings,
        environment_findings,
        gateway_finding,
        home_findings,
    )

    around = asyncio.create_task(backend_findings(targets))
    front = [] if gateway is None else [await gateway_finding(gateway)]
    return [*environment_findings(os.environ), *home_findings(Path.home()), *await around, *front]


def _print(found: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps([asdict(each) for each in found], indent=2, ensure_ascii=False))
        return
    for each in found:
        typer.echo(f"{each.level:8} {each.check}: {each.message}")
        if each.remedy:
            typer.echo(f"         {each.remedy}")
    count = {level: sum(each.level == level for each in found) for level in ("ok", "warning", "problem")}
    typer.echo(f"{count['ok']} ok, {count['warning']} warnings, {count['problem']} problems")
