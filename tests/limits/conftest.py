"""Redis for the tests of limits: a server of their own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.postgres import free_port

_found = shutil.which("redis-server", path=f"{Path(sys.prefix) / 'bin'}:/usr/bin:/usr/local/bin")
REDIS = _found or "redis-server"


@dataclass(slots=True)
class RedisServer:
    """A server that can be stopped and started again, with nothing in it."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(
            [REDIS, *options, "--dir", str(self.folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(1200):
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as plug:
                    plug.sendall(b"PING\r\n")
                    if plug.recv(5) == b"+PONG":
                        return
            except OSError:
                pass
            time.sleep(0.05)
        raise RuntimeError("Redis did not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)


@pytest.fixture(scope="session")
def redis_server() -> Generator[RedisServer]:
    folder = Path(tempfile.mkdtemp(prefix="bwredis"))
    server = RedisServer(free_port(), folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
