"""`bailiwick explain`: what the gateway would decide about a statement or an action, and why. Nothing is executed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bailiwick.model.ceilings import Ceilings
    from bailiwick.model.decision import Access, Decision, Denial
    from bailiwick.model.lock import Lock
    from bailiwick.model.policy import Policy
    from bailiwick.model.scope import Scope
    from bailiwick.model.session import Session
    from bailiwick.sql.catalogue import Catalogue
    from bailiwick.sql.plan import Plan

app = typer.Typer(rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class Explained:
    """One statement or action and what comes of it."""

    asked: str
    decision: Decision
    accesses: tuple[Access, ...] = ()
    plan: Plan | None = None
    words: tuple[str, ...] = ()
    """Of tools: how they may be called, or the call that would be made."""


@app.command()
def explain(
    asked: Annotated[
        str,
        typer.Argument(metavar="SQL|ACTION|TOOL", help="A statement, `resource:verb[:field]`, or a tool with --args."),
    ],
    agent: Annotated[str, typer.Option("--agent", help="The agent that asks.")],
    task: Annotated[str | None, typer.Option("--task", help="The task that it does.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="The person it is done for.")] = None,
    group: Annotated[list[str] | None, typer.Option("--group", help="A group of the person; repeatable.")] = None,
    values: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of the task; repeatable.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", help="The session's tenant.")] = None,
    mount: Annotated[str | None, typer.Option("--mount", help="The mount, where the policy has several.")] = None,
    arguments: Annotated[
        str | None, typer.Option("--args", help="Of a tool's or function's call, as JSON: then name the tool.")
    ] = None,
    path: Annotated[Path, typer.Option("--policy", help="The policy, a file or a folder.")] = Path("policy.yaml"),
    connect: Annotated[bool, typer.Option("--connect", help="Read the live catalogue instead of the lock.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how a statement, an action or a call would be decided. Without --connect the lock is all it needs.

    Exit code 1 when it would be denied or held.
    """
    from bailiwick.cli.matrix import read
    from bailiwick.decide.scope import effective_scope
    from bailiwick.errors import PolicyError
    from bailiwick.model.action import data_verbs
    from bailiwick.model.lock import Lock

    policy, lock = read(path)
    if lock is None and not (policy.mounts or policy.mcp):
        lock = Lock({})  # functions are accepted by standing in the policy
    if lock is None:
        raise PolicyError("there is no bailiwick.lock beside the policy", remedy=f"run `bailiwick accept {path}`")
    session = _session(policy, agent, task, user, group or [], values or [], tenant)
    scope = effective_scope(policy, lock, session)
    parts = asked.split(":")
    if arguments is not None or (len(parts) == 2 and policy.tool_resource(parts[0]) is not None):
        found = [_of_tools(policy, scope, session, asked, arguments)]
    elif 2 <= len(parts) <= 3 and parts[1] in data_verbs and " " not in asked:
        found = [_action(policy, scope, parts)]
    else:
        name = _mount(policy, mount)
        catalogue = _catalogue(policy, lock, name, path, connect=connect)
        found = list(_statements(policy, scope, catalogue, name, asked))
    if as_json:
        typer.echo(json.dumps([_json(each, scope) for each in found], indent=2))
    else:
        for each in found:
            _print(each, scope)
    from bailiwick.model.decision import Allow

    if not all(isinstance(each.decision, Allow) for each in found):
        raise typer.Exit(1)


def _session(
    policy: Policy,
    agent: str,
    task: str | None,
    user: str | None,
    groups: Sequence[str],
    values: Sequence[str],
    tenant: str | None,
) -> Session:
    """Return the session that would be opened. A value that is looked up at opening may be left out or given."""
    from datetime import UTC, datetime

    from bailiwick.decide.session import check_opening
    from bailiwick.errors import SessionError
    from bailiwick.model.decision import Denial
    from bailiwick.model.session import Session, User

    given: dict[str, str] = {}
    for each in values:
        name, sign, value = each.partition("=")
        if not sign:
            raise SessionError(f"`--set {each}` is not NAME=VALUE")
        given[name] = value
    known = policy.tasks.get(task) if task is not None else None
    derived = [] if known is None else [name for name, rule in known.context.items() if rule.source is not None]
    person = None if user is None else User(user, frozenset(groups))
    brought = {name: value for name, value in given.items() if name not in derived}
    now = datetime.now(UTC)
    opening = check_opening(
        policy, agent, task, person, brought, tenant, ttl=None, longest=timedelta(hours=12), now=now
    )
    if isinstance(opening, Denial):
        raise SessionError(opening.message, remedy=opening.remedy)
    context = {**opening.context, **{name: given[name] for name in derived if name in given}}
    return Session("explain", agent, person, task, context, opening.tenant, now, now + opening.ttl, opening.idle)


def _mount(policy: Policy, given: str | None) -> str:
    from bailiwick.errors import PolicyError

    if given is None and len(policy.mounts) == 1:
        return next(iter(policy.mounts))
    if given is None or given not in policy.mounts:
        names = ", ".join(policy.mounts)
        raise PolicyError(f"the policy has no mount `{given}`" if given else "which mount?", remedy=f"--mount: {names}")
    return given


def _catalogue(policy: Policy, lock: Lock, mount: str, path: Path, *, connect: bool) -> Catalogue:
    if not connect:
        from bailiwick.sql.snapshot import snapshot

        return snapshot(policy.mounts[mount], lock)
    import asyncio
    import os

    from bailiwick.gateway.backends import place_of, read_catalogue
    from bailiwick.gateway.config import policy_folder

    place = place_of(policy.mounts[mount], os.environ, policy_folder(path)).reveal()
    return asyncio.run(read_catalogue(place, policy.mounts[mount], lock.mounts.get(mount, {})))


def _action(policy: Policy, scope: Scope, parts: Sequence[str]) -> Explained:
    from bailiwick.decide.decide import decide
    from bailiwick.model.decision import Access, Request

    access = Access(parts[0], parts[1], tuple(parts[2:]))
    resource = policy.resource(parts[0])
    request = Request("" if resource is None else resource.mount, (access,))
    return Explained(":".join(parts), decide(policy, scope, request), (access,))


def _of_tools(policy: Policy, scope: Scope, session: Session, asked: str, arguments: str | None) -> Explained:
    from bailiwick.cli.explain_tools import tool_action, tool_call

    if arguments is not None:
        decision, words = tool_call(policy, scope, session, asked, arguments)
    else:
        resource, _, verb = asked.partition(":")
        decision, words = tool_action(scope, resource, verb)
    return Explained(asked, decision, words=words)


def _statements(policy: Policy, scope: Scope, catalogue: Catalogue, mount: str, sql: str) -> Iterator[Explained]:
    from bailiwick.decide.decide import decide
    from bailiwick.model.decision import Denial, Deny, Request

    for plan in _plans(policy, scope, catalogue, mount, sql):
        if isinstance(plan, Denial):
            yield Explained(sql, Deny(plan))
        else:
            decision = decide(policy, scope, Request(mount, plan.accesses))
            yield Explained(plan.statement or sql, decision, plan.accesses, plan)


def _plans(policy: Policy, scope: Scope, catalogue: Catalogue, mount: str, sql: str) -> Sequence[Plan | Denial]:
    """Return what the mount would run for each statement, or why it would not."""
    engine = policy.mounts[mount].engine
    if engine is None:
        from bailiwick.sql.rewrite import Rewriter

        rewriter = Rewriter(scope, catalogue, mount, policy.mounts[mount].functions)
        return rewriter.rewrite(sql, inline=lambda bound: f"<{bound.source}>::{bound.type}")
    from bailiwick.errors import PolicyError
    from bailiwick.model import decision
    from bailiwick.sql.engines.rewrite import DIALECTS, EngineRewriter
    from bailiwick.sql.plan import Bound, Constant, Plan

    if engine not in DIALECTS:
        message = f"nothing is known yet of the SQL of engine `{engine}` (mount `{mount}`)"
        raise PolicyError(message, remedy=f"use one of {', '.join(DIALECTS)}")
    found = EngineRewriter(scope, catalogue, mount, engine).rewrite(sql)
    if isinstance(found, decision.Denial):
        return (found,)
    checked = found.target is not None and found.target.verb != "delete"
    written = Constant("the rows that were written")
    bound = tuple(Bound(written if each.source == "written" else each.source, each.type) for each in found.bound)
    plan = Plan(
        found.kind,
        "; ".join(found.texts),
        found.accesses,
        first=found.parameters + 1,
        bound=bound,
        checked=checked,
        statement=found.statement,
    )
    return (plan,)


def _json(each: Explained, scope: Scope) -> dict[str, object]:
    from dataclasses import asdict

    from bailiwick.model.decision import Allow

    taken = each.decision.grants if isinstance(each.decision, Allow) else ()
    grants = [{"id": name, "reason": scope.grants[name].reason} for name in taken if name in scope.grants]
    found: dict[str, object] = {
        "asked": each.asked,
        "decision": type(each.decision).__name__.lower(),
        "accesses": [asdict(access) for access in each.accesses],
        "grants": grants,
        **({"tools": list(each.words)} if each.words else {}),
    }
    if not isinstance(each.decision, Allow):
        found["denial"] = asdict(each.decision.denial)
    elif each.decision.ceilings is not None:
        found["ceilings"] = {name: most for name, most in asdict(each.decision.ceilings).items() if most is not None}
    if isinstance(each.decision, Allow) and each.plan is not None:
        found["rewritten"] = each.plan.sql
        found["bound"] = [
            {"parameter": each.plan.first + place, "source": str(bound.source), "type": bound.type}
            for place, bound in enumerate(each.plan.bound)
        ]
        found["checked_after"] = each.plan.checked
        found["aggregated"] = [
            {"resource": one.resource, "min_group": one.min_group, "groupings": one.most} for one in each.plan.groupings
        ]
    return found


def _ceilings(found: Ceilings | None) -> Iterator[str]:
    """Yield the ceilings on a statement, each in words."""
    if found is None:
        return
    nouns = (("batch", "rows written"), ("rows", "rows returned"), ("bytes", "bytes returned"), ("timeout", "seconds"))
    for name, noun in nouns:
        most: int | None = getattr(found, name)
        if most is not None:
            yield f"{most} {noun}, or the statement is undone"


def _print(each: Explained, scope: Scope) -> None:
    from rich.console import Console
    from rich.markup import escape

    from bailiwick.model.decision import Allow, Hold

    console = Console(highlight=False, soft_wrap=True)
    verdict = {"Allow": "[green]allowed[/]", "Hold": "[yellow]held[/]", "Deny": "[red]denied[/]"}
    console.print(f"{verdict[type(each.decision).__name__]}  {escape(each.asked.strip())}")
    for access in each.accesses:
        fields = f" of {', '.join(access.fields)}" if access.fields else ""
        console.print(f"  needs      {escape(f'{access.resource}:{access.verb}{fields}')}")
    for line in each.words:
        console.print(f"  tools      {escape(line)}")
    if isinstance(each.decision, Allow):
        for name in each.decision.grants:
            grant = scope.grants.get(name)
            if grant is not None:
                place = f"{grant.position.file}:{grant.position.line}"
                console.print(f"  granted by {escape(f'{name} ({grant.reason}) at {place}')}")
        for line in _ceilings(each.decision.ceilings):
            console.print(f"  at most    {line}")
        if each.plan is not None and each.plan.sql:
            console.print(f"  runs as    {escape(each.plan.sql)}")
            for place, bound in enumerate(each.plan.bound):
                console.print(f"             ${each.plan.first + place} = {escape(str(bound.source))} ({bound.type})")
            for grouping in each.plan.groupings:
                size, most = grouping.min_group, grouping.most
                told = f"only groups of at least {size} rows of {grouping.resource}, {most} groupings a session"
                console.print(f"  tells      {escape(told)}, none that single out fewer with what was told before")
            if each.plan.checked:
                console.print("  and each row is checked after the change; one outside the scope undoes it all")
        return
    denial = each.decision.denial
    console.print(f"  because    {escape(denial.message)} ({denial.code})")
    if denial.allowed:
        console.print(f"  allowed    {escape(denial.allowed)}")
    if denial.remedy:
        console.print(f"  next       {escape(denial.remedy)}")
    if isinstance(each.decision, Hold):
        console.print(f"  gate       {escape(each.decision.gate)}")
