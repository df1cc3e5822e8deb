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

from bailiwick.decide.session import Opening, check_opening, derived_value
from bailiwick.gateway.config import SessionMaxima
from bailiwick.gateway.live import REVOKED, Live
from bailiwick.gateway.recorder import Fact
from bailiwick.gateway.sessions import Sessions
from bailiwick.gateway.state import StoredSession
from bailiwick.gateway.tokens import Tokens
from bailiwick.gateway.ulid import Ulids
from bailiwick.model.decision import Denial
from bailiwick.model.lock import Lock
from bailiwick.model.policy import ContextRule, Policy, Resource
from bailiwick.model.record import JsonValue
from bailiwick.model.session import Session, User
from bailiwick.model.value import Scalar

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
        recorder = self._sessions.recorder
        detail: dict[str, JsonValue] = {
            "opener": wanted.opener,
            "mounts": list(mounts),
            "expires_at": session.expires_at.isoformat(),
            "context": [*sorted(session.context)],
        }
        policy = self._sessions.force.policy.version
        await recorder.keep(recorder.make(Fact("session.opened", policy=policy, detail=detail), session))
        stored = StoredSession(session, secrets.token_hex(16), mounts, session.opened_at)
        await self._sessions.state.insert(stored)
        live = self._sessions.take_up(stored)
        if self._sessions.force.gone(session):  # the policy changed while the session was being opened
            live.end(REVOKED)
            return REVOKED.denial
        return Opened(live, mounts, self._tokens.issue(session, stored.jti, mounts))

    async def _draw(self, wanted: Wanted) -> tuple[Session, tuple[str, ...]] | Denial:
        """Return the session that may be opened, and its mounts."""
        if len(self._sessions.registry) >= self._maxima.max_open:
            return Denial(
                "limit_exceeded", "too many sessions are open", remedy="close some, or raise sessions.max_open"
            )
        force = self._sessions.force
        tenant = _typed_tenant(force.policy, force.lock, wanted.tenant)
        if isinstance(tenant, Denial):
            return tenant
        checked = self._checked(force.policy, wanted, tenant)
        if isinstance(checked, Denial):
            return checked
        found = await self._derive(force.policy, checked)
        if isinstance(found, Denial):
            return found
        now = self._sessions.clock()
        session = Session(
            id="ses_" + self._ulids.new(),
            agent=wanted.agent,
            user=wanted.user,
            task=wanted.task,
            context={**checked.context, **found},
            tenant=found.get("tenant", checked.tenant),
            opened_at=now,
            expires_at=now + checked.ttl,
            idle=checked.idle,
        )
        mounts = self._mounts(session, wanted.mounts)
        return mounts if isinstance(mounts, Denial) else (session, mounts)

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

    def _mounts(self, session: Session, wanted: Sequence[str]) -> tuple[str, ...] | Denial:
        force = self._sessions.force
        for name in wanted:
            if name not in force.policy.every_mount:
                known = ", ".join(f"`{mount}`" for mount in force.policy.every_mount)
                return Denial("resource_unknown", f"there is no mount `{name}`", remedy=f"the mounts are {known}")
        if wanted:
            return tuple(dict.fromkeys(wanted))
        scope = force.table(session).scope
        reached = {each.resource.mount for each in scope.resources.values()}
        reached |= {each.mount for each in scope.tools.values()}
        return tuple(sorted(reached or force.policy.every_mount))

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
