"""An analyst: a process of its own that reads the SQL of agents, and may be lost over it (SQL-RULES 2).

It holds no credential, no key, no connection, no session's values and none of the gateway's environment; all that it
has is the socket on its standard input. Whatever goes wrong ends it, or takes so long that it is ended: the gateway
then denies the statement that it was at.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import resource
import signal
import socket
import sys
import traceback
from types import TracebackType
from typing import BinaryIO

from bailiwick.mounts.postgres.jobs import (
    READY,
    Analyse,
    Analysed,
    Answer,
    Job,
    MakeDryRun,
    Setup,
    framed,
    size_of,
)
from bailiwick.sql.catalogue import Catalogue
from bailiwick.sql.rewrite import Rewriter


class Analyst:
    """Keeps what it was sent, and the rewriters made of it."""

    def __init__(self) -> None:
        self._parcels: dict[int, object] = {}
        self._rewriters: dict[int, Rewriter] = {}

    def answer(self, job: Job) -> Answer:
        """Do a job."""
        for number in job.forget:
            self._parcels.pop(number, None)
            self._rewriters.pop(number, None)
        for parcel in job.parcels:
            self._parcels[parcel.number] = pickle.loads(parcel.data)  # noqa: S301  # from the gateway itself
        rewriter = self._rewriters.get(job.setup) or self._made(job)
        asked = job.asked
        if isinstance(asked, Analyse):
            return _analysed(rewriter, asked)
        if isinstance(asked, MakeDryRun):
            return rewriter.dry_run(asked.plan)
        return rewriter.rows(asked.plan, asked.count)

    def _made(self, job: Job) -> Rewriter:
        catalogue, setup = self._parcels[job.catalogue], self._parcels[job.setup]
        if not isinstance(catalogue, Catalogue) or not isinstance(setup, Setup):
            raise TypeError("not what a rewriter is made of")
        made = Rewriter(setup.scope, catalogue, setup.mount, setup.functions, setup.limit, setup.native, setup.longest)
        self._rewriters[job.setup] = made
        return made


def _analysed(rewriter: Rewriter, asked: Analyse) -> Analysed:
    plans = rewriter.rewrite(asked.text, asked.declared)
    shared = None if any(asked.declared) else rewriter.shared(asked.text)
    return Analysed(plans if shared is None else (), shared)


def serve(source: BinaryIO, out: BinaryIO, seconds: float) -> None:
    """Answer jobs until there are no more. One that takes more time of the processor ends the process."""
    analyst = Analyst()
    _write(out, READY)
    while (data := _frame(source)) is not None:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        job: Job = pickle.loads(data)  # noqa: S301  # from the gateway itself, over our own socket
        answer = analyst.answer(job)
        signal.setitimer(signal.ITIMER_PROF, 0)
        _write(out, answer)


def _write(out: BinaryIO, value: object) -> None:
    out.write(framed(value))
    out.flush()


def _frame(source: BinaryIO) -> bytes | None:
    head = source.read(4)
    return source.read(size_of(head)) if len(head) == 4 else None


def _confine(memory: int) -> None:
    """Bound what the process can take: first to go when the machine has no memory; no file, no core."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # Linux only
        score.write("1000")
    with contextlib.suppress(OSError, ValueError):  # macOS keeps no such limit
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)


def main() -> None:
    """Serve on the standard input, which is a socket: `analyst SECONDS BYTES`."""
    seconds, memory = float(sys.argv[1]), int(sys.argv[2])
    _confine(memory)
    gc.freeze()  # what is loaded stays
    peer = socket.socket(fileno=0)
    source, out = peer.makefile("rb"), peer.makefile("wb")

    def failed(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
        """Say what failed and where; never the values that it concerned."""
        del error
        found = traceback.extract_tb(at)
        where = f" at {os.path.basename(found[-1].filename)}:{found[-1].lineno}" if found else ""
        _write(out, kind.__name__ + where)

    sys.excepthook = failed
    serve(source, out, seconds)


if __name__ == "__main__":
    main()
