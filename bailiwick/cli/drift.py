"""`bailiwick drift`: what changed behind the mounts since it was accepted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailiwick.control.drift import Drift

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
    found = asyncio.run(drift_of(read, lock, os.environ, policy_folder(policy)))
    if as_json:
        import json
        from dataclasses import asdict

        told = {"mounts": [{**asdict(each), "drifted": each.drifted} for each in found]}
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        _print(found)
    if any(each.drifted for each in found):
        raise typer.Exit(1)


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
