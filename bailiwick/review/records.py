"""From the records of a ledger to groups of equal requests: what is decided once, however often it was asked. No I/O.

Records are read as the ledger stores them; what one says strangely is left out of its group's terms, never guessed.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from bailiwick.model.record import JsonValue
from bailiwick.review.asked import UNTOLD, Asked, Terms
from bailiwick.review.touched import Teller, Touched

Document = Mapping[str, JsonValue]
_Lists = tuple[JsonValue, JsonValue, JsonValue, tuple[Touched, ...]]
_DIGEST = re.compile(rf"{UNTOLD}[0-9A-Za-z_:.-]+")
_MOST_PEOPLE = 1000
_MOST_UNDER_WAY = 100_000


@dataclass(slots=True)
class Group:
    """Equal requests: how often, by whom, when, and what came of them."""

    asked: Asked
    count: int = 0
    first: str = ""
    last: str = ""
    example: str = ""
    """The id of the last one's record."""
    people: dict[str, int] = field(default_factory=dict[str, int])
    sessions: set[str] = field(default_factory=set[str])
    rows: array[int] = field(default_factory=lambda: array("q"))
    """What each one that was executed returned or wrote."""


class Gatherer:
    """Takes up records in their order."""

    def __init__(self, opening: Callable[[str], Document | None]) -> None:
        """`opening` looks up the record of a session's opening that lies further back."""
        self.groups: dict[Asked, Group] = {}
        self.seen = 0
        """Requests that were taken up."""
        self._opening = opening
        self._teller = Teller()
        self._terms: dict[str, Terms] = {}
        self._same: dict[Terms, Terms] = {}
        self._elevated: dict[str, tuple[str, str, str]] = {}
        """Elevation in force → its agent, session (empty: all of them) and name."""
        self._last: dict[tuple[object, ...], tuple[_Lists, Group]] = {}
        """What a request says in short → what the last such one said in its lists, and its group."""
        self._under_way: dict[str, Group] = {}
        """Intent → its group, until its outcome."""

    def drain(self) -> list[Group]:
        """Return the groups so far, and begin anew; what is still under way is told by its next record only."""
        found = [*self.groups.values()]
        self.groups.clear()
        self._last.clear()
        return found

    def take(self, document: Document) -> None:
        """Take up one record."""
        kind = document.get("kind")
        if kind in ("call", "intent"):
            self._request(document, executed=kind == "call")
        elif kind == "outcome":
            group = self._under_way.pop(_text(document, "refers"), None)
            if group is not None:
                _count_rows(group, document)
        elif kind == "session.opened":
            self._terms[_text(document, "session")] = self._terms_of(document)
        elif kind == "elevation.granted":
            detail = _detail(document)
            place = (_text(document, "agent"), _text(document, "session"), _text(detail, "name"))
            self._elevated[_text(detail, "elevation")] = place
        elif kind == "elevation.ended":
            self._elevated.pop(_text(_detail(document), "elevation"), None)

    def _request(self, document: Document, *, executed: bool) -> None:
        get = document.get
        session, statement = _text(document, "session"), _text(document, "statement")
        terms = self._session(session, document)
        if UNTOLD in statement:
            statement = _DIGEST.sub(UNTOLD, statement)
        detail = _detail(document)
        approved = get("decision") == "allow" and "approval" in detail
        used = detail.get("used")
        touched = self._teller.touched(session, used) if isinstance(used, dict) else ()
        key = (id(terms), statement, get("mount"), get("decision"), get("code"), get("policy"), approved)
        lists = (get("actions"), get("fields"), get("grants"), touched)
        known = self._last.get(key)
        if known is not None and known[0] == lists:
            group = known[1]
        else:
            group = self._group(document, terms, statement, touched, approved=approved)
            self._last[key] = (lists, group)
        self.seen += 1
        group.count += 1
        group.last = _text(document, "at")
        group.example = _text(document, "id")
        user = _text(document, "user")
        if user and (user in group.people or len(group.people) < _MOST_PEOPLE):
            group.people[user] = group.people.get(user, 0) + 1
        if len(group.sessions) < _MOST_PEOPLE:
            group.sessions.add(session)
        if executed:
            _count_rows(group, document)
        elif len(self._under_way) < _MOST_UNDER_WAY:
            self._under_way[group.example] = group

    def _group(
        self, document: Document, terms: Terms, statement: str, touched: tuple[Touched, ...], *, approved: bool
    ) -> Group:
        asked = Asked(
            terms,
            _text(document, "mount"),
            statement,
            _texts(document.get("actions")),
            _fields(document.get("fields")),
            _text(document, "decision"),
            _text(document, "code"),
            _texts(document.get("grants")),
            _text(document, "policy"),
            approved,
            touched,
        )
        group = self.groups.get(asked)
        if group is None:
            group = self.groups[asked] = Group(asked, first=_text(document, "at"))
        return group

    def _session(self, session: str, document: Document) -> Terms:
        found = self._terms.get(session)
        if found is None:
            opened = self._opening(session)
            agent, task = _text(document, "agent"), _text(document, "task") or None
            found = self._interned(Terms(agent, task)) if opened is None else self._terms_of(opened)
            self._terms[session] = found
        if not self._elevated:
            return found
        names = {
            name for agent, where, name in self._elevated.values() if agent == found.agent and where in ("", session)
        }
        return self._interned(replace(found, elevated=tuple(sorted(names)))) if names else found

    def _terms_of(self, document: Document) -> Terms:
        detail = _detail(document)
        parent = _text(detail, "parent")
        above = None
        if parent:
            above = self._terms.get(parent)
            opened = self._opening(parent) if above is None else None
            if opened is not None:
                above = self._terms[parent] = self._terms_of(opened)
        passed = frozenset(_texts(detail.get("passed")))
        return self._interned(
            Terms(
                _text(document, "agent"),
                _text(document, "task") or None,
                frozenset(_texts(detail.get("context"))) if "context" in detail else None,
                detail.get("own") is True,
                _texts(detail.get("asked")),
                above,
                (),
                passed,
                _text(document, "policy") if "passed" in detail else "",
            )
        )

    def _interned(self, terms: Terms) -> Terms:
        return self._same.setdefault(terms, terms)


def _count_rows(group: Group, document: Document) -> None:
    rows = document.get("rows")
    if isinstance(rows, int) and 0 <= rows < 2**63:
        group.rows.append(rows)


def _detail(document: Document) -> Document:
    detail = document.get("detail")
    return cast("Document", detail) if isinstance(detail, dict) else {}


def _text(document: Document, name: str) -> str:
    value = document.get(name)
    return value if type(value) is str else ""


def _texts(value: JsonValue) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def _fields(value: JsonValue) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        return ()
    return tuple((name, _texts(each)) for name, each in value.items())
