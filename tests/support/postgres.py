"""A real PostgreSQL of a supported version, started and thrown away by the tests.

The server runs without durability, listens on loopback with SCRAM passwords, and as root runs as `nobody`.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import LiteralString, cast

import psycopg

from tests.support.installed import installation

SUPERUSER = "postgres"
PASSWORD = "canary-free-superuser"
GATEWAY_ROLE = """
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gw') THEN CREATE ROLE gw; END IF;
END $$;
ALTER ROLE gw LOGIN PASSWORD 'gw';
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO gw;
"""
"""A gateway's own login with rights on what is there; a server's databases share it, and others may have made it."""

QUICK: dict[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "64MB",
}
"""Settings of a server whose data nobody wants to keep."""

Cell = str | int | float | bool | None | bytes | object


def free_port() -> int:
    """Return a port of loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Database:
    """One database of a test server."""

    server: Server
    name: str

    def url(self, user: str = SUPERUSER, password: str = PASSWORD) -> str:
        """Return a connection URL over loopback."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.server.port}/{self.name}"

    def rows(self, sql: str, parameters: Sequence[object] | None = None) -> list[tuple[Cell, ...]]:
        """Run one statement as superuser and return its rows, if it has any."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            cursor = connection.execute(cast(LiteralString, sql), parameters)
            return cursor.fetchall() if cursor.description else []

    def script(self, sql: str) -> None:
        """Run a script of several statements as superuser."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.encode())

    def drop(self) -> None:
        """Drop it, cutting whoever is still connected."""
        self.server.database(SUPERUSER).script(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')


@dataclass(slots=True)
class Server:
    """A running server. Databases are cheap: copies of a template that is built once per text of its script."""

    bin: Path
    data: Path
    port: int
    process: subprocess.Popen[bytes]
    templates: dict[str, str] = field(default_factory=dict[str, str])
    numbers: Iterator[int] = field(default_factory=count)

    def database(self, name: str) -> Database:
        """Return an existing database."""
        return Database(self, name)

    def create(self, script: str = "", roles: str = "") -> Database:
        """Create a database that holds what `script` makes. `roles` runs once beside it (passwords and the like)."""
        name = f"t{next(self.numbers)}_{os.getpid()}"
        template = self.template(script, roles) if script else "template0"
        self.database(SUPERUSER).script(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.database(name)

    def template(self, script: str, roles: str = "") -> str:
        """Return the name of the template database of a script, made at its first use."""
        digest = hashlib.sha256(f"{script}\0{roles}".encode()).hexdigest()[:16]
        if digest not in self.templates:
            name = f"tpl_{digest}"
            self.database(SUPERUSER).script(f"CREATE DATABASE {name} TEMPLATE template0")
            self.database(name).script(script)
            if roles:
                self.database(name).script(roles)
            self.templates[digest] = name
        return self.templates[digest]

    def stop(self) -> None:
        """Stop it at once; its data is thrown away."""
        if self.process.poll() is None:
            self.process.send_signal(3)  # SIGQUIT: immediate shutdown
            self.process.wait(10)
        shutil.rmtree(self.data.parent, ignore_errors=True)


def _unprivileged() -> tuple[int, int] | None:
    """Return user and group under which PostgreSQL must run, or None: as ourselves."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _reachable(folder: Path) -> bool:
    """Whether a user without rights can get into the folder."""
    return all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents))


def _run_as(who: tuple[int, int] | None, arguments: Sequence[str | Path], log: Path) -> subprocess.Popen[bytes]:
    uid, gid = who or (None, None)
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            user=uid,
            group=gid,
            extra_groups=[] if who else None,
            cwd="/",
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
        )


def _prepare(root: Path, who: tuple[int, int] | None, source: Path) -> Path:
    """Make the folders and return a `bin` folder, `source` or its copy, that the server's user can reach."""
    root.chmod(0o755)
    if who is not None:
        os.chown(root, *who)
        if not _reachable(source.resolve()):
            shutil.copytree(source.parent, root / "install", symlinks=True)
            return root / "install" / "bin"
    return source


def _initdb(binaries: Path, root: Path, who: tuple[int, int] | None) -> None:
    secret = root / "password"
    secret.write_text(PASSWORD + "\n")
    arguments = [binaries / "initdb", "-D", root / "data", "-U", SUPERUSER, "-N", "-E", "UTF8", "--locale=C.UTF-8"]
    arguments += ["--auth=scram-sha-256", f"--pwfile={secret}"]
    if _run_as(who, arguments, root / "log").wait(120) != 0:
        raise RuntimeError("initdb failed: " + (root / "log").read_text())
    secret.unlink()


def _wait_until_ready(server: Server, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        try:
            psycopg.connect(server.database(SUPERUSER).url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            time.sleep(0.03)
        else:
            return
    raise RuntimeError("postgresql did not start: " + log.read_text())


@contextmanager
def running_server(settings: dict[str, str] | None = None, version: int | None = None) -> Generator[Server]:
    """Start a fresh server and stop it at the end. `settings` go on top of `QUICK`; `version` is a major one."""
    root = Path(tempfile.mkdtemp(prefix="bwpg"))
    who = _unprivileged()
    binaries = _prepare(root, who, installation(version))
    _initdb(binaries, root, who)
    port = free_port()
    arguments: list[str | Path] = [binaries / "postgres", "-D", root / "data", "-p", str(port), "-k", root]
    for name, value in {**QUICK, "listen_addresses": "127.0.0.1", "max_connections": "300", **(settings or {})}.items():
        arguments += ["-c", f"{name}={value}"]
    server = Server(binaries, root / "data", port, _run_as(who, arguments, root / "log"))
    try:
        _wait_until_ready(server, root / "log")
        yield server
    finally:
        server.stop()


@contextmanager
def standby_of(server: Server) -> Generator[Server]:
    """Copy a server that was started with `wal_level=replica` into a hot standby that follows it."""
    root = Path(tempfile.mkdtemp(prefix="bwst"))
    root.chmod(0o755)
    who = _unprivileged()
    if who is not None:
        os.chown(root, *who)
    source = f"host=127.0.0.1 port={server.port} user={SUPERUSER} password={PASSWORD}"
    copy = [server.bin / "pg_basebackup", "-d", source, "-D", root / "data", "-R", "--checkpoint=fast"]
    if _run_as(who, copy, root / "log").wait(120) != 0:
        raise RuntimeError("pg_basebackup failed: " + (root / "log").read_text())
    port = free_port()
    arguments: list[str | Path] = [server.bin / "postgres", "-D", root / "data", "-p", str(port), "-k", root]
    arguments += ["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=300", "-c", "hot_standby=on"]
    standby = Server(server.bin, root / "data", port, _run_as(who, arguments, root / "log"))
    try:
        _wait_until_ready(standby, root / "log")
        yield standby
    finally:
        standby.stop()
