"""The ledger of a gateway elsewhere, as the command line reads the one here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import orjson

from bailiwick.control.api import Operation, operations
from bailiwick.control.remote_client import RemoteClient
from bailiwick.gateway.ledger_reader import Query, Stored
from bailiwick.gateway.wire import Json

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
        if wanted.id:
            found = self._client.ask_at(_operation("/records/*"), {"record": wanted.id})
            return [_stored(cast("Mapping[str, Json]", found["record"]))]
        fields: dict[str, Json] = {name: cast("str", getattr(wanted, name)) for name in _TEXTS}
        fields |= {name: moment.isoformat() for name in ("since", "until") if (moment := getattr(wanted, name))}
        fields |= {"after": wanted.after} if wanted.after >= 0 else {}
        fields |= {"before": wanted.before} if wanted.before < 2**62 else {}
        asked = {**fields, "limit": min(wanted.limit, _most)}
        told = self._client.ask_at(_operation("/records"), asked)
        return [_stored(each) for each in cast("Sequence[Mapping[str, Json]]", told["records"])]

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


def _stored(document: Mapping[str, Json]) -> Stored:
    return Stored(cast("int", document["seq"]), orjson.dumps(dict(document), option=orjson.OPT_SORT_KEYS))
