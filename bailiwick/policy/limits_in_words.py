"""Limits of agents, roles, mounts and sessions in words, and what changed of them between two policies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bailiwick.match.in_words import duration_in_words
from bailiwick.model.policy import Agent, Limit, Policy, Quarantine
from bailiwick.policy.words import limit_in_words


def agent_limits_in_words(policy: Policy, name: str) -> tuple[str, ...]:
    """Return what holds for all that an agent does, beside its grants: one line each."""
    agent = policy.agents.get(name)
    if agent is None:
        return ()
    said = [f"role {role}: {limit_in_words(limit)}" for role in _roles(policy, agent) for limit in _of(policy, role)]
    said += [f"agent {name}: {limit_in_words(limit)}" for limit in agent.limits]
    rules = agent.session
    if rules.actions is not None:
        said.append(f"every session: at most {rules.actions} action{'' if rules.actions == 1 else 's'}")
    if rules.cost is not None:
        said.append(f"every session: {limit_in_words(rules.cost)}")
    if rules.concurrent is not None:
        said.append(f"every session: at most {rules.concurrent} at once")
    if agent.quarantine is not None:
        said.append(quarantine_in_words(agent.quarantine))
    return tuple(said)


def mount_limits_in_words(limits: Sequence[Limit], what: str) -> tuple[str, ...]:
    """Return the limits of a mount: of each `what` ("statement"), and of all agents together."""
    return tuple(
        f"{f'every {what}' if _is_once(limit) else 'all agents together'}: {limit_in_words(limit)}" for limit in limits
    )


def quarantine_in_words(rule: Quarantine) -> str:
    """Return after how many denials what is suspended."""
    whom = "the session" if rule.suspend == "session" else "the agent"
    return f"{rule.denials} denials in {duration_in_words(rule.per)} suspend {whom}"


def limit_changes(old: Sequence[Limit], new: Sequence[Limit]) -> Iterator[tuple[bool, str]]:
    """Yield each limit that is another one now: whether that widens, and how it reads."""
    was, now = (_by_window(limits) for limits in (old, new))
    for key in dict.fromkeys((*was, *now)):
        before, after = was.get(key), now.get(key)
        if before != after:
            widens = after is None or (before is not None and after.amount > before.amount)
            said, of = ("no limit" if each is None else limit_in_words(each) for each in (after, before))
            yield widens, f"{key[0]}: {said} (before: {of})"


def quarantine_widens(old: Quarantine | None, new: Quarantine | None) -> bool:
    """Return whether more denials than before pass without a suspension, or a smaller one follows."""
    if old is None or old == new:
        return False
    if new is None:
        return True
    smaller = old.suspend == "agent" and new.suspend == "session"
    return smaller or new.denials > old.denials or new.per < old.per


def _by_window(limits: Sequence[Limit]) -> Mapping[tuple[str, object, str], Limit]:
    return {(limit.name, limit.per, limit.unit): limit for limit in limits}


def _is_once(limit: Limit) -> bool:
    return limit.per is None and limit.name != "concurrent"


def _roles(policy: Policy, agent: Agent) -> list[str]:
    found: dict[str, None] = {}
    waiting = [*agent.roles]
    while waiting:
        name = waiting.pop(0)
        if name not in found and name in policy.roles:
            found[name] = None
            waiting += policy.roles[name].inherits
    return [*found]


def _of(policy: Policy, role: str) -> tuple[Limit, ...]:
    return policy.roles[role].limits
