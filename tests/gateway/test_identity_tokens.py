"""Tokens by the standards: what is given to whom, and every attack on it with its twin."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import cast
from urllib.parse import quote_plus

import pytest
from identity_rig import URL, Desk, make_desk, none_token, spoiled
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from bailiwick.control.clients import ASSERTION, Clients
from bailiwick.control.oauth import ACCESS_TOKEN
from bailiwick.control.web import Asked
from bailiwick.errors import ConfigError
from bailiwick.gateway.identity import Client
from bailiwick.gateway.sessions.live import Live
from bailiwick.model.decision import Denial
from bailiwick.model.policy import SecretRef

MINE = {"task": "mine"}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = await make_desk(tmp_path)
    yield made
    await made.rig.sessions.stop()
    await made.rig.state.close()


def session_of(desk: Desk, token: str) -> Live:
    claims = desk.rig.tokens.verify(token, None, desk.rig.clock())
    found = desk.rig.sessions.registry.get(getattr(claims, "session", ""))
    assert found is not None, claims
    return found


def refused(answer: tuple[int, dict[str, object]], error: str, says: str = "") -> None:
    status, body = answer
    assert (status, body["error"]) in ((400, error), (401, error), (503, error)), body
    assert says in str(body["error_description"])
    assert "access_token" not in body


# What is given


async def test_exchange_binds_the_person_their_tenant_groups_and_claims(desk: Desk) -> None:
    status, body = await desk.exchange(desk.id_token(region="EU", salary=9000))
    assert (status, body["token_type"], body["issued_token_type"]) == (200, "Bearer", ACCESS_TOKEN)
    live = session_of(desk, str(body["access_token"]))
    session = live.session
    assert session.user is not None
    assert (session.user.id, session.user.groups, session.tenant) == ("ada", {"support"}, 4)
    assert session.user.claims == {"current_ticket": 7, "customers": (70, 71), "region": "EU"}
    assert session.context == {"ticket_id": 7, "customer_id": 70}
    assert session.own
    assert desk.last().user == "ada"
    assert "client desk" in str(desk.last().detail["opener"])
    admitted = await desk.rig.gateway.connect("crm", "desk-bot", str(body["access_token"]), "here", lambda _: None)
    assert admitted is live


async def test_person_outside_the_tasks_users_gets_no_session(desk: Desk) -> None:
    refused(await desk.exchange(desk.id_token(groups=["sales"])), "invalid_authorization_details", "may not be done")
    refused(await desk.exchange(desk.id_token(groups=None)), "invalid_authorization_details", "may not be done")
    assert (await desk.exchange(desk.id_token()))[0] == 200


async def test_agent_brings_neither_values_nor_tenant_nor_another_agent(desk: Desk) -> None:
    token = desk.id_token()
    brings = {"task": "handle", "context": {"ticket_id": 7}}
    refused(
        await desk.exchange(token, details=brings), "invalid_authorization_details", "cannot be brought by the agent"
    )
    refused(await desk.exchange(token, details={**MINE, "tenant": "4"}), "invalid_authorization_details", "tenant")
    refused(
        await desk.exchange(token, details={**MINE, "agent": "reader-bot"}), "unauthorized_client", "for itself only"
    )
    assert (await desk.exchange(token, details={**MINE, "agent": "desk-bot"}))[0] == 200


async def test_trusted_opener_brings_values_but_not_another_tenant_than_the_persons(desk: Desk) -> None:
    brings = {"agent": "desk-bot", "task": "handle", "context": {"ticket_id": 7}}
    status, body = await desk.exchange(desk.id_token(), "opener", details=brings)
    assert status == 200, body
    assert not session_of(desk, str(body["access_token"])).session.own
    other = {**brings, "tenant": "5"}
    refused(await desk.exchange(desk.id_token(), "opener", details=other), "invalid_authorization_details", "tenant")
    unknown = {**brings, "agent": "night-bot"}
    refused(await desk.exchange(desk.id_token(), "opener", details=unknown), "unauthorized_client")


async def test_agent_without_a_person_has_no_tenant_and_no_task_for_people(desk: Desk) -> None:
    status, body = await desk.post("/oauth/token", grant_type="client_credentials")
    assert status == 200
    assert session_of(desk, str(body["access_token"])).session.tenant is None
    details = json.dumps([{"type": "bailiwick_session", "task": "mine"}])
    answer = await desk.post("/oauth/token", grant_type="client_credentials", authorization_details=details)
    refused(answer, "invalid_authorization_details", "needs a user")


async def test_resource_narrows_the_mounts_of_a_token(desk: Desk) -> None:
    for target, mounts in (("bailiwick:mount:erp", {"erp"}), ("https://tools.example/mcp", {"crm"})):
        token = await desk.token(form={"resource": target})
        assert session_of(desk, token).mounts == mounts
    elsewhere = await desk.token(form={"resource": "bailiwick:mount:erp"})
    denied = await desk.rig.gateway.connect("crm", "desk-bot", elsewhere, "here", lambda _: None)
    assert isinstance(denied, Denial)
    for target in ("bailiwick:mount:hr", "https://elsewhere.example/mcp", "bailiwick:api"):
        refused(await desk.exchange(desk.id_token(), form={"resource": target}), "invalid_target")


async def test_what_is_asked_for_narrows(desk: Desk) -> None:
    live = session_of(desk, await desk.token(details={**MINE, "only": {"tickets": {"verbs": ["read"]}}, "ttl": "1m"}))
    assert set(live.scope.resources) == {"tickets"}
    assert (live.session.expires_at - live.session.opened_at).total_seconds() == 60
    wide = session_of(desk, await desk.token())
    assert set(wide.scope.resources) == {"tickets", "customers"}


_ODD: list[dict[str, object]] = [
    {"roles": ["admin"]},
    {"task": 7},
    {"context": []},
    {"only": []},
    {"ttl": "1y"},
    {"context": {"a": None}},
    {"only": {"tickets": {"grants": []}}},
]


@pytest.mark.parametrize(
    "details",
    ["", "{}", "[]", "[1]", '[{"type":"other"}]', '[{"type":"bailiwick_session","type":"x"}]', "[" * 5000]
    + [json.dumps([{"type": "bailiwick_session", **each}]) for each in _ODD],
)
async def test_details_in_no_known_words_are_refused(desk: Desk, details: str) -> None:
    answer = await desk.post("/oauth/token", grant_type="client_credentials", authorization_details=details)
    if details:
        refused(answer, "invalid_authorization_details")
    else:
        assert answer[0] == 200


# Tokens of issuers


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"iss": "https://login.example/"}, "its issuer is not trusted"),
        ({"iss": "https://evil.example"}, "its issuer is not trusted"),
        ({"iss": None}, "its issuer is not trusted"),
        ({"aud": "another-app"}, "for somebody else"),
        ({"aud": ["another-app"]}, "for somebody else"),
        ({"aud": None}, "for somebody else"),
        ({"aud": ["bailiwick", "another-app"], "azp": "another-app"}, "for somebody else"),
        ({"exp": None}, "no expiry"),
        ({"exp": "9999999999"}, "no expiry"),
        ({"exp": 1e300}, "no expiry"),
        ({"sub": None}, "it has no `sub`"),
        ({"sub": ""}, "it has no `sub`"),
        ({"sub": ["ada"]}, "it has no `sub`"),
        ({"sub": "ada\n"}, "it has no `sub`"),
        ({"events": {"logout": {}}}, "another type"),
        ({"cnf": {"jkt": "x"}}, "another type"),
        ({"client_id": "ada"}, "a program, not a person"),
    ],
)
async def test_token_that_is_not_of_a_person_for_us_is_refused(
    desk: Desk, changes: dict[str, object], says: str
) -> None:
    refused(await desk.exchange(desk.id_token(**changes)), "invalid_request", says)
    assert desk.last().kind == "token.refused"
    assert (await desk.exchange(desk.id_token(aud=["bailiwick", "other"], azp="bailiwick")))[0] == 200


@pytest.mark.parametrize(("claim", "edge"), [("exp", -30), ("iat", 30), ("nbf", 30)])
async def test_clocks_may_differ_by_a_bounded_time(desk: Desk, claim: str, edge: int) -> None:
    now = int(desk.rig.clock().timestamp())
    inside = 1 if claim == "exp" else 0
    assert (await desk.exchange(desk.id_token(**{claim: now + edge + inside})))[0] == 200
    beyond = now + edge if claim == "exp" else now + edge + 1
    refused(await desk.exchange(desk.id_token(**{claim: beyond})), "invalid_request")


async def test_algorithm_confusion_is_refused(desk: Desk) -> None:
    provider, claims = desk.provider, desk.claims()
    public = provider.rsa.as_pem(private=False)
    head = urlsafe_b64encode(b'{"alg":"HS256","kid":"r1"}').rstrip(b"=")
    body = urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
    mac = urlsafe_b64encode(hmac.new(public, head + b"." + body, hashlib.sha256).digest()).rstrip(b"=")
    attacks = [
        b".".join([head, body, mac]).decode(),
        none_token(claims),
        none_token(claims, "None", "AA"),
        none_token(claims, "nOnE", "AA"),
        none_token(claims, "RS256", "AA"),
        desk.headed({"crit": ["kid"]}),
        desk.headed({"typ": "logout+jwt"}),
        spoiled(desk.id_token()),
        desk.id_token() + "." + "AA",
        jwt.encode({"alg": "ES256", "kid": "r1"}, claims, provider.ec, algorithms=["ES256"]),
        jwt.encode({"alg": "RS384", "kid": "r1"}, claims, provider.rsa, algorithms=["RS384"]),
    ]
    for attack in attacks:
        refused(await desk.exchange(attack), "invalid_request")
    assert not desk.rig.sessions.registry
    for twin in (desk.id_token(), jwt.encode({"alg": "ES256", "kid": "e1"}, claims, provider.ec, algorithms=["ES256"])):
        assert (await desk.exchange(twin))[0] == 200


async def test_keys_that_a_token_brings_along_do_not_count(desk: Desk) -> None:
    own = RSAKey.generate_key(2048, {"kid": "r1"})
    public = own.as_dict(private=False)
    for header in ({"jwk": public}, {"jku": "https://evil.example/jwks"}, {"x5u": "https://evil.example/x"}, {}):
        head = {"alg": "RS256", "kid": "r1", **header}
        forged = jwt.encode(dict(head), desk.claims(), own, algorithms=["RS256"])
        refused(await desk.exchange(forged), "invalid_request")
    assert all("evil" not in url for url in desk.provider.fetched)
    assert (await desk.exchange(desk.id_token()))[0] == 200


async def test_keys_are_kept_rotated_and_looked_for_at_bounded_cost(desk: Desk) -> None:
    for _ in range(3):
        assert (await desk.exchange(desk.id_token()))[0] == 200
    assert len(desk.provider.fetched) == 2
    old, desk.provider.rsa = desk.provider.rsa, RSAKey.generate_key(2048, {"kid": "r2"})
    desk.provider.publish(desk.provider.rsa.as_dict(private=False))
    refused(await desk.exchange(desk.headed({"kid": "r2"})), "invalid_request")  # too soon to ask again
    desk.rig.clock.move(seconds=11)
    for _ in range(5):
        assert (await desk.exchange(desk.headed({"kid": "r2"})))[0] == 200
        unknown = jwt.encode({"alg": "RS256", "kid": "zz"}, desk.claims(), old, algorithms=["RS256"])
        refused(await desk.exchange(unknown), "invalid_request")
    assert len(desk.provider.fetched) == 4
    gone = jwt.encode({"alg": "RS256", "kid": "r1"}, desk.claims(), old, algorithms=["RS256"])
    refused(await desk.exchange(gone), "invalid_request", "no key")


async def test_issuer_that_is_down_is_trusted_for_a_day_and_no_longer(desk: Desk) -> None:
    assert (await desk.exchange(desk.id_token()))[0] == 200
    desk.provider.down = True
    desk.rig.clock.move(hours=5)
    assert (await desk.exchange(desk.id_token()))[0] == 200
    desk.rig.clock.move(hours=20)
    desk.rig.clock.move(hours=24)  # within the agent's hours again
    refused(await desk.exchange(desk.id_token()), "invalid_request", "cannot be had")


async def test_weak_and_private_keys_of_an_issuer_are_no_keys(desk: Desk) -> None:
    desk.provider.publish(
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0", "kid": "r1"},
        {**desk.provider.rsa.as_dict(private=True), "kid": "r1"},
        {**desk.provider.ec.as_dict(private=False), "use": "enc"},
    )
    refused(await desk.exchange(desk.id_token()), "invalid_request")


@pytest.mark.parametrize(
    ("marks", "counts"),
    [
        ({"key_ops": ["verify"]}, True),
        ({"key_ops": ["encrypt", "verify"], "use": "sig"}, True),
        ({"key_ops": ["encrypt"]}, False),
        ({"key_ops": ["sign", "wrapKey"], "use": "sig"}, False),
        ({"key_ops": []}, False),
        ({"key_ops": "verify"}, False),
        ({"key_ops": None}, False),
        ({"key_ops": ["verify"], "use": "enc"}, False),
    ],
)
async def test_a_key_for_another_operation_is_no_key(desk: Desk, marks: Mapping[str, object], counts: bool) -> None:
    desk.provider.publish({**desk.provider.rsa.as_dict(private=False), **marks})
    told = await desk.exchange(desk.id_token())
    if counts:
        assert told[0] == 200, told
    else:
        refused(told, "invalid_request")


# Delegation


async def test_delegation_is_within_the_parent_and_its_chain_cannot_be_forged(desk: Desk) -> None:
    parent = await desk.token()
    status, body = await desk.exchange(parent, details={"agent": "reader-bot", "task": "look"})
    assert status == 200, body
    child = session_of(desk, str(body["access_token"]))
    assert (child.session.chain, child.session.agent) == (("desk-bot",), "reader-bot")
    (read,) = child.scope.resources["tickets"].reads
    assert [name for name, _ in read.filter.conditions] == ["ticket_id"]
    grown = {"agent": "reader-bot", "context": {"ticket_id": 8}}
    refused(await desk.exchange(parent, details=grown), "invalid_authorization_details", "values of its parent")
    refused(
        await desk.exchange(parent, details={**grown, "context": {}, "tenant": "5"}), "invalid_authorization_details"
    )
    refused(await desk.exchange(str(body["access_token"])), "invalid_request", "of the client's")
    parts = parent.split(".")
    claims = json.loads(urlsafe_b64decode(parts[1] + "=="))
    claims["act"] = {"sub": "desk-bot", "act": {"sub": "root-bot"}}
    stranger = OKPKey.generate_key("Ed25519")
    header = json.loads(urlsafe_b64decode(parts[0] + "=="))
    forged = jwt.encode(header, claims, stranger, algorithms=["Ed25519"])
    refused(await desk.exchange(forged), "invalid_request")


async def test_scope_does_not_grow_by_delegating_to_oneself_again_and_again(desk: Desk) -> None:
    narrow = await desk.token(details={**MINE, "only": {"tickets": {}}})
    for _ in range(3):
        status, body = await desk.exchange(narrow, details={"task": "mine"})
        assert status == 200, body
        narrow = str(body["access_token"])
        assert set(session_of(desk, narrow).scope.resources) == {"tickets"}
    refused(await desk.exchange(narrow, form={"resource": "bailiwick:mount:erp"}), "invalid_authorization_details")


async def test_chain_has_an_end(desk: Desk) -> None:
    token = await desk.token()
    for _ in range(7):
        status, body = await desk.exchange(token, details={"task": "mine"})
        assert status == 200, body
        token = str(body["access_token"])
    refused(await desk.exchange(token), "temporarily_unavailable", "a chain has at most")


async def test_token_of_a_revoked_session_is_worth_nothing_anywhere(desk: Desk) -> None:
    token, other = await desk.token(), await desk.token()
    status, body = await desk.exchange(token, details={"agent": "reader-bot", "task": "look"})
    assert status == 200
    child = str(body["access_token"])
    assert await desk.post("/oauth/revoke", token=token) == (200, {})
    for dead in (token, child):
        assert (await desk.post("/oauth/introspect", token=dead))[1] == {"active": False}
        refused(await desk.exchange(dead, details={}), "invalid_request")
    for agent, dead in (("desk-bot", token), ("reader-bot", child)):
        assert isinstance(await desk.rig.gateway.connect("crm", agent, dead, "here", lambda _: None), Denial)
    assert (await desk.post("/oauth/introspect", token=other))[1]["active"] is True


# Introspection and revocation


async def test_introspection_tells_agents_of_their_own_sessions_only(desk: Desk) -> None:
    token = await desk.token()
    _, told = await desk.post("/oauth/introspect", token=token)
    assert (told["active"], told["sub"], told["act"], told["client_id"]) == (
        True,
        "ada",
        {"sub": "desk-bot"},
        "desk-bot",
    )
    assert told["aud"] == ["bailiwick:mount:crm"]
    assert not {"context", "groups", "claims", "tenant"} & told.keys()
    for client, active in (("opener", True), ("watcher", True)):
        assert (await desk.post("/oauth/introspect", client, token=token))[1]["active"] is active
    assertion = {"client_assertion_type": ASSERTION, "client_assertion": desk.assertion(aud=URL)}
    assert (await desk.post("/oauth/introspect", "", token=token, **assertion))[1] == {"active": False}
    for odd in ("", "x", "a.b.c", spoiled(token), "é" * 10):
        assert (await desk.post("/oauth/introspect", token=odd))[1].get("active") in (False, None)


async def test_only_who_may_end_a_session_revokes_it(desk: Desk) -> None:
    token = await desk.token()
    assertion = {"client_assertion_type": ASSERTION, "client_assertion": desk.assertion(aud=URL)}
    assert (await desk.post("/oauth/revoke", "", token=token, **assertion))[0] == 200
    assert (await desk.post("/oauth/revoke", "watcher", token=token))[0] == 200
    assert (await desk.post("/oauth/introspect", token=token))[1]["active"] is True
    assert (await desk.post("/oauth/revoke", "opener", token=token))[0] == 200
    assert (await desk.post("/oauth/introspect", token=token))[1]["active"] is False


# Clients


async def test_client_has_to_prove_who_it_is(desk: Desk) -> None:
    good = {"grant_type": "client_credentials"}
    for client in ("", "nobody", "signing-bot"):
        answer = await desk.post("/oauth/token", client, **good)
        refused(answer, "invalid_client")
        assert answer[0] == 401
    both = {"client_id": "desk", "client_secret": "desk-secret-canary-4711-0815-abcdef"}
    refused(await desk.post("/oauth/token", "desk", **good, **both), "invalid_client")
    assert (await desk.post("/oauth/token", "", **good, **both))[0] == 200
    refused(await desk.post("/oauth/token", "", **good, **{**both, "client_secret": "x"}), "invalid_client")
    refused(await desk.post("/oauth/token", "desk", **good, client_id="opener"), "invalid_client")
    assert (await desk.post("/oauth/token", "desk", **good))[0] == 200


async def test_secret_counts_encoded_and_as_it_is(desk: Desk, tmp_path: Path) -> None:
    secret = "a+b/c=%41-canary-0123456789"
    known = {"plus": Client("plus", "desk-bot", secret=SecretRef("${PLUS}"))}
    clients = Clients(known, {"PLUS": secret}, tmp_path, desk.rig.state, desk.rig.clock)
    for sent, right in ((quote_plus(secret), True), (secret, True), (secret.upper(), False), ("", False)):
        pair = b64encode(f"plus:{sent}".encode()).decode()
        asked = Asked("POST", "/oauth/token", {}, {"authorization": f"Basic {pair}"}, b"")
        assert isinstance(await clients.authenticate(asked, {}, ()), Client) is right


async def test_assertion_counts_once_and_in_its_time(desk: Desk) -> None:
    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION}
    assert (await desk.post("/oauth/token", "", **form, client_assertion=desk.assertion()))[0] == 200
    refused(await desk.post("/oauth/token", "", **form, client_assertion=desk.assertion()), "invalid_client")
    assert "used before" in desk.last().message
    assert (await desk.post("/oauth/token", "", **form, client_assertion=desk.assertion(jti="a2")))[0] == 200
    desk.rig.clock.move(seconds=80)  # inside the skew
    now = int(desk.rig.clock().timestamp())
    late = desk.assertion(iat=now - 80, exp=now - 20)
    refused(await desk.post("/oauth/token", "", **form, client_assertion=late), "invalid_client")


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://elsewhere.example"},
        {"aud": [f"{URL}/oauth/token", "https://elsewhere.example"]},
        {"aud": None},
        {"sub": "desk"},
        {"iss": "desk"},
        {"jti": None},
        {"jti": ""},
        {"exp": None},
        {"exp": 4_000_000_000},
        {"exp": 1},
    ],
)
async def test_assertion_that_says_something_else_is_refused(desk: Desk, changes: dict[str, object]) -> None:
    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION}
    refused(await desk.post("/oauth/token", "", **form, client_assertion=desk.assertion(**changes)), "invalid_client")
    assert (await desk.post("/oauth/token", "", **form, client_assertion=desk.assertion()))[0] == 200


async def test_assertion_signed_by_another_key_is_refused(desk: Desk) -> None:
    form = {"grant_type": "client_credentials", "client_assertion_type": ASSERTION}
    other = desk.signed(OKPKey.generate_key("Ed25519"))
    forged = none_token({"iss": "signing-bot", "sub": "signing-bot", "aud": URL, "exp": 9e9, "jti": "x"})
    session = await desk.token()
    for attack in (other, forged, session, "", "x"):
        refused(await desk.post("/oauth/token", "", **form, client_assertion=attack), "invalid_client")
    assert (await desk.post("/oauth/token", "", **form, client_assertion=desk.assertion()))[0] == 200


async def test_token_for_the_api_needs_a_role_and_is_no_session(desk: Desk) -> None:
    form = {"grant_type": "client_credentials", "resource": "bailiwick:api"}
    refused(await desk.post("/oauth/token", "desk", **form), "invalid_target")
    status, body = await desk.post("/oauth/token", "watcher", **form)
    assert status == 200
    token = str(body["access_token"])
    client = await desk.oauth.api_client(token)
    assert client is not None
    assert client.id == "watcher"
    assert isinstance(await desk.rig.gateway.connect("crm", "desk-bot", token, "here", lambda _: None), Denial)
    assert await desk.oauth.api_client(await desk.token()) is None
    assert (await desk.post("/oauth/revoke", "desk", token=token))[0] == 200
    assert await desk.oauth.api_client(token) is not None
    assert (await desk.post("/oauth/revoke", "watcher", token=token))[0] == 200
    assert await desk.oauth.api_client(token) is None


async def test_secrets_and_tokens_stand_in_no_record_and_no_answer(desk: Desk) -> None:
    token = desk.id_token(jti="canary-token-id")
    _, first = await desk.exchange(token)
    _, second = await desk.exchange(spoiled(token))
    _, third = await desk.post("/oauth/token", "", grant_type="x", client_id="desk", client_secret="canary-guess")
    said = desk.written() + json.dumps([second, third])
    for canary in ("canary", *token.split(".")[1:], str(first["access_token"]).split(".")[2]):
        assert canary not in said
    assert "canary" not in repr(desk.oauth) + repr(cast("object", desk.rig.opener))


def test_short_secrets_and_keys_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "k.pem").write_bytes(ECKey.generate_key("P-256").as_pem(private=True))
    short, private = SecretRef("${S}"), SecretRef("file:k.pem")
    for client in (Client("c", "desk-bot", secret=short), Client("c", "desk-bot", keys=private)):
        with pytest.raises(ConfigError) as caught:
            Clients({"c": client}, {"S": "canary"}, tmp_path, None, None)  # pyright: ignore[reportArgumentType]  # never asked
        assert "canary" not in str(caught.value)
