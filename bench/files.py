"""What the mount of files costs beside fsspec itself, in one run: lists, reads and writes, small files and 100 MB.

    python bench/files.py [--quick] [--write]

In front of a server of S3 in a process of its own (moto), and in front of a folder. Both ways do the same, in turns;
figures are medians of rounds. Through the mount each call is decided and durably recorded, each write keeps what was
before. Targets are those of the store; a folder's own calls take microseconds, so its figures are told without one.
Exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# At the end: files of this folder are not to stand for modules of the standard library.
sys.path[:] = [*(each for each in sys.path if Path(each).name != "bench"), str(ROOT), str(ROOT / "bench")]

import fsspec  # noqa: E402  # the path is set above
from common import Report, machine, median, record  # noqa: E402  # the path is set above
from fsspec.spec import AbstractFileSystem  # noqa: E402  # the path is set above

from bailiwick.mounts.files.admission import NotDone  # noqa: E402  # the path is set above
from tests.files.files_rig import Agent, files_here  # noqa: E402  # the path is set above
from tests.support.postgres import free_port  # noqa: E402  # the path is set above

POLICY = """
bailiwick: 1
mounts:
  docs:
    kind: files
    PLACE
    resources: {all: {paths: ["b/**"]}}
    versions: {keep: 1}
roles:
  all: {grants: [{allow: "all:*", reason: is measured}]}
agents:
  bot: {owner: bench, purpose: is measured, roles: [all]}
"""
STORE = 'url: s3://bench\n    credential: {key: k, secret: "${S3_SECRET}", endpoint: "${S3_URL}", region: us-east-1}'
SMALL = b"x" * 4096
LARGE = os.urandom(1024 * 1024) * 100
at_once = 8
"""Calls at once, of small files."""
Work = Callable[[], Awaitable[None]]


@contextmanager
def store() -> Generator[str]:
    """Run a server of S3 in a process of its own."""
    port = free_port()
    server = subprocess.Popen(  # noqa: S603  # a server of our own
        [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 5).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(20)


class Direct:
    """What fsspec does by itself, in the threads that the mount has too."""

    def __init__(self, files: AbstractFileSystem, root: str) -> None:
        self._files = files
        self._root = root

    async def read(self, path: str) -> None:
        await asyncio.to_thread(self._files.cat_file, f"{self._root}/{path}")

    async def write(self, path: str, data: bytes) -> None:
        await asyncio.to_thread(self._files.pipe_file, f"{self._root}/{path}", data)

    async def list(self, path: str) -> None:
        await asyncio.to_thread(lambda: self._files.ls(f"{self._root}/{path}", detail=True, refresh=True))


class Mounted:
    """The same through the mount."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def read(self, path: str) -> None:
        _good(await self._agent.read(path))

    async def write(self, path: str, data: bytes) -> None:
        _good(await self._agent.write(path, data))

    async def list(self, path: str) -> None:
        _good(await self._agent.list(path))


def _good(done: object) -> None:
    if isinstance(done, NotDone):
        raise RuntimeError(str(done.denial))


async def _small(number: int, work: Callable[[int], Awaitable[None]]) -> float:
    """Return how many calls a second are done, so many at once."""
    left = iter(range(number))

    async def worker() -> None:
        for each in left:
            await work(each)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return number / (time.perf_counter() - began)


async def _large(work: Work) -> float:
    """Return MB a second."""
    began = time.perf_counter()
    await work()
    return len(LARGE) / 1e6 / (time.perf_counter() - began)


async def _measured(
    report: Report, name: str, ways: tuple[Direct, Mounted], number: int, rounds: int, *, held: bool
) -> None:
    direct = ways[0]
    for each in range(100):
        await direct.write(f"b/small/{each}.txt", SMALL)
    await direct.write("b/large.bin", LARGE)
    kinds: dict[str, tuple[str, Callable[[Direct | Mounted, int], Awaitable[float]]]] = {
        "list 100": ("/s", lambda way, _: _small(number // 4, lambda _: way.list("b/small"))),
        "read 4 kB": ("/s", lambda way, _: _small(number, lambda each: way.read(f"b/small/{each % 100}.txt"))),
        "write 4 kB": (
            "/s",
            lambda way, turn: _small(number, lambda each: way.write(f"b/{id(way)}-{turn}/{each}", SMALL)),
        ),
        "read 100 MB": ("MB/s", lambda way, _: _large(lambda: way.read("b/large.bin"))),
        "write 100 MB": ("MB/s", lambda way, turn: _large(lambda: way.write(f"b/{id(way)}-{turn}.bin", LARGE))),
    }
    for kind, (unit, measure) in kinds.items():
        figures: tuple[list[float], list[float]] = ([], [])
        for turn in range(rounds + 1):
            for way, found in zip(ways, figures, strict=True):
                figure = await measure(way, turn)
                if turn:  # the first round warms up
                    found.append(figure)
        own, through = median(figures[0]), median(figures[1])
        target = (0.9 if "MB" in kind else 0.5) if held else None
        report.line(
            f"{name}, {kind}: {own:,.0f} {unit} direct, {through:,.0f} {unit} through the mount",
            through / own,
            "",
            target,
        )


async def run(report: Report, number: int, rounds: int) -> None:
    """Measure both places."""
    with store() as url:
        given = {"endpoint_url": url, "region_name": "us-east-1"}
        files = fsspec.filesystem("s3", key="k", secret="s", client_kwargs=given, use_listings_cache=False)  # noqa: S106
        files.call_s3("create_bucket", Bucket="bench")
        async with files_here(POLICY.replace("PLACE", STORE), {}, {"S3_SECRET": "s", "S3_URL": url}) as desk:
            ways = (Direct(files, "bench"), Mounted(await desk.agent()))
            await _measured(report, "S3", ways, number, rounds, held=True)
    async with files_here(POLICY.replace("PLACE", "root: root"), {"b/small/0.txt": "x"}) as desk:
        local = fsspec.filesystem("file", auto_mkdir=True)
        ways = (Direct(local, str(desk.root)), Mounted(await desk.agent()))
        await _measured(report, "folder", ways, number, rounds, held=False)


def main() -> None:
    """Measure, print, and with `--write` put the figures into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    report = Report()
    report.say(f"machine: {machine()}")
    asyncio.run(run(report, *((60, 2) if asked.quick else (600, 5))))
    if asked.write:
        record("files", report)
    sys.exit(report.short)


if __name__ == "__main__":
    main()
