"""Commands as forks of one process that has imported everything: each is spared a second of processor time.

The same command runs, in a process of its own, with its own environment, folder and output. How `bailiwick` itself
starts is tested in `tests/gateway/test_gateway_run.py` and `tests/cli`.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from threading import Lock

_IMPORTED = "bailiwick.gateway.run bailiwick.console.site bailiwick.control.front bailiwick.review.front " + " ".join(
    f"bailiwick.mounts.{kind}.front" for kind in ("email", "files", "http", "mcp", "postgres", "python", "sql")
)


class Child:
    """A process that was forked elsewhere, with the part of `subprocess.Popen` that tests of a gateway use."""

    def __init__(self, nursery: _Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return how it ended, or None while it runs."""
        if self.returncode is None:
            self.returncode = self._nursery.ended(self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("bailiwick", timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class _Nursery:
    """The process that has imported everything; it forks, and waits for its children."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, *_IMPORTED.split()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self._one = Lock()
        atexit.register(self._process.kill)

    def _ask(self, *question: object) -> int | None:
        given, answers = self._process.stdin, self._process.stdout
        assert given is not None
        assert answers is not None
        with self._one:
            print(json.dumps(question), file=given, flush=True)
            answer = json.loads(answers.readline())
        return answer if isinstance(answer, int) else None

    def fork(self, arguments: Sequence[str], environ: Mapping[str, str], folder: Path, *outputs: Path) -> Child:
        pid = self._ask("fork", [*arguments], dict(environ), str(folder), *map(str, outputs))
        assert pid is not None
        return Child(self, pid)

    def ended(self, pid: int) -> int | None:
        return self._ask("ended", pid)


@cache
def _nursery() -> _Nursery:
    return _Nursery()


def forked(arguments: Sequence[str], environ: Mapping[str, str], folder: Path, log: Path) -> Child:
    """Run `bailiwick ARGUMENTS` in `folder`; what it prints is added to `log`. `environ` is all of its environment."""
    return _nursery().fork(arguments, environ, folder, log, log)


def said(folder: Path, environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `bailiwick ARGUMENTS` in `folder` to its end, within two minutes, and return what it printed."""
    with tempfile.TemporaryDirectory(prefix="bwsaid") as place:
        out, err = Path(place, "out"), Path(place, "err")
        child = _nursery().fork(arguments, environ, folder, out, err)
        try:
            code = child.wait(120)
        finally:
            child.kill()
        return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())


def _become(arguments: list[str], environ: dict[str, str], folder: str, *outputs: str) -> None:
    """Be the program from here on."""
    from bailiwick.cli.main import run

    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    opened = [os.open(os.devnull, os.O_RDONLY), *(os.open(output, flags, 0o600) for output in outputs)]
    for wanted, found in enumerate(opened):
        os.dup2(found, wanted)
        os.close(found)
    sys.argv = ["bailiwick", *arguments]
    run()


def _ended(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _serve() -> None:
    for line in sys.stdin:
        question, *asked = json.loads(line)
        if question == "ended":
            answer = _ended(*asked)
        elif (answer := os.fork()) == 0:
            _become(*asked)
            return
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    import gc
    import importlib

    for name in sys.argv[1:]:
        importlib.import_module(name)
    gc.freeze()  # children share these pages
    _serve()
