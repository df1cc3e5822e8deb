"""Which budgets a request is charged to: those of every grant that contributes, of their roles, of the mount, of the
agent and of the session, and, of a delegated session, of all who delegated to it. Pure.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from bailiwick.model.budget import Budget, Measure, Price, Want, measures, millionths
from bailiwick.model.decision import Denial
from bailiwick.model.policy import Agent, Grant, Limit, Policy
from bailiwick.model.scope import Scope
from bailiwick.model.session import Session

_MICROSECOND = timedelta(microseconds=1)
_measures: Mapping[str, Measure] = {each: each for each in measures}
_OF_READS: tuple[Measure, ...] = ("rows", "bytes")


def budget(limit: Limit, key: str, owner: str, *, total: bool = False, by_agent: bool = False) -> Budget | None:
    """Return the budget that a limit is; None for a ceiling on one statement. `total`: of a session."""
    measure = _measures.get(limit.name)
    if measure is None or (limit.per is None and not total and measure != "concurrent"):
        return None
    window = None if limit.per is None else limit.per // _MICROSECOND
    most = millionths(limit.amount) if measure == "cost" else int(limit.amount)
    span = "" if window is None else f":{window}"
    return Budget(f"{key}:{measure}{span}", measure, most, window, owner, limit.unit, by_agent)


class Charging:
    """What the parts of a policy charge. Made once for a policy and an agent; immutable to the outside."""

    def __init__(self, policy: Policy, agent: str, grants: Mapping[str, Grant]) -> None:
        self._grants = grants
        self._roles: dict[str, tuple[Budget, ...]] = {}
        """Role → the budgets of all roles of the agent through which its grants come."""
        known = policy.agents.get(agent)
        mine = frozenset(() if known is None else _with_inherited(policy, known.roles))
        for name in policy.roles:
            through = [each for each in mine | {name} if name in _with_inherited(policy, (each,))]
            self._roles[name] = tuple(_of_roles(policy, sorted(through)))
        self._mounts = {name: tuple(_of_mount(policy, name)) for name in policy.every_mount}

    def of(self, granting: Iterable[str], mount: str, verb: str | None) -> tuple[Budget, ...]:
        """Return what an access by these grants is charged to. `verb` None: a statement that uses no resource."""
        found: dict[str, Budget] = {}
        for grant in self._leaves(granting):
            own = (each for each in _of_grant(grant) if verb == "read" or each.measure not in _OF_READS)
            found |= {each.key: each for each in (*own, *self._roles.get(grant.role, ()))}
        for each in self._mounts.get(mount, ()):
            found[each.key] = each
        return tuple(found.values())

    def _leaves(self, granting: Iterable[str]) -> Iterator[Grant]:
        """Yield the grants; for a pair of a delegated session, both."""
        for name in granting:
            grant = self._grants.get(name)
            if grant is not None:
                if grant.pair:
                    yield from self._leaves(grant.pair)
                else:
                    yield grant


_kept: OrderedDict[tuple[str, str], tuple[Policy, Charging]] = OrderedDict()
_most_kept = 256


def charging_of(policy: Policy, scope: Scope) -> Charging:
    """Return what a scope charges, made at its first use and kept with the newest ones."""
    key = (policy.version, scope.id)
    known = _kept.get(key)
    if known is None or known[0] is not policy:
        known = _kept[key] = (policy, Charging(policy, scope.agent, scope.grants))
        if len(_kept) > _most_kept:
            _kept.popitem(last=False)
    return known[1]


def batches(policy: Policy, agent: str) -> tuple[Limit, ...]:
    """Return the ceilings on the writes of an agent, whatever grants them: its own, and those of its roles."""
    known = policy.agents.get(agent)
    roles = () if known is None else tuple(_with_inherited(policy, known.roles))
    found = [policy.roles[name].limits for name in roles if name in policy.roles]
    own = () if known is None else known.limits
    return tuple(limit for limits in (own, *found) for limit in limits if limit.name == "batch")


def of_session(policy: Policy, session: Session) -> tuple[Budget, ...]:
    """Return the budgets of a session and its agent, and of the sessions that delegated to it and their agents."""
    found: list[Budget] = []
    each: Session | None = session
    while each is not None:
        agent = policy.agents.get(each.agent)
        if agent is not None:
            found += _of_agent(agent)
            found += _totals(agent, each)
        each = each.parent
    return tuple({one.key: one for one in found}.values())


def for_agents(budgets: Iterable[Budget], session: Session) -> tuple[Budget, ...]:
    """Return the budgets as they are counted: of each agent in the session's chain those that every agent has."""
    agents = dict.fromkeys((session.agent, *session.chain))
    found = [each.of_agent(agent) for each in budgets for agent in (agents if each.by_agent else ("",))]
    return tuple({one.key: one for one in found}.values())


def together(found: Sequence[Sequence[Budget]]) -> tuple[Budget, ...]:
    """Return what several requests are charged to that are made as one: each counts as an action of its own."""
    known: dict[str, Budget] = {}
    for each in (one for several in found for one in several):
        before = known.get(each.key)
        known[each.key] = each if before is None else replace(each, weight=before.weight + each.weight)
    return tuple(known.values())


def wants(budgets: Iterable[Budget], cost: int | None = None) -> tuple[Want, ...]:
    """Return what a request takes of them at its beginning; `cost`: the most that it may cost, None: nothing."""
    return tuple(want for each in budgets if (want := _want(each, cost)) is not None)


def _want(each: Budget, cost: int | None) -> Want | None:
    if each.measure == "actions":
        return Want(each, take=each.weight)
    if each.measure == "concurrent":
        return Want(each, hold=1)
    if each.measure == "cost":
        return None if cost is None else Want(each, hold=cost)
    return Want(each)


def holding(budgets: Iterable[Budget]) -> tuple[Want, ...]:
    """Return what a request takes that is held for people: one action, and nothing else."""
    return tuple(Want(each, take=1) for each in budgets if each.measure == "actions")


def estimate(price: Price | None) -> int | None:
    """Return the most that a call of that price may cost, as far as that is known before it; None: nothing."""
    return None if price is None else millionths(price.call + (price.most or 0))


def cost_of(price: Price | None, rows: int, told: Decimal | None) -> int:
    """Return what a call cost; `told`: what the answer said. One that had to say it and did not costs the most."""
    if price is None:
        return 0
    rest = Decimal(0)
    if price.is_told:
        rest = told if told is not None and told.is_finite() and told >= 0 else price.most or Decimal(0)
    return millionths(price.call + price.row * rows + rest)


def _with_inherited(policy: Policy, roles: Iterable[str]) -> Iterator[str]:
    """Yield the roles and all that they inherit."""
    seen: set[str] = set()
    waiting = list(roles)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            yield name
            role = policy.roles.get(name)
            waiting += () if role is None else role.inherits


def _of_roles(policy: Policy, roles: Sequence[str]) -> Iterator[Budget]:
    for name in roles:
        for limit in policy.roles[name].limits if name in policy.roles else ():
            found = budget(limit, f"role:{name}", f"role `{name}`", by_agent=True)
            if found is not None:
                yield found


def _of_grant(grant: Grant) -> Iterator[Budget]:
    for limit in grant.limits:
        found = budget(limit, f"grant:{grant.id}", f"`{grant.action}` in role `{grant.role}`", by_agent=True)
        if found is not None:
            yield found


def _of_mount(policy: Policy, name: str) -> Iterator[Budget]:
    mount = policy.mounts.get(name) or policy.tool_mounts.get(name)
    for limit in () if mount is None else mount.limits:
        found = budget(limit, f"mount:{name}", f"mount `{name}`")
        if found is not None:
            yield found


def _of_agent(agent: Agent) -> Iterator[Budget]:
    for limit in agent.limits:
        found = budget(limit, f"agent:{agent.name}", f"agent `{agent.name}`")
        if found is not None:
            yield found


def _totals(agent: Agent, session: Session) -> Iterator[Budget]:
    key, rules = f"session:{session.id}", agent.session
    own = "this session" if session.parent is None else f"the session of `{agent.name}`"
    if rules.actions is not None:
        yield Budget(f"{key}:actions", "actions", rules.actions, None, own)
    if rules.concurrent is not None:
        yield Budget(f"{key}:concurrent", "concurrent", rules.concurrent, None, own)
    if rules.cost is not None:
        found = budget(rules.cost, key, own, total=True)
        if found is not None:
            yield found


def used_up(budget: Budget, wait: int | None, action: str = "") -> Denial:
    """Return the denial of a request for which a budget has not enough left; `wait` in microseconds."""
    seconds = None if wait is None else max(-(-wait // 1_000_000), 1)
    message = f"{budget_in_words(budget)} of {budget.owner} are used up"
    if budget.measure == "concurrent":
        message = f"{budget.most} calls of {budget.owner} run already, the most that may at once"
        return Denial("limit_exceeded", message, "", "wait for some of them", action, seconds or 1)
    if budget.window is None:
        return Denial("limit_exceeded", message, "", "ask whoever opened the session for a new one", action, seconds)
    if seconds is None:
        return Denial("limit_exceeded", message, "", "ask for less at once, or wait for what runs", action)
    return Denial("limit_exceeded", message, "", f"try again in {_span(seconds)}", action, seconds)


UNAVAILABLE = Denial(
    "limit_unavailable",
    "the gateway cannot count this now, so it does not do it",
    remedy="try again in a moment; if it stays so, tell the gateway's operator",
    retry_after=1,
)


def budget_in_words(budget: Budget) -> str:
    """Return how much of what: `30 actions in 1 minute`, `2 USD`."""
    if budget.measure == "cost":
        said = f"{money(budget.most)} {budget.unit}"
    else:
        noun = budget.measure if budget.most != 1 else budget.measure.removesuffix("s")
        said = f"{budget.most} {'calls at once' if budget.measure == 'concurrent' else noun}"
    return said if budget.window is None else f"{said} in {_span(budget.window // 1_000_000)}"


def money(amount: int) -> str:
    """Return money as it is written, from millionths."""
    whole, rest = divmod(amount, 1_000_000)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".") if rest else str(whole)


def _span(seconds: int) -> str:
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {name}{'' if seconds == size else 's'}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"
