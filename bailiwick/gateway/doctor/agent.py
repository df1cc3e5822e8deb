"""Where an agent runs: credentials that it could use, and ways around the gateway. Values are never shown."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from bailiwick.errors import ConfigError
from bailiwick.gateway.doctor.finding import Finding, ok, problem, warning

PATIENCE = 10.0
"""Seconds that a connection may take to be made."""
_longest = 64 * 1024
_backend = frozenset(
    {
        "PGPASSWORD",
        "MYSQL_PWD",
        "REDISCLI_AUTH",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_SECURITY_TOKEN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "AZURE_CLIENT_SECRET",
        "KUBECONFIG",
    }
)
_harmless_aws = re.compile(
    r"AWS_((DEFAULT_)?(REGION|OUTPUT)|PAGER|MAX_ATTEMPTS|RETRY_MODE|EXECUTION_ENV|CA_BUNDLE|ENDPOINT_URL.*)"
)
_by_name = re.compile(
    r"(^|_)(DATABASE_UR[LI]|DSN|TOKEN|(API|SECRET|PRIVATE|ACCESS)?_?KEY|SECRET|PASSWORD|PASSWD|PWD|CREDENTIALS?)$"
)
_not_secret = frozenset({"PWD", "OLDPWD"})
_with_password = re.compile(r"://[^/@\s]*:[^/@\s]+@|\bpassword=\S")
_looked_at = 4096
"""Characters of a value in which a password is looked for."""
_files = (
    ".pgpass",
    ".my.cnf",
    ".netrc",
    ".git-credentials",
    ".aws/credentials",
    ".aws/sso/cache",
    ".kube/config",
    ".docker/config.json",
    ".config/gcloud/application_default_credentials.json",
    ".azure/msal_token_cache.json",
    ".npmrc",
    ".pypirc",
)
_mostly = frozenset({".docker/config.json", ".npmrc", ".pypirc"})
"""Files that may also hold nothing but settings."""
_ports = {"postgres": 5432, "postgresql": 5432, "mysql": 3306, "mariadb": 3306, "http": 80, "https": 443}
_ports |= {"smtp": 587, "smtps": 465, "redis": 6379}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a connection is tried."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_target(text: str) -> Target:
    """Return the place of `host:port` or a URL, and nothing else of it. Raises ConfigError, which shows nothing."""
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        host, port = parts.hostname, parts.port or _ports.get(parts.scheme)
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise ConfigError("that is no address", remedy="write `host:port`, or a URL with its port")
    return Target(host, port)


def environment_findings(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the credentials in the environment, by name. A token of a session is what an agent should have."""
    quiet = True
    for name, value in sorted(environ.items()):
        level = _suspect(name, value)
        if level is None:
            continue
        if is_session_token(value):
            yield ok("environment", f"`{name}` is the token of a session")
            continue
        quiet = False
        remedy = "start the agent without it, and give it a session in its place"
        if level == "problem":
            yield problem("environment", f"`{name}` is a credential by which backends are reached", remedy)
        else:
            what = f"`{name}` looks like a credential"
            yield warning("environment", what, "if anything behind the gateway takes it, start the agent without it")
    if quiet:
        yield ok("environment", "no credentials by the usual names are in the environment")


def _suspect(name: str, value: str) -> str | None:
    upper = name.upper()
    if not value or upper in _not_secret:
        return None
    if (
        upper in _backend
        or _with_password.search(value[:_looked_at])
        or upper.endswith(("DATABASE_URL", "DATABASE_URI"))
    ):
        return "problem"
    if upper.startswith("AWS_"):
        return None if _harmless_aws.fullmatch(upper) else "warning"
    return "warning" if _by_name.search(upper) else None


def is_session_token(text: str) -> bool:
    """Return whether a text looks like the token of a session. Not verified: there is no key where agents run."""
    parts = text.split(".")
    if len(parts) != 3 or len(text) > 4096:
        return False
    head, claims = _decoded(parts[0]), _decoded(parts[1])
    audiences = claims.get("aud")
    names = cast("list[object]", audiences) if isinstance(audiences, list) else [audiences]
    ours = bool(names) and all(isinstance(each, str) and each.startswith("bailiwick:mount:") for each in names)
    return head.get("alg") == "Ed25519" and "sid" in claims and "act" in claims and ours


def _decoded(part: str) -> Mapping[str, object]:
    try:
        found: object = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return {}
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}


def home_findings(home: Path) -> Iterator[Finding]:
    """Yield the usual files of credentials that this user can read, by name."""
    quiet = True
    for name in _files:
        path = home / name
        if not _readable(path) or (name == ".pgpass" and _only_tokens(path)):
            continue
        quiet = False
        remedy = "take it away from where the agent runs, or run the agent as another user"
        if name in _mostly:
            yield warning("home", f"`~/{name}` may hold credentials, and the agent can read it", remedy)
        else:
            yield problem("home", f"`~/{name}` holds credentials, and the agent can read it", remedy)
    if quiet:
        yield ok("home", "no usual file of credentials can be read")


def _readable(path: Path) -> bool:
    try:
        if path.is_dir():
            return any(path.iterdir())
        with path.open("rb") as file:
            return bool(file.read(1))
    except OSError:
        return False


def _only_tokens(path: Path) -> bool:
    """Return whether every password of a passfile is the token of a session."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(_longest + 1)
    except OSError:
        return False
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return len(text) <= _longest and all(is_session_token(re.split(r"(?<!\\):", line)[-1]) for line in lines)


async def backend_findings(targets: Sequence[Target | Path]) -> Sequence[Finding]:
    """Return which backends, addresses or folders, can be reached without the gateway."""
    if not targets:
        what = "no backend was named, so nothing is known of ways around the gateway"
        return [warning("around", what, "name each: `--backend host:port`, `--backend /folder`")]
    return await asyncio.gather(*(_around(target) for target in targets))


def _entered(folder: Path) -> Finding:
    """Return whether a folder can be used from here."""
    can = [word for word, mode in (("read", os.R_OK), ("changed", os.W_OK)) if os.access(folder, mode | os.X_OK)]
    if can:
        remedy = "run the agent as a user, or in a container, that does not have this folder"
        return problem("around", f"`{folder}` can be {' and '.join(can)} from here without the gateway", remedy)
    return ok("around", f"`{folder}` is not reached from here")


async def _around(target: Target | Path) -> Finding:
    if isinstance(target, Path):
        return _entered(target)
    why = await connect(target)
    if why is None:
        remedy = "let only the gateway's machine connect to it: firewall, network policy, pg_hba.conf"
        return problem("around", f"`{target}` is reached from here without the gateway", remedy)
    if why == "its name is not known":
        return warning("around", f"`{target}`: {why} here", "check its spelling; try its address too")
    return ok("around", f"`{target}` is not reached from here: {why}")


async def gateway_finding(target: Target) -> Finding:
    """Return whether the gateway can be reached."""
    why = await connect(target)
    if why is None:
        return ok("gateway", f"the gateway at `{target}` is reached")
    what = f"the gateway at `{target}` is not reached: {why}"
    return problem("gateway", what, "check that it runs, listens beyond loopback if need be, and is let through")


async def connect(target: Target) -> str | None:
    """Return why no connection can be made; None if one was."""
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(target.host, target.port)
    except TimeoutError:
        return f"no answer within {PATIENCE:.0f} seconds"
    except (socket.gaierror, UnicodeError):
        return "its name is not known"
    except OSError as error:
        return (error.strerror or "the connection failed").lower() if error.errno else "the connection failed"
    writer.close()
    return None
