"""sqlsmith before a gateway: its statements are sent on in a scope, in a full scope and directly, and compared."""

from __future__ import annotations

import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO

import psycopg

from tests.support.canary import leaks
from tests.support.gateway import Credentials

FOLDER = Path(__file__).parent
START_UP = 300.0
"""Seconds that reading the catalogue may take, one query a function, on a machine with much else to do."""

_DENIED = re.compile(r"code (\w+), decision")
_BY_CHANCE = ("21", "22", "23", "40", "53", "54", "55", "57")
"""Classes of errors that depend on rows, on the order in which a plan reads them, on how much there is of anything,
and on the clock."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one statement. `denied` is the code of a denial and what it says."""

    rows: int = 0
    error: str = ""
    message: str = ""
    denied: str = ""
    leaked: tuple[str, ...] = ()
    lost: bool = False


class Door:
    """A connection on which statements are tried, each in a transaction that is rolled back."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = self._open()

    def _open(self) -> psycopg.Connection[tuple[object, ...]]:
        found = psycopg.connect(self._url, autocommit=True, cursor_factory=psycopg.ClientCursor)
        found.execute("SET statement_timeout = '1s'")
        return found

    def tried(self, sql: str) -> Outcome:
        """Run a statement and take it back."""
        try:
            self._connection.execute("BEGIN")
            cursor = self._connection.execute(sql.encode())
            rows = cursor.fetchall() if cursor.description else []
            return Outcome(len(rows), leaked=tuple(leaks(repr(rows))))
        except psycopg.Error as error:
            said = (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)
            leaked = tuple(leaks(f"{error} {said}"))
            if self._connection.closed:
                self._connection = self._open()
                return Outcome(error=error.sqlstate or "", message=str(error), leaked=leaked, lost=True)
            denied = _DENIED.search(said[1] or "")
            what = f"{denied[1]}: {said[0]}" if denied else ""
            return Outcome(error=error.sqlstate or "", message=said[0] or "", denied=what, leaked=leaked)
        finally:
            with suppress(psycopg.Error):
                self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@dataclass(slots=True)
class Tally:
    """What came of many statements."""

    kinds: Counter[str] = field(default_factory=Counter[str])
    accepted: dict[str, Counter[str]] = field(default_factory=lambda: {"narrow": Counter(), "wide": Counter()})
    runs: Counter[str] = field(default_factory=Counter[str])
    """Statements that PostgreSQL itself carries out on a direct connection, by kind."""
    runs_here: Counter[str] = field(default_factory=Counter[str])
    """Those of them that the wide session is not denied."""
    denials: Counter[str] = field(default_factory=Counter[str])
    samples: dict[str, str] = field(default_factory=dict[str, str])
    """A statement of each denial."""
    faults: list[str] = field(default_factory=list[str])

    def count(self, sql: str, narrow: Outcome, wide: Outcome, direct: Outcome) -> None:
        """Judge one statement."""
        kind = sql.split(None, 1)[0].lower()
        self.kinds[kind] += 1
        for name, outcome in (("narrow", narrow), ("wide", wide)):
            if not outcome.denied:
                self.accepted[name][kind] += 1
        if not direct.error:
            self.runs[kind] += 1
            self.runs_here[kind] += not wide.denied
        if wide.denied:
            what = re.sub(r"`[^`]*`", "`…`", wide.denied)
            self.denials[what] += 1
            self.samples.setdefault(what, sql)
        for fault in faults(narrow, wide, direct):
            self.faults.append(f"{fault}\n{sql}")

    def report(self) -> str:
        """Put it into words."""
        total, ran = self.kinds.total(), self.runs.total()
        lines = [f"sqlsmith: {total} statements, {ran} of which run on a direct connection"]
        for name, counts in self.accepted.items():
            shares = ", ".join(f"{kind} {counts[kind]}/{self.kinds[kind]}" for kind in sorted(self.kinds))
            lines.append(f"  accepted, {name}: {counts.total()} ({counts.total() / max(total, 1):.0%}): {shares}")
        lines.append(f"  of those that run directly, wide: {self.runs_here.total()} ({self.share_of_valid():.0%})")
        lines += [f"  denied {count}: {what}" for what, count in self.denials.most_common(12)]
        return "\n".join(lines) + "\n"

    def share(self, name: str) -> float:
        """Return the share of all statements that were not denied."""
        return self.accepted[name].total() / max(self.kinds.total(), 1)

    def share_of_valid(self) -> float:
        """Return the share of what PostgreSQL itself carries out that the wide session is not denied."""
        return self.runs_here.total() / max(self.runs.total(), 1)


def faults(narrow: Outcome, wide: Outcome, direct: Outcome) -> Iterator[str]:
    """Yield what is wrong: a canary, a lost connection, an error that a direct connection would not give."""
    if narrow.leaked:
        yield f"the narrow session saw {narrow.leaked}"
    for name, outcome in (("narrow", narrow), ("wide", wide)):
        if outcome.lost:
            yield f"the {name} session lost its connection: {outcome.message}"
        elif outcome.error and not outcome.denied and not _expected(outcome, direct):
            yield f"the {name} session got {outcome.error} {outcome.message}; directly: {direct.error} {direct.message}"


def _expected(outcome: Outcome, direct: Outcome) -> bool:
    """Of several mistakes in a statement another may be named first: the class of the error is the same."""
    return outcome.error[:2] == direct.error[:2] or outcome.error.startswith(_BY_CHANCE)


class Smith:
    """A running sqlsmith: it talks to the gateway, and everything that it says can be read."""

    def __init__(self, session: Credentials, folder: Path, seed: int) -> None:
        target = f"host={session.host} port={session.port} user={session.user} dbname={session.database}"
        self.errors = folder / "sqlsmith.err"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                ["sqlsmith", f"--target={target}", "--dump-all-queries", f"--seed={seed}", "--verbose"],
                env={**session.environment(), "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._said: Queue[str] = Queue()
        assert self.process.stdout is not None
        self._reader = Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, source: IO[str]) -> None:
        lines: list[str] = []
        for line in source:
            lines.append(line)
            if line.rstrip().endswith(";"):
                self._said.put("".join(lines).strip().removesuffix(";"))
                lines.clear()

    def statements(self, seconds: float) -> Iterator[str]:
        """Yield what it sends for that long after it has read the catalogue, or until it ends."""
        deadline = time.monotonic() + START_UP
        started = False
        while time.monotonic() < deadline:
            try:
                sql = self._said.get(timeout=0.5)
            except Empty:
                if self.process.poll() is not None:
                    return
                continue
            if not started:
                started, deadline = True, time.monotonic() + seconds
            yield sql

    def stop(self) -> bool:
        """End it. Returns whether it was still at work."""
        alive = self.process.poll() is None
        self.process.terminate()
        self.process.wait(10)
        return alive
