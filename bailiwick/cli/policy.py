"""`bailiwick policy`: check and lint a policy, print its JSON Schema, compare two policies, promote a changed one."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bailiwick.cli import policy_cases, policy_plan, policy_shadow
from bailiwick.cli.quick import QuickCommand, QuickGroup

if TYPE_CHECKING:
    from bailiwick.gateway.admin_client import AdminClient
    from bailiwick.gateway.wire import Json
    from bailiwick.model.lock import Lock, LockedTable
    from bailiwick.model.policy import Mount, Policy
    from bailiwick.policy.lint import Finding
    from bailiwick.policy.problem import Problem
    from bailiwick.policy.surroundings import Surroundings

app = typer.Typer(cls=QuickGroup, no_args_is_help=True, rich_markup_mode=None)

# typer imports pydantic (0.3 s) to convert any declared argument. These commands must start at once, as people run them
# on every save, so they take their one argument from the context; flags need no conversion.
_with_path = {"allow_extra_args": True}
_usage = "[OPTIONS] [PATH]"
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _path(context: typer.Context) -> Path:
    """Return PATH, a file or a folder; by default the `policy.yaml` of the current folder."""
    if len(context.args) > 1:
        raise typer.BadParameter(f"one policy is expected, got also `{context.args[1]}`")
    return Path(context.args[0] if context.args else "policy.yaml")


@app.command(cls=QuickCommand, context_settings=_with_path, options_metavar=_usage)
def check(
    context: typer.Context,
    connect: Annotated[bool, typer.Option("--connect", help="Compare with the live databases, not the lock.")] = False,
    as_json: AsJson = False,
) -> None:
    """List every problem of the policy PATH (a file or a folder) with its place; exit 1 if there is any."""
    path = _path(context)
    gc.disable()  # a short run that makes no garbage worth collecting; a third faster for large policies
    from bailiwick.gateway.files import read_lock, read_policy
    from bailiwick.policy.load import load

    loaded = load(read_policy(path))
    problems = loaded.problems
    if loaded.policy is not None:
        text = None if connect else read_lock(path)
        lock, around = _live(loaded.policy, path) if connect else (_parsed(text), None)
        if lock is not None:
            from bailiwick.policy.validate import check_against_lock

            problems = (*problems, *check_against_lock(loaded.policy, lock))
        if around is not None:
            from bailiwick.policy.surroundings import check_surroundings

            problems = (*problems, *check_surroundings(loaded.policy, around))
        from bailiwick.policy.executed import left_to_retries

        problems = (*problems, *_observed(loaded.policy, path), *left_to_retries(loaded.policy))
    _print_problems(problems, as_json=as_json)
    if any(problem.severity == "error" for problem in problems):
        raise typer.Exit(1)
    if loaded.policy is not None and not as_json:
        typer.echo(_counts(loaded.policy))


def _observed(policy: Policy, path: Path) -> tuple[Problem, ...]:
    """Return what the policy may not do because it is not for staging. Settings are read only where they matter."""
    if not policy.observe and all(agent.observe is None for agent in policy.agents.values()):
        return ()
    import os

    from bailiwick.gateway.config import load_config
    from bailiwick.policy.observed import staging_only

    return () if load_config(path, os.environ).observing else staging_only(policy)


def _parsed(text: str | None) -> Lock | None:
    if text is None:
        return None
    from bailiwick.policy.lockfile import parse_lock

    return parse_lock(text)


def _live(policy: Policy, path: Path) -> tuple[Lock, Mapping[str, Surroundings]]:
    """Return what the databases have now, in the shape of a lock, and what those of PostgreSQL have beside that."""
    import asyncio
    import os

    from bailiwick.gateway.backends.backends import place_of, read_tables
    from bailiwick.gateway.backends.surroundings import read_surroundings
    from bailiwick.gateway.config import policy_folder
    from bailiwick.model.lock import Lock
    from bailiwick.mounts.mcp.accepting import live_tools

    async def read(mount: Mount) -> Mapping[tuple[str, str], LockedTable]:
        place = place_of(mount, os.environ, policy_folder(path)).reveal()
        return await read_tables(mount, place, [(found.schema, found.table) for found in mount.resources.values()])

    async def beside(mount: Mount) -> Surroundings:
        place = place_of(mount, os.environ, policy_folder(path)).reveal()
        return await read_surroundings(place, [(found.schema, found.table) for found in mount.resources.values()])

    async def read_all() -> tuple[Lock, Mapping[str, Surroundings]]:
        tables = {name: await read(mount) for name, mount in policy.mounts.items()}
        around = {name: await beside(mount) for name, mount in policy.mounts.items() if mount.kind == "postgres"}
        return Lock(tables, await live_tools(policy, os.environ, policy_folder(path))), around

    return asyncio.run(read_all())


def _print_problems(problems: Iterable[Problem], *, as_json: bool) -> None:
    if as_json:
        import json

        typer.echo(json.dumps([_as_json(problem) for problem in problems], indent=2, ensure_ascii=False))
        return
    for problem in problems:
        typer.echo(str(problem))


def _as_json(problem: Problem) -> dict[str, str | int]:
    at = problem.position
    return {
        "file": at.file,
        "line": at.line,
        "column": at.column,
        "severity": problem.severity,
        "code": problem.code,
        "message": problem.message,
        "suggestion": problem.suggestion,
    }


@app.command(cls=QuickCommand)
def schema() -> None:
    """Print the JSON Schema of a policy, for editors."""
    import json

    from bailiwick.policy.schema import policy_schema

    typer.echo(json.dumps(policy_schema(), indent=2))


@app.command(cls=QuickCommand, context_settings=_with_path, options_metavar=_usage)
def lint(context: typer.Context, as_json: AsJson = False) -> None:
    """List the common mistakes of the policy PATH, each with its remedy; exit 1 if one is of high severity."""
    from bailiwick.policy.lint import lint as lint_policy

    policy, lock = _valid(_path(context))
    findings = lint_policy(policy, lock)
    if as_json:
        import json

        typer.echo(json.dumps([_finding(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        for finding in findings:
            typer.echo(f"{finding}\n  why: {finding.mistake.explanation}\n  do: {finding.mistake.remedy}")
        typer.echo(f"{_count(len(findings), 'finding')}" if findings else "ok: no common mistake found")
    if any(finding.mistake.severity == "high" for finding in findings):
        raise typer.Exit(1)


def _finding(finding: Finding) -> dict[str, str | int]:
    mistake, at = finding.mistake, finding.position
    return {
        "id": mistake.id,
        "severity": mistake.severity,
        "file": at.file,
        "line": at.line,
        "column": at.column,
        "title": mistake.title,
        "message": finding.message,
        "explanation": mistake.explanation,
        "remedy": mistake.remedy,
    }


@app.command(cls=QuickCommand, context_settings=_with_path, options_metavar="[OPTIONS] OLD NEW")
def diff(context: typer.Context, as_json: AsJson = False) -> None:
    """Say what the policy NEW makes possible (+) and impossible (-) compared with OLD; exit 1 if anything widened.

    With `--gateway` only NEW is given: it is compared with the policy in force there.
    """
    from bailiwick.cli.asking import remote

    elsewhere = remote()
    if elsewhere is not None:
        _diff_elsewhere(elsewhere, context, as_json=as_json)
        return
    from bailiwick.policy.diff import diff as diff_policies
    from bailiwick.policy.diff import widened

    if len(context.args) != 2:
        raise typer.BadParameter("two policies are expected, OLD and NEW")
    (old, old_lock), (new, new_lock) = (_valid(Path(each)) for each in context.args)
    changes = diff_policies(old, new, old_lock, new_lock)
    if as_json:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps([asdict(change) for change in changes], indent=2, ensure_ascii=False))
    else:
        for change in changes:
            typer.echo(str(change))
        if not changes:
            typer.echo("nothing becomes possible or impossible")
    if widened(changes):
        raise typer.Exit(1)


def _diff_elsewhere(client: AdminClient, context: typer.Context, *, as_json: bool) -> None:
    import json

    from bailiwick.gateway.files import read_lock, read_policy

    if len(context.args) != 1:
        raise typer.BadParameter("one policy is expected; the other one is that of the gateway")
    path = Path(context.args[0])
    files = cast("Json", read_policy(path))
    found = client.ask("policy.diff", {"files": files, "lock": read_lock(path)})
    problems = cast("list[Mapping[str, str]]", found["problems"])
    for each in problems:
        typer.echo(f"{each['file']}:{each['line']}:{each['column']}: {each['severity']}: {each['message']}", err=True)
    if problems:
        raise typer.Exit(2)
    changes = cast("list[dict[str, object]]", found["changes"])
    if as_json:
        typer.echo(json.dumps(changes, indent=2, ensure_ascii=False))
    else:
        from bailiwick.policy.diff import Change

        for each in changes:
            typer.echo(str(Change(**each)))  # pyright: ignore[reportArgumentType]  # as the gateway made it
        if not changes:
            typer.echo("nothing becomes possible or impossible")
    if found["widened"]:
        raise typer.Exit(1)


app.command()(policy_plan.plan)
app.add_typer(policy_shadow.app, name="shadow", help="Run a candidate policy beside the enforced one.")
app.command("test")(policy_cases.run_cases)

Served = Annotated[Path, typer.Option("--policy", help="The policy that the gateway serves.")]
Settings = Annotated[Path | None, typer.Option("--config", help="Default: gateway.yaml beside the policy.")]


@app.command()
def pending(as_json: AsJson = False, policy: Served = Path("policy.yaml"), config: Settings = None) -> None:
    """Show the changed policy that waits at the gateway to be promoted, in the words of `diff`."""
    found = _waiting(policy, config)
    if as_json:
        import json

        typer.echo(json.dumps(found, indent=2))
    elif found is None:
        typer.echo("no policy waits to be promoted")
    else:
        _say_pending(found)


@app.command()
def promote(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    policy: Served = Path("policy.yaml"),
    config: Settings = None,
) -> None:
    """Put the policy in force that waits at the gateway: exactly the one that is shown."""
    from bailiwick.cli.suspensions import client

    found = _waiting(policy, config)
    if found is None:
        typer.echo("no policy waits to be promoted")
        raise typer.Exit(1)
    _say_pending(found)
    if not yes and not typer.confirm("put this in force?"):
        raise typer.Exit(1)
    client(policy, config).ask("policy.promote", {"pending": found["id"]})
    typer.echo("promoted")


def _waiting(policy: Path, config: Path | None) -> Mapping[str, Json] | None:
    from bailiwick.cli.suspensions import client

    return cast("Mapping[str, Json] | None", client(policy, config).ask("policy.pending", {})["pending"])


def _say_pending(found: Mapping[str, Json]) -> None:
    for change in cast("list[str]", found["changes"]):
        typer.echo(change)
    authors = ", ".join(cast("list[str]", found["authors"])) or "nobody knows whom"
    typer.echo(f"changed by {authors}; waits since {found['since']}; {str(found['id'])[:12]}")


def _valid(path: Path) -> tuple[Policy, Lock | None]:
    """Return the policy and the lock beside it; with problems, list them and exit with 2."""
    from bailiwick.gateway.files import read_lock, read_policy
    from bailiwick.policy.load import load

    loaded = load(read_policy(path))
    if loaded.policy is None:
        for problem in loaded.problems:
            typer.echo(str(problem), err=True)
        raise typer.Exit(2)
    return loaded.policy, _parsed(read_lock(path))


def _counts(policy: Policy) -> str:
    grants = sum(len(role.grants) for role in policy.roles.values())
    resources = sum(len(mount.resources) for mount in (*policy.mounts.values(), *policy.tool_mounts.values()))
    parts = (
        _count(len(policy.every_mount), "mount"),
        _count(resources, "resource"),
        _count(len(policy.roles), "role"),
        _count(grants, "grant"),
        _count(len(policy.agents), "agent"),
        _count(len(policy.tasks), "task"),
    )
    return f"ok: {', '.join(parts)}; version {policy.version[:12]}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
