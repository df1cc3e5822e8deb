"""What of a record can be searched for: the projection that the store indexes and `verify` checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from bailiwick.model.record import JsonValue

RARE = "kind NOT IN ('call', 'intent', 'outcome')"
UNUSUAL = "decision NOT IN ('', 'allow')"
"""Of which records there is an index by kind, or by decision: every page of a ledger has some of the others. A query
has to say the same in these words for SQLite to use it."""


class Facts(NamedTuple):
    """The searchable members of a record; empty where it has none."""

    id: str
    at: str
    kind: str
    agent: str
    user: str
    session: str
    task: str
    mount: str
    decision: str
    code: str
    refers: str


_EMPTY = ("",) * len(Facts._fields)


def facts_of(document: Mapping[str, JsonValue]) -> Facts:
    """Return the searchable members of a decoded record."""
    values = (document.get(name) for name in Facts._fields)
    return Facts(*(value if isinstance(value, str) else "" for value in values))


def joined_facts(document: Mapping[str, JsonValue]) -> bytes:
    """Return the searchable members as one text, a NUL between them: what the index of a record is compared with.

    No member of a record has a NUL in it (`encode`), so only equal members give equal texts.
    """
    try:
        return "\0".join(map(document.get, Facts._fields, _EMPTY)).encode()  # type: ignore[arg-type]  # what is no text is caught
    except TypeError:
        return "\0".join(facts_of(document)).encode()


def actions_of(document: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """Return the distinct actions of a decoded record, sorted."""
    actions = document.get("actions")
    if not isinstance(actions, list):
        return ()
    if len(actions) == 1 and isinstance(actions[0], str):
        return (actions[0],)
    return tuple(sorted({action for action in actions if isinstance(action, str)}))
