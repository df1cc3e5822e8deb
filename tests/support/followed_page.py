"""A page of the documentation as somebody follows it: its files are written, its commands run, its outputs compared.

The shell is a real one. `bailiwick` in it is a fork of a process that has imported everything (`forked`).
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.forked import said

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"`([\w.-]+\.\w+)`[^`\n]*:\n+\Z")
_SHELL = """\
set -a
. {state}
cd "$PWD"
bailiwick() {{
  exec 9<>/dev/tcp/127.0.0.1/{port}
  printf '%s\\0' "$PWD" "$#" "$@" >&9
  read -r code <&9
  exec 9>&-
  cat {folder}/out; cat {folder}/err >&2
  return "$code"
}}
trap 'export -p > {state}' EXIT
set -e -o pipefail
{text}
"""
_SECONDS = 240


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a page: a file to write, commands to run, or what they print."""

    kind: str
    text: str
    file: str
    """The file that the sentence before it names; empty: none."""


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    end = 0
    for found in _FENCE.finditer(text):
        named = _NAMED.search(text[end : found.start()]) if found[1] not in ("sh", "text") else None
        yield Block(found[1], found[2], named[1] if named else "")
        end = found.end()


def shows(text: str, printed: str) -> bool:
    """Return whether a page's output is what was printed: `…` stands for anything, as a line for any lines."""
    lines = [
        r"(?:.*\n)*?" if line.strip() == "…" else ".*".join(map(re.escape, line.split("…"))) + r" *\n"
        for line in text.splitlines()
        if line.strip()
    ]
    return re.fullmatch("".join(lines), re.sub(r"^\s*\n", "", printed, flags=re.MULTILINE)) is not None


class Shell:
    """A shell that goes on from block to block, as a terminal does: its folder and its variables stay."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        """`folder` is where it begins; `environ` is added to that of this process."""
        self._exchange = folder / ".exchange"
        self._exchange.mkdir()
        self.code = 0
        self._environ = {**os.environ, **environ}
        self._state = self._exchange / "state"
        self._state.write_text(f"export PWD={shlex.quote(str(folder))}\n")

    @property
    def folder(self) -> Path:
        """Where it is now."""
        (found,) = re.findall(r'^(?:declare -x|export) PWD="?(.*?)"?$', self._state.read_text(), re.MULTILINE)
        return Path(found)

    def run(self, text: str) -> str:
        """Run commands until one fails; return what was printed. `code` is how the last one ended."""
        with socket.create_server(("127.0.0.1", 0)) as listener, (self._exchange / "printed").open("w+") as printed:
            listener.settimeout(0.02)
            script = _SHELL.format(state=self._state, folder=self._exchange, port=listener.getsockname()[1], text=text)
            process = subprocess.Popen(
                ["bash", "-c", script],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
            deadline = time.monotonic() + _SECONDS
            while process.poll() is None:
                if time.monotonic() > deadline:
                    process.kill()
                    raise TimeoutError(text)
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    self._answer(connection)
            printed.seek(0)
            self.code = process.returncode
            return printed.read()

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(30)
        asked = b""
        while asked.count(b"\0") < 2 or asked.count(b"\0") < 2 + int(asked.split(b"\0")[1]):
            asked += connection.recv(65536)
        folder, _, *words = asked.decode().split("\0")[:-1]
        done = said(Path(folder), self._environ, *words)
        (self._exchange / "out").write_text(done.stdout)
        (self._exchange / "err").write_text(done.stderr)
        connection.sendall(f"{done.returncode}\n".encode())
