"""Tokens of others: signatures by public keys alone, times within bounds. Bytes and values, no I/O.

INVARIANT: the algorithm is one that its caller lists, it is asymmetric, and the key is of the kind that it needs. Keys
are never taken from the token.
"""

from __future__ import annotations

import base64
import binascii
import json
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

from bailiwick.gateway.sessions.tokens import Rejected

PublicKey = RSAKey | ECKey | OKPKey
longest = 16 * 1024
"""Characters of a token."""
skew = 30
"""Seconds by which clocks may differ."""
_curves = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "Ed25519": "Ed25519", "EdDSA": "Ed25519"}
_kinds: Mapping[str, type[RSAKey] | type[ECKey] | type[OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_known_types = frozenset({None, "JWT", "at+jwt", "application/at+jwt"})
_least_bits = 2048


@dataclass(frozen=True, slots=True)
class Key:
    """A public key."""

    key: PublicKey
    kid: str | None
    alg: str | None
    """The one algorithm that it is for, if it says so."""

    def suits(self, algorithm: str) -> bool:
        """Return whether it verifies signatures of an algorithm."""
        if self.alg not in (None, algorithm):
            return False
        if algorithm[:2] in ("RS", "PS"):
            found = self.key.public_key if isinstance(self.key, RSAKey) else None
            return isinstance(found, RSAPublicKey) and found.key_size >= _least_bits
        kind = OKPKey if algorithm.startswith("Ed") else ECKey
        return isinstance(self.key, kind) and self.key.as_dict(private=False).get("crv") == _curves[algorithm]


def keys_of(document: str) -> tuple[Key, ...]:
    """Return the public keys of a JWK set, or of one key in PEM; those that are of no use here are left out.

    Raises ValueError when there is none.
    """
    found: list[Key] = []
    if document.lstrip().startswith("-----BEGIN PUBLIC KEY"):
        found = [each for each in [_pem(document)] if each is not None]
    else:
        read = cast("object", json.loads(document))
        whole: Mapping[str, object] = cast("Mapping[str, object]", read) if isinstance(read, dict) else {}
        listed: object = whole.get("keys", [whole])
        for each in cast("list[object]", listed) if isinstance(listed, list) else []:
            made = _jwk(cast("Mapping[str, object]", each)) if isinstance(each, dict) else None
            if made is not None:
                found.append(made)
    if not found:
        raise ValueError("no public key")
    return tuple(found)


def _pem(document: str) -> Key | None:
    for kind in _kinds:
        try:
            return Key(_kinds[kind].import_key(document), None, None)
        except (JoseError, ValueError, TypeError):
            continue
    return None


def _jwk(given: Mapping[str, object]) -> Key | None:
    """Return the key that a JWK is; None for secrets, private keys, and keys for other uses."""
    if given.get("kty") not in ("RSA", "EC", "OKP") or "d" in given or not _verifies(given):
        return None
    kid, alg = given.get("kid"), given.get("alg")
    try:
        public = {key: value for key, value in given.items() if isinstance(value, str)}
        made = _kinds[public["kty"]].import_key(cast("dict[str, str | list[str]]", public))
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return Key(made, kid if isinstance(kid, str) else None, alg if isinstance(alg, str) else None)


def _verifies(given: Mapping[str, object]) -> bool:
    """Return whether a JWK is for verifying, as far as it says what it is for (RFC 7517, 4.2 and 4.3)."""
    allowed = given.get("key_ops", ["verify"])
    return given.get("use", "sig") == "sig" and isinstance(allowed, list) and "verify" in cast("list[object]", allowed)


def header_of(token: str) -> Mapping[str, object] | None:
    """Return what a token says of itself, which nobody vouches for; None when it is no signed JWT."""
    parts = token.split(".")
    if len(token) > longest or len(parts) != 3 or not all(parts):
        return None
    return _part(parts[0])


def unverified_issuer(token: str) -> str:
    """Return who a token says that it is from: to choose the keys, nothing else."""
    parts = token.split(".")
    claims = _part(parts[1]) if len(token) <= longest and len(parts) == 3 else None
    found = None if claims is None else claims.get("iss")
    return found if isinstance(found, str) else ""


def _part(text: str) -> Mapping[str, object] | None:
    try:
        found = cast("object", json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))
    except (ValueError, binascii.Error, RecursionError):
        return None
    return cast("Mapping[str, object]", found) if isinstance(found, dict) else None


def named(keys: Iterable[Key], header: Mapping[str, object], algorithms: Collection[str]) -> Sequence[Key] | Rejected:
    """Return the keys that may have signed a token; a Rejected when no key ever could."""
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        return Rejected("its algorithm is not accepted")
    if "crit" in header or "b64" in header or "zip" in header or "enc" in header:
        return Rejected("its header asks for what is not understood")
    if header.get("typ") not in _known_types:
        return Rejected("it is of another type")
    if kid is not None and not isinstance(kid, str):
        return Rejected("its key has no usable name")
    fitting = [each for each in keys if each.suits(algorithm) and (kid is None or each.kid == kid)]
    return fitting if kid is not None or len(fitting) <= 1 else Rejected("it does not say which key signed it")


def verified(token: str, keys: Sequence[Key], algorithms: Collection[str]) -> Mapping[str, object] | Rejected:
    """Return the claims of a token that one of the keys signed."""
    for each in keys:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SecurityWarning)  # `EdDSA` is what most issuers still write
                return cast("Mapping[str, object]", jwt.decode(token, each.key, algorithms=list(algorithms)).claims)
        except (JoseError, ValueError, TypeError, RecursionError):
            continue
    return Rejected("its signature does not count")


def times_problem(claims: Mapping[str, object], now: float) -> str:
    """Return what is wrong with the times of a token; empty when nothing is."""
    expires, issued, begins = claims.get("exp"), claims.get("iat"), claims.get("nbf")
    if not _is_time(expires):
        return "it has no expiry"
    if now >= cast("float", expires) + skew:
        return "it has expired"
    for each in (issued, begins):
        if each is not None and (not _is_time(each) or cast("float", each) > now + skew):
            return "it is of the future"
    return ""


def audiences(claims: Mapping[str, object]) -> tuple[str, ...]:
    """Return for whom a token is."""
    found = claims.get("aud")
    listed = cast("list[object]", found) if isinstance(found, list) else [found]
    return tuple(each for each in listed if isinstance(each, str))


def _is_time(found: object) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found < 1e11
