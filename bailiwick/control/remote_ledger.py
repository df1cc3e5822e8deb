"""The ledger of a gateway elsewhere, as the command line reads the one here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import cast

import orjson

from bailiwick.control.operations import Operation, operations
from bailiwick.control.remote_client import RemoteClient
from bailiwick.gateway.ledger.reader import Query, Stored
from bailiwick.gateway.wire import Json
from bailiwick.ledger.violations import Violations, read_back
from bailiwick.model.record import JsonValue

_most = 1000
_TEXTS = ("agent", "user", "session", "task", "resource", "action", "decision", "code", "kind", "refers", "filter")


def _operation(path: str) -> Operation:
    return next(each for each in operations if each.path == f"/ledger{path}")


class RemoteLedger:
    """Answers as `LedgerReader` does."""

    def __init__(self, client: RemoteClient) -> None:
        self._client = client

    def query(self, wanted: Query) -> list[Stored]:
        """Return the newest records that meet all conditions, in their order. Raises AnswerError, ConfigError."""
        found: list[Stored] = []
        while len(found) < wanted.limit:
            asked = replace(wanted, limit=min(wanted.limit - len(found), _most))
            part = self._newest(asked)
            found = [*part, *found]
            if len(part) < asked.limit:
                break
            wanted = replace(wanted, before=part[0].seq)
        return found

    def _newest(self, wanted: Query) -> list[Stored]:
        if wanted.id:
            found = self._client.ask_at(_operation("/records/*"), {"record": wanted.id})
            return [_stored(cast("Mapping[str, Json]", found["record"]))]
        told = self._client.ask_at(_operation("/records"), {**_fields(wanted), "limit": wanted.limit})
        return [_stored(each) for each in cast("Sequence[Mapping[str, Json]]", told["records"])]

    def each(self, wanted: Query) -> Iterator[Stored]:
        """Yield the records that match, oldest first and whatever the limit, as far as the caller sees them."""
        for line in self.export(wanted, "jsonl"):
            document = orjson.loads(line)
            yield Stored(cast("int", document["seq"]), line.rstrip(b"\n"))

    def export(self, wanted: Query, form: str) -> Iterator[bytes]:
        """Yield the lines of an export."""
        return self._client.lines_at(_operation("/export"), {**_fields(wanted), "format": form})

    def story(self, session: str) -> Mapping[str, Json]:
        """Return a session's story."""
        return self._client.ask_at(_operation("/sessions/*/story"), {"session": session})

    def violations(self, begin: datetime, end: datetime, agent: str) -> tuple[Violations, str]:
        """Return what was denied in a period, and the ledger's name."""
        period: dict[str, Json] = {"since": begin.isoformat(), "until": end.isoformat(), "agent": agent}
        told = self._client.ask_at(_operation("/violations"), period)
        return read_back(cast("Mapping[str, JsonValue]", told["report"])), str(told["origin"])

    def growth(self, size: int) -> Mapping[str, Json]:
        """Return the proof that the ledger only grew since a size."""
        return self._client.ask_at(_operation("/growth"), {"from": size})

    def keys(self) -> list[str]:
        """Return the keys that verify it, the newest first."""
        return [str(each) for each in cast("Sequence[Json]", self._client.ask_at(_operation("/keys"), {})["keys"])]

    def searches(self) -> Sequence[Mapping[str, Json]]:
        """Return the searches of the gateway's settings."""
        found = self._client.ask_at(_operation("/searches"), {})["searches"]
        return cast("Sequence[Mapping[str, Json]]", found)

    def at(self, seq: int) -> Stored | None:
        """Return the record with a sequence number."""
        found = self.query(Query(after=seq - 1, before=seq + 1, limit=1))
        return found[0] if found else None

    def proof(self, record: str) -> str:
        """Return the proof that a record is in the ledger, as text."""
        return str(self._client.ask_at(_operation("/records/*/proof"), {"record": record})["proof"])

    def checkpoint(self) -> str:
        """Return the current signed checkpoint."""
        return str(self._client.ask_at(_operation("/checkpoint"), {})["checkpoint"])

    def verified(self, notes: Sequence[str]) -> Mapping[str, Json]:
        """Return what the gateway finds when it recomputes its ledger."""
        return self._client.ask_at(_operation("/verify"), {"checkpoints": [*notes]})

    def close(self) -> None:
        """Nothing is held."""


def _fields(wanted: Query) -> dict[str, Json]:
    fields: dict[str, Json] = {name: cast("str", getattr(wanted, name)) for name in _TEXTS}
    fields |= {name: moment.isoformat() for name in ("since", "until") if (moment := getattr(wanted, name))}
    fields |= {"after": wanted.after} if wanted.after >= 0 else {}
    return fields | ({"before": wanted.before} if wanted.before < 2**62 else {})


def _stored(document: Mapping[str, Json]) -> Stored:
    return Stored(cast("int", document["seq"]), orjson.dumps(dict(document), option=orjson.OPT_SORT_KEYS))
