"""Who calls the API, and what they may do there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bailiwick.control.issuers import Issuers
from bailiwick.control.oauth import OAuth
from bailiwick.control.web import Asked, Reply, problem
from bailiwick.gateway.identity import Role, clearance_of
from bailiwick.gateway.recorder import Fact
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.sessions.sessions import Sessions
from bailiwick.gateway.sessions.tokens import Rejected
from bailiwick.model.approval import Reviewer
from bailiwick.model.label import Level

_NOBODY = Reviewer("", means="client")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a client, a person, or an agent by its session."""

    name: str
    """For the ledger."""
    roles: frozenset[Role] = frozenset()
    live: Live | None = None
    """The session whose token was brought; such a caller has no role."""
    clearance: Level = "public"
    """The highest label whose values they see."""
    reviewer: Reviewer = _NOBODY
    """Who it is as the desk takes them."""

    def has(self, role: Role) -> bool:
        """Return whether they have a role. Administrators have all of them."""
        return role in self.roles or "administrator" in self.roles


class Callers:
    """Tells who calls by the token that they bring: one for the API, one of an issuer, or a session's."""

    def __init__(self, oauth: OAuth, issuers: Issuers, sessions: Sessions, clearance: Mapping[Role, Level]) -> None:
        """`clearance`: what each role sees."""
        self._oauth = oauth
        self._issuers = issuers
        self._sessions = sessions
        self._clearance = clearance

    async def caller(self, asked: Asked) -> Caller | Reply:
        """Return who calls, or the answer to somebody who is not known."""
        token = asked.bearer
        if token is None:
            return _unknown
        client = await self._oauth.api_client(token)
        if client is not None:
            name = f"client {client.id}"
            clearance = self._sees(client.roles)
            by = Reviewer(name, means="client", clearance=clearance)
            return Caller(name, client.roles, None, clearance, by)
        live = await self._oauth.live(token)
        if live is not None:
            denial = live.refused(self._sessions.clock())
            return Caller(f"session {live.session.id}", live=live) if denial is None else _unknown
        person = await self._issuers.verify(token)
        if isinstance(person, Rejected):
            await self._refused(asked, "", person.reason)
            return _unknown
        user, clearance = person.user, self._sees(person.roles)
        by = Reviewer(user.id, user.groups, person.authenticated_at, clearance=clearance)
        return Caller(f"{user.id} of {person.issuer}", person.roles, None, clearance, by)

    def _sees(self, having: frozenset[Role]) -> Level:
        return clearance_of(having, self._clearance)

    async def allowed(self, asked: Asked, role: Role) -> Caller | Reply:
        """Return who calls if they have a role, else the answer to them."""
        found = await self.caller(asked)
        if isinstance(found, Reply) or found.has(role):
            return found
        await self._refused(asked, found.name, f"without the role {role}")
        return problem(403, "forbidden", f"this needs the role `{role}`", "ask who administers the gateway")

    async def _refused(self, asked: Asked, name: str, reason: str) -> None:
        recorder = self._sessions.recorder
        detail = {"caller": name, "peer": asked.peer, "asked": f"{asked.method} {asked.path[:200]}"}
        await recorder.keep(recorder.make(Fact("api.refused", "forbidden", reason, detail={**detail})))


_told = problem(401, "unauthorized", "a token is needed that counts here: `Authorization: Bearer …`")
_unknown = Reply(401, _told.body, (("www-authenticate", 'Bearer realm="bailiwick"'),), _told.kind)
