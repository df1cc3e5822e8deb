"""The gateway's end of one analyst (`analyst.py`): started, asked one thing at a time, ended."""

from __future__ import annotations

import asyncio
import pickle
import signal
import socket
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from bailiwick.mounts.postgres.jobs import (
    LARGEST,
    READY,
    Analysed,
    Answer,
    Asked,
    Job,
    Parcel,
    framed,
    read_answer,
    size_of,
)
from bailiwick.sql.preview import DryRun, RowsQuery

_KEPT = 64
"""Catalogues and setups that an analyst keeps."""
_START_SECONDS = 120.0
_TICK = 1.0
_FROM_OUTSIDE = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM})
"""Signals that a machine without memory, or its operator, sends; no statement has a process end by one of them."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one analyst may take. What takes more is lost, with the statement that it was at."""

    processor: float = 10.0
    """Seconds of the processor for one answer: kept by the analyst's own timer, in its kernel."""
    seconds: float = 120.0
    """Seconds for one answer, whatever the analyst does, or is kept from doing by others. Only those count in which
    the gateway itself runs: one that was stopped for a while must not find everybody late."""
    memory: int = 2 * 1024 * 1024 * 1024
    """Bytes of address space."""


USUAL = Allowance()


class Owner(Protocol):
    """Who asks analysts."""

    def ready(self, analyst: AnalystProcess) -> None:
        """It has been started and can be asked something."""
        ...

    def answered(self, analyst: AnalystProcess, answer: Answer) -> None:
        """It has answered and can be asked again."""
        ...

    def lost(self, analyst: AnalystProcess, why: str, again: bool) -> None:
        """It has ended. Nothing more comes of it. `again`: and what it was at had no part in that."""
        ...


class AnalystProcess(asyncio.Protocol):
    """One process. Its owner hears of it in later turns of the event loop."""

    def __init__(self, allowance: Allowance, owner: Owner, command: Sequence[str] = ()) -> None:
        self._allowance = allowance
        self._command = command or (sys.executable, "-I", "-m", "bailiwick.mounts.postgres.analyst")
        self._owner = owner
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._left = 0.0
        """Seconds until it is late."""
        self._late = False
        self._received = bytearray()
        self._sent: OrderedDict[int, None] = OrderedDict()
        """Numbers of what it keeps, the last used last."""
        self._asked = False
        self._ready = False
        self._why = ""
        self._telling: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The id of the process."""
        return None if self._process is None else self._process.pid

    @property
    def idle(self) -> bool:
        """Whether it can be asked something."""
        return self._ready and not self._asked and not self._why

    @property
    def ready(self) -> bool:
        """Whether it came so far that it could be asked something."""
        return self._ready

    async def start(self) -> None:
        """Start the process. Raises OSError."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                bounds = (str(self._allowance.processor), str(self._allowance.memory))
                self._process = await asyncio.to_thread(_spawned, [*self._command, *bounds], theirs.fileno())
            ours.setblocking(False)
            await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=ours)
        except OSError:
            ours.close()
            raise
        self._set_timer(_START_SECONDS)

    def ask(self, asked: Asked, catalogue: Parcel, setup: Parcel) -> None:
        """Ask an idle analyst."""
        self._asked = True
        if self._transport is None:
            return
        new = tuple(each for each in (catalogue, setup) if each.number not in self._sent)
        for each in (catalogue, setup):
            self._sent[each.number] = None
            self._sent.move_to_end(each.number)
        forget: list[int] = []
        while len(self._sent) > _KEPT:
            forget.append(self._sent.popitem(last=False)[0])
        self._transport.write(framed(Job(new, tuple(forget), catalogue.number, setup.number, asked)))
        self._set_timer(self._allowance.seconds)

    def end(self, why: str) -> None:
        """End the process."""
        self._why = self._why or why
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    async def ended(self) -> None:
        """Wait for a process that is ending."""
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)

    # --- asyncio ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance

    def data_received(self, data: bytes) -> None:
        self._received += data
        received = self._received
        if len(received) < 4:
            return
        size = size_of(bytes(received[:4]))
        if size > LARGEST or len(received) > size + 4:
            self.end("sent what was not asked for")
        elif len(received) == size + 4:
            frame = bytes(received[4:])
            received.clear()
            self._take(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._set_timer(None)
        self._transport = None
        self.end("")
        self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        await self.ended()
        code = None if self._process is None else self._process.returncode
        killed = not self._why
        self._why = self._why or _ending(code)
        again = self._late or (code is not None and -code in _FROM_OUTSIDE and killed)
        self._owner.lost(self, self._why, again)

    def _take(self, frame: bytes) -> None:
        if self._why:
            return
        self._set_timer(None)
        try:
            found = read_answer(frame)
        except pickle.UnpicklingError:
            self.end("sent what is no answer")
            return
        if not self._ready and found == READY:
            self._ready = True
            self._owner.ready(self)
        elif isinstance(found, str):
            self.end(f"failed: {found[:200]}")
        elif self._asked and (found is None or isinstance(found, Analysed | DryRun | RowsQuery)):
            self._asked = False
            self._owner.answered(self, found)
        else:
            self.end("sent what was not asked for")

    def _set_timer(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            self._left = seconds
            self._wait(f"took longer than {seconds:g} seconds")

    def _wait(self, why: str) -> None:
        """Wait on, a tick at a time: however long the gateway itself was stopped, it is one tick."""
        tick = min(_TICK, self._left)
        self._timer = asyncio.get_running_loop().call_later(tick, self._tick, tick, why)

    def _tick(self, tick: float, why: str) -> None:
        self._left -= tick
        if self._left > 0:
            self._wait(why)
        else:
            self._late = True
            self.end(why)


def _spawned(command: Sequence[str], peer: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  # our own program
        command,
        stdin=peer,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={},  # INVARIANT: nothing of the gateway's environment, which holds credentials
        start_new_session=True,  # a Ctrl-C at the terminal is for the gateway
    )


def _ending(code: int | None) -> str:
    """Return how a process ended, in words."""
    if code is None or code >= 0:
        return f"ended with code {code}"
    if code == -signal.SIGPROF:
        return "took too much time of the processor"
    return f"was killed by signal {-code}"
