"""Who may ask for tokens: issuers whose tokens name people, and clients. From `issuers` and `clients` of gateway.yaml.

Secrets are references, which only the front of the API resolves.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast, get_args
from urllib.parse import urlsplit

import yaml

from bailiwick.errors import ConfigError
from bailiwick.gateway.sections import Keys as _Keys
from bailiwick.gateway.sections import Plain
from bailiwick.gateway.sections import place as _place
from bailiwick.gateway.sections import plain as _plain
from bailiwick.model.label import Level, levels
from bailiwick.model.policy import SecretRef

sections = ("issuers", "clients")
"""Keys of gateway.yaml that this module reads."""
Role = Literal["viewer", "auditor", "opener", "approver", "administrator"]
roles: tuple[Role, ...] = get_args(Role)
"""Of API and console: who sees how it stands, who reads the ledger, who opens and ends sessions, who decides on
approvals (as a person, and of a group that is asked), who may do all of it."""


def clearance_of(having: frozenset[Role], known: Mapping[Role, Level]) -> Level:
    """Return the highest label whose values somebody with these roles sees."""
    counted = ("administrator",) if "administrator" in having else tuple(having)
    return levels[max((levels.index(known[role]) for role in counted), default=0)]


asymmetric: tuple[str, ...] = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519", "EdDSA"),
)
"""Algorithms of signatures that a public key verifies; no other one is ever accepted of others."""
_default = ("RS256", "PS256", "ES256", "Ed25519", "EdDSA")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_CLAIM = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Issuer:
    """An OpenID provider whose tokens say who a person is."""

    name: str
    issuer: str
    """Its `iss`, a URL below which its metadata is found."""
    audiences: tuple[str, ...]
    """A token counts only if it is for one of them."""
    algorithms: tuple[str, ...] = _default
    user: str = "sub"
    """The claim that is the person's id."""
    groups: str = "groups"
    """The claim that lists the person's groups."""
    tenant: str | None = None
    """The claim that is the tenant of the person's sessions."""
    claims: tuple[str, ...] = ()
    """The claims that policies may use as `$user.NAME`."""
    prefix: str = ""
    """Put before ids and groups, so that two issuers never name one person."""
    roles: Mapping[Role, frozenset[str]] = field(default_factory=dict[Role, frozenset[str]])
    """Role in API and console → groups (with the prefix) that have it."""
    client_id: str | None = None
    """As which the console has people log in there; None: it does not."""
    secret: SecretRef | None = None
    """The console's own there; None: it is a public client."""
    scopes: tuple[str, ...] = ("openid",)
    """What the console asks for at a login."""


@dataclass(frozen=True, slots=True)
class Client:
    """A program that asks for tokens. It has a secret, or keys of which the public ones are known here."""

    id: str
    agent: str | None = None
    """The agent that it is: it opens sessions for itself, and brings no values."""
    opens: tuple[str, ...] = ()
    """The agents for which it opens sessions; what it says of values and tenant is believed."""
    roles: frozenset[Role] = frozenset()
    """In the API."""
    secret: SecretRef | None = None
    keys: SecretRef | None = None
    """Public keys, as a JWK set or PEM."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What gateway.yaml says of both."""

    issuers: Mapping[str, Issuer] = field(default_factory=dict[str, Issuer])
    clients: Mapping[str, Client] = field(default_factory=dict[str, Client])


def is_safe(url: str) -> bool:
    """Return whether what is fetched from a URL comes from whom it names: by TLS, or from this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.username is not None or parts.fragment or not host:
        return False
    if parts.scheme == "https":
        return True
    try:
        return parts.scheme == "http" and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False


def read_identity(path: Path, root: yaml.Node) -> Identity:
    """Return issuers and clients. Raises ConfigError with `file:line:column` or the key that is wrong."""
    found: dict[str, dict[str, Plain]] = {}
    for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", root.value):
        if key.value in sections:
            plain = _plain(path, value)
            if plain == "":
                continue
            if not isinstance(plain, dict):
                raise ConfigError(f"{_place(path, value)}: `{key.value}` maps names to settings")
            found[str(key.value)] = plain
    issuers = {name: _issuer(name, given) for name, given in found.get("issuers", {}).items()}
    prefixes = [each.prefix for each in issuers.values()]
    if len(set(prefixes)) < len(prefixes):
        message = "two `issuers` have the same `prefix`, so that one could name the other's people"
        raise ConfigError(message, remedy="give each its own `prefix`")
    urls = [each.issuer for each in issuers.values()]
    if len(set(urls)) < len(urls):
        raise ConfigError("an issuer stands twice in `issuers`", remedy="remove one of them")
    return Identity(issuers, {name: _client(name, given) for name, given in found.get("clients", {}).items()})


def _issuer(name: str, given: Plain) -> Issuer:
    known = (
        *("issuer", "audience", "algorithms", "user", "groups", "tenant", "claims", "prefix", "roles"),
        *("client_id", "secret", "scopes"),
    )
    keys = _Keys(f"issuers.{name}", given, known)
    url, audiences = keys.text("issuer") or "", keys.texts("audience")
    if not is_safe(url):
        raise ConfigError(f"`{keys.what}.issuer` is not a URL of https", remedy="write the `iss` of its tokens")
    if not audiences:
        message = f"`{keys.what}` has no `audience`: tokens for anybody would count"
        raise ConfigError(message, remedy="name the client or resource that its tokens are for")
    algorithms = keys.texts("algorithms") or _default
    weak = [each for each in algorithms if each not in asymmetric]
    if weak:
        message = f"`{keys.what}.algorithms`: `{weak[0][:40]}` is not accepted"
        raise ConfigError(message, remedy="the algorithms are " + ", ".join(asymmetric))
    taken = (keys.text("user") or "sub", keys.text("groups") or "groups", keys.text("tenant"), *keys.texts("claims"))
    odd = [each for each in taken if each is not None and not _CLAIM.fullmatch(each)]
    reserved = [each for each in keys.texts("claims") if each in ("id", "groups")]
    if odd or reserved:
        message = f"`{keys.what}`: `{(odd or reserved)[0][:100]}` cannot be a claim"
        raise ConfigError(message, remedy="letters, digits and `_`; `id` and `groups` are known already")
    granted: dict[Role, frozenset[str]] = {
        _role(keys.what, role): _groups(keys.what, groups) for role, groups in keys.mapping("roles").items()
    }
    user, groups, tenant, *_ = taken
    client, secret, scopes = _login(keys)
    return Issuer(
        name,
        url,
        audiences,
        algorithms,
        user or "",
        groups or "",
        tenant,
        keys.texts("claims"),
        keys.text("prefix") or "",
        granted,
        client,
        secret,
        scopes,
    )


def _login(keys: _Keys) -> tuple[str | None, SecretRef | None, tuple[str, ...]]:
    """Return as which client the console has people log in, its secret, and the scopes that it asks for."""
    client, secret, scopes = keys.text("client_id"), keys.text("secret"), keys.texts("scopes")
    if client is None and (secret is not None or scopes):
        message = f"`{keys.what}` has a `secret` or `scopes`, but no `client_id`"
        raise ConfigError(message, remedy="say as which client the console has people log in there")
    if secret is not None and not secret.startswith(("${", "file:")):
        message = f"`{keys.what}.secret` is not a reference"
        raise ConfigError(message, remedy="write `${NAME}` or `file:PATH`; secrets do not stand in gateway.yaml")
    return client, None if secret is None else SecretRef(secret), tuple(dict.fromkeys(("openid", *scopes)))


def _client(name: str, given: Plain) -> Client:
    keys = _Keys(f"clients.{name}", given, ("agent", "opens", "roles", "secret", "keys"))
    if not _NAME.fullmatch(name):
        raise ConfigError(f"`{name[:100]}` cannot be the id of a client", remedy="letters, digits, `_`, `-` and `.`")
    secret, public = keys.text("secret"), keys.text("keys")
    if (secret is None) == (public is None):
        message = f"`{keys.what}` needs a `secret` or `keys`, and not both"
        raise ConfigError(message, remedy="write e.g. `secret: ${NAME}`, or `keys: file:NAME.jwks`")
    if secret is not None and not secret.startswith(("${", "file:")):
        message = f"`{keys.what}.secret` is not a reference"
        raise ConfigError(message, remedy="write `${NAME}` or `file:PATH`; secrets do not stand in gateway.yaml")
    agent, opens = keys.text("agent"), keys.texts("opens")
    given_roles: frozenset[Role] = frozenset(_role(keys.what, each) for each in keys.texts("roles"))
    if agent is not None and (opens or given_roles):
        message = f"`{keys.what}` is an agent: it can neither open sessions for others nor have roles"
        raise ConfigError(message, remedy="make another client for that")
    if agent is None and not opens and not given_roles:
        raise ConfigError(f"`{keys.what}` may do nothing", remedy="give it `agent`, `opens` or `roles`")
    return Client(
        name,
        agent,
        opens,
        given_roles,
        None if secret is None else SecretRef(secret),
        None if public is None else SecretRef(public),
    )


def _role(what: str, name: str) -> Role:
    if name not in roles:
        raise ConfigError(f"`{what}.roles`: there is no role `{name[:40]}`", remedy="the roles are " + ", ".join(roles))
    return name


def _groups(what: str, given: Plain) -> frozenset[str]:
    listed = given if isinstance(given, list) else [given]
    if not all(isinstance(each, str) and each for each in listed):
        raise ConfigError(f"`{what}.roles` maps roles to lists of groups")
    return frozenset(cast("list[str]", listed))
