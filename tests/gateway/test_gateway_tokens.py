"""Tokens: only ours, only whole, only now, only here."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

from bailiwick.gateway.sessions.tokens import Claims, Rejected, Tokens
from bailiwick.model.session import Session, User

now = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
key = Ed25519PrivateKey.generate()
tokens = Tokens(key, "bailiwick")
session = Session("ses_1", "support-bot", User("ada"), None, {}, None, now, now + timedelta(minutes=30), None)


def forged(header: Mapping[str, str], claims: Mapping[str, object], signer: Ed25519PrivateKey = key) -> str:
    pem = signer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    jwk = OKPKey.import_key(pem)
    full = {"alg": "Ed25519", "typ": "JWT", "kid": jwk.thumbprint(), **header}
    return jwt.encode(full, dict(claims), jwk, algorithms=["Ed25519", "EdDSA"])


good: Mapping[str, object] = {
    "iss": "bailiwick",
    "aud": ["bailiwick:mount:crm"],
    "act": {"sub": "support-bot"},
    "sub": "ada",
    "sid": "ses_1",
    "jti": "j",
    "iat": int(now.timestamp()),
    "exp": int(now.timestamp()) + 1800,
}


def test_issued_token_says_its_session_and_nothing_of_its_values() -> None:
    token = tokens.issue(session, "jti_1", ["crm"])
    assert tokens.verify(token, "crm", now) == Claims("ses_1", "jti_1", "ada", ("support-bot",))
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert set(claims) == {"iss", "aud", "sub", "act", "sid", "jti", "iat", "exp"}
    assert json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))["alg"] == "Ed25519"


def test_delegation_chain_nests_the_acting_agents() -> None:
    chained = Session("ses_1", "sub", None, None, {}, None, now, now + timedelta(minutes=1), None, chain=("a", "b"))
    verified = tokens.verify(tokens.issue(chained, "j", ["crm"]), "crm", now)
    assert isinstance(verified, Claims)
    assert (verified.chain, verified.agent, verified.user) == (("a", "b", "sub"), "sub", None)


def test_handmade_token_with_all_claims_is_accepted() -> None:
    assert isinstance(tokens.verify(forged({}, good), "crm", now), Claims)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "other"}, "another issuer"),
        ({"aud": ["bailiwick:mount:erp"]}, "not for this mount"),
        ({"aud": "bailiwick:mount:crm"}, "not for this mount"),
        ({"aud": []}, "not for this mount"),
        ({"iat": int(now.timestamp()) + 60}, "issued in the future"),
        ({"exp": int(now.timestamp()) - 60}, "expired"),
        ({"exp": str(int(now.timestamp()) + 60)}, "a required claim is missing"),
        ({"exp": True}, "a required claim is missing"),
        ({"sid": None}, "a required claim is missing"),
        ({"jti": 5}, "a required claim is missing"),
        ({"act": {}}, "a required claim is missing"),
        ({"act": {"sub": "support-bot", "act": "x"}}, "a required claim is missing"),
        ({"sub": ["ada"]}, "`sub` is not a text"),
    ],
)
def test_token_with_a_wrong_claim_is_rejected(claims: Mapping[str, object], reason: str) -> None:
    assert tokens.verify(forged({}, {**good, **claims}), "crm", now) == Rejected(reason)


def test_clocks_may_differ_by_seconds_only() -> None:
    soon = {**good, "iat": int(now.timestamp()) + 4}
    assert isinstance(tokens.verify(forged({}, soon), "crm", now), Claims)
    assert isinstance(tokens.verify(forged({}, good), "crm", now + timedelta(seconds=1804)), Claims)
    assert tokens.verify(forged({}, good), "crm", now + timedelta(seconds=1805)) == Rejected("expired")


def test_token_of_another_key_is_rejected() -> None:
    other = forged({}, good, Ed25519PrivateKey.generate())
    assert tokens.verify(other, "crm", now) == Rejected("not a token of this gateway")


@pytest.mark.parametrize("header", [{"alg": "EdDSA"}, {"typ": "at+jwt"}, {"kid": "x"}])
def test_token_with_another_header_is_rejected(header: Mapping[str, str]) -> None:
    assert isinstance(tokens.verify(forged(header, good), "crm", now), Rejected)


def test_unsigned_or_symmetric_tokens_are_rejected() -> None:
    def part(value: Mapping[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    none = f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(good)}."
    public = key.public_key().public_bytes_raw()
    symmetric = jwt.encode({"alg": "HS256"}, dict(good), OctKey.import_key(public), algorithms=["HS256"])
    assert isinstance(tokens.verify(none, "crm", now), Rejected)
    assert isinstance(tokens.verify(symmetric, "crm", now), Rejected)


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "ä.ö.ü", "x" * 5000, "e30.e30.e30", "\0", "a.b.c.d.e"])
def test_rubbish_is_rejected(text: str) -> None:
    assert isinstance(tokens.verify(text, "crm", now), Rejected)


def test_every_changed_character_is_noticed() -> None:
    token = tokens.issue(session, "jti_1", ["crm"])
    head, body, signature = token.split(".")
    for index in range(0, len(body), 7):
        changed = body[:index] + ("A" if body[index] != "A" else "B") + body[index + 1 :]
        assert isinstance(tokens.verify(f"{head}.{changed}.{signature}", "crm", now), Rejected)
