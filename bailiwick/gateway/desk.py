"""The desk: answers the requests of the admin socket. Its callers own this gateway's data directory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bailiwick.decide.ground import labels_of
from bailiwick.errors import BailiwickError, ProtocolError, SessionError
from bailiwick.gateway.policies.reload import Reloader
from bailiwick.gateway.refusal import RefusedError
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.sessions.opening import Opener, Wanted
from bailiwick.gateway.sessions.sessions import Sessions
from bailiwick.gateway.sessions.stored import scalar_to_json
from bailiwick.gateway.sessions.suspending import suspending, suspension_told
from bailiwick.gateway.settings import parse_duration
from bailiwick.gateway.state import StoredSession
from bailiwick.gateway.wire import Fields, Json
from bailiwick.ledger.clearance import HIDDEN, sees
from bailiwick.model.approval import Reviewer
from bailiwick.model.decision import Denial
from bailiwick.model.label import Level
from bailiwick.model.policy import Policy
from bailiwick.model.session import Session, SessionState, User
from bailiwick.model.value import Scalar
from bailiwick.policy.observed import observed_in_words
from bailiwick.policy.tool_words import session_in_words

Answer = Callable[[Fields, Reviewer], Awaitable[Mapping[str, Json]]]
"""(the fields of a request, who asks) → the result; raises BailiwickError."""


async def _no_sinks() -> list[Json]:
    return []


async def _no_budgets(live: Live) -> list[Json]:
    del live
    return []


@dataclass(frozen=True, slots=True)
class Desk:
    """What can be asked of a running gateway by those who run it."""

    sessions: Sessions
    opener: Opener
    reloader: Reloader
    fronts: Callable[[], Mapping[str, Mapping[str, str | int]]]
    more: Mapping[str, Answer] = field(default_factory=dict[str, Answer])
    """What approvals and the mounts answer themselves."""
    budgets: Callable[[Live], Awaitable[list[Json]]] = field(default=_no_budgets)
    """How the budgets of a session stand."""
    sinks: Callable[[], Awaitable[list[Json]]] = field(default=_no_sinks)
    """How the sinks of the ledger stand."""

    async def answer(self, do: str, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        """Answer one request. Raises BailiwickError with what the caller is told."""
        answers: Mapping[str, Answer] = {
            **self.more,
            **suspending(self.sessions),
            "session.open": self._open,
            "session.list": self._list,
            "session.show": self._show,
            "session.close": self._close,
            "session.revoke": self._revoke,
            "status": self._status,
            "reload": self._reload,
        }
        if do not in answers:
            raise ProtocolError(f"unknown request `{do[:100]}`", remedy="use the same version of both")
        return await answers[do](fields, by)

    async def _open(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        wanted = _wanted(fields, by)
        fields.done()
        opened = await self.opener.open(wanted)
        if isinstance(opened, Denial):
            raise RefusedError(opened)
        live = opened.live
        stored = await self.sessions.find(live.session.id)
        return {
            "session": self._told(stored, by),
            "token": opened.token,
            "words": self._words(live),
            "fronts": self._addresses(),
            "kinds": self._kinds(),
        }

    async def _list(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        everything = fields.flag("all")
        fields.done()
        found = await self.sessions.list(open_only=not everything)
        return {"sessions": [self._told(stored, by) for stored in found]}

    async def _show(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        stored = await self._named(fields)
        live = self.sessions.registry.get(stored.session.id)
        if live is None:
            return {"session": self._told(stored, by), "words": [], "budgets": []}
        return {"session": self._told(stored, by), "words": self._words(live), "budgets": await self.budgets(live)}

    async def _close(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        return await self._end(fields, "CLOSED", "closed", by)

    async def _revoke(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        return await self._end(fields, "REVOKED", "revoked", by)

    async def _end(self, fields: Fields, state: SessionState, reason: str, by: Reviewer) -> Mapping[str, Json]:
        stored = await self._named(fields)
        live = self.sessions.registry.get(stored.session.id)
        cut = 0 if live is None else live.connections
        await self.sessions.end(stored.session.id, state, reason, by.name)
        return {"session": self._told(await self.sessions.find(stored.session.id), by), "cut": cut}

    async def _status(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        fields.done()
        live = list(self.sessions.registry)
        return {
            "policy": self.sessions.force.policy.version,
            "sessions": len(live),
            "connections": sum(each.connections for each in live),
            "fronts": self._addresses(),
            "observed": [*observed_in_words(self.sessions.force.policy)],
            "suspensions": [suspension_told(each) for each in self.sessions.suspensions.list()],
            "sinks": await self.sinks(),
            "pending": None if self.reloader.promotion.pending is None else self.reloader.promotion.pending.id,
        }

    async def _reload(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        fields.done()
        refused = await self.reloader.reload(by.name)
        if refused is not None:
            raise refused
        return await self._status(fields, by)

    async def _named(self, fields: Fields) -> StoredSession:
        session_id = fields.text("session")
        fields.done()
        return await self.sessions.find(session_id)

    def _words(self, live: Live) -> list[Json]:
        """Return what a session may do with data, tools and functions of its mounts, in words."""
        return [*session_in_words(live.scope, self.sessions.force.lock, live.mounts)]

    def _addresses(self) -> dict[str, Json]:
        return {name: {**place} for name, place in self.fronts().items()}

    def _kinds(self) -> dict[str, Json]:
        """Return what kind of mount each one is."""
        policy = self.sessions.force.policy
        kinds: dict[str, Json] = {name: mount.kind for name, mount in policy.mounts.items()}
        known = (
            ("mcp", policy.mcp),
            ("python", policy.python),
            ("http", policy.http),
            ("email", policy.email),
            ("files", policy.files),
        )
        for kind, mounts in known:
            kinds |= dict.fromkeys(mounts, kind)
        return kinds

    def _told(self, stored: StoredSession, by: Reviewer) -> dict[str, Json]:
        session = stored.session
        hidden = hidden_context(self.sessions.force.policy, session, by.clearance)
        live = self.sessions.registry.get(session.id)
        return {
            "id": session.id,
            "agent": session.agent,
            "task": session.task,
            "user": None if session.user is None else session.user.id,
            "groups": [] if session.user is None else [*sorted(session.user.groups)],
            "tenant": None if session.tenant is None else _shown("tenant", session.tenant, hidden),
            "context": {name: _shown(name, value, hidden) for name, value in session.context.items()},
            "mounts": [*stored.mounts],
            "chain": [*session.chain],
            "parent": stored.parent,
            "state": session.state,
            "reason": stored.reason,
            "opened_at": _moment(session.opened_at),
            "expires_at": _moment(session.expires_at),
            "active_at": _moment(stored.active_at),
            "idle": None if session.idle is None else int(session.idle.total_seconds()),
            "connections": 0 if live is None else live.connections,
        }


def _wanted(fields: Fields, by: Reviewer) -> Wanted:
    user_id, groups, claims = fields.maybe_text("user"), fields.texts("groups"), fields.claims("claims")
    if user_id is None and (groups or claims):
        raise SessionError("groups and claims are a person's", remedy="say whose: `--user`")
    ttl = fields.maybe_text("ttl")
    return Wanted(
        agent=fields.text("agent"),
        task=fields.maybe_text("task"),
        user=None if user_id is None else User(user_id, frozenset(groups), claims),
        tenant=fields.maybe_text("tenant"),
        values=fields.named("values"),
        ttl=None if ttl is None else _duration(ttl),
        mounts=fields.texts("mounts"),
        opener=by.name,
    )


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except BailiwickError as error:
        raise SessionError(f"ttl: {error.message}", remedy=error.remedy) from None


def hidden_context(policy: Policy, session: Session, clearance: Level) -> Collection[str]:
    """Return the values of a session that the gateway looked up in columns above somebody's clearance."""
    if session.task is None:
        return ()
    task = policy.tasks.get(session.task)
    found: list[str] = []
    for name in {*session.context, "tenant"}:
        rule = None if task is None else task.context.get(name)
        if rule is None or rule.source is None:
            continue
        resource = policy.resource(rule.source)
        if resource is None or not sees(labels_of(resource, rule.column or name), clearance):
            found.append(name)
    return found


def _shown(name: str, value: Scalar, hidden: Collection[str]) -> str:
    return HIDDEN if name in hidden else str(scalar_to_json(value)[1])


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
