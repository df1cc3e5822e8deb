"""`bailiwick drift`: what changed behind the mounts since it was accepted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bailiwick.control.drift import Drift
    from bailiwick.control.remote_client import RemoteClient

app = typer.Typer(rich_markup_mode=None)


@app.command()
def drift(
    policy: Annotated[Path, typer.Argument(metavar="[POLICY]", help="The policy, a file or a folder.")] = Path(
        "policy.yaml"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare tables, columns, types, tools, routes and templates behind the mounts with bailiwick.lock.

    Exit code 1: something differs, or cannot be reached. Nothing is changed: `bailiwick accept` accepts what is new.
    `bailiwick postgres drift` is another thing: it compares roles and rules within a database with the policy.
    """
    from bailiwick.cli.asking import remote

    elsewhere = remote()
    found = _here(policy) if elsewhere is None else _asked(elsewhere)
    if as_json:
        import json

        from bailiwick.control.looking import drift_told

        typer.echo(json.dumps({"mounts": [drift_told(each) for each in found]}, indent=2, ensure_ascii=False))
    else:
        _print(found)
    if any(each.drifted for each in found):
        raise typer.Exit(1)


def _asked(client: RemoteClient) -> Sequence[Drift]:
    """Return what a gateway elsewhere sees behind its mounts."""
    from bailiwick.control.drift import Drift

    def read(told: Mapping[str, object]) -> Drift:
        changes, unmapped = (tuple(cast("Sequence[str]", told[name])) for name in ("changes", "unmapped"))
        return Drift(str(told["mount"]), changes, unmapped, str(told["unreachable"]))

    return [read(each) for each in cast("Sequence[Mapping[str, object]]", client.ask("drift", {})["mounts"])]


def _here(policy: Path) -> Sequence[Drift]:
    import asyncio
    import os

    from bailiwick.cli.accept import loaded_policy
    from bailiwick.control.drift import drift_of
    from bailiwick.gateway.config import policy_folder
    from bailiwick.gateway.files import lock_path, read_lock
    from bailiwick.model.lock import Lock
    from bailiwick.policy.lockfile import parse_lock

    read = loaded_policy(policy)
    text = read_lock(policy)
    lock = Lock({}) if text is None else parse_lock(text, str(lock_path(policy)))
    return asyncio.run(drift_of(read, lock, os.environ, policy_folder(policy)))


def _print(found: Sequence[Drift]) -> None:
    for each in found:
        if each.unreachable:
            typer.echo(f"{each.mount}: cannot be compared: {each.unreachable}")
        for line in each.changes:
            typer.echo(line)
        if not each.drifted:
            typer.echo(f"{each.mount}: as it was accepted")
        if each.unmapped:
            typer.echo(f"{each.mount}: beside that, mapped by nothing: {', '.join(each.unmapped)}")
