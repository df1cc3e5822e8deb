"""Token endpoints over a gateway without sockets: an issuer whose keys are in hand, and clients of every kind."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import urlencode

from gateway_rig import Hand, Rig, make_rig
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from bailiwick.control.clients import Clients
from bailiwick.control.issuers import FetchError, Issuers
from bailiwick.control.oauth import ACCESS_TOKEN, EXCHANGE, OAuth, Parts
from bailiwick.control.web import Asked
from bailiwick.gateway.identity import Client, Issuer, Role, roles
from bailiwick.model.label import Level
from bailiwick.model.lock import Lock
from bailiwick.model.policy import SecretRef
from bailiwick.model.record import Record

URL = "https://bailiwick.example"
LOGIN = "https://login.example"
CLEARANCE: dict[Role, Level] = dict.fromkeys(roles, "public")
SECRETS = {"DESK": "desk-secret-canary-4711-0815-abcdef", "OPENER": "opener-secret-canary-4711-0815-abc"}

document = """
bailiwick: 1
mounts:
  crm:
    kind: postgres
    url: ${CRM_URL}
    resources:
      tickets: {table: public.tickets, key: ticket_id, tenant: tenant_id}
      customers: {table: public.customers, key: customer_id, tenant: tenant_id}
  erp: {kind: postgres, url: "${ERP_URL}", resources: {}}
roles:
  support:
    grants:
      - {allow: tickets:read, reason: answers them, rows: {ticket_id: $ticket_id}}
      - {allow: customers:read, reason: names them, fields: [customer_id], rows: {customer_id: [$user.customers]}}
  reader:
    grants:
      - {allow: tickets:read, reason: reads them all}
agents:
  desk-bot: {owner: support, purpose: answers tickets, roles: [support], session: {ttl: 30m}}
  reader-bot: {owner: support, purpose: reads tickets, roles: [reader]}
tasks:
  handle:
    agents: [desk-bot]
    users: {groups: [support]}
    context: {ticket_id: integer, customer_id: {type: integer, from: tickets, by: ticket_id}}
  mine:
    agents: [desk-bot]
    users: {groups: [support]}
    context:
      ticket_id: {type: integer, claim: current_ticket}
      customer_id: {type: integer, from: tickets, by: ticket_id}
  look: {agents: [reader-bot], context: {ticket_id: integer}}
"""


_rsa = RSAKey.generate_key(2048, {"kid": "r1"})


@dataclass
class Provider:
    """An issuer: its keys, and what it publishes."""

    rsa: RSAKey = field(default_factory=lambda: _rsa)
    ec: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "e1"}))
    published: dict[str, object] = field(default_factory=dict[str, object])
    fetched: list[str] = field(default_factory=list[str])
    down: bool = False

    def publish(self, *keys: Mapping[str, object]) -> None:
        """Publish public keys."""
        self.published = {"keys": [*keys]}

    async def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        if self.down:
            raise FetchError("down")
        if url == f"{LOGIN}/.well-known/openid-configuration":
            return json.dumps({"issuer": LOGIN, "jwks_uri": f"{LOGIN}/jwks"}).encode()
        assert url == f"{LOGIN}/jwks"
        return json.dumps(self.published).encode()


@dataclass
class Desk:
    """The endpoints and everything behind them."""

    rig: Rig
    provider: Provider
    oauth: OAuth
    issuers: Issuers
    signer: OKPKey
    """The private key of the client that signs assertions."""

    def claims(self, **changes: object) -> dict[str, object]:
        """Return the claims of a good ID token; None takes one out."""
        now = int(self.rig.clock.now.timestamp())
        good: dict[str, object] = {"iss": LOGIN, "aud": "bailiwick", "sub": "ada", "iat": now, "exp": now + 300}
        person: dict[str, object] = {"groups": ["support"], "tenant": 4, "current_ticket": 7, "customers": [70, 71]}
        return {name: value for name, value in {**good, **person, **changes}.items() if value is not None}

    def id_token(self, **changes: object) -> str:
        """Return an ID token of the issuer's RSA key."""
        return self.headed({}, **changes)

    def headed(self, header: Mapping[str, object], **changes: object) -> str:
        """Return an ID token with another header."""
        head = {"alg": "RS256", "kid": "r1", **header}
        return jwt.encode(dict(head), self.claims(**changes), self.provider.rsa, algorithms=[str(head["alg"])])

    def assertion(self, **changes: object) -> str:
        """Return a client's signed assertion."""
        return self.signed(self.signer, **changes)

    def signed(self, key: OKPKey, **changes: object) -> str:
        """Return an assertion signed by a key."""
        now = int(self.rig.clock.now.timestamp())
        good: dict[str, object] = {"iss": "signing-bot", "sub": "signing-bot", "aud": f"{URL}/oauth/token"}
        claims = {**good, "iat": now, "exp": now + 60, "jti": "a1", **changes}
        return jwt.encode({"alg": "Ed25519"}, claims, key, algorithms=["Ed25519"])

    async def post(self, path: str, client: str = "desk", **form: str) -> tuple[int, dict[str, object]]:
        """Post a form as a client; `client` empty: without credentials."""
        headers = {"content-type": "application/x-www-form-urlencoded"}
        if client:
            pair = f"{client}:{SECRETS.get(client.upper(), 'wrong')}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        asked = Asked("POST", path, {}, headers, urlencode(form).encode(), "127.0.0.1:9")
        ends = {"/oauth/token": self.oauth.token, "/oauth/introspect": self.oauth.introspect}
        reply = await ends.get(path, self.oauth.revoke)(asked)
        return reply.status, cast("dict[str, object]", reply.body or {})

    async def exchange(self, token: str, client: str = "desk", **more: object) -> tuple[int, dict[str, object]]:
        """Exchange a token. `details` are the authorization details, `form` further parameters."""
        form = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ACCESS_TOKEN}
        details = more.get("details", {"task": "mine"})
        form["authorization_details"] = json.dumps(
            [{"type": "bailiwick_session", **cast("dict[str, object]", details)}]
        )
        return await self.post("/oauth/token", client, **form, **cast("dict[str, str]", more.get("form", {})))

    async def token(self, **more: object) -> str:
        """Return a session's token, exchanged for a good ID token."""
        status, body = await self.exchange(self.id_token(), "desk", **more)
        assert status == 200, body
        return str(body["access_token"])

    def last(self) -> Record:
        return self.rig.ledger.records[-1]

    def written(self) -> str:
        """Return everything that the ledger has, as text."""
        return "\n".join(str(record) for record in self.rig.ledger.records)


async def make_desk(folder: Path, policy: str = document, accepted: Lock | None = None) -> Desk:
    """Compose everything; the issuer has published its two keys."""
    rig = await make_rig(folder, policy, Hand(), accepted=accepted)
    provider = Provider()
    provider.publish(provider.rsa.as_dict(private=False), provider.ec.as_dict(private=False))
    signer = OKPKey.import_key(OKPKey.generate_key("Ed25519").as_dict(private=True))
    (folder / "bot.jwks").write_text(json.dumps({"keys": [signer.as_dict(private=False)]}))
    known = {
        "desk": Client("desk", "desk-bot", secret=SecretRef("${DESK}")),
        "opener": Client("opener", opens=("desk-bot", "reader-bot"), secret=SecretRef("${OPENER}")),
        "signing-bot": Client("signing-bot", "reader-bot", keys=SecretRef("file:bot.jwks")),
        "watcher": Client("watcher", roles=frozenset({"viewer"}), secret=SecretRef("${WATCHER}")),
    }
    SECRETS["WATCHER"] = "watcher-secret-canary-4711-0815-abc"
    clients = Clients(known, SECRETS, folder, rig.state, rig.clock)
    issuer = Issuer("login", LOGIN, ("bailiwick",), tenant="tenant", claims=("current_ticket", "customers", "region"))
    issuers = Issuers({"login": issuer}, rig.clock, provider.fetch)
    places = {"https://tools.example/mcp": ("crm",)}
    oauth = OAuth(Parts(lambda: URL, clients, issuers, rig.tokens, rig.sessions, rig.opener, lambda: places))
    return Desk(rig, provider, oauth, issuers, signer)


def none_token(claims: Mapping[str, object], algorithm: str = "none", signature: str = "") -> str:
    """Return a token without a signature."""
    parts = [json.dumps({"alg": algorithm, "kid": "r1"}), json.dumps(claims)]
    encoded = [base64.urlsafe_b64encode(each.encode()).decode().rstrip("=") for each in parts]
    return ".".join([*encoded, signature])


def spoiled(token: str) -> str:
    """Return a token with another signature. Its first character counts whole; of the last one not every bit does."""
    head, _, signature = token.rpartition(".")
    return f"{head}.{'B' if signature[0] != 'B' else 'C'}{signature[1:]}"
