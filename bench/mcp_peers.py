"""What bench/mcp.py compares the gateway with: IBM's ContextForge, and a proxy made with fastmcp.

They are no dependencies of the project: each gets an environment of its own beside the project's (`.venv/peers/NAME`),
made at the first run, and removed with it. What cannot be had or started is said, and left out.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tests.support.postgres import free_port

ROOT = Path(__file__).resolve().parents[1]
_folder = ROOT / ".venv" / "peers"
_install_seconds, _start_seconds = 900, 90


class MissingError(Exception):
    """A peer cannot be had, or does not start."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A gateway that somebody else made, in front of the same server."""

    name: str
    path: str
    tool: str
    port: int
    token: str = ""


def environment(name: str, requirement: str) -> Path:
    """Return the folder of programs of an environment with a package, made if need be. Raises MissingError."""
    folder = _folder / name
    stamp = folder / ".stamp"
    if stamp.exists() and stamp.read_text() == requirement:
        return folder / "bin"
    shutil.rmtree(folder, ignore_errors=True)
    for command in (
        [sys.executable, "-m", "venv", folder],
        [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement],
    ):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_install_seconds, check=False)  # noqa: S603  # ours
        except subprocess.TimeoutExpired:
            raise MissingError(f"`{requirement}` is not installed within {_install_seconds} seconds") from None
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [""]
            raise MissingError(f"`{requirement}` cannot be installed: {said[-1][:200]}")
    stamp.write_text(requirement)
    return folder / "bin"


@contextmanager
def fastmcp(upstream: int) -> Generator[Peer]:
    """Run a fastmcp proxy without sessions and with answers as JSON: what plain requests can be sent to."""
    programs = environment("fastmcp", "fastmcp==3.4.10")
    port = free_port()
    text = (
        "from fastmcp.server import create_proxy\n"
        f"create_proxy('http://127.0.0.1:{upstream}/mcp', name='bench').run(transport='http', host='127.0.0.1',"
        f" port={port}, show_banner=False, stateless_http=True, json_response=True, log_level='ERROR')\n"
    )
    peer = Peer("fastmcp proxy", "/mcp", "echo", port)
    with _running([programs / "python", "-c", text], {}, lambda: _post(port, peer.path, _LISTED)):
        yield peer


@contextmanager
def contextforge(upstream: int) -> Generator[Peer]:
    """Run ContextForge as it is installed, with its rate limits off and this machine's addresses let through."""
    programs = environment("contextforge", "mcp-contextforge-gateway==1.0.7.post20260921")
    port, key, who = free_port(), secrets.token_hex(32), "admin@example.com"
    settings = {
        "JWT_SECRET_KEY": key,
        "AUTH_ENCRYPTION_SECRET": secrets.token_hex(32),
        "PLATFORM_ADMIN_EMAIL": who,
        "PLATFORM_ADMIN_PASSWORD": f"A-{secrets.token_hex(16)}",
        "DATABASE_URL": "sqlite:///./mcp.db",
        "SSRF_ALLOW_LOCALHOST": "true",
        "SSRF_ALLOW_PRIVATE_NETWORKS": "true",
        "RATE_LIMITING_ENABLED": "false",
        "MCPGATEWAY_UI_ENABLED": "false",
        "LOG_LEVEL": "ERROR",
    }
    command = [programs / "mcpgateway", "--host", "127.0.0.1", "--port", str(port)]
    with _running(command, settings, lambda: _get(port, "/health")):
        making = [programs / "python", "-m", "mcpgateway.utils.create_jwt_token", "--username", who, "--exp", "600"]
        made = subprocess.run(  # noqa: S603  # its own program
            [*making, "--secret", key],
            env={**os.environ, **settings},
            cwd=tempfile.gettempdir(),
            capture_output=True,
            text=True,
            timeout=_start_seconds,
            check=False,
        )
        token = (made.stdout.split() or [""])[-1]
        mounted = {"name": "bench", "url": f"http://127.0.0.1:{upstream}/mcp", "transport": "STREAMABLEHTTP"}
        _post(port, "/gateways", mounted, token)
        yield Peer("ContextForge", "/mcp/", "bench-echo", port, token)


_LISTED: Mapping[str, object] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}


@contextmanager
def _running(
    command: Sequence[str | Path], settings: Mapping[str, str], answers: Callable[[], object]
) -> Generator[None]:
    """Run a program until the end, once it answers. Raises MissingError when it does not."""
    home = Path(tempfile.mkdtemp(prefix="bwpeer"))
    with (home / "log").open("wb") as log:
        environ = {**os.environ, **settings, "HOME": str(home)}
        process = subprocess.Popen(command, env=environ, cwd=home, stdout=log, stderr=log)  # noqa: S603  # ours
    try:
        deadline = time.monotonic() + _start_seconds
        while True:
            try:
                answers()
                break
            except MissingError:
                if process.poll() is not None or time.monotonic() > deadline:
                    last = (home / "log").read_text(errors="replace").splitlines()[-1:]
                    raise MissingError(f"`{Path(command[0]).name}` does not start: {' '.join(last)[:200]}") from None
                time.sleep(0.1)
        yield
    finally:
        process.kill()
        process.wait(30)
        shutil.rmtree(home, ignore_errors=True)


def _post(port: int, path: str, value: Mapping[str, object], token: str = "") -> object:
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    return _asked(
        urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(value).encode(), headers)  # http
    )


def _get(port: int, path: str) -> object:
    return _asked(urllib.request.Request(f"http://127.0.0.1:{port}{path}"))  # http


def _asked(request: urllib.request.Request) -> object:
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # http
            return cast("object", json.loads(answer.read()))
    except (OSError, urllib.error.URLError, ValueError) as error:
        raise MissingError(f"it does not answer: {type(error).__name__}") from None
