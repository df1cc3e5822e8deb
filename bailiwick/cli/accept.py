"""`bailiwick accept`: show what changed in the databases and tools behind the mounts; accept it in the lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bailiwick.model.lock import Lock, LockedExtensions, LockedTable
    from bailiwick.model.policy import Mount, Policy

app = typer.Typer(rich_markup_mode=None)


@app.command()
def accept(
    policy: Annotated[Path, typer.Argument(metavar="[POLICY]", help="The policy, a file or a folder.")] = Path(
        "policy.yaml"
    ),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept without being asked.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; writes only together with --yes.")] = False,
) -> None:
    """Show how the tables and tools that POLICY maps differ from bailiwick.lock, and write it after you agree."""
    from bailiwick.gateway.files import lock_path, read_lock
    from bailiwick.model.lock import Lock
    from bailiwick.policy.lockfile import lock_diff, parse_lock, render_lock

    loaded = loaded_policy(policy)
    text = read_lock(policy)
    old = Lock({}) if text is None else parse_lock(text, str(lock_path(policy)))
    new = _live(loaded, policy)
    changes, missing = lock_diff(old, new), _missing(loaded, new)
    due = bool(changes) or text is None
    if not as_json:
        _print(changes, missing)
    written = due and (yes or (not as_json and _agreed()))
    if written:
        _write(lock_path(policy), render_lock(new))
    if as_json:
        import json

        found = {"changes": changes, "missing": missing, "written": written, "lock": str(lock_path(policy))}
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif written:
        typer.echo(f"accepted: {lock_path(policy)}")
    if missing or (due and not written):
        raise typer.Exit(1)


def loaded_policy(path: Path) -> Policy:
    """Return a policy without mistakes; else say which it has, and exit with 2."""
    """Return a policy without mistakes; else say which it has, and exit with 2."""
    from bailiwick.gateway.files import read_policy
    from bailiwick.policy.load import load

    loaded = load(read_policy(path))
    if loaded.policy is None:
        for problem in loaded.problems:
            typer.echo(str(problem), err=True)
        raise typer.Exit(2)
    return loaded.policy


def _live(policy: Policy, path: Path) -> Lock:
    """Return what the databases have now of the tables that the policy maps."""
    import asyncio
    import os

    from bailiwick.gateway.backends.backends import place_of, read_tables
    from bailiwick.gateway.backends.introspect import read_extensions
    from bailiwick.gateway.config import policy_folder
    from bailiwick.model.lock import Lock
    from bailiwick.mounts.mcp.accepting import live_tools

    async def read(mount: Mount) -> Mapping[tuple[str, str], LockedTable]:
        place = place_of(mount, os.environ, policy_folder(path)).reveal()
        return await read_tables(mount, place, [(found.schema, found.table) for found in mount.resources.values()])

    async def brought(mount: Mount) -> LockedExtensions:
        return await read_extensions(place_of(mount, os.environ, policy_folder(path)).reveal(), mount)

    async def read_all() -> Lock:
        tables = {name: await read(mount) for name, mount in policy.mounts.items()}
        extensions = {name: await brought(mount) for name, mount in policy.mounts.items() if mount.kind == "postgres"}
        return Lock(tables, await live_tools(policy, os.environ, policy_folder(path)), extensions)

    return asyncio.run(read_all())


def _missing(policy: Policy, live: Lock) -> list[str]:
    """Return in words the resources whose table the database does not have, and the tools that no server has."""
    tools = [
        f"{mount.name}: {tool.kind} {tool.name} is not one of the server's"
        for mount in (*policy.mcp.values(), *policy.http.values(), *policy.email.values())
        for tool in mount.offered
        if tool.key not in live.tools.get(mount.name, {})
    ]
    tables = [
        f"{mount.name}: {resource.schema}.{resource.table}, mapped to `{resource.name}`, is not in the database"
        for mount in policy.mounts.values()
        for resource in mount.resources.values()
        if live.table(mount.name, resource.schema, resource.table) is None
    ]
    return [*tables, *tools]


def _print(changes: Sequence[str], missing: Sequence[str]) -> None:
    for line in changes:
        typer.echo(line)
    for line in missing:
        typer.echo(f"warning: {line}", err=True)
    if not changes:
        typer.echo("nothing changed since it was accepted")


def _agreed() -> bool:
    """Ask; without a terminal to ask on, the answer is no."""
    import sys

    if not sys.stdin.isatty():
        typer.echo("not accepted: there is no terminal to ask on; run with --yes", err=True)
        return False
    return typer.confirm("accept this?", default=False)


def _write(path: Path, text: str) -> None:
    """Write at once or not at all."""
    from bailiwick.errors import ConfigError

    beside = path.with_name(path.name + ".new")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        reason = (error.strerror or "failed").lower()
        raise ConfigError(f"`{path}` cannot be written: {reason}", remedy="check the folder's permissions") from None
