"""Opening sessions: check what was asked, look up what is not believed, record, store, issue the token.

The opener is trusted with agent, user, claims, tenant and values; the policy says which of them may come together.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from bailiwick.decide.session import Opening, check_delegation, check_opening, derived_value
from bailiwick.gateway.config import SessionMaxima
from bailiwick.gateway.recorder import Fact
from bailiwick.gateway.sessions.live import REVOKED, Live
from bailiwick.gateway.sessions.sessions import Sessions
from bailiwick.gateway.sessions.tokens import Tokens
from bailiwick.gateway.state import StoredSession
from bailiwick.gateway.ulid import Ulids
from bailiwick.model.decision import Denial
from bailiwick.model.lock import Lock
from bailiwick.model.policy import ContextRule, Narrowing, Policy, Resource
from bailiwick.model.record import JsonValue
from bailiwick.model.session import Session, User
from bailiwick.model.value import Scalar
from bailiwick.policy.asking import read_asked

_most_own = 200
"""Sessions that one agent may have open that it opened itself, with all that were delegated by them."""
_most_delegated = 100
_integers = ("smallint", "integer", "bigint")


class Lookup(Protocol):
    """Finds one value in a backend, with the gateway's own credentials."""

    async def __call__(
        self, mount: str, resource: Resource, column: str, by_column: str, value: Scalar, tenant: Scalar | None
    ) -> object:
        """Return `column` of the one row whose `by_column` is `value`; None when there is none, or several.

        Where `tenant` is given, only rows of that tenant count. Raises BackendError.
        """
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """A session as its opener asks for it."""

    agent: str
    task: str | None = None
    user: User | None = None
    tenant: str | None = None
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    ttl: timedelta | None = None
    mounts: Sequence[str] = ()
    """None named: every mount in which the session may do something."""
    opener: str = ""
    """Who asked, for the ledger."""
    asked: str | None = None
    """What of the scope is asked for, as JSON (`policy.asking`); None: all of it."""
    own: bool = False
    """The agent opens it itself: `user` and `tenant` are those of a verified token, `values` is empty."""
    parent: Live | None = None
    """The session that delegates: `user`, `tenant` and `values` are its own, and those given here do not count."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An open session, and the token that is never shown again."""

    live: Live
    mounts: tuple[str, ...]
    token: str = field(repr=False)


class Opener:
    """Opens sessions."""

    def __init__(self, sessions: Sessions, tokens: Tokens, lookup: Lookup, maxima: SessionMaxima, ulids: Ulids) -> None:
        self._sessions = sessions
        self._tokens = tokens
        self._lookup = lookup
        self._maxima = maxima
        self._ulids = ulids

    async def open(self, wanted: Wanted) -> Opened | Denial:
        """Open a session, or say why not. Either is on record, durably, when this returns."""
        drawn = await self._draw(wanted)
        if isinstance(drawn, Denial):
            await self._refused(wanted, drawn)
            return drawn
        session, mounts = drawn
        parent = None if session.parent is None else session.parent.id
        recorder = self._sessions.recorder
        detail: dict[str, JsonValue] = {
            "opener": wanted.opener,
            "mounts": list(mounts),
            "expires_at": session.expires_at.isoformat(),
            "context": [*sorted(session.context)],
            "own": session.own,
            "asked": [] if session.asked is None else [*sorted(session.asked)],
            "parent": parent or "",
        }
        passed = self._sessions.force.table(session).scope.passed
        detail["passed"] = [*passed]
        policy = self._sessions.force.policy.version
        await recorder.keep(recorder.make(Fact("session.opened", policy=policy, detail=detail), session))
        stored = StoredSession(
            session, secrets.token_hex(16), mounts, session.opened_at, asked=wanted.asked, parent=parent
        )
        await self._sessions.state.insert(stored)
        live = self._sessions.take_up(stored)
        if self._sessions.force.gone(session):  # the policy changed while the session was being opened
            live.end(REVOKED)
        if live.ended is not None:  # or what delegated to it has ended meanwhile
            return live.ended.denial
        if live.suspended is not None:  # or everything was suspended
            live.end(REVOKED)
            return live.suspended
        return Opened(live, mounts, self._tokens.issue(session, stored.jti, mounts))

    async def _draw(self, wanted: Wanted) -> tuple[Session, tuple[str, ...]] | Denial:
        """Return the session that may be opened, and its mounts."""
        delegating = None if wanted.parent is None else wanted.parent.session
        chain = () if delegating is None else (*delegating.chain, delegating.agent)
        suspended = self._sessions.suspensions.denial(wanted.agent, chain)
        if suspended is not None:
            return suspended
        if len(self._sessions.registry) >= self._maxima.max_open:
            return Denial(
                "limit_exceeded", "too many sessions are open", remedy="close some, or raise sessions.max_open"
            )
        if wanted.own and self._own(wanted.agent) >= _most_own:
            return _too_many_own(wanted.agent)
        asked = _asked(wanted.asked)
        if isinstance(asked, Denial):
            return asked
        checked = await self._all_checked(wanted)
        if isinstance(checked, Denial):
            return checked
        checked, found = checked
        now = self._sessions.clock()
        parent = None if wanted.parent is None else wanted.parent.session
        session = Session(
            id="ses_" + self._ulids.new(),
            agent=wanted.agent,
            user=wanted.user if parent is None else parent.user,
            task=wanted.task,
            context={**checked.context, **found},
            tenant=found.get("tenant", checked.tenant),
            opened_at=now,
            expires_at=now + checked.ttl if parent is None else min(now + checked.ttl, parent.expires_at),
            idle=checked.idle,
            asked=asked,
            chain=() if parent is None else (*parent.chain, parent.agent),
            parent=parent,
            own=wanted.own or (parent is not None and parent.own),
        )
        mounts = self._mounts(session, wanted)
        return mounts if isinstance(mounts, Denial) else (session, mounts)

    async def _all_checked(self, wanted: Wanted) -> tuple[Opening, dict[str, Scalar]] | Denial:
        """Return what may be opened, and the values that were looked up."""
        force = self._sessions.force
        if wanted.parent is not None:
            delegated = self._delegated(force.policy, wanted, wanted.parent)
            return delegated if isinstance(delegated, Denial) else (delegated, {})
        tenant = _typed_tenant(force.policy, force.lock, wanted.tenant)
        if isinstance(tenant, Denial):
            return tenant
        checked = self._checked(force.policy, wanted, tenant)
        if isinstance(checked, Denial):
            return checked
        found = await self._derive(force.policy, checked)
        return found if isinstance(found, Denial) else (checked, found)

    def _delegated(self, policy: Policy, wanted: Wanted, parent: Live) -> Opening | Denial:
        now = self._sessions.clock()
        refused = parent.refused(now)
        if refused is not None:
            return refused
        if wanted.values or wanted.user is not None or wanted.tenant is not None:
            remedy = "leave them out"
            return Denial("context_missing", "a delegated session has the values of its parent", remedy=remedy)
        first = (*parent.session.chain, parent.session.agent)[0]
        if parent.session.own and self._own(first) >= _most_own:
            return _too_many_own(first)
        if _descendants(_root(parent)) >= _most_delegated:
            message = f"of one session at most {_most_delegated} are open that it delegated, or that these did"
            return Denial("limit_exceeded", message, remedy="close some")
        return check_delegation(
            policy, wanted.agent, wanted.task, parent.session, ttl=wanted.ttl, longest=self._maxima.max_ttl, now=now
        )

    def _own(self, agent: str) -> int:
        """Return how many sessions an agent opened itself, with those that it delegated."""
        own = (each.session for each in self._sessions.registry if each.session.own)
        return sum(1 for session in own if (*session.chain, session.agent)[0] == agent)

    def _checked(self, policy: Policy, wanted: Wanted, tenant: Scalar | None) -> Opening | Denial:
        known = policy.agents.get(wanted.agent)
        unlimited = known is None or known.session.ttl is None
        return check_opening(
            policy,
            wanted.agent,
            wanted.task,
            wanted.user,
            wanted.values,
            tenant,
            ttl=self._maxima.default_ttl if wanted.ttl is None and unlimited else wanted.ttl,
            longest=self._maxima.max_ttl,
            now=self._sessions.clock(),
            own=wanted.own,
        )

    async def _derive(self, policy: Policy, checked: Opening) -> dict[str, Scalar] | Denial:
        """Look up the derived values: the tenant before those that are looked up within it."""
        found: dict[str, Scalar] = {}
        for name in sorted(checked.derived, key=lambda name: name != "tenant"):
            rule = checked.derived[name]
            tenant = None if name == "tenant" else found.get("tenant", checked.tenant)
            value = await self._looked_up(policy, name, rule, {**checked.context, **found}, tenant)
            typed = derived_value(name, rule, value)
            if isinstance(typed, Denial):
                return typed
            found[name] = typed
        return found

    async def _looked_up(
        self, policy: Policy, name: str, rule: ContextRule, known: Mapping[str, Scalar], tenant: Scalar | None
    ) -> object:
        resource = policy.resource(rule.source or "")
        by = rule.by or ""
        if resource is None or by not in known:
            return None
        if resource.tenant is not None and tenant is None and name != "tenant":
            return None
        return await self._lookup(resource.mount, resource, rule.column or name, by, known[by], tenant)

    def _mounts(self, session: Session, wanted: Wanted) -> tuple[str, ...] | Denial:
        force = self._sessions.force
        every = force.policy.every_mount
        if wanted.parent is not None:
            every = tuple(name for name in every if name in wanted.parent.mounts)
        for name in wanted.mounts:
            if name not in every:
                known = ", ".join(f"`{mount}`" for mount in every)
                return Denial("resource_unknown", f"there is no mount `{name}`", remedy=f"the mounts are {known}")
        if wanted.mounts:
            return tuple(dict.fromkeys(wanted.mounts))
        scope = force.table(session).scope
        reached = {each.resource.mount for each in scope.resources.values()}
        reached |= {each.mount for each in scope.tools.values()}
        return tuple(sorted(reached & set(every) or every))

    async def _refused(self, wanted: Wanted, denial: Denial) -> None:
        """Record a refusal. What was asked is the opener's word and is cut to a sane length."""
        recorder = self._sessions.recorder
        detail = {
            "opener": wanted.opener,
            "agent": wanted.agent[:200],
            "task": (wanted.task or "")[:200],
            "user": wanted.user.id[:200] if wanted.user else "",
        }
        policy = self._sessions.force.policy.version
        fact = Fact("session.refused", denial.code, denial.message, policy=policy, detail=detail)
        await recorder.keep(recorder.make(fact))


def _too_many_own(agent: str) -> Denial:
    message = f"agent `{agent}` has {_most_own} sessions open that it opened itself or delegated"
    return Denial("limit_exceeded", message, remedy="close some")


def _root(live: Live) -> Live:
    """Return the session at the top of a delegation."""
    return live if live.parent is None else _root(live.parent)


def _descendants(live: Live) -> int:
    return sum(1 + _descendants(each) for each in live.children)


def _asked(text: str | None) -> Mapping[str, Narrowing] | Denial | None:
    """Return what an opener asks for."""
    if text is None:
        return None
    found = read_asked(text)
    if isinstance(found, tuple):
        return Denial("value_not_granted", f"what is asked for: {found[0].message}", remedy=found[0].suggestion)
    return found


def _typed_tenant(policy: Policy, lock: Lock, text: str | None) -> Scalar | Denial | None:
    """Return the tenant as the tenant columns have it: a number where all of them are numbers."""
    if text is None:
        return None
    kinds: set[str] = set()
    for mount in policy.mounts.values():
        for resource in mount.resources.values():
            table = lock.table(resource.mount, resource.schema, resource.table)
            column = None if table is None or resource.tenant is None else table.column(resource.tenant)
            if column is not None:
                kinds.add(column.type)
    if not kinds or not kinds <= set(_integers):
        return text
    if re.fullmatch(r"-?[0-9]{1,18}", text) is None:
        return Denial("context_missing", "the tenant is not a number", remedy="tenants are numbers in this database")
    return int(text)
