"""An analyst that fails over texts that ask for it: run as a program, in the place of the real one."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Mapping
from unittest.mock import patch

from bailiwick.model.decision import Denial
from bailiwick.mounts.postgres import analyst
from bailiwick.sql import rewrite
from bailiwick.sql.plan import Plan
from bailiwick.sql.rewrite import Rewriter

_real = Rewriter.rewrite


class Hostile:
    """A value whose reading would run something."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("bailiwick-was-here",)


def _spin() -> None:
    while True:
        pass


def _grow() -> None:
    kept: list[bytearray] = []
    while True:
        kept.append(bytearray(64 * 1024 * 1024))


def _fail() -> None:
    raise KeyError("CANARY in an exception")


def _send(data: bytes) -> None:
    os.write(0, len(data).to_bytes(4, "big") + data)
    time.sleep(600)


def _sleep_once(sql: str) -> None:
    """Sleep over a text whose first literal is a folder that is not there yet; make it."""
    folder = sql.split("'")[1]
    if not os.path.exists(folder):
        os.mkdir(folder)
        time.sleep(600)


FAULTS: Mapping[str, Callable[[], object]] = {
    "fault_kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "fault_crash": lambda: ctypes.string_at(0),
    "fault_exit": lambda: os._exit(0),
    "fault_spin": _spin,
    "fault_sleep": lambda: time.sleep(600),
    "fault_memory": _grow,
    "fault_error": _fail,
    "fault_hostile": lambda: _send(pickle.dumps(Hostile())),
    "fault_endless": lambda: _send(b"\0" * 200_000_000),
    "fault_other": lambda: _send(pickle.dumps(("what", "is", "this"))),
}


def _rewrite(self: Rewriter, sql: str, declared: tuple[int, ...] = ()) -> tuple[Plan | Denial, ...]:
    if "sleep_once" in sql:
        _sleep_once(sql)
    for name, fault in FAULTS.items():
        if name in sql:
            fault()
    return _real(self, sql, declared)


def _nothing_found(sql: str, limit: int) -> None:
    del sql, limit


def _on_a_small_stack(sql: str, work: Callable[[], object]) -> object:
    del sql
    return work()


if __name__ == "__main__":
    Rewriter.rewrite = _rewrite
    if "unguarded" in sys.argv:  # neither the scan before the parser nor the large stack
        sys.argv.remove("unguarded")
        patch.object(rewrite, "scan", _nothing_found).start()
        patch.object(rewrite, "on_stack", _on_a_small_stack).start()
    analyst.main()
