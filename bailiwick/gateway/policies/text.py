"""The text of each policy that was in force, in the ledger itself, by its hash: what a decision was made by.

A record of kind `policy.text` holds the files of one version, and the hash of the lock (which names also what no agent
may see, and is kept in `PolicyArchive`). It `refers` to the hash of both, so that a text that is known is not written
again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from contextlib import closing
from typing import Final, cast

from bailiwick.gateway.ledger.address import LedgerAddress
from bailiwick.gateway.ledger.reader import LedgerReader, Query, open_reader
from bailiwick.gateway.policies.ready import Ready
from bailiwick.gateway.recorder import Fact, Recorder
from bailiwick.ledger.encode import read
from bailiwick.model.record import JsonValue, RecordKind

_most = 1_000
_kind: Final[RecordKind] = "policy.text"


class PolicyTexts:
    """Sees to it that the ledger has the text of what is put in force."""

    def __init__(self, ledger: LedgerAddress, recorder: Recorder) -> None:
        self._ledger = ledger
        self._recorder = recorder

    async def keep(self, ready: Ready) -> None:
        """Record the text, if the ledger has none of its hash; durable on return. Raises LedgerError."""
        written, version = ready.written, ready.force.policy.version
        refers = _refers(version, written.files, _hash_of(written.lock))
        if await asyncio.to_thread(self._known, refers):
            return
        detail: dict[str, JsonValue] = {"files": dict(written.files), "lock": _hash_of(written.lock)}
        made = self._recorder.make(Fact(_kind, policy=version, detail=detail))
        await self._recorder.keep(made._replace(refers=refers))

    def _known(self, refers: str) -> bool:
        with closing(open_reader(self._ledger)) as reader:
            return bool(reader.query(Query(refers=refers, limit=1)))


def _hash_of(lock: str | None) -> str | None:
    return None if lock is None else f"sha256:{hashlib.sha256(lock.encode()).hexdigest()}"


def _refers(version: str, files: Mapping[str, str], lock: str | None) -> str:
    """Return the reference to a text: SHA-256 over version, files and the lock's hash, as JSON with sorted keys."""
    content = json.dumps([version, dict(files), lock], sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


def text_in(reader: LedgerReader, version: str) -> Mapping[str, str] | None:
    """Return the newest text that the ledger has of a version (file → text), if it is what its hash says; else None."""
    for stored in reversed(reader.query(Query(kind=_kind, limit=_most))):
        document = read(stored.body) or {}
        detail = document.get("detail")
        if document.get("policy") != version or not isinstance(detail, dict):
            continue
        files, lock = detail.get("files"), detail.get("lock")
        if isinstance(files, dict) and isinstance(lock, str | None):
            texts = cast("Mapping[str, str]", files)
            if document.get("refers") == _refers(version, texts, lock):
                return texts
    return None
