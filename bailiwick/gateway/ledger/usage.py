"""What a period of the ledger tells of the use of grants: equal records of one day are counted by the database.

Only records of calls and of elevations are read, by sequence number, some thousands at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import orjson

from bailiwick.gateway.ledger.reader import LedgerReader
from bailiwick.ledger.words import Words
from bailiwick.model.record import JsonValue

_batch = 50_000
_MEMBERS = ("agent", "user", "kind", "decision", "code", "actions", "grants", "fields", "chain", "detail.name")


class Told(NamedTuple):
    """So many records of one day that say the same."""

    agent: str
    user: str
    kind: str
    decision: str
    code: str
    actions: tuple[str, ...]
    grants: tuple[str, ...]
    fields: dict[str, tuple[str, ...]]
    chain: tuple[str, ...]
    elevation: str
    """Name of the elevation, of a record of one."""
    records: int
    first: datetime
    last: datetime


def told_since(reader: LedgerReader, since: datetime) -> Iterator[Told]:
    """Yield what the calls and elevations since a moment say."""
    at, end = reader.first_since(since), reader.size()
    while at < end:
        last = min(at + _batch, end) - 1
        yield from _told(reader, at, last)
        at = last + 1
    yield from _told(reader, at, 2**62)  # what the journal has beyond the file


def _told(reader: LedgerReader, first: int, last: int) -> Iterator[Told]:
    for key, count, begin, end in reader.over(lambda where: _statement(where, reader.words), (first, last)):
        found = _read(key)
        if found is not None and isinstance(count, int):
            yield Told(*found, count, _moment(begin), _moment(end))


def _statement(where: str, words: Words) -> str:
    """Return the query. Erased or damaged bytes are no JSON, and count for nothing."""
    found = f"{where}facts f JOIN {where}records r ON r.seq = f.seq"
    kinds = "f.kind IN ('call', 'intent', 'elevation.granted') AND f.agent <> ''"
    return (
        f"SELECT {words.said(_MEMBERS)} AS said, count(*), min(f.at), max(f.at) FROM {found} "  # noqa: S608 -- constants; values are bound
        f"WHERE f.seq BETWEEN ? AND ? AND {kinds} AND {words.documents} GROUP BY said, substr(f.at, 1, 10)"
    )


_Key = tuple[
    str, str, str, str, str, tuple[str, ...], tuple[str, ...], dict[str, tuple[str, ...]], tuple[str, ...], str
]


def _read(key: object) -> _Key | None:
    members: JsonValue = orjson.loads(key) if isinstance(key, bytes | str) else None
    if not isinstance(members, list) or len(members) != len(_MEMBERS):
        return None
    agent, user, kind, decision, code, actions, grants, fields, chain, name = members
    touched = {each: _texts(names) for each, names in fields.items()} if isinstance(fields, dict) else {}
    words = (_text(agent), _text(user), _text(kind), _text(decision), _text(code))
    return (*words, _texts(actions), _texts(grants), touched, _texts(chain), _text(name))


def _text(found: JsonValue) -> str:
    return found if isinstance(found, str) else ""


def _texts(found: JsonValue) -> tuple[str, ...]:
    return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else ()


def _moment(found: object) -> datetime:
    text = found.decode() if isinstance(found, bytes) else str(found)
    return datetime.fromisoformat(text)
