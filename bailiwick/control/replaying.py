"""Long work over the ledger in a process of its own: the plan of a policy, drafts of the smallest one.

Started by `bailiwick.control.replays` with one line of JSON on its standard input; answers with one, and ends. It has
no credentials but those of the ledger, which it reads as any reader does; its memory is bounded, and the gateway never
waits for it. Records above the caller's clearance are left out, and counted.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from bailiwick.errors import BailiwickError, LedgerError
from bailiwick.gateway.ledger.address import read_address
from bailiwick.gateway.ledger.reader import LedgerReader, Query, Stored, open_reader
from bailiwick.gateway.moments import read_moment
from bailiwick.gateway.policies.ready import Written
from bailiwick.ledger.clearance import cleared
from bailiwick.ledger.encode import read
from bailiwick.model.label import Level
from bailiwick.model.record import JsonValue

Told = Mapping[str, JsonValue]
_MEMORY = 2 * 1024**3


class _Seen:
    """The records of a ledger that somebody of a clearance sees whole."""

    def __init__(self, reader: LedgerReader, clearance: Level) -> None:
        self._reader = reader
        self._clearance: Level = clearance
        self.hidden = 0

    def each(self, query: Query) -> Iterator[Stored]:
        """Yield them, oldest first."""
        for stored in self._reader.each(query):
            document = read(stored.body)
            if document is None or cleared(document, self._clearance):
                yield stored
            else:
                self.hidden += 1


def main() -> None:
    """Do one piece of work."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    os.nice(10)
    gc.disable()  # what is read makes no cycles, and it ends soon
    given = cast("dict[str, object]", json.loads(sys.stdin.buffer.readline()))
    try:
        with closing(open_reader(read_address(str(given["ledger"])))) as reader:
            seen = _Seen(reader, cast("Level", given["clearance"]))
            found = _planned(reader, seen, given) if given["work"] == "plan" else _learnt(seen, given)
            told: Told = {**found, "hidden": seen.hidden}
    except BailiwickError as error:
        told = {"failed": error.message, "code": error.code, "remedy": error.remedy}
    except MemoryError:
        told = {
            "failed": "there are too many different requests",
            "code": "ledger",
            "remedy": "ask from a later moment",
        }
    sys.stdout.buffer.write(json.dumps(told).encode() + b"\n")


def _planned(reader: LedgerReader, seen: _Seen, given: Mapping[str, object]) -> Told:
    from bailiwick.review.kept import kept_sides, side_of
    from bailiwick.review.plan import plan, planned_as_json
    from bailiwick.review.plan_words import in_words
    from bailiwick.review.records import Gatherer
    from bailiwick.review.shadow_process import opening

    folder = Path(str(given["folder"]))
    side = side_of(folder, _written(given))
    gatherer = Gatherer(lambda session: opening(reader, session))
    for stored in seen.each(Query(since=_start(given))):
        document = read(stored.body)
        if document is not None:
            gatherer.take(document)
    found = plan(gatherer.groups.values(), side, kept_sides(folder / "policies", [side]))
    return {"plan": planned_as_json(found), "words": [*in_words(found)], "refused": found.refused}


def _learnt(seen: _Seen, given: Mapping[str, object]) -> Told:
    from bailiwick.learn.draft_json import draft_json
    from bailiwick.learn.drafting import checked, drafts_of, observed
    from bailiwick.learn.surroundings import Around
    from bailiwick.learn.writing import write
    from bailiwick.review.kept import side_of

    written = _written(given)
    side = side_of(Path(str(given["folder"])), written)
    around = Around(side.policy, side.lock)
    drafts = drafts_of(cast("list[str]", given["agents"]), observed(seen.each, _start(given), side.policy), around)
    texts = {draft.agent: write(draft, around) for draft in drafts}
    findings = checked(written.files, texts, around)
    files: dict[str, JsonValue] = {**texts}
    return {"drafts": [draft_json(each) for each in drafts], "files": files, "lint": [str(each) for each in findings]}


def _written(given: Mapping[str, object]) -> Written:
    return Written(cast("dict[str, str]", given["files"]), cast("str | None", given["lock"]))


def _start(given: Mapping[str, object]) -> datetime | None:
    text = str(given["since"] or "")
    try:
        return read_moment(text, datetime.now(UTC)) if text else None
    except (ValueError, OverflowError):
        raise LedgerError(f"`{text[:100]}` is no moment", remedy="write `30d`, or `2026-01-31T12:00:00Z`") from None


if __name__ == "__main__":
    main()
