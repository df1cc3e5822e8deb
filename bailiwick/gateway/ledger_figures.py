"""Figures over a whole ledger, added up by its index."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import datetime
from typing import cast

from bailiwick.gateway.ledger_reader import LedgerReader, Query
from bailiwick.ledger.encode import moment, read
from bailiwick.ledger.facts import UNUSUAL
from bailiwick.ledger.violations import Cause, Denied, Violations, add_up

_DENIED = f"f.decision = 'deny' AND f.{UNUSUAL} AND f.kind <> 'decision' AND f.at >= ? AND f.at < ?"


def violations(reader: LedgerReader, since: datetime, until: datetime, agent: str = "") -> Violations:
    """Return what was denied from one moment to before another. What was only asked about (AuthZEN) is not counted."""
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
    return replace(report, causes=[_with_example(reader, each, report) for each in report.causes])


def _denied(key: tuple[object, ...], times: int) -> Denied:
    agent, person, code, day, actions = key
    names = cast("object", json.loads(_text(actions) or "[]"))
    listed = tuple(str(name) for name in cast("list[object]", names)) if isinstance(names, list) else ()
    return Denied(_text(agent), _text(person), _text(code), _text(day), listed, times)


def _with_example(reader: LedgerReader, cause: Cause, report: Violations) -> Cause:
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
    document = (read(found[0].body) if found else None) or {}
    return replace(cause, example=str(document.get("id", "")), message=str(document.get("message", "")))


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
