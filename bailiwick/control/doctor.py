"""The doctor's look at a whole installation: settings, policy, and every backend, side by side and bounded in time.

Lives here because it asks each kind of backend in the way in which its mount does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from bailiwick.control.doctor_files import files_findings
from bailiwick.errors import BailiwickError
from bailiwick.gateway.backends.backends import place_of
from bailiwick.gateway.config import GatewayConfig, load_config, policy_folder
from bailiwick.gateway.doctor.database import clock_finding, database_findings
from bailiwick.gateway.doctor.files import file_findings, secret_file_findings
from bailiwick.gateway.doctor.finding import Finding, ok, problem, warning
from bailiwick.gateway.doctor.ledger import ledger_findings
from bailiwick.gateway.doctor.listeners import listener_findings, listeners
from bailiwick.gateway.doctor.sinks import sink_findings
from bailiwick.gateway.files import read_policy
from bailiwick.gateway.moments import utc_now
from bailiwick.gateway.policies.ready import api_secrets
from bailiwick.gateway.secrets import resolve
from bailiwick.model.email import EmailMount
from bailiwick.model.http import HttpMount
from bailiwick.model.policy import Mount, Policy, SecretRef
from bailiwick.model.tool import McpMount
from bailiwick.mounts.http.arguments import Outgoing
from bailiwick.mounts.http.upstream import Api, ApiError
from bailiwick.mounts.mcp.accepting import server_tools
from bailiwick.policy.load import load

PATIENCE = 45.0
"""Seconds that a backend has in all; each connection has less."""


async def examine(path: Path, environ: Mapping[str, str], config_file: Path | None) -> Sequence[Finding]:
    """Return every finding. What cannot be read is a finding too; nothing is raised, made or changed."""
    found: list[Finding] = []
    own: Path | None = None
    policy = _policy(path, found)
    try:
        config = load_config(path, environ, config_file)
    except BailiwickError as error:
        found.append(problem("settings", error.message, error.remedy))
    else:
        own = config.data_dir
        _collect(found, _installation(path, config_file, config, policy))
        _collect(found, sink_findings(config, environ, policy_folder(path)))
        found += await asyncio.to_thread(lambda: [*ledger_findings(config.ledger)])
    if policy is not None:
        _collect(found, secret_file_findings(_secret_files(policy, policy_folder(path))))
        backends = await asyncio.gather(*_backends(policy, environ, policy_folder(path), own))
        found += [each for several in backends for each in several]
        if not any(each.check == "clock" for each in found):
            found.append(ok("clock", "not compared: no backend here tells the time"))
    return found


def _collect(found: list[Finding], more: Iterable[Finding]) -> None:
    """Take findings as long as the system lets files be looked at."""
    try:
        found.extend(more)  # what came before a failure stays
    except OSError as error:
        what = f"`{error.filename}` cannot be looked at: {(error.strerror or 'unreadable').lower()}"
        found.append(problem("files", what, "run this as the user that the gateway runs as"))


def _policy(path: Path, found: list[Finding]) -> Policy | None:
    try:
        loaded = load(read_policy(path))
    except BailiwickError as error:
        found.append(problem("policy", error.message, error.remedy))
        return None
    if loaded.policy is None:
        found.append(problem("policy", f"`{path}` has errors", f"run `bailiwick policy check {path}`"))
    return loaded.policy


def _installation(
    path: Path, config_file: Path | None, config: GatewayConfig, policy: Policy | None
) -> Iterator[Finding]:
    yield from file_findings(path, config_file or policy_folder(path) / "gateway.yaml", config)
    plain = policy is not None and any(mount.plaintext for mount in policy.mounts.values())
    for listener in listeners(config):
        yield from listener_findings(listener, utc_now(), plaintext=plain and listener.name == "postgres")


def _secret_files(policy: Policy, base: Path) -> Iterator[Path]:
    """Yield the files that references of the policy name, each once."""
    refs: list[SecretRef] = [mount.url for mount in policy.mounts.values()]
    for server in policy.mcp.values():
        refs += [*server.env.values(), *server.headers.values(), *([server.url] if server.url is not None else [])]
    refs += [mail.smtp for mail in policy.email.values()]
    for files in policy.files.values():
        refs += [*files.credential.values(), *([] if files.is_local else [files.url])]
    for api in policy.http.values():
        refs += [api.url, *(api.credential.values.values() if api.credential is not None else ())]
    yield from dict.fromkeys(base / ref.text.removeprefix("file:") for ref in refs if ref.text.startswith("file:"))


def _backends(
    policy: Policy, environ: Mapping[str, str], base: Path, own: Path | None
) -> Iterator[Coroutine[None, None, Sequence[Finding]]]:
    for name, mount in policy.mounts.items():
        yield _bounded(name, _database(mount, environ, base))
    for name, server in policy.mcp.items():
        yield _bounded(name, _server(server, environ, base))
    for name, api in policy.http.items():
        yield _bounded(name, _api(api, environ, base))
    for name, mail in policy.email.items():
        yield _bounded(name, _mail(mail, environ, base))
    for name, files in policy.files.items():
        yield _bounded(name, files_findings(files, environ, base, own))


async def _bounded(name: str, asked: Coroutine[None, None, Sequence[Finding]]) -> Sequence[Finding]:
    try:
        return await asyncio.wait_for(asked, PATIENCE)
    except BailiwickError as error:
        return [problem("backends", f"mount `{name}`: {error.message}", error.remedy)]
    except TimeoutError:
        what = f"mount `{name}`: no answer within {PATIENCE:.0f} seconds"
        return [problem("backends", what, "check its address, and that it runs")]


async def _database(mount: Mount, environ: Mapping[str, str], base: Path) -> Sequence[Finding]:
    return await database_findings(mount, place_of(mount, environ, base).reveal())


async def _server(mount: McpMount, environ: Mapping[str, str], base: Path) -> Sequence[Finding]:
    tools = await server_tools(mount, environ, base)
    return [ok("backends", f"mount `{mount.name}`: the server answers; it has {len(tools)} tools")]


async def _mail(mount: EmailMount, environ: Mapping[str, str], base: Path) -> Sequence[Finding]:
    """Connect and log in as the gateway would; nothing is sent."""
    from bailiwick.mounts.email.server import MailServer, place_of, tls_of

    place = place_of(mount.name, resolve(mount.smtp, environ, base))
    server = MailServer(place, tls_of(mount.name, mount.authority, base))
    (await server.connect()).close()
    how = "over TLS" if place.implicit else "without TLS, on this machine" if place.is_here else "over STARTTLS"
    who = " and takes the gateway's login" if place.user else ""
    return [ok("backends", f"mount `{mount.name}`: the mail server answers {how}{who}")]


async def _api(mount: HttpMount, environ: Mapping[str, str], base: Path) -> Sequence[Finding]:
    """Ask the API for the head of its own root, as the gateway would, credential and all."""
    api = Api(mount, api_secrets(mount, environ, base))
    who, before = f"mount `{mount.name}`", utc_now()
    try:
        answer = await api.send("HEAD", Outgoing("/", "", (), b"", ""), "*/*")
        answer.close()
    except ApiError as error:
        return [problem("backends", f"{who}: {error}", "check `url`, `networks` and `credential` of the mount")]
    finally:
        await api.close()
    told = _date(answer.header(b"date"))
    clock = [] if told is None else [clock_finding(who, before, told, utc_now())]
    if answer.status in (401, 403):
        what = f"{who}: the API answers {answer.status} to HEAD of its root with the gateway's credential"
        return [warning("backends", what, "check the mount's `credential`, unless the root is closed to it"), *clock]
    if answer.status >= 500:
        what = f"{who}: the API answers {answer.status} to HEAD of its root"
        return [warning("backends", what, "see whether it is well"), *clock]
    return [ok("backends", f"{who}: the API answers"), *clock]


def _date(header: bytes | None) -> datetime | None:
    """Return the time of a `Date` header, in the middle of its second; None for what is none."""
    try:
        told = parsedate_to_datetime((header or b"").decode("ascii"))
    except ValueError:
        return None
    return (told if told.tzinfo is not None else told.replace(tzinfo=UTC)) + timedelta(milliseconds=500)
