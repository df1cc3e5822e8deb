"""A real MariaDB server for tests: Debian's and Ubuntu's `mariadb-server-core`, in a temporary folder, on a socket."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pymysql
from pymysql.constants import CLIENT

SCRIPTS = Path("/usr/share/mysql")
_SYSTEM = ("mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql")
_PATIENCE = 120
PASSWORD = "gateway-password"


def program() -> str | None:
    """Return the server's program, None where there is none."""
    found = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin")
    return found if found and all((SCRIPTS / name).exists() for name in _SYSTEM) else None


@dataclass(frozen=True, slots=True)
class MariaDB:
    """A server that runs."""

    socket: str

    def url(self, user: str = "gateway") -> str:
        """Return what stands in a policy's `url`."""
        return f"mariadb://{user}:{PASSWORD}@localhost/?socket={self.socket}"

    def execute(self, script: str) -> None:
        """Execute a script as the server's administrator."""
        connection = self._connect(CLIENT.MULTI_STATEMENTS)
        try:
            with connection.cursor() as cursor:
                cursor.execute(script)
                while cursor.nextset():
                    pass
            connection.commit()
        finally:
            connection.close()

    def ask_in(self, database: str, sql: str) -> list[tuple[object, ...]]:
        """Return the rows of a query, as the administrator sees them."""
        connection = self._connect(0)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"USE {database}")
                cursor.execute(sql)
                return [tuple(cast("tuple[object, ...]", row)) for row in cursor.fetchall()]
        finally:
            connection.close()

    @contextmanager
    def session(self, database: str) -> Generator[Callable[[str], list[tuple[object, ...]]]]:
        """Give a session of the administrator's, without a mode of its own; what it did is undone."""
        connection = self._connect(0)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"USE {database}")
                cursor.execute("SET sql_mode = '', time_zone = '+00:00'")

                def ask(sql: str) -> list[tuple[object, ...]]:
                    cursor.execute(sql)
                    return [tuple(cast("tuple[object, ...]", row)) for row in cursor.fetchall()]

                yield ask
        finally:
            connection.close()

    def _connect(self, flags: int) -> pymysql.Connection:
        return pymysql.connect(
            unix_socket=self.socket, user="root", charset="utf8mb4", client_flag=flags, read_timeout=_PATIENCE
        )


@contextmanager
def running_mariadb() -> Generator[MariaDB]:
    """Run a fresh server until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="bw-maria-"))
    process: subprocess.Popen[bytes] | None = None
    try:
        command = _prepared(folder)
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [*command, f"--socket={folder}/s", "--skip-networking", "--innodb-flush-log-at-trx-commit=0"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
            )
        server = MariaDB(f"{folder}/s")
        _wait(folder, process)
        yield server
    finally:
        if process is not None:
            process.kill()  # nobody keeps the data
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _prepared(folder: Path) -> list[str]:
    """Make the system tables, as mariadb-install-db does. Returns the server's command."""
    found = program()
    assert found is not None
    data = folder / "data"
    (data / "mysql").mkdir(parents=True)
    (folder / "tmp").mkdir()
    command = [
        found,
        "--no-defaults",
        f"--datadir={data}",
        f"--tmpdir={folder / 'tmp'}",  # a server that starts removes the temporary tables of others from a common one
        "--innodb-log-file-size=8M",
        "--innodb-buffer-pool-size=16M",
    ]
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        for each in (folder, folder / "tmp", data, data / "mysql"):
            os.chown(each, nobody.pw_uid, nobody.pw_gid)
        command.append("--user=nobody")
    script = "use mysql;\n" + "".join((SCRIPTS / name).read_text() for name in _SYSTEM)
    subprocess.run(
        [*command, "--bootstrap", "--log-warnings=0", "--innodb-flush-log-at-trx-commit=0"],
        input=script.encode(),
        capture_output=True,
        timeout=_PATIENCE,
        check=True,
    )
    return command


def _wait(folder: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(f"{folder}/s") == 0:
                return
        time.sleep(0.05)
    raise AssertionError((folder / "log").read_text(errors="replace")[-2000:])
