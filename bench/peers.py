"""What is measured against what: the server itself, pgbouncer, the gateway, the gateway with its data in memory."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.support.gateway import Credentials, RunningGateway, prepare_gateway
from tests.support.installed import installation
from tests.support.postgres import PASSWORD, SUPERUSER, Database, Server, free_port

POLICY = """
bailiwick: 1
mounts:
  bench:
    kind: postgres
    url: ${BENCH_URL}
    resources:
      accounts: {table: public.pgbench_accounts, key: aid, tenant: bid}
      branches: {table: public.pgbench_branches, key: bid}
      wide: {table: public.wide, key: id}
      narrow: {table: public.narrow, key: id}
roles:
  reader:
    grants:
      - {allow: accounts:read, reason: balances of its own branch, fields: [aid, bid, abalance], rows: {aid: {min: 1}}}
      - {allow: branches:read, reason: pgbench counts them first}
      - {allow: wide:read, reason: measured}
      - {allow: narrow:read, reason: measured}
agents:
  bench-bot: {owner: bench, purpose: is measured, roles: [reader]}
"""
FLOODS = """
CREATE TABLE public.narrow AS SELECT g AS id FROM generate_series(1, {rows}) g;
CREATE TABLE public.wide AS
  SELECT g AS id, repeat(md5(g::text), 6) AS text, g * 2 AS a, now() AS b FROM generate_series(1, {rows}) g;
"""
MEMORY = Path("/dev/shm")  # noqa: S108  # a file system in memory is the point: its commits cost nothing


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to the database."""

    name: str
    session: Credentials
    modes: tuple[str, ...] = ("simple", "extended", "prepared")

    def pgbench(self, mode: str, clients: int, seconds: int, scale: int) -> float:
        """Run `pgbench -S` and return transactions a second (without connecting), NaN when it failed."""
        arguments = ["-S", "-n", "-M", mode, "-c", str(clients), "-j", str(min(clients, 2)), "-T", str(seconds)]
        done = subprocess.run(  # noqa: S603  # our own wheel's program
            [installation() / "pgbench", *arguments, "-s", str(scale)],
            env={**os.environ, **self.session.environment()},
            capture_output=True,
            text=True,
            check=False,
        )
        found = re.search(r"tps = ([0-9.]+)", done.stdout)
        if found is None or done.returncode != 0:
            raise RuntimeError(f"pgbench by {self.name} failed: {done.stderr[-500:]}")
        return float(found[1])


def fill(database: Database, scale: int, rows: int) -> None:
    """Make pgbench's tables and those for the row floods."""
    direct = Credentials("", "127.0.0.1", database.server.port, SUPERUSER, database.name, PASSWORD)
    subprocess.run(  # noqa: S603  # our own wheel's program
        [installation() / "pgbench", "-i", "-q", "-s", str(scale)],
        env={**os.environ, **direct.environment()},
        check=True,
        capture_output=True,
    )
    database.script("UPDATE public.pgbench_accounts SET bid = 1")
    database.script(FLOODS.format(rows=rows))
    with psycopg.connect(database.url(), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def bouncer_version() -> tuple[int, ...]:
    """Return the version of the pgbouncer that is installed, () when there is none."""
    program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        return ()
    said = subprocess.run([program, "-V"], capture_output=True, text=True, check=False).stdout  # noqa: S603  # found above
    found = re.search(r"(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else ()


@contextmanager
def bouncer(database: Database) -> Generator[tuple[Peer, ...]]:
    """Run pgbouncer in transaction mode; before 1.21 prepared statements go through session mode instead."""
    version = bouncer_version()
    if not version:
        yield ()
        return
    folder = Path(tempfile.mkdtemp(prefix="bwpb"))
    port = free_port()
    back = f"host=127.0.0.1 port={database.server.port} dbname={database.name} user={SUPERUSER} password={PASSWORD}"
    statements = "max_prepared_statements = 200\n" if version >= (1, 21) else ""
    (folder / "users").write_text('"bench" "bench"\n')
    (folder / "ini").write_text(
        f"[databases]\nbench = {back}\nbench_session = {back} pool_mode=session\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = plain\n"
        f"auth_file = {folder}/users\npool_mode = transaction\ndefault_pool_size = 40\nmax_client_conn = 200\n"
        f"logfile = {folder}/log\nignore_startup_parameters = extra_float_digits\n{statements}"
    )
    who = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
        if who:
            os.chown(path, who.pw_uid, who.pw_gid)
    process = subprocess.Popen(  # noqa: S603  # found above
        [shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin") or "pgbouncer", folder / "ini"],
        user=who.pw_uid if who else None,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        pooled = Credentials("", "127.0.0.1", port, "bench", "bench", "bench")
        _wait(pooled)
        whole = ("simple", "extended", "prepared")
        if version >= (1, 21):
            yield (Peer("pgbouncer", pooled, whole),)
        else:
            sessions = Credentials("", "127.0.0.1", port, "bench", "bench_session", "bench")
            yield (Peer("pgbouncer", pooled, whole[:2]), Peer("pgbouncer", sessions, whole[2:]))
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(session: Credentials) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(psycopg.OperationalError):
            psycopg.connect(session.url(), connect_timeout=2).close()
            return
        time.sleep(0.05)
    raise RuntimeError("pgbouncer did not start")


@contextmanager
def gateway(database: Database, name: str, folder: Path) -> Generator[Peer]:
    """Run the gateway with its data in `folder`."""
    made = Path(tempfile.mkdtemp(prefix="bwbg", dir=folder))
    running: RunningGateway = prepare_gateway(made, POLICY, {"BENCH_URL": database.url()})
    try:
        running.start()
        yield Peer(name, running.open_session("bench-bot", tenant="1"))
    finally:
        running.stop()
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def peers(server: Server, database: Database) -> Generator[tuple[Peer, ...]]:
    """Run everything that is compared. The gateway with its data in memory shows what durability costs."""
    direct = Credentials("", "127.0.0.1", server.port, SUPERUSER, database.name, PASSWORD)
    with ExitStack() as stack:
        found = [Peer("direct", direct), *stack.enter_context(bouncer(database))]
        found.append(stack.enter_context(gateway(database, "gateway", Path(tempfile.gettempdir()))))
        if MEMORY.is_dir():
            found.append(stack.enter_context(gateway(database, "gateway in memory", MEMORY)))
        yield tuple(found)
