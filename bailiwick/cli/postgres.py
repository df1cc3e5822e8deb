"""`bailiwick postgres`: the native depth of a mount: print it, apply it, compare it, remove it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bailiwick.sql.native.compare import Change
    from bailiwick.sql.native.names import Place
    from bailiwick.sql.native.pieces import Compiled

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)

PolicyArgument = Annotated[Path, typer.Argument(metavar="[POLICY]", help="The policy, a file or a folder.")]
MountOption = Annotated[str | None, typer.Option("--mount", help="Which mount; needed where there are several.")]
LoginOption = Annotated[
    str | None, typer.Option("--login", help="Role as which the gateway logs in; default: of the mount's url.")
]
DatabaseOption = Annotated[str | None, typer.Option("--database", help="Database; default: of the mount's url.")]
UrlOption = Annotated[
    str | None,
    typer.Option("--url-env", metavar="NAME", help="Variable that holds the url to act by; default: the mount's url."),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Go on without being asked.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("compile")
def compile_(
    policy: PolicyArgument = Path("policy.yaml"),
    mount: MountOption = None,
    login: LoginOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the SQL that enforces POLICY inside a mount's database. Connects to nothing."""
    from bailiwick.sql.native.script import script

    made = _compiled(policy, _place(policy, mount, login, database), keyed=False)
    if as_json:
        import json

        pieces = [{"kind": p.kind, "name": p.name, "why": p.why, "statements": [*p.make]} for p in made.pieces]
        typer.echo(json.dumps({"mount": made.place.mount, "pieces": pieces}, indent=2, ensure_ascii=False))
    else:
        typer.echo(script(made), nl=False)


@app.command("apply")
def apply_(
    policy: PolicyArgument = Path("policy.yaml"),
    mount: MountOption = None,
    url_env: UrlOption = None,
    login: LoginOption = None,
    yes: YesOption = False,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what has to change in a mount's database, and change it after you agree: all in one transaction."""
    place, url = _place(policy, mount, login, None), _url(policy, mount, url_env)
    _carry_out(url, _compiled(policy, place, keyed=True), yes=yes, dry_run=dry_run, as_json=as_json)


@app.command("drift")
def drift_(
    policy: PolicyArgument = Path("policy.yaml"),
    mount: MountOption = None,
    url_env: UrlOption = None,
    login: LoginOption = None,
    as_json: JsonOption = False,
) -> None:
    """Name what differs between a mount's database and POLICY; exit with 1 when anything does."""
    import asyncio

    from bailiwick.gateway.backends.native import drift

    made = _compiled(policy, _place(policy, mount, login, None), keyed=_has_keys(policy))
    found = asyncio.run(drift(_url(policy, mount, url_env), made))
    _show(found, as_json=as_json, done=False, calm="nothing differs")
    if found:
        raise typer.Exit(1)


@app.command("remove")
def remove_(
    policy: PolicyArgument = Path("policy.yaml"),
    mount: MountOption = None,
    url_env: UrlOption = None,
    login: LoginOption = None,
    yes: YesOption = False,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove everything that `apply` made in a mount's database, and nothing else."""
    from bailiwick.gateway.backends.native import nothing

    place, url = _place(policy, mount, login, None), _url(policy, mount, url_env)
    _carry_out(url, nothing(place), yes=yes, dry_run=dry_run, as_json=as_json)


def _carry_out(url: str, made: Compiled, *, yes: bool, dry_run: bool, as_json: bool) -> None:
    import asyncio

    from bailiwick.gateway.backends.native import apply, drift

    found = asyncio.run(drift(url, made))
    todo = [change for change in found if change.action != "refuse"]
    if not as_json:
        _show(found, as_json=False, done=False, calm="nothing to do")
    done = bool(todo) and not dry_run and (yes or (not as_json and _agreed()))
    if done:
        asyncio.run(apply(url, made, found))
    if as_json:
        _show(found, as_json=True, done=done, calm="")
    elif done:
        typer.echo(f"done: {len(todo)} changes in one transaction")
    if (todo and not done and not dry_run) or len(todo) < len(found):
        raise typer.Exit(1)


def _show(changes: Sequence[Change], *, as_json: bool, done: bool, calm: str) -> None:
    if as_json:
        import json

        found = [
            {"action": c.action, "kind": c.kind, "name": c.name, "why": c.why, "differences": [*c.differences]}
            for c in changes
        ]
        typer.echo(json.dumps({"changes": found, "done": done}, indent=2, ensure_ascii=False))
        return
    for change in changes:
        typer.echo(f"{change.sign} {change.kind} {change.name}" + ("" if change.differences else f": {change.why}"))
        for difference in change.differences:
            typer.echo(f"    {difference}")
    count = {sign: sum(change.sign == sign for change in changes) for sign in "+~-!"}
    words = {"+": "to create", "~": "to change", "-": "to drop", "!": "to be set right by hand"}
    told = ", ".join(f"{number} {words[sign]}" for sign, number in count.items() if number)
    typer.echo(told or calm)


def _agreed() -> bool:
    """Ask; without a terminal to ask on, the answer is no."""
    import sys

    if not sys.stdin.isatty():
        typer.echo("not applied: there is no terminal to ask on; run with --yes", err=True)
        return False
    return typer.confirm("do this?", default=False)


def _mount(policy: Path, mount: str | None) -> str:
    from bailiwick.errors import PolicyError
    from bailiwick.gateway.policies.ready import read_force

    mounts = [name for name, mount in read_force(policy)[0].mounts.items() if mount.kind == "postgres"]
    if mount is None and len(mounts) == 1:
        return mounts[0]
    if mount is None or mount not in mounts:
        told = f"the policy has no mount `{mount}`" if mount else "which mount?"
        raise PolicyError(told, remedy=f"--mount: {', '.join(mounts)}")
    return mount


def _place(policy: Path, mount: str | None, login: str | None, database: str | None) -> Place:
    from bailiwick.gateway.backends.native import place_of
    from bailiwick.sql.native.names import Place

    name = _mount(policy, mount)
    if login and database:
        return Place(name, database, login)
    return place_of(name, _url(policy, mount, None), login, database)


def _url(policy: Path, mount: str | None, variable: str | None) -> str:
    import os

    from bailiwick.gateway.config import policy_folder
    from bailiwick.gateway.policies.ready import read_force
    from bailiwick.gateway.secrets import resolve
    from bailiwick.model.policy import SecretRef

    given = SecretRef(f"${{{variable}}}") if variable else read_force(policy)[0].mounts[_mount(policy, mount)].url
    return resolve(given, os.environ, policy_folder(policy)).reveal()


def _compiled(policy: Path, place: Place, *, keyed: bool) -> Compiled:
    import os

    from bailiwick.gateway.backends.native import compiled
    from bailiwick.gateway.config import load_config
    from bailiwick.gateway.keys import load_keys, make_data_dir
    from bailiwick.gateway.policies.ready import read_force

    read, lock = read_force(policy)
    if not keyed:
        return compiled(read, lock, place)
    folder = load_config(policy, os.environ).data_dir
    make_data_dir(folder)
    return compiled(read, lock, place, load_keys(folder).mask)


def _has_keys(policy: Path) -> bool:
    """Whether this machine has the gateway's keys; elsewhere all but them can be compared."""
    import os

    from bailiwick.gateway.config import load_config

    return (load_config(policy, os.environ).data_dir / "mask.key").exists()
