"""*Ledger*: search, one record with its proof, export."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import urlencode

from bailiwick.console.access import ROOT, Visit
from bailiwick.console.parts import Parts
from bailiwick.console.records import Shown, all_shown, shown
from bailiwick.control.web import Reply, Routes
from bailiwick.errors import ConfigError, LedgerError, ProtocolError
from bailiwick.gateway.ledger.exports import CSV, cell, csv_lines
from bailiwick.gateway.ledger.reader import LedgerReader, Query, Stored, check_filter
from bailiwick.gateway.moments import Clock, read_moment
from bailiwick.ledger.checkpoint import VerifierKey, open_checkpoint
from bailiwick.ledger.clearance import seen
from bailiwick.ledger.merkle import leaf_hash, verify_inclusion

_page_size = 50
_exported_at_once = 1000
texts = ("agent", "user", "session", "task", "resource", "action", "decision", "code", "kind", "refers", "id", "filter")


@dataclass(frozen=True, slots=True)
class Proven:
    """What the proof of a record says."""

    text: str
    """As C2SP has it, to be checked elsewhere; empty when there is none yet."""
    holds: bool
    size: int
    """How many records the signed tree has."""


class LedgerPages:
    """The search, and one record."""

    def __init__(self, parts: Parts, verifiers: Callable[[], Sequence[VerifierKey]]) -> None:
        self._parts = parts
        self._verifiers = verifiers

    def routes(self) -> Routes:
        """Return who answers which path."""
        doors = self._parts.doors
        return {
            f"{ROOT}/ledger": {"GET": doors.page(self._search, "auditor")},
            f"{ROOT}/ledger/*": {"GET": doors.page(self._record, "auditor")},
            f"{ROOT}/ledger/export": {"POST": doors.act("ledger.export", self._export, "auditor")},
        }

    async def _search(self, visit: Visit) -> Reply:
        query = _as_seen(query_of(visit.query, self._parts.clock, _page_size + 1), visit)
        found = await self._parts.read(lambda reader: reader.query(query))
        records = all_shown(found, visit.clearance)
        more = len(records) > _page_size
        asked = {name: value for name, value in visit.query.items() if name in (*texts, "since", "until")}
        values = {
            "records": records[:_page_size],
            "asked": asked,
            "link": urlencode(asked),
            "older": records[_page_size - 1].seq if more else None,
            "newest": "before" not in visit.query,
        }
        return self._parts.doors.show(visit, "ledger.html", values)

    async def _record(self, visit: Visit) -> Reply:
        name = visit.asked.part

        def look(reader: LedgerReader) -> tuple[Stored, Proven, list[Stored]] | None:
            number = name.isascii() and name.isdigit() and len(name) < 16
            one = reader.at(int(name)) if number else next(iter(reader.query(Query(id=name, limit=1))), None)
            if one is None:
                return None
            return one, self._proven(reader, one), _related(reader, shown(one, "restricted"))

        found = await self._parts.read(look)
        if found is None:
            return self._parts.doors.problem(
                visit, 404, f"there is no record `{name[:100]}`", "search for it in the ledger"
            )
        stored, proven, related = found
        values = {
            "record": shown(stored, visit.clearance),
            "proven": proven,
            "related": all_shown(related, visit.clearance),
        }
        return self._parts.doors.show(visit, "record.html", values)

    def _proven(self, reader: LedgerReader, stored: Stored) -> Proven:
        try:
            proof = reader.prove(stored.seq)
        except LedgerError:
            return Proven("", False, 0)  # it is in the journal still: the signed head follows within a moment
        head = open_checkpoint(proof.note, *self._verifiers())
        leaf = leaf_hash(stored.body)
        holds = head is not None and verify_inclusion(leaf, stored.seq, head.size, proof.path, head.root)
        return Proven(proof.text(), holds, 0 if head is None else head.size)

    async def _export(self, visit: Visit, given: Mapping[str, str]) -> Reply:
        query = _as_seen(query_of(given, self._parts.clock, _exported_at_once), visit)
        as_csv = given.get("form") == "csv"

        async def parts() -> AsyncGenerator[bytes]:
            if as_csv:
                yield csv_lines([CSV]).encode()
            before = query.before
            while True:
                asked = replace(query, before=before)
                found = await self._parts.read(lambda reader, asked=asked: reader.query(asked))
                if not found:
                    return
                records = all_shown(found, visit.clearance)
                yield _as_csv(records) if as_csv else _as_lines(records)
                before = found[0].seq
                await asyncio.sleep(0)

        kind, name = ("text/csv; charset=utf-8", "records.csv") if as_csv else ("application/jsonl", "records.jsonl")
        return Reply(200, headers=(("content-disposition", f'attachment; filename="{name}"'),), kind=kind, stream=parts)


def query_of(given: Mapping[str, str], clock: Clock, limit: int) -> Query:
    """Return what is searched for. Raises ProtocolError."""
    if given.get("decision", "") not in ("", "allow", "deny", "hold"):
        raise ProtocolError("`decision` is none of allow, deny, hold")
    long = [name for name in (*texts, "since", "until") if len(given.get(name, "")) > 500]
    if long:
        raise ProtocolError(f"`{long[0]}` is too long")
    try:
        check_filter(given.get("filter", ""))
    except ConfigError as error:
        raise ProtocolError(error.message, remedy=error.remedy) from None
    before = given.get("before", "")
    found = Query(
        id=given.get("id", ""),
        kind=given.get("kind", ""),
        agent=given.get("agent", ""),
        user=given.get("user", ""),
        session=given.get("session", ""),
        task=given.get("task", ""),
        decision=given.get("decision", ""),
        code=given.get("code", ""),
        refers=given.get("refers", ""),
        resource=given.get("resource", ""),
        action=given.get("action", ""),
        filter=given.get("filter", ""),
        limit=limit,
    )
    try:
        return replace(
            found,
            since=read_moment(given["since"], clock()) if given.get("since") else None,
            until=read_moment(given["until"], clock()) if given.get("until") else None,
            before=int(before) if before.isascii() and before.isdigit() and len(before) < 16 else found.before,
        )
    except (ValueError, OverflowError):
        raise ProtocolError(
            "a time is not understood", remedy="write `2026-11-22T08:00:00Z`, `2026-11-22` or `2h`"
        ) from None


def _as_seen(query: Query, visit: Visit) -> Query:
    """What is hidden from somebody is not found by them either."""
    return replace(query, seen=partial(seen, clearance=visit.clearance))


def _related(reader: LedgerReader, record: Shown) -> list[Stored]:
    """Return the records that belong to one: its intent, its outcomes."""
    own, intent = record.text("id"), record.text("refers")
    found = reader.query(Query(refers=own, limit=20)) if own else []
    return [*(reader.query(Query(id=intent, limit=1)) if intent else []), *found]


def _as_lines(records: Sequence[Shown]) -> bytes:
    return b"".join((each.body or json.dumps(dict(each.members)).encode()) + b"\n" for each in records)


def _as_csv(records: Sequence[Shown]) -> bytes:
    return csv_lines([cell(each.members, name) for name in CSV] for each in records).encode()
