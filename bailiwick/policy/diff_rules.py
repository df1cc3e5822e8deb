"""What changed beside the scopes: mounts, sessions, tasks, gates, elevations and flows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from bailiwick.decide.canonical import canonical
from bailiwick.decide.roles import grants_of
from bailiwick.match.in_words import duration_in_words, listed
from bailiwick.model.email import EmailMount
from bailiwick.model.files import FilesMount
from bailiwick.model.http import HttpMount, ToolMount
from bailiwick.model.policy import (
    Agent,
    ContextRule,
    ElevationRule,
    Gate,
    Hours,
    Limit,
    Mount,
    Policy,
    ReviewRule,
    SessionRules,
    Task,
    Users,
)
from bailiwick.model.position import NOWHERE
from bailiwick.model.tool import McpMount, PythonMount, Tool
from bailiwick.policy.covers import session_rules_wider
from bailiwick.policy.files_in_words import files_changes
from bailiwick.policy.limits_in_words import limit_changes, quarantine_in_words, quarantine_widens
from bailiwick.policy.observed import observed_in_words
from bailiwick.policy.rules import built_in_gates
from bailiwick.policy.types import references
from bailiwick.policy.words import limit_in_words

_days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Note:
    """One change of a rule."""

    widens: bool
    text: str
    agent: str = ""
    task: str | None = None
    certain: bool = True


def rules_changed(old: Policy, new: Policy) -> Iterator[Note]:
    """Yield the changes of rules, apart from what they do to scopes."""
    for name, mount in new.mounts.items():
        if name in old.mounts:
            yield from _mount(old.mounts[name], mount)
    for name, server in new.mcp.items():
        if name in old.mcp:
            yield from _server(old.mcp[name], server)
    for name, functions in new.python.items():
        if name in old.python:
            yield from _tools(old.python[name], functions)
    for name, api in new.http.items():
        if name in old.http:
            yield from _api(old.http[name], api)
    for name, mail in new.email.items():
        if name in old.email:
            yield from _mail(old.email[name], mail)
    for name, files in new.files.items():
        if name in old.files:
            yield from _files(old.files[name], files)
    for name, agent in new.agents.items():
        if name in old.agents:
            yield from _session(name, old.agents[name].session, agent.session)
            yield from _agent_limits(old.agents[name], agent)
    yield from _observing(old, new)
    yield from _role_limits(old, new)
    for name, task in new.tasks.items():
        if name in old.tasks:
            yield from _task(new, old.tasks[name], task)
    yield from _elevations(old, new)
    yield from _content("gate", _gates(old), _gates(new))
    yield from _content("flow", _flows(old), _flows(new))
    yield from _approvers(old, new)
    yield from _review(old.review, new.review)


def _observing(old: Policy, new: Policy) -> Iterator[Note]:
    """Yield which agents and mounts are observed, and are not any more; what each agent may do is compared anyway."""
    before, after = observed_in_words(old), observed_in_words(new)
    for widens, mine, other in ((True, after, before), (False, before, after)):
        for said in mine:
            if said not in other:
                yield Note(widens, f"{'now' if widens else 'no longer'}: {said}")


def _mount(old: Mount, new: Mount) -> Iterator[Note]:
    if (old.kind, old.engine) != (new.kind, new.engine):
        yield Note(True, f"mount {new.name} is another kind of backend: {new.engine or new.kind}", certain=False)
    if old.url != new.url:
        yield Note(True, f"mount {new.name} points elsewhere: {new.url.text}", certain=False)
    for name in sorted({*old.sources, *new.sources}):
        if old.sources.get(name) != new.sources.get(name):
            yield Note(name in new.sources, f"source {name} of mount {new.name} is {new.sources.get(name, 'gone')}")
    if old.plaintext != new.plaintext:
        yield Note(new.plaintext, f"mount {new.name} {'takes' if new.plaintext else 'refuses'} clients without TLS")
    if old.enforce != new.enforce:
        told = "inside the database too" if new.enforce == "both" else "by rewriting alone"
        yield Note(new.enforce == "rewrite", f"mount {new.name} is enforced {told}")
    yield from _mount_limits(old, new)
    for name in sorted(set(new.extensions) ^ set(old.extensions)):
        widens = name in new.extensions
        yield Note(widens, f"{'now' if widens else 'no longer'}: uses extension {name} (mount {new.name})")
    for widens, names in (
        (True, set(new.functions) - set(old.functions)),
        (False, set(old.functions) - set(new.functions)),
    ):
        for name in sorted(names):
            yield Note(widens, f"{'now' if widens else 'no longer'}: calls function {name} (mount {new.name})")


def _server(old: McpMount, new: McpMount) -> Iterator[Note]:
    """Yield what changed about where a mount's tools are, and what they are."""
    if (old.command, old.url) != (new.command, new.url):
        where = " ".join(new.command) if new.url is None else new.url.text
        yield Note(True, f"mount {new.name} points elsewhere: {where}", certain=False)
    if (old.env, old.headers) != (new.env, new.headers):
        yield Note(True, f"mount {new.name} hands its server other values", certain=False)
    for widens, mine, other in ((True, new.relay, old.relay), (False, old.relay, new.relay)):
        for kind in sorted(mine.keys() - other.keys()):
            yield Note(widens, f"{'now' if widens else 'no longer'}: {kind} is relayed by mount {new.name}")
    yield from _tools(old, new)


def _api(old: HttpMount, new: HttpMount) -> Iterator[Note]:
    """Yield what changed about where an API is, as whom the gateway speaks to it, and what its routes are."""
    if (old.url, old.authority) != (new.url, new.authority):
        yield Note(True, f"mount {new.name} points elsewhere: {new.url.text}", certain=False)
    if old.credential != new.credential:
        yield Note(True, f"mount {new.name} shows its API another credential", certain=False)
    if (old.graphql is None or new.graphql is None or old.graphql.path != new.graphql.path) and new.graphql is not None:
        yield Note(True, f"mount {new.name} takes operations of GraphQL at {new.graphql.path}", certain=False)
    for widens, mine, other in ((True, new, old), (False, old, new)):
        for network in sorted(set(mine.networks) - set(other.networks)):
            yield Note(widens, f"{'now' if widens else 'no longer'}: mount {new.name} may be in network {network}")
    yield from _tools(old, new)


def _mail(old: EmailMount, new: EmailMount) -> Iterator[Note]:
    """Yield what changed about where a mount sends, as whom, and who counts as of the organisation."""
    if (old.smtp, old.authority) != (new.smtp, new.authority):
        yield Note(True, f"mount {new.name} points elsewhere: {new.smtp.text}", certain=False)
    if (old.sender, old.sender_name) != (new.sender, new.sender_name):
        yield Note(True, f"mount {new.name} sends as {new.sender}", certain=False)
    for widens, mine, other in ((True, new, old), (False, old, new)):
        for domain in sorted(set(mine.internal) - set(other.internal)):
            yield Note(widens, f"{'now' if widens else 'no longer'}: {domain} is internal to mount {new.name}")
    yield from _tools(old, new)


def _files(old: FilesMount, new: FilesMount) -> Iterator[Note]:
    """Yield what changed about where a mount's files are, which they are, and what is kept of them."""
    for widens, certain, said in files_changes(old, new):
        yield Note(widens, f"mount {new.name} {said}", certain=certain)
    yield from _mount_limits(old, new)


def _tools(old: ToolMount, new: ToolMount) -> Iterator[Note]:
    """Yield what changed about what is mapped of a mount: tools, functions, prompts, documents."""
    before, after = ({tool.key: tool for tool in each.offered} for each in (old, new))
    for key in sorted(before.keys() & after.keys()):
        if _mapping(before[key]) != _mapping(after[key]):
            what = "function" if isinstance(new, PythonMount) else after[key].kind
            told = f"{what} {after[key].name} of mount {new.name} is mapped in another way"
            yield Note(True, told, certain=False)
    yield from _mount_limits(old, new)


def _mapping(tool: Tool) -> object:
    return tool.fixed, tool.items, tool.description, tool.parameters, tool.route, tool.cost


def _mount_limits(old: Mount | ToolMount, new: Mount | ToolMount) -> Iterator[Note]:
    """Yield each limit of a mount that is another one now."""
    for widens, said in limit_changes(old.limits, new.limits):
        yield Note(widens, f"limits of mount {new.name}: {said}")


def _agent_limits(old: Agent, new: Agent) -> Iterator[Note]:
    for widens, said in limit_changes(old.limits, new.limits):
        yield Note(widens, f"limits: {said}", new.name)
    if old.quarantine != new.quarantine:
        said = "nothing suspends it by itself" if new.quarantine is None else quarantine_in_words(new.quarantine)
        yield Note(quarantine_widens(old.quarantine, new.quarantine), f"quarantine: {said}", new.name)


def _role_limits(old: Policy, new: Policy) -> Iterator[Note]:
    for name, role in new.roles.items():
        if name in old.roles:
            for widens, said in limit_changes(old.roles[name].limits, role.limits):
                yield Note(widens, f"limits of role {name}: {said}")


def _session(agent: str, old: SessionRules, new: SessionRules) -> Iterator[Note]:
    for widens, mine, other in ((True, new, old), (False, old, new)):
        for name in session_rules_wider(mine, other):
            if widens or name not in session_rules_wider(new, old):
                text = f"sessions: {name} {_rule_in_words(new, name)} (before: {_rule_in_words(old, name)})"
                yield Note(widens, text, agent)


def _rule_in_words(rules: SessionRules, name: str) -> str:
    values: Mapping[str, timedelta | int | Limit | Hours | None] = {
        "ttl": rules.ttl,
        "idle": rules.idle,
        "actions": rules.actions,
        "cost": rules.cost,
        "concurrent": rules.concurrent,
        "hours": rules.hours,
    }
    value = values[name]
    if value is None:
        return "not limited"
    if isinstance(value, timedelta):
        return duration_in_words(value)
    if isinstance(value, Limit):
        return limit_in_words(value)
    if isinstance(value, Hours):
        days = ", ".join(_days[day] for day in sorted(value.days))
        return f"{days} {value.start:%H:%M}-{value.end:%H:%M} {value.zone}"
    return str(value)


def _task(policy: Policy, old: Task, new: Task) -> Iterator[Note]:
    for widens, mine, other in ((True, new.users, old.users), (False, old.users, new.users)):
        said = _users_beyond(mine, other)
        if said:
            yield Note(widens, f"{'now' if widens else 'no longer'}: for {said}", task=new.name)
    for name, rule in new.context.items():
        was = old.context.get(name)
        if was is None:
            if _is_brought(rule) and _refers(policy, new, name):
                yield Note(True, f"sessions bring {name}, which grants refer to", task=new.name, certain=False)
        elif was.source is not None and _is_brought(rule):
            yield Note(True, f"{name} is what the opener says, no longer looked up in {was.source}", task=new.name)
        elif was.claim is not None and _is_brought(rule):
            yield Note(True, f"{name} is what the opener says, no longer a claim of the person's", task=new.name)
        elif _is_brought(was) and rule.source is not None:
            yield Note(False, f"{name} is looked up in {rule.source}, no longer what the opener says", task=new.name)
        elif _is_brought(was) and rule.claim is not None:
            yield Note(False, f"{name} is the person's claim {rule.claim}, not what the opener says", task=new.name)
        elif was != rule:
            yield Note(True, f"{name} has another type or comes from elsewhere", task=new.name, certain=False)


def _is_brought(rule: ContextRule) -> bool:
    return rule.source is None and rule.claim is None


def _users_beyond(mine: Users | None, other: Users | None) -> str:
    """Return for whom a task may be done by one rule and not by the other."""
    if other is None:
        return ""
    if mine is None:
        return "any user"
    people = [f"user {name}" for name in sorted(mine.ids - other.ids)]
    return listed(people + [f"group {name}" for name in sorted(mine.groups - other.groups)])


def _refers(policy: Policy, task: Task, name: str) -> bool:
    """Return whether a grant of the task's agents, or the task's own rows, refer to a session value."""
    roles = [role for agent in task.agents if agent in policy.agents for role in policy.agents[agent].roles]
    grants = grants_of(policy, roles)
    rows = [each.rows for each in (task.only or {}).values()]
    matchers = [
        matcher
        for each in (*(grant.rows for grant in grants), *(grant.set for grant in grants), *rows)
        for matcher in each.values()
    ]
    if any(reference.path[0] == name for matcher in matchers for reference in references(matcher)):
        return True
    texts = [text for grant in grants for text in (grant.sql, grant.when) if text is not None]
    return any(name in text for text in texts)


def _elevations(old: Policy, new: Policy) -> Iterator[Note]:
    for widens, mine, other in ((True, new, old), (False, old, new)):
        for name, rule in mine.elevations.items():
            before = other.elevations.get(name)
            word = "now" if widens else "no longer"
            for agent in rule.agents:
                if before is None or agent not in before.agents:
                    yield Note(widens, f"{word}: elevation {name} to role {rule.role}", agent)
            if before is not None and rule.max > before.max:
                yield Note(widens, f"{word}: elevation {name} for up to {duration_in_words(rule.max)}")
    for name, rule in new.elevations.items():
        before = old.elevations.get(name)
        if before is not None and _powers(old, before) != _powers(new, rule):
            yield Note(True, f"elevation {name} gives other grants or has other approvers", certain=False)


def _powers(policy: Policy, rule: ElevationRule) -> str:
    grants = [replace(grant, position=NOWHERE, id="") for grant in grants_of(policy, (rule.role,))]
    return canonical((grants, rule.approvers))


def _gates(policy: Policy) -> dict[str, str]:
    """Return the content of the gates. What a built-in one no longer holds is seen in the scopes."""
    found = {
        name: gate if gate.on is not None else replace(gate, loosen=(), reason="")
        for name, gate in {**{each: Gate(each) for each in built_in_gates}, **policy.gates}.items()
    }
    return {name: canonical(replace(gate, position=NOWHERE)) for name, gate in found.items()}


def _approvers(old: Policy, new: Policy) -> Iterator[Note]:
    """Yield the groups of reviewers that changed. Whoever may approve more than before is a widening."""
    for name in dict.fromkeys((*old.approvers, *new.approvers)):
        before, after = old.approvers.get(name), new.approvers.get(name)
        same = before is not None and after is not None and replace(before, position=after.position) == after
        if not same:
            said = "is now the issuer's group of that name" if after is None else "are others"
            yield Note(True, f"approvers {name} {said}", certain=False)


def _review(old: ReviewRule | None, new: ReviewRule | None) -> Iterator[Note]:
    """Yield what changed of reviews. Fewer of them, or nothing turned off without one, is a widening."""
    if old is None or new is None:
        if old is not new:
            yield Note(new is None, "grants are reviewed by people" if old is None else "grants are no longer reviewed")
        return
    for name, was, now in (
        ("every", old.every, new.every),
        ("restricted", old.restricted or old.every, new.restricted or new.every),
    ):
        if was != now:
            said = f"`{name}` was {duration_in_words(was)}, is {duration_in_words(now)}"
            yield Note(now > was, f"reviews: {said}")
    if old.overdue != new.overdue:
        yield Note(old.overdue == "revoke", f"reviews: `overdue` was {old.overdue}, is {new.overdue}")
    if old.unused_after != new.unused_after:
        yield Note(False, f"reviews: `unused_after` is {duration_in_words(new.unused_after)}")
    if set(old.approvers) != set(new.approvers):
        more = set(new.approvers) - set(old.approvers)
        yield Note(bool(more), f"reviews: also {listed(new.approvers) or 'nobody but owners'} may decide")


def _flows(policy: Policy) -> dict[str, str]:
    return {name: canonical(replace(flow, position=NOWHERE)) for name, flow in policy.flows.items()}


def _content(what: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Note]:
    """Yield what cannot be compared: any change of a rule that holds things back counts as a widening."""
    for name in dict.fromkeys((*old, *new)):
        if name not in old:
            yield Note(False, f"new {what} {name}")
        elif old[name] != new.get(name):
            yield Note(True, f"{what} {name} {'changed' if name in new else 'is gone'}", certain=False)
