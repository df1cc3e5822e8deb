"""What the API answers of the ledger: records, proofs, exports, stories and reports, by the caller's clearance."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Literal, cast

import orjson

from bailiwick.control.operations import Operation
from bailiwick.control.web import Json, Reply, problem
from bailiwick.errors import LedgerError, ProtocolError
from bailiwick.gateway.config import GatewayConfig
from bailiwick.gateway.ledger.check import growth_told, keys_beside, verified
from bailiwick.gateway.ledger.exports import lines
from bailiwick.gateway.ledger.figures import period, session_told, violations
from bailiwick.gateway.ledger.reader import LedgerReader, Query, Stored, check_filter, open_reader
from bailiwick.gateway.ledger.searches import search_told
from bailiwick.gateway.moments import Clock, read_moment, utc_now
from bailiwick.gateway.wire import Fields
from bailiwick.gateway.wire import Json as WireJson
from bailiwick.ledger.clearance import seen
from bailiwick.ledger.encode import read
from bailiwick.ledger.violations import told as report_told
from bailiwick.model.label import Level

Given = Mapping[str, WireJson]
Answer = Callable[[LedgerReader, Given, Level], Reply]
_AT_ONCE = 1000
"""Records of an export that are read between two parts of it."""
_LONGEST_STORY = 50_000
"""Records of a session that are told; of a longer one there is the export."""
_LONG = 4
"""So many long answers are made at once."""
_long = frozenset({"/ledger/verify", "/ledger/export", "/ledger/violations", "/ledger/sessions/*/story"})
_media = {"csv": "text/csv; charset=utf-8"}


class LedgerAnswers:
    """Answers the operations that the desk does not."""

    def __init__(self, config: GatewayConfig, clock: Clock = utc_now) -> None:
        self._config = config
        self._clock = clock
        self._free = _LONG
        self._answers: Mapping[str, Answer] = {
            "/ledger/records": self._records,
            "/ledger/records/*": self._record,
            "/ledger/records/*/proof": self._proof,
            "/ledger/sessions/*/story": self._story,
            "/ledger/violations": self._violations,
            "/ledger/growth": self._growth,
            "/ledger/checkpoint": self._checkpoint,
            "/ledger/keys": self._keys,
            "/ledger/searches": self._searches,
            "/ledger/verify": self._verify,
        }

    async def answer(self, operation: Operation, given: Given, clearance: Level) -> Reply:
        """Answer one operation. Raises BailiwickError."""
        if operation.path not in _long:
            return await asyncio.to_thread(self._read, self._answers[operation.path], given, clearance)
        if not self._free:
            return problem(503, "busy", f"{_LONG} long answers about the ledger are being made", "try again")
        if operation.path == "/ledger/export":
            return self._export(given, clearance)
        self._free -= 1
        try:
            return await asyncio.to_thread(self._read, self._answers[operation.path], given, clearance)
        finally:
            self._free += 1

    def _read(self, answer: Answer, given: Given, clearance: Level) -> Reply:
        with closing(open_reader(self._config.ledger)) as reader:
            return answer(reader, given, clearance)

    def _records(self, reader: LedgerReader, given: Given, clearance: Level) -> Reply:
        found = reader.query(_query(given, clearance))
        return Reply(200, {"records": [_told(each, clearance) for each in found]})

    def _record(self, reader: LedgerReader, given: Given, clearance: Level) -> Reply:
        found = _named(reader, given)
        return _none() if found is None else Reply(200, {"record": _told(found, clearance)})

    def _proof(self, reader: LedgerReader, given: Given, clearance: Level) -> Reply:
        del clearance
        found = _named(reader, given)
        return _none() if found is None else Reply(200, {"proof": reader.prove(found.seq).text()})

    def _story(self, reader: LedgerReader, given: Given, clearance: Level) -> Reply:
        session = str(given["session"])
        found = [*islice(reader.each(Query(session=session), _AT_ONCE), _LONGEST_STORY + 1)]
        if not found:
            return problem(404, "ledger", "there is no such session", "see `/api/v1/ledger/records`")
        if len(found) > _LONGEST_STORY:
            message = f"the session has more than {_LONGEST_STORY} records"
            return problem(409, "ledger", message, "see `/api/v1/ledger/export`")
        documents = [seen(read(each.body) or {}, clearance) for each in found]
        return Reply(200, cast("Json", session_told(reader, session, documents)))

    def _violations(self, reader: LedgerReader, given: Given, clearance: Level) -> Reply:
        moments = {name: _moment(_text(given, name)) for name in ("since", "until")}
        begin, end = period(_text(given, "month"), moments["since"], moments["until"], self._clock())
        found = violations(reader, begin, end, _text(given, "agent"), partial(seen, clearance=clearance))
        return Reply(200, {"report": cast("Json", report_told(found)), "origin": reader.origin()})

    def _growth(self, reader: LedgerReader, given: Given, clearance: Level) -> Reply:
        del clearance
        try:
            return Reply(200, cast("Json", growth_told(reader.prove_growth(cast("int", given["from"])))))
        except LedgerError as error:
            return problem(409, error.code, error.message, error.remedy)

    def _checkpoint(self, reader: LedgerReader, given: Given, clearance: Level) -> Reply:
        del given, clearance
        return Reply(200, {"checkpoint": reader.checkpoint()})

    def _keys(self, reader: LedgerReader, given: Given, clearance: Level) -> Reply:
        del reader, given, clearance
        return Reply(200, {"keys": [str(each) for each in keys_beside(self._config.data_dir)]})

    def _searches(self, reader: LedgerReader, given: Given, clearance: Level) -> Reply:
        del reader, given, clearance
        return Reply(200, {"searches": [cast("Json", search_told(each)) for each in self._config.searches.values()]})

    def _verify(self, reader: LedgerReader, given: Given, clearance: Level) -> Reply:
        del clearance
        notes = Fields({**given}).texts("checkpoints")
        return Reply(200, cast("Mapping[str, Json]", verified(reader, self._config.data_dir, notes)))

    def _export(self, given: Given, clearance: Level) -> Reply:
        """Return an export as a stream: a portion is read once the one before it was taken."""
        query = replace(_query(given, clearance), oldest=True, limit=_AT_ONCE)
        form = cast("Literal['jsonl', 'csv', 'ocsf']", given.get("format", "jsonl"))

        async def parts() -> AsyncGenerator[bytes]:
            if not self._free:
                raise LedgerError("too many exports at once", remedy="try again")
            self._free -= 1
            try:
                asked = query
                while True:
                    part, last = await asyncio.to_thread(self._portion, asked, form, clearance)
                    if part:
                        yield part
                    if last is None:
                        return
                    asked = replace(asked, after=last)
            finally:
                self._free += 1

        return Reply(200, kind=_media.get(form, "application/jsonl"), stream=parts)

    def _portion(
        self, query: Query, form: Literal["jsonl", "csv", "ocsf"], clearance: Level
    ) -> tuple[bytes, int | None]:
        """Return the lines of a portion, and the number of its last record; None when there are no more."""
        with closing(open_reader(self._config.ledger)) as reader:
            found = reader.query(query)
            made = lines(form, (_shown(each, clearance) for each in found), reader.origin())
            if form == "csv" and query.after >= 0:
                next(made)  # the names of the columns stand at the beginning alone
            return b"".join(made), found[-1].seq if len(found) == _AT_ONCE else None


def _shown(stored: Stored, clearance: Level) -> Stored:
    """Return a record as somebody of a clearance sees it: as it is stored, unless something of it is hidden."""
    document = read(stored.body)
    if document is None:
        return stored
    members = seen(document, clearance)
    return stored if members is document else Stored(stored.seq, orjson.dumps(members, option=orjson.OPT_SORT_KEYS))


def _told(stored: Stored, clearance: Level) -> Json:
    return {"seq": stored.seq, **cast("dict[str, Json]", json.loads(_shown(stored, clearance).body))}


def _named(reader: LedgerReader, given: Given) -> Stored | None:
    return next(iter(reader.query(Query(id=str(given["record"]), limit=1))), None)


def _none() -> Reply:
    return problem(404, "ledger", "there is no such record", "see `/api/v1/ledger/records`")


def _text(given: Given, name: str) -> str:
    return str(given.get(name, ""))


def _query(given: Given, clearance: Level) -> Query:
    """Return what is searched for: what is hidden from somebody is not found by them either. Raises ProtocolError."""
    decision, wanted = _text(given, "decision"), _text(given, "filter")
    if decision not in ("", "allow", "deny", "hold"):
        raise ProtocolError("`decision` is none of allow, deny, hold")
    check_filter(wanted)
    return Query(
        agent=_text(given, "agent"),
        user=_text(given, "user"),
        session=_text(given, "session"),
        task=_text(given, "task"),
        resource=_text(given, "resource"),
        action=_text(given, "action"),
        decision=decision,
        code=_text(given, "code"),
        kind=_text(given, "kind"),
        refers=_text(given, "refers"),
        filter=wanted,
        seen=partial(seen, clearance=clearance),
        since=_moment(_text(given, "since")),
        until=_moment(_text(given, "until")),
        after=cast("int", given.get("after", -1)),
        before=cast("int", given.get("before", 2**62)),
        limit=cast("int", given.get("limit", 100)),
    )


def _moment(text: str) -> datetime | None:
    try:
        return read_moment(text, utc_now()) if text else None
    except (ValueError, OverflowError):
        raise ProtocolError("`since` or `until` is no time", remedy="write it as in `2026-11-22T08:00:00Z`") from None
