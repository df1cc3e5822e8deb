"""`bailiwick explain`: what the gateway would decide about a statement or an action, and why. Nothing is executed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bailiwick.control.explaining import Question
    from bailiwick.gateway.wire import Json
    from bailiwick.model.lock import Lock
    from bailiwick.model.policy import Policy
    from bailiwick.sql.catalogue import Catalogue

    Asks = Mapping[str, Json]

app = typer.Typer(rich_markup_mode=None)


@app.command()
def explain(
    asked: Annotated[
        str,
        typer.Argument(
            metavar="SQL|ACTION|TOOL|ROUTE",
            help="A statement, `resource:verb[:field]`, a tool with --args, or a request (`GET /mount/path`).",
        ),
    ],
    agent: Annotated[str, typer.Option("--agent", help="The agent that asks.")],
    task: Annotated[str | None, typer.Option("--task", help="The task that it does.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="The person it is done for.")] = None,
    group: Annotated[list[str] | None, typer.Option("--group", help="A group of the person; repeatable.")] = None,
    values: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of the task; repeatable.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="The session's tenant.")] = None,
    mount: Annotated[str | None, typer.Option("--mount", help="The mount, where the policy has several.")] = None,
    arguments: Annotated[
        str | None,
        typer.Option("--args", help="Of a call (then name the tool) or a file, as JSON; of a request: its body."),
    ] = None,
    path: Annotated[Path, typer.Option("--policy", help="The policy, a file or a folder.")] = Path("policy.yaml"),
    connect: Annotated[bool, typer.Option("--connect", help="Read the live catalogue instead of the lock.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how a statement, an action or a call would be decided. Without --connect the lock is all it needs.

    Exit code 1 when it would be denied or held.
    """
    from bailiwick.cli.asking import remote

    given = _values(values or [])
    asks = {"agent": agent, "task": task, "user": user, "groups": group or [], "values": given, "tenant": tenant}
    elsewhere = remote()
    if elsewhere is not None:
        told = elsewhere.ask(
            "policy.explain", cast("Asks", {**asks, "asked": asked, "mount": mount, "args": arguments})
        )
        found = cast("list[Mapping[str, object]]", told["explained"])
    else:
        from bailiwick.control.explaining import Question

        question = Question(asked, agent, task, user, tuple(group or ()), given, tenant, mount, arguments)
        found = _here(question, path, connect=connect)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        for each in found:
            _print(each)
    if any(each["decision"] != "allow" for each in found):
        raise typer.Exit(1)


def _values(given: Sequence[str]) -> dict[str, str]:
    from bailiwick.errors import SessionError

    found: dict[str, str] = {}
    for each in given:
        name, sign, value = each.partition("=")
        if not sign:
            raise SessionError(f"`--set {each}` is not NAME=VALUE")
        found[name] = value
    return found


def _here(question: Question, path: Path, *, connect: bool) -> Sequence[Mapping[str, object]]:
    """Return what the policy and the lock that are here decide."""
    from bailiwick.cli.matrix import read
    from bailiwick.control.explaining import explained
    from bailiwick.errors import PolicyError
    from bailiwick.model.lock import Lock

    policy, lock = read(path)
    if lock is None and not (policy.mounts or policy.mcp or policy.http or policy.email):
        lock = Lock({})  # functions are accepted by standing in the policy
    if lock is None:
        raise PolicyError("there is no bailiwick.lock beside the policy", remedy=f"run `bailiwick accept {path}`")
    accepted = lock
    return explained(policy, lock, question, lambda name: _catalogue(policy, accepted, name, path, connect=connect))


def _catalogue(policy: Policy, lock: Lock, mount: str, path: Path, *, connect: bool) -> Catalogue:
    if not connect:
        from bailiwick.sql.snapshot import snapshot

        return snapshot(policy.mounts[mount], lock)
    import asyncio
    import os

    from bailiwick.gateway.backends.backends import place_of, read_catalogue
    from bailiwick.gateway.config import policy_folder

    place = place_of(policy.mounts[mount], os.environ, policy_folder(path)).reveal()
    return asyncio.run(read_catalogue(place, policy.mounts[mount], lock.mounts.get(mount, {})))


def _print(each: Mapping[str, object]) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    verdict = {"allow": "[green]allowed[/]", "hold": "[yellow]held[/]", "deny": "[red]denied[/]"}
    console.print(f"{verdict[str(each['decision'])]}  {escape(str(each['asked']).strip())}")
    for title, line in explanation(each):
        console.print(f"  {title:<10} {escape(line)}" if title else f"  {escape(line)}")


def explanation(each: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield what is said of a decision, each with its title."""
    for access in _listed(each.get("accesses")):
        fields = ", ".join(cast("Sequence[str]", access["fields"]))
        yield "needs", f"{access['resource']}:{access['verb']}" + (f" of {fields}" if fields else "")
    for line in cast("Sequence[str]", each.get("tools", ())):
        yield "tools", line
    for grant in _listed(each.get("grants")):
        yield "granted by", f"{grant['id']} ({grant['reason']}) at {grant['at']}"
    nouns = {"batch": "rows written", "rows": "rows returned", "bytes": "bytes returned", "timeout": "seconds"}
    for name, most in cast("Mapping[str, int]", each.get("ceilings", {})).items():
        yield "at most", f"{most} {nouns[name]}, or the statement is undone"
    yield from _of_plan(each)
    denial = cast("Mapping[str, str]", each.get("denial", {}))
    if denial:
        yield "because", f"{denial['message']} ({denial['code']})"
        yield from ((title, denial[key]) for title, key in (("allowed", "allowed"), ("next", "remedy")) if denial[key])
    if "gate" in each:
        yield "gate", str(each["gate"])


def _of_plan(each: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    if each.get("rewritten"):
        yield "runs as", str(each["rewritten"])
        for bound in _listed(each.get("bound")):
            yield "          ", f"${bound['parameter']} = {bound['source']} ({bound['type']})"
    for one in _listed(each.get("aggregated")):
        told = f"only groups of at least {one['min_group']} rows of {one['resource']}, {one['groupings']} groupings"
        yield "tells", f"{told} a session, none that single out fewer with what was told before"
    if each.get("checked_after"):
        yield "", "and each row is checked after the change; one outside the scope undoes it all"


def _listed(found: object) -> Sequence[Mapping[str, object]]:
    return cast("Sequence[Mapping[str, object]]", found or ())
