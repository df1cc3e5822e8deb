"""Values as observations have them: in clear where their field allows it, else as keyed digests; and where they are
from, as far as the session tells. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import cast

from bailiwick.decide.session import parse_value
from bailiwick.match.masks import Digest
from bailiwick.model.observation import NOWHERE_KNOWN, Origin, Seen, SeenType
from bailiwick.model.session import Claim, Session
from bailiwick.model.value import Scalar, ValueType

_RUN = re.compile(r"[^\W\d_]+|\d+")
_UUID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_longest = 200
"""Characters of a text that stands in clear, and of a shape."""
_PERSONAL = re.compile(r"@|[-0-9 +()./]{7,}")
_longest_unlabelled = 64
_most_items = 20
"""Elements of a list."""
_most_origins = 5000
"""Values of earlier results that are remembered of a session."""
_farthest = 300
"""Digits before or behind the point beyond which a number is none that anybody counts with."""
_OPEN = ("", True)
_typed: Mapping[SeenType, ValueType] = {
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "uuid": "uuid",
    "date": "date",
    "timestamp": "timestamp",
}


def seen_type(column: str) -> SeenType:
    """Return the type of values of a column, by the name of its type in PostgreSQL."""
    name = column.partition("(")[0].strip()
    if name.endswith("[]"):
        return "list"
    return _columns.get(name, "string")


_columns: Mapping[str, SeenType] = {
    **dict.fromkeys(("smallint", "integer", "bigint"), "integer"),
    **dict.fromkeys(("numeric", "real", "double precision"), "number"),
    **dict.fromkeys(("timestamp with time zone", "timestamp without time zone", "timestamp"), "timestamp"),
    **dict.fromkeys(("json", "jsonb"), "object"),
    "boolean": "boolean",
    "uuid": "uuid",
    "date": "date",
}


def is_harmless(value: object) -> bool:
    """Return whether a value that nobody labels, as those of arguments, may stand in clear: it is short and does not
    look like an address, a telephone, a card or an account."""
    return not isinstance(value, str) or (len(value) <= _longest_unlabelled and not _PERSONAL.search(value))


class Observer:
    """Looks at the values of one session. Remembers digests of what came back earlier, never a value."""

    def __init__(self, session: Session, digest: Digest) -> None:
        self._digest = digest
        self._results: dict[str, tuple[str, bool]] = {}
        """Digest of a value → the resource and field in whose result it first came, and whether that is in clear."""
        self._session: dict[str, str] = {}
        """Digest of a value of the session → its name."""
        self._known: dict[str, Seen] = {}
        """The session's values, none in clear."""
        self._untold = True
        for name, value in _values_of(session):
            self._known[name] = self.seen(list(value) if isinstance(value, tuple) else value, clear=False)
            for each in value if isinstance(value, tuple) else (value,):
                self._session.setdefault(digest(plain(each)), name)

    def first(self) -> Mapping[str, Seen]:
        """Return the session's values when it is asked for the first time, then nothing."""
        told, self._untold = not self._untold, False
        return {} if told else self._known

    def again(self) -> None:
        """Have the session's values be told once more: a session may last for weeks, and who learns of a few days."""
        self._untold = True

    def seen(self, value: object, *, clear: bool, constant: bool = False) -> Seen:
        """Return a value as it is observed. `clear`: whether its field is below `confidential`; `constant`: whether it
        was written in the statement itself."""
        if value is None:
            return Seen("null")
        if isinstance(value, list):
            items = cast("list[object]", value)
            kept = tuple(self.seen(each, clear=clear, constant=constant) for each in items[:_most_items])
            return Seen("list", items=kept, whole=len(items) == len(kept))
        text = plain(value)
        digest = self._digest(text)
        origin = self._origin(digest, constant=constant)
        if isinstance(value, dict):
            return Seen("object", digest=digest[:32], origin=origin)
        kind, scalar = _scalar(value)
        if clear and origin.kind != "session" and len(text) <= _longest and self._results.get(digest, _OPEN)[1]:
            return Seen(kind, scalar, origin=origin)
        return Seen(kind, digest=digest[:32], shape=shape(text), origin=origin)

    def told(self, where: str, value: object, *, clear: bool) -> None:
        """Remember a value that a result has shown: `where` is `resource.field`, or the resource. Not `clear`: it is
        confidential, and so wherever it comes again."""
        if isinstance(value, str | int | float | Decimal) and not isinstance(value, bool):
            text = plain(value)
            if text and len(self._results) < _most_origins:
                digest = self._digest(text)
                self._results[digest] = (self._results.get(digest, (where,))[0], clear)

    def _origin(self, digest: str, *, constant: bool) -> Origin:
        name = self._session.get(digest)
        if name is not None:
            return Origin("session", name)
        if constant:
            return Origin("constant")
        found = self._results.get(digest)
        return NOWHERE_KNOWN if found is None else Origin("result", found[0])


def _values_of(session: Session) -> Sequence[tuple[str, Claim]]:
    found: list[tuple[str, Claim]] = [*session.context.items()]
    if session.tenant is not None:
        found.append(("tenant", session.tenant))
    if session.user is not None:
        found.append(("user.id", session.user.id))
        found += [(f"user.{name}", value) for name, value in session.user.claims.items()]
        found.append(("user.groups", tuple(sorted(session.user.groups))))
    return found


def typed(text: str, kind: SeenType) -> object:
    """Return the value that a text is as one of that type; the text itself where it is none."""
    if kind not in _typed:
        return text
    if kind == "boolean":
        return {"t": True, "true": True, "f": False, "false": False}.get(text, text)
    if kind == "timestamp":
        text = text.replace(" ", "T") if re.match(r"\d{4}-\d{2}-\d{2} \d", text) else text
    found = parse_value(_typed[kind], text)
    return text if found is None else found


def shape(text: str) -> str:
    """Return what a text looks like: runs of letters as `a`, of digits as `9`, the rest as it is."""
    return _RUN.sub(lambda run: "9" if run.group()[0].isdecimal() else "a", text[:_longest])


def plain(value: object) -> str:
    """Return a value as text: the same for the same number, however it is written."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo is not None else value).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float | Decimal):
        number = Decimal(str(value))
        whole = number.is_finite() and abs(number.adjusted()) < 40
        return format(number.normalize(), "f") if whole else str(number)
    if isinstance(value, int):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return text.encode("utf-8", "replace").decode()  # what is no text (half a surrogate) has no digest


def _scalar(value: object) -> tuple[SeenType, Scalar | None]:
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, int):
        return "integer", value
    if isinstance(value, float | Decimal):
        number = Decimal(str(value))
        known = number.is_finite() and abs(number.adjusted()) < _farthest
        return ("number", number) if known else ("unknown", None)
    if isinstance(value, datetime):
        return "timestamp", value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return "date", value
    if isinstance(value, str):
        return ("uuid" if _UUID.fullmatch(value) else "string"), plain(value)
    return "unknown", None
