"""A candidate policy beside the enforced one, in a process of its own: follows the ledger, and tells what differs.

Started by `bailiwick.review.shadow` with one line of JSON on its standard input. It has no credentials, reads the
ledger's file as any reader does, and writes a line of JSON whenever there is something new. The gateway never waits
for it; whatever becomes of it changes nothing there.
"""

from __future__ import annotations

import json
import os
import resource
import select
import sys
from pathlib import Path
from typing import cast

from bailiwick.errors import BailiwickError
from bailiwick.gateway.ledger.address import read_address
from bailiwick.gateway.ledger.reader import LedgerReader, Query, open_reader
from bailiwick.gateway.policies.ready import Written
from bailiwick.ledger.encode import read
from bailiwick.model.record import JsonValue
from bailiwick.review.kept import kept_sides, side_of
from bailiwick.review.plan import Tally, planned_as_json, take
from bailiwick.review.records import Document, Gatherer

_PAUSE = 0.5
_MOST_TOLD = 200
_MEMORY = 2 * 1024**3


def opening(reader: LedgerReader, session: str) -> Document | None:
    """Return the record of a session's opening."""
    found = reader.query(Query(kind="session.opened", session=session, limit=1))
    return read(found[0].body) if found else None


def main() -> None:
    """Follow the ledger until nobody listens any more."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    os.nice(10)
    given = cast("dict[str, object]", json.loads(sys.stdin.buffer.readline()))
    try:
        _follow(given)
    except (BailiwickError, MemoryError) as error:
        _tell({"failed": str(error) or type(error).__name__})


def _follow(given: dict[str, object]) -> None:
    folder, start = Path(str(given["folder"])), cast("int", given["start"])
    written = Written(cast("dict[str, str]", given["files"]), cast("str | None", given["lock"]))
    side = side_of(folder, written)
    tally = Tally(side, kept_sides(folder / "policies", [side]))
    reader = open_reader(read_address(str(given["ledger"])))
    gatherer = Gatherer(lambda session: opening(reader, session))
    news = True
    while True:
        after = take(reader, start, gatherer)
        for group in gatherer.drain():
            tally.add(group)
        news = news or after != start
        caught_up, start = after == start, after
        if news and caught_up:
            _tell({"seq": start, "found": _told(tally)})
            news = False
        if _is_over(_PAUSE if caught_up else 0.0):
            return


def _told(tally: Tally) -> dict[str, JsonValue]:
    found = planned_as_json(tally.planned())
    changes = found["changes"]
    return {**found, "changes": changes[:_MOST_TOLD] if isinstance(changes, list) else []}


def _is_over(seconds: float) -> bool:
    """Wait; tell whether whoever started it has gone, or wants it to end: then its input ends."""
    ready, _, _ = select.select([sys.stdin.buffer], [], [], seconds)
    return bool(ready)


def _tell(found: dict[str, object]) -> None:
    sys.stdout.buffer.write(json.dumps(found).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
