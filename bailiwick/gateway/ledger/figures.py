"""Figures over a whole ledger, added up by its index."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

from bailiwick.errors import ConfigError
from bailiwick.gateway.ledger.reader import LedgerReader, Query
from bailiwick.ledger.encode import moment, read
from bailiwick.ledger.facts import UNUSUAL
from bailiwick.ledger.story import tell
from bailiwick.ledger.violations import Cause, Denied, Violations, add_up
from bailiwick.ledger.violations import month as days_of
from bailiwick.model.record import JsonValue

_DENIED = f"f.decision = 'deny' AND f.{UNUSUAL} AND f.kind <> 'decision' AND f.at >= ? AND f.at < ?"


Document = Mapping[str, JsonValue]
Seen = Callable[[Document], Document]
"""A record → what somebody sees of it."""


def _whole(document: Document) -> Document:
    return document


def period(month: str, since: datetime | None, until: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """Return from when to before when: a month, this one so far, or what was said. Raises ConfigError."""
    if month and (since or until):
        raise ConfigError("both a month and a time were given", remedy="give a month, or since and until")
    if since or until:
        begin, end = since or datetime(1970, 1, 1, tzinfo=UTC), until or now
    else:
        try:
            first, after = days_of(month or f"{now:%Y-%m}")
        except (ValueError, OverflowError):
            raise ConfigError(f"`{month[:20]}` is no month", remedy="write `2026-11`") from None
        begin, end = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (first, after))
        end = min(end, now) if begin < now else end
    if begin >= end:
        raise ConfigError("the period is empty", remedy="`since` stands before `until`")
    return begin, end


def session_told(reader: LedgerReader, session: str, records: Iterable[Document]) -> dict[str, JsonValue]:
    """Return a session's story as JSON has it, with the sessions that it delegated to."""
    told = tell(records)
    quoted = session.replace("\\", "\\\\").replace('"', '\\"')
    below = reader.query(Query(filter=f'kind:session.opened detail.parent:"{quoted}"', limit=1000))
    opened = [read(each.body) or {} for each in below]
    steps: list[JsonValue] = [
        {"at": each.at, "text": each.text, "tone": each.tone, "times": each.times, "records": [*each.records]}
        for each in told.steps
    ]
    delegated: list[JsonValue] = [
        {"agent": str(each.get("agent", "")), "session": str(each.get("session", ""))} for each in opened
    ]
    return {"title": told.title, "steps": steps, "ending": [*told.ending], "delegated": delegated}


def violations(
    reader: LedgerReader, since: datetime, until: datetime, agent: str = "", seen: Seen = _whole
) -> Violations:
    """Return what was denied from one moment to before another, as whoever reads it sees records.

    What was only asked about (AuthZEN) is not counted.
    """
    of_agent = " AND f.agent = ?" if agent else ""
    chosen = (agent,) if agent else ()
    alike = Counter[tuple[object, ...]]()
    before = 0
    with reader.asking() as ask:
        for tables in (reader.words.stored, reader.words.late):
            # Counted here: grouping would have SQLite sort them all first.
            alike.update(
                ask(
                    f"SELECT f.agent, f.user, f.code, substr(f.at, 1, 10), {reader.words.told('actions')} "  # noqa: S608 -- names of our own
                    f"FROM {tables}facts f JOIN {tables}records r ON r.seq = f.seq WHERE {_DENIED}{of_agent}",
                    (moment(since), moment(until), *chosen),
                )
            )
            earlier = (moment(since - (until - since)), moment(since), *chosen)
            counted = next(ask(f"SELECT count(*) FROM {tables}facts f WHERE {_DENIED}{of_agent}", earlier))  # noqa: S608 -- likewise
            before += cast("int", counted[0])
    report = add_up((_denied(key, times) for key, times in alike.items()), since, until, before)
    return replace(report, causes=[_with_example(reader, each, report, seen) for each in report.causes])


def _denied(key: tuple[object, ...], times: int) -> Denied:
    agent, person, code, day, actions = key
    names = cast("object", json.loads(_text(actions) or "[]"))
    listed = tuple(str(name) for name in cast("list[object]", names)) if isinstance(names, list) else ()
    return Denied(_text(agent), _text(person), _text(code), _text(day), listed, times)


def _with_example(reader: LedgerReader, cause: Cause, report: Violations, seen: Seen) -> Cause:
    """Return a cause with the newest record that it denied."""
    asked = Query(
        agent=cause.agent,
        decision="deny",
        code=cause.code,
        action=cause.action,
        since=report.since,
        until=report.until,
        limit=1,
    )
    found = reader.query(asked)
    document = seen((read(found[0].body) if found else None) or {})
    return replace(cause, example=str(document.get("id", "")), message=str(document.get("message", "")))


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
