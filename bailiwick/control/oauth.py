"""Tokens by the standards: OAuth 2.1 with client credentials, token exchange (RFC 8693), introspection (RFC 7662),
revocation (RFC 7009), metadata (RFC 8414).

Whatever is asked for, what comes of it is decided by `gateway.opening`: nothing here widens anything.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bailiwick.control.clients import Clients, methods
from bailiwick.control.details import TYPE, Details, read_details
from bailiwick.control.issuers import Issuers
from bailiwick.control.web import Asked, Json, Reply, form
from bailiwick.gateway.identity import Client, asymmetric
from bailiwick.gateway.recorder import Fact
from bailiwick.gateway.sessions.live import Live
from bailiwick.gateway.sessions.opening import Opened, Opener, Wanted
from bailiwick.gateway.sessions.sessions import Sessions
from bailiwick.gateway.sessions.tokens import API, ApiClaims, Claims, Rejected, Tokens
from bailiwick.model.decision import Denial, DenialCode
from bailiwick.model.session import Session

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_TYPES = "urn:ietf:params:oauth:token-type:"
ACCESS_TOKEN = _TYPES + "access_token"
_person_types = (ACCESS_TOKEN, _TYPES + "id_token", _TYPES + "jwt")
_MOUNT = "bailiwick:mount:"
_api_life = timedelta(minutes=10)
_unavailable: frozenset[DenialCode] = frozenset({"limit_exceeded", "ledger_unavailable", "backend_unavailable"})
_api_spent = "api:"
Places = Callable[[], Mapping[str, Sequence[str]]]
"""URL of a listener that reaches several mounts → those mounts."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the endpoints need of the gateway."""

    url: Callable[[], str]
    """Where they are, without a slash at the end."""
    clients: Clients
    issuers: Issuers
    tokens: Tokens
    sessions: Sessions
    opener: Opener
    places: Places


@dataclass(frozen=True, slots=True)
class _Failed:
    """Why there is no token: RFC 6749's code, and words for the client."""

    status: int
    error: str
    words: str


class OAuth:
    """The endpoints."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def metadata(self) -> Mapping[str, Json]:
        """Return the metadata of RFC 8414."""
        url = self._parts.url()
        proves: dict[str, Json] = {}
        for name in ("token", "introspection", "revocation"):
            proves[f"{name}_endpoint_auth_methods_supported"] = [*methods]
            proves[f"{name}_endpoint_auth_signing_alg_values_supported"] = [*asymmetric]
        return {
            "issuer": url,
            "token_endpoint": f"{url}/oauth/token",
            "introspection_endpoint": f"{url}/oauth/introspect",
            "revocation_endpoint": f"{url}/oauth/revoke",
            "jwks_uri": f"{url}/oauth/jwks",
            "grant_types_supported": ["client_credentials", EXCHANGE],
            "response_types_supported": [],
            "authorization_details_types_supported": [TYPE],
            **proves,
        }

    def keys(self) -> Mapping[str, Json]:
        """Return the keys that verify this gateway's tokens."""
        return {"keys": [{**self._parts.tokens.public()}]}

    async def token(self, asked: Asked) -> Reply:
        """Answer at the token endpoint."""
        given = form(asked)
        if given is None:
            return _error(_no_form)
        client = await self._client(asked, given)
        if isinstance(client, Reply):
            return client
        found = await self._granted(client, given)
        if isinstance(found, Mapping):
            return Reply(200, found, (("pragma", "no-cache"),))
        await self._record("token.refused", client.id, asked.peer, found.error, found.words)
        return _error(found)

    async def introspect(self, asked: Asked) -> Reply:
        """Answer at the introspection endpoint. Agents learn of their own tokens only."""
        about = await self._about(asked)
        if isinstance(about, Reply):
            return about
        client, token = about
        live = await self.live(token)
        if live is not None and _may_know(client, live.session):
            return Reply(200, self._told(live))
        return Reply(200, {"active": False})

    async def revoke(self, asked: Asked) -> Reply:
        """Answer at the revocation endpoint: the token's session ends. An unknown token is revoked already."""
        about = await self._about(asked)
        if isinstance(about, Reply):
            return about
        client, token = about
        live = await self.live(token)
        if live is not None and _may_end(client, live.session):
            await self._parts.sessions.end(live.session.id, "REVOKED", "revoked", f"client {client.id}")
        mine = self._parts.tokens.verify_api(token, self._parts.sessions.clock())
        if isinstance(mine, ApiClaims) and mine.client == client.id:
            until = datetime.fromtimestamp(mine.expires + 60, self._parts.sessions.clock().tzinfo)
            await self._parts.sessions.state.spend(_api_spent + mine.jti, until, self._parts.sessions.clock())
        return Reply(200)

    async def _about(self, asked: Asked) -> tuple[Client, str] | Reply:
        """Return who asks about which token, or the refusal."""
        given = form(asked)
        if given is None:
            return _error(_no_form)
        client = await self._client(asked, given)
        if isinstance(client, Reply):
            return client
        tokens = given.get("token", [])
        if len(tokens) != 1:
            return _error(_Failed(400, "invalid_request", "`token` is missing"))
        return client, tokens[0]

    async def live(self, token: str) -> Live | None:
        """Return the open session of a session token, if there is one; it does not count as its activity."""
        sessions = self._parts.sessions
        now = sessions.clock()
        claims = self._parts.tokens.verify(token, None, now)
        found = await sessions.admit(None, claims) if isinstance(claims, Claims) else None
        return found if isinstance(found, Live) and found.ended is None and found.due(now) is None else None

    async def api_client(self, token: str) -> Client | None:
        """Return the client of a token for the API that still counts."""
        claims = self._parts.tokens.verify_api(token, self._parts.sessions.clock())
        if isinstance(claims, Rejected) or await self._parts.sessions.state.is_spent(_api_spent + claims.jti):
            return None
        return self._parts.clients.find(claims.client)

    async def _client(self, asked: Asked, given: Mapping[str, Sequence[str]]) -> Client | Reply:
        url = self._parts.url()
        client = await self._parts.clients.authenticate(asked, given, (url, f"{url}/oauth/token", url + asked.path))
        if isinstance(client, Client):
            return client
        name = given.get("client_id", [""])[0][:100]
        await self._record("token.refused", name, asked.peer, "invalid_client", client.reason)
        reply = _error(_Failed(401, "invalid_client", "the client is not known, or did not prove that it is it"))
        return Reply(401, reply.body, (("www-authenticate", 'Basic realm="bailiwick"'),))

    async def _granted(self, client: Client, given: Mapping[str, Sequence[str]]) -> Mapping[str, Json] | _Failed:
        twice = [name for name, values in given.items() if len(values) > 1 and name not in ("resource", "audience")]
        if twice:
            return _Failed(400, "invalid_request", f"`{twice[0][:40]}` is given twice")
        details = read_details(given.get("authorization_details", []))
        if isinstance(details, str):
            return _Failed(400, "invalid_authorization_details", details)
        targets = [*given.get("resource", []), *given.get("audience", [])]
        match given.get("grant_type", [""])[0]:
            case "client_credentials":
                if any(self._is_api(each) for each in targets):
                    return await self._for_api(client, targets)
                wanted = self._own(client, details, targets)
            case grant if grant == EXCHANGE:
                wanted = await self._exchanged(client, details, given, targets)
            case _:
                return _Failed(400, "unsupported_grant_type", f"the grants are client_credentials and {EXCHANGE}")
        if isinstance(wanted, _Failed):
            return wanted
        opened = await self._parts.opener.open(wanted)
        if isinstance(opened, Denial):
            return _denied(opened, asked=bool(given.get("authorization_details")))
        return self._issued(opened, exchanged=given["grant_type"][0] == EXCHANGE)

    def _own(self, client: Client, details: Details, targets: Sequence[str]) -> Wanted | _Failed:
        """Return a session that a client opens without a person."""
        return self._wanted(client, details, targets)

    async def _exchanged(
        self, client: Client, details: Details, given: Mapping[str, Sequence[str]], targets: Sequence[str]
    ) -> Wanted | _Failed:
        subject, kind = given.get("subject_token", [""])[0], given.get("subject_token_type", [""])[0]
        if not subject or kind not in _person_types:
            known = ", ".join(_person_types)
            return _Failed(400, "invalid_request", f"give `subject_token`, and as its type one of {known}")
        if "actor_token" in given or "actor_token_type" in given:
            return _Failed(400, "invalid_request", "the actor is the client itself: leave `actor_token` out")
        if given.get("requested_token_type", [ACCESS_TOKEN])[0] not in (ACCESS_TOKEN, _TYPES + "jwt"):
            return _Failed(400, "invalid_request", f"what is issued is {ACCESS_TOKEN}")
        claims = self._parts.tokens.verify(subject, None, self._parts.sessions.clock())
        if isinstance(claims, Claims):
            return await self._delegated(client, details, subject, targets)
        person = await self._parts.issuers.verify(subject)
        if isinstance(person, Rejected):
            return _Failed(400, "invalid_request", f"the subject token does not count: {person.reason}")
        if details.tenant is not None and person.tenant is not None and details.tenant != person.tenant:
            return _Failed(400, "invalid_authorization_details", "`tenant` is not the person's")
        wanted = self._wanted(client, details, targets)
        if isinstance(wanted, _Failed):
            return wanted
        return Wanted(
            wanted.agent,
            wanted.task,
            person.user,
            person.tenant if wanted.own else (person.tenant or wanted.tenant),
            wanted.values,
            wanted.ttl,
            wanted.mounts,
            f"{wanted.opener} with a token of {person.issuer}",
            wanted.asked,
            wanted.own,
        )

    async def _delegated(
        self, client: Client, details: Details, subject: str, targets: Sequence[str]
    ) -> Wanted | _Failed:
        """Return a session within the one whose token is given: only its own agent delegates it."""
        live = await self.live(subject)
        if live is None or client.agent is None or live.session.agent != client.agent:
            return _Failed(400, "invalid_request", "the subject token is not one of an open session of the client's")
        if details.context or details.tenant is not None:
            message = "a delegated session has the values of its parent: leave `context` and `tenant` out"
            return _Failed(400, "invalid_authorization_details", message)
        mounts = self._mounts(targets)
        if isinstance(mounts, _Failed):
            return mounts
        return Wanted(
            details.agent or client.agent,
            details.task,
            ttl=details.ttl,
            mounts=mounts,
            opener=f"client {client.id}",
            asked=details.only,
            parent=live,
        )

    def _wanted(self, client: Client, details: Details, targets: Sequence[str]) -> Wanted | _Failed:
        mounts = self._mounts(targets)
        if isinstance(mounts, _Failed):
            return mounts
        if client.agent is not None:
            if details.agent not in (None, client.agent):
                return _Failed(400, "unauthorized_client", "an agent opens sessions for itself only")
            if details.tenant is not None:
                return _Failed(400, "invalid_authorization_details", "an agent cannot say its tenant itself")
        elif details.agent is None or details.agent not in client.opens:
            return _Failed(400, "unauthorized_client", "name an `agent` for which the client opens sessions")
        return Wanted(
            client.agent or details.agent or "",
            details.task,
            tenant=details.tenant,
            values=details.context,
            ttl=details.ttl,
            mounts=mounts,
            opener=f"client {client.id}",
            asked=details.only,
            own=client.agent is not None,
        )

    def _mounts(self, targets: Sequence[str]) -> tuple[str, ...] | _Failed:
        """Return the mounts that are meant (RFC 8707); none named: every one in which the session may do something."""
        found: dict[str, None] = {}
        places = self._parts.places()
        for each in targets:
            if each.startswith(_MOUNT):
                name = each.removeprefix(_MOUNT)
                if name not in self._parts.sessions.force.policy.every_mount:
                    return _Failed(400, "invalid_target", "there is no such mount")
                found[name] = None
            elif each.rstrip("/") in places:
                found.update(dict.fromkeys(places[each.rstrip("/")]))
            else:
                return _Failed(400, "invalid_target", f"a target is `{_MOUNT}NAME`, `{API}`, or where clients connect")
        return tuple(found)

    def _is_api(self, target: str) -> bool:
        return target == API or target.rstrip("/") == f"{self._parts.url()}/api"

    async def _for_api(self, client: Client, targets: Sequence[str]) -> Mapping[str, Json] | _Failed:
        if not client.roles or not all(self._is_api(each) for each in targets):
            return _Failed(400, "invalid_target", "the client has no role in the API, or asks for more than the API")
        identity = secrets.token_hex(16)
        token = self._parts.tokens.issue_api(client.id, identity, self._parts.sessions.clock(), _api_life)
        await self._record("token.issued", client.id, "", "", f"for the API: {', '.join(sorted(client.roles))}")
        return {"access_token": token, "token_type": "Bearer", "expires_in": int(_api_life.total_seconds())}

    def _issued(self, opened: Opened, *, exchanged: bool) -> Mapping[str, Json]:
        session = opened.live.session
        left = int((session.expires_at - self._parts.sessions.clock()).total_seconds())
        granted: dict[str, Json] = {
            "type": TYPE,
            "session": session.id,
            "agent": session.agent,
            "task": session.task,
            "mounts": [*opened.mounts],
        }
        told: dict[str, Json] = {
            "access_token": opened.token,
            "token_type": "Bearer",
            "expires_in": max(0, left),
            "authorization_details": [granted],
        }
        return {**told, "issued_token_type": ACCESS_TOKEN} if exchanged else told

    def _told(self, live: Live) -> Mapping[str, Json]:
        session = live.session
        chain = (*session.chain, session.agent)
        actor: dict[str, Json] = {"sub": chain[0]}
        for agent in chain[1:]:
            actor = {"sub": agent, "act": actor}
        told: dict[str, Json] = {
            "active": True,
            "iss": self._parts.tokens.issuer,
            "aud": [_MOUNT + mount for mount in sorted(live.mounts)],
            "token_type": "Bearer",
            "client_id": session.agent,
            "sid": session.id,
            "act": actor,
            "iat": int(session.opened_at.timestamp()),
            "exp": int(session.expires_at.timestamp()),
        }
        return told if session.user is None else {**told, "sub": session.user.id}

    async def _record(self, kind: str, client: str, peer: str, code: str, words: str) -> None:
        recorder = self._parts.sessions.recorder
        fact = Fact(
            "token.issued" if kind == "token.issued" else "token.refused",
            code,
            words,
            policy=self._parts.sessions.force.policy.version,
            detail={"client": client, "peer": peer},
        )
        await recorder.keep(recorder.make(fact))


_no_form = _Failed(400, "invalid_request", "the body is not a form")


def _may_know(client: Client, session: Session) -> bool:
    return bool(client.roles) or session.agent in client.opens or client.agent in (session.agent, *session.chain)


def _may_end(client: Client, session: Session) -> bool:
    powerful = bool(client.roles & {"opener", "administrator"})
    return powerful or session.agent in client.opens or client.agent in (session.agent, *session.chain)


def _denied(denial: Denial, *, asked: bool) -> _Failed:
    """Return the refusal of a session in the words of OAuth; never more than the denial itself says."""
    words = f"{denial.message}; {denial.remedy}" if denial.remedy else denial.message
    if denial.code in _unavailable:
        return _Failed(503, "temporarily_unavailable", words)
    return _Failed(400, "invalid_authorization_details" if asked else "unauthorized_client", words)


def _error(failed: _Failed) -> Reply:
    text = "".join(each if 0x20 <= ord(each) <= 0x7E and each not in '"\\' else "?" for each in failed.words)
    return Reply(failed.status, {"error": failed.error, "error_description": text})
