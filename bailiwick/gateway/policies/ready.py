"""From files to a policy that can be put in force: read, checked, its secrets resolved, its databases known.

All or nothing: what is returned can be swapped in at once; what is wrong is raised as one `PolicyRefusedError`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bailiwick.errors import ConfigError, PolicyError
from bailiwick.gateway.backends.backends import place_of
from bailiwick.gateway.backends.introspect import refused_statements
from bailiwick.gateway.backends.native import Native, compiled, in_force
from bailiwick.gateway.backends.native import place_of as native_place
from bailiwick.gateway.config import policy_folder
from bailiwick.gateway.files import lock_path, read_lock, read_policy
from bailiwick.gateway.policies.force import Force
from bailiwick.gateway.secrets import Secret, resolve
from bailiwick.model.files import FilesMount
from bailiwick.model.http import HttpMount
from bailiwick.model.lock import Lock, LockedTable
from bailiwick.model.policy import Mount, Policy
from bailiwick.model.tool import McpMount
from bailiwick.policy.effective import unsupported
from bailiwick.policy.load import load
from bailiwick.policy.lockfile import parse_lock
from bailiwick.policy.observed import staging_only
from bailiwick.policy.own_sql import statements
from bailiwick.policy.problem import Problem
from bailiwick.policy.validate import check_against_lock
from bailiwick.sql.catalogue import Catalogue

ReadCatalogue = Callable[[str, Mount, Mapping[tuple[str, str], LockedTable]], Coroutine[None, None, Catalogue]]
"""(url, mount, its accepted tables) → what the live database has of them."""


class PolicyRefusedError(PolicyError):
    """A policy that cannot be put in force, with every reason that is known."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        super().__init__(
            f"{first.position}: {first.message}{more}",
            remedy=first.suggestion or "`bailiwick policy check` lists every problem",
        )
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class ServerSecrets:
    """The resolved values of one mount of kind `mcp`."""

    url: Secret | None
    env: Mapping[str, Secret]
    headers: Mapping[str, Secret]


@dataclass(frozen=True, slots=True)
class ApiSecrets:
    """The resolved values of one mount of kind `http`."""

    url: Secret
    credential: Mapping[str, Secret]
    authority: str = ""
    """The certificates that verify the API's, in PEM; empty: the system's do."""


def api_secrets(mount: HttpMount, environ: Mapping[str, str], base: Path) -> ApiSecrets:
    """Return where a mount's API is, what the gateway shows it, and who vouches for it. Raises ConfigError."""
    values = mount.credential.values.items() if mount.credential is not None else ()
    return ApiSecrets(
        resolve(mount.url, environ, base),
        {name: resolve(value, environ, base) for name, value in values},
        _certificates(mount, base) if mount.authority else "",
    )


def _certificates(mount: HttpMount, base: Path) -> str:
    try:
        return (base / mount.authority).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        message = f"mount `{mount.name}`: the certificates in `{mount.authority}` cannot be read"
        raise ConfigError(message, remedy="give `authority` a file of certificates in PEM") from None


@dataclass(frozen=True, slots=True)
class FileSecrets:
    """The resolved values of one mount of kind `files`: its folder, or URL, and what is shown there."""

    url: Secret
    credential: Mapping[str, Secret]


def file_secrets(mount: FilesMount, environ: Mapping[str, str], base: Path) -> FileSecrets:
    """Return where a mount's files are. Raises ConfigError."""
    url = resolve(mount.url, environ, base)
    place = Secret(str(base / url.reveal())) if mount.is_local else url
    return FileSecrets(place, {name: resolve(value, environ, base) for name, value in mount.credential.items()})


def server_secrets(mount: McpMount, environ: Mapping[str, str], base: Path) -> ServerSecrets:
    """Return what a mount's server is started or called with. Raises ConfigError."""
    return ServerSecrets(
        None if mount.url is None else resolve(mount.url, environ, base),
        {name: resolve(value, environ, base) for name, value in mount.env.items()},
        {name: resolve(value, environ, base) for name, value in mount.headers.items()},
    )


@dataclass(frozen=True, slots=True)
class Written:
    """A policy as it was written: no secret stands in it."""

    files: Mapping[str, str]
    """Name → text."""
    lock: str | None


@dataclass(frozen=True, slots=True)
class Ready:
    """A policy that can be put in force, and everything that its mounts need."""

    force: Force
    urls: Mapping[str, Secret]
    catalogues: Mapping[str, Catalogue]
    natives: Mapping[str, Native] = field(default_factory=dict[str, Native])
    """Mount → its native depth, for those that say `enforce: both`; each was seen in force."""
    servers: Mapping[str, ServerSecrets] = field(default_factory=dict[str, "ServerSecrets"])
    """Mount of kind `mcp` → what its server is started or called with."""
    apis: Mapping[str, ApiSecrets] = field(default_factory=dict[str, "ApiSecrets"])
    """Mount of kind `http` → where its API is, and with which credential."""
    mails: Mapping[str, Secret] = field(default_factory=dict[str, Secret])
    """Mount of kind `email` → where its server is, and as whom the gateway sends."""
    files: Mapping[str, FileSecrets] = field(default_factory=dict[str, "FileSecrets"])
    """Mount of kind `files` → where its files are."""
    written: Written = Written({}, None)
    """The texts that it was made from."""


def fingerprint(path: Path) -> str:
    """Return a hash over the policy's files and its lock; changes exactly when a text does."""
    texts = {**read_policy(path), "bailiwick.lock": read_lock(path) or ""}
    content = "\0".join(f"{name}\0{text}" for name, text in sorted(texts.items()))
    return hashlib.sha256(content.encode()).hexdigest()


def read_written(path: Path) -> Written:
    """Read the texts of a policy and its lock. Raises PolicyError."""
    return Written(read_policy(path), read_lock(path))


def read_force(path: Path, written: Written | None = None) -> tuple[Policy, Lock]:
    """Read a policy and its lock, from these texts if some are given.

    Raises PolicyRefusedError for what is wrong or not enforced yet, PolicyError."""
    written = written or read_written(path)
    loaded = load(written.files)
    if loaded.policy is None:
        raise PolicyRefusedError([problem for problem in loaded.problems if problem.severity == "error"])
    not_yet = unsupported(loaded.policy)
    if not_yet:
        raise PolicyRefusedError(not_yet)
    text = written.lock
    if text is None and not _needs_lock(loaded.policy):
        return loaded.policy, Lock({})  # functions are accepted by standing in the policy
    if text is None:
        raise PolicyError(
            f"there is no `{lock_path(path)}`: nothing of the databases is accepted yet",
            remedy=f"run `bailiwick accept {path}`",
        )
    lock = parse_lock(text, str(lock_path(path)))
    disagreements = [each for each in check_against_lock(loaded.policy, lock) if each.severity == "error"]
    if disagreements:
        raise PolicyRefusedError(disagreements)
    return loaded.policy, lock


def _needs_lock(policy: Policy) -> bool:
    return bool(policy.mounts or policy.mcp or policy.http or policy.email)


async def check_own_sql(policy: Policy, mount: Mount, url: Secret) -> tuple[Problem, ...]:
    """Return what the mount's database does not understand of the policy's own SQL. Raises BackendError."""
    if mount.kind != "postgres":
        return ()  # nowhere else can `sql:` be switched on
    own, problems = statements(policy, mount)
    if problems or not own:
        return problems
    refused = await refused_statements(url.reveal(), tuple(own))
    return tuple(
        Problem(own[each].position, "sql", f"the database refuses the SQL: {why}") for each, why in refused.items()
    )


async def make_ready(
    path: Path,
    environ: Mapping[str, str],
    read_catalogue: ReadCatalogue,
    written: Written | None = None,
    *,
    observing: bool = False,
) -> Ready:
    """Return the policy at `path`, or the one that was `written` there, ready.

    `observing`: whether it may observe (`GatewayConfig.observing`).

    Raises PolicyError, ConfigError (secrets) or BackendError."""
    texts = written or await asyncio.to_thread(read_written, path)
    policy, lock = await asyncio.to_thread(read_force, path, texts)  # a large policy takes its time
    watching = () if observing else staging_only(policy)
    if watching:
        raise PolicyRefusedError(watching)
    base = policy_folder(path)
    urls = {name: place_of(mount, environ, base) for name, mount in policy.mounts.items()}
    catalogues = {
        name: await read_catalogue(urls[name].reveal(), mount, lock.mounts.get(name, {}))
        for name, mount in policy.mounts.items()
    }
    wrong = [each for name, mount in policy.mounts.items() for each in await check_own_sql(policy, mount, urls[name])]
    if wrong:
        raise PolicyRefusedError(wrong)
    natives = {
        name: await in_force(urls[name].reveal(), compiled(policy, lock, native_place(name, urls[name].reveal())))
        for name, mount in policy.mounts.items()
        if mount.enforce == "both"
    }
    servers = {name: server_secrets(mount, environ, base) for name, mount in policy.mcp.items()}
    apis = {name: api_secrets(mount, environ, base) for name, mount in policy.http.items()}
    mails = {name: resolve(mount.smtp, environ, base) for name, mount in policy.email.items()}
    files = {name: file_secrets(mount, environ, base) for name, mount in policy.files.items()}
    return Ready(Force(policy, lock), urls, catalogues, natives, servers, apis, mails, files, texts)
