"""Shadow: a candidate policy runs beside the enforced one. What it would decide otherwise is told, and never applied.

It follows the ledger in a process of its own (`shadow_process`): no request waits for it, none is dropped, and what it
is behind by is said. Which candidate runs, and since when, is a file in the gateway's folder, so that it goes on after
a restart. New differences are records (`policy.shadow`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

from bailiwick.errors import BailiwickError, PolicyError, ProtocolError
from bailiwick.gateway.desk import Answer
from bailiwick.gateway.enforce import Gateway
from bailiwick.gateway.keys import Keys
from bailiwick.gateway.ledger.address import written
from bailiwick.gateway.moments import utc_now
from bailiwick.gateway.policies.ready import Ready, Written
from bailiwick.gateway.recorder import Fact
from bailiwick.gateway.run import Running
from bailiwick.gateway.wire import Fields, Json
from bailiwick.model.approval import Reviewer
from bailiwick.model.record import JsonValue
from bailiwick.review.kept import side_of

_log = logging.getLogger("bailiwick.policy")
_FILE = "shadow.json"
_MOST_RESTARTS = 3
_MOST_RECORDED = 200
"""Differences of one candidate that get a record each; all of them are counted."""
_LARGEST_LINE = 16 * 1024 * 1024
_DIFFERENT = ("denied", "held", "masked", "narrowed", "allowed", "released", "widened")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A policy that runs in the shadow."""

    version: str
    written: Written
    since: datetime
    start: int
    """The first record that it is compared for."""
    by: str


class Shadows:
    """The shadow of a gateway: a `Front` that nobody connects to."""

    name = "shadow"
    address = None

    def __init__(self) -> None:
        self._running: Running | None = None
        self._candidate: Candidate | None = None
        self._task: asyncio.Task[None] | None = None
        self._found: Mapping[str, Json] = {}
        self._seq = 0
        self._failed = ""
        self._known: set[str] = set()
        self._recorded = 0

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What can be asked of it at the desk."""
        return {
            "policy.shadow": self._start,
            "policy.shadow.status": self._status,
            "policy.shadow.stop": self._stop,
            "policy.shadow.promote": self._promote,
        }

    async def start(self, gateway: Gateway, keys: Keys, ready: Ready) -> None:
        """Nothing yet: see `open`."""
        del gateway, keys, ready

    def check(self, ready: Ready) -> None:
        """Every policy can be taken."""
        del ready

    def install(self, ready: Ready) -> None:
        """Records say which policy decided: nothing changes here."""
        del ready

    async def open(self, running: Running, environ: Mapping[str, str]) -> None:
        """Go on with the candidate that ran before."""
        del environ
        self._running = running
        kept = await asyncio.to_thread(_read, running.config.data_dir / _FILE)
        if kept is not None:
            self._begin(kept)

    async def stop(self) -> None:
        """End the process; the candidate is kept."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # --- what is asked at the desk ---

    async def _start(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        files, lock = fields.mapping("files"), fields.value("lock")
        fields.done()
        running = self._here()
        if not files or not all(isinstance(each, str) for each in files.values()) or not isinstance(lock, str | None):
            raise ProtocolError("`files` is not a mapping of names to texts, or `lock` no text")
        named = {Path(name).name: str(text) for name, text in files.items()}
        written = Written(named, running.ready.written.lock if lock is None else lock)
        side = await asyncio.to_thread(side_of, running.path, written)
        size = running.stores.ledger.size
        candidate = Candidate(side.policy.version, written, utc_now(), size, by.name)
        await self.stop()
        await asyncio.to_thread(_write, running.config.data_dir / _FILE, candidate)
        await self._record("started", candidate.version, {"by": by.name})
        self._begin(candidate)
        return self._told()

    async def _status(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        del by
        fields.done()
        return self._told()

    async def _stop(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        fields.done()
        told = self._told()
        candidate = self._candidate
        if candidate is None:
            raise PolicyError("no policy runs in the shadow", remedy="start one: `bailiwick policy shadow start NEW`")
        await self._end("stopped", candidate, by.name)
        return told

    async def _promote(self, fields: Fields, by: Reviewer) -> Mapping[str, Json]:
        """Return the texts of the candidate, to be written where the policy stands: a reload then puts it through
        promotion as any change. Refused while it differs, unless `despite`."""
        despite = fields.flag("despite")
        fields.done()
        candidate = self._candidate
        if candidate is None:
            raise PolicyError("no policy runs in the shadow", remedy="start one: `bailiwick policy shadow start NEW`")
        against = self._against()
        if against and not despite:
            raise PolicyError(
                f"the shadow is not quiet: {against}", remedy="see `policy shadow status`, or `--despite`"
            )
        await self._end("promoted", candidate, by.name, {"despite": against} if against else {})
        written = candidate.written
        return {"files": dict(written.files), "lock": written.lock, "version": candidate.version, "despite": against}

    def _against(self) -> str:
        """Return why the candidate is not to be promoted yet; empty when it is quiet."""
        counts = self._counts()
        if self._failed:
            return f"it has failed: {self._failed}"
        if not self._found:
            return "nothing was compared yet"
        different = sum(counts.get(kind, 0) for kind in _DIFFERENT)
        if different:
            return f"{different} requests would be decided otherwise"
        return f"of {counts['unknown']} requests it cannot be told" if counts.get("unknown") else ""

    async def _end(self, how: str, candidate: Candidate, by: str, more: Mapping[str, JsonValue] | None = None) -> None:
        running = self._here()
        counts: dict[str, JsonValue] = dict(self._counts())
        await self._record(how, candidate.version, {"by": by, "counts": counts, **(more or {})})
        await self.stop()
        self._candidate = None
        await asyncio.to_thread((running.config.data_dir / _FILE).unlink, missing_ok=True)

    def _told(self) -> Mapping[str, Json]:
        candidate = self._candidate
        if candidate is None:
            return {"shadow": None}
        return {
            "shadow": {
                "version": candidate.version,
                "since": candidate.since.isoformat(timespec="seconds"),
                "by": candidate.by,
                "names": [*candidate.written.files],
                "behind": self._behind(),
                "failed": self._failed,
                "quiet": not self._against(),
                "against": self._against(),
                **self._found,
            }
        }

    def _counts(self) -> Mapping[str, int]:
        return cast("Mapping[str, int]", self._found.get("counts", {}))

    def _behind(self) -> int:
        """Return how many records it has not seen. Its own and those of the gateway itself count, too."""
        candidate = self._candidate
        return 0 if candidate is None else max(0, self._here().stores.ledger.size - max(self._seq, candidate.start))

    def _here(self) -> Running:
        if self._running is None:
            raise ProtocolError("the gateway is still starting", remedy="try again")
        return self._running

    # --- the process ---

    def _begin(self, candidate: Candidate) -> None:
        self._candidate = candidate
        self._found, self._seq, self._failed, self._known, self._recorded = {}, 0, "", set(), 0
        self._task = asyncio.create_task(self._followed(candidate))

    async def _followed(self, candidate: Candidate) -> None:
        """Have the ledger followed; a process that ends by itself is started again, a few times."""
        for _ in range(_MOST_RESTARTS):
            try:
                await self._process(candidate)
            except (BailiwickError, OSError, ValueError) as error:
                self._failed = error.message if isinstance(error, BailiwickError) else type(error).__name__
            if self._failed:
                break
        self._failed = self._failed or "its process has ended by itself"
        _log.error("the policy in the shadow is not compared any more: %s", self._failed)

    async def _process(self, candidate: Candidate) -> None:
        config = self._here().config
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-m", "bailiwick.review.shadow_process"),
            cwd=config.data_dir,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LARGEST_LINE,
        )
        if process.stdin is None or process.stdout is None:
            raise OSError
        asked = {
            "ledger": written(config.ledger),
            "folder": str(config.data_dir.absolute()),
            "start": candidate.start,
            "files": dict(candidate.written.files),
            "lock": candidate.written.lock,
        }
        try:
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            await process.stdin.drain()
            while line := await process.stdout.readline():
                await self._heard(cast("Mapping[str, Json]", json.loads(line)), candidate)
        finally:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                process.kill()
            await process.wait()

    async def _heard(self, told: Mapping[str, Json], candidate: Candidate) -> None:
        if "failed" in told:
            self._failed = str(told["failed"])
            return
        self._seq = cast("int", told["seq"])
        self._found = cast("Mapping[str, Json]", told["found"])
        for change in cast("list[dict[str, JsonValue]]", self._found["changes"]):
            key = json.dumps([change[name] for name in ("kind", "agent", "task", "actions", "why", "code")])
            if key in self._known or self._recorded >= _MOST_RECORDED:
                continue
            self._known.add(key)
            self._recorded += 1
            kept = {name: change[name] for name in ("kind", "task", "actions", "why", "code", "count", "examples")}
            await self._record("differs", candidate.version, {**kept, "agent": change["agent"]})

    async def _record(self, how: str, version: str, detail: Mapping[str, JsonValue]) -> None:
        recorder = self._here().stores.recorder
        await recorder.keep(recorder.make(Fact("policy.shadow", policy=version, detail={"shadow": how, **detail})))


def _write(place: Path, candidate: Candidate) -> None:
    draft = place.with_suffix(".draft")
    written = candidate.written
    values = {
        "version": candidate.version,
        "files": dict(written.files),
        "lock": written.lock,
        "since": candidate.since.isoformat(),
        "start": candidate.start,
        "by": candidate.by,
    }
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(values, file)
        draft.replace(place)
    except OSError as error:
        reason = (error.strerror or "unwritable").lower()
        raise PolicyError(f"the candidate cannot be kept: {reason}", remedy="check the data directory") from error


def _read(place: Path) -> Candidate | None:
    """Return the candidate that is kept; None when there is none, or it cannot be read."""
    try:
        found = cast("dict[str, object]", json.loads(place.read_text(encoding="utf-8")))
        written = Written(cast("dict[str, str]", found["files"]), cast("str | None", found["lock"]))
        since, start = datetime.fromisoformat(str(found["since"])), cast("int", found["start"])
        return Candidate(str(found["version"]), written, since, start, str(found["by"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
