"""The canonical bytes of a record: what is hashed, stored and proven.

JSON with sorted keys and without spaces, UTF-8; members at their empty value left out; moments as RFC 3339 in UTC with
six digits of a second; `v` is the version of this form and `seq` the record's place in the ledger. Encoding never
fails: what JSON cannot carry (lone surrogates, NUL, huge integers, endless nesting) is replaced, visibly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, cast, get_args

import orjson

from bailiwick.model.record import JsonValue, Record, RecordKind

VERSION = 1
MAX_DEPTH = 32
"""Levels of `detail` that are kept."""
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z
_REPLACEMENT = "\ufffd"
_KINDS = frozenset(get_args(RecordKind))
_TEXT = ("agent", "user", "session", "task", "mount", "statement", "decision", "code", "message", "policy", "refers")
_NUMBERS = ("rows", "bytes", "duration_us")
_LISTS = ("chain", "actions", "labels", "grants")
_KNOWN = frozenset(("v", "seq")) | set(Record._fields)


class Form:
    """What the records of one repeated call have in common, encoded once. Made by `form_of`."""

    __slots__ = ("common", "parts")

    def __init__(self, common: Record, parts: tuple[bytes, ...]) -> None:
        self.common = common
        self.parts = parts
        """The canonical bytes between moment, bytes, duration, id, rows and sequence number."""


class Stamped(NamedTuple):
    """A record as its form and what is its own: the same bytes as `record` for a third of the work."""

    form: Form
    id: str
    at: datetime
    rows: int
    bytes: int
    duration_us: int

    @property
    def record(self) -> Record:
        """The record that this is."""
        return self.form.common._replace(**{name: value for name, value in self._asdict().items() if name != "form"})


_SLOTS = (b'"at":"', b'"bytes":', b'"duration_us":', b'"id":"', b'"rows":', b'"seq":')
_PROBE = 1_008_000_000_000_000_000
_PROBE_AT = datetime(1008, 10, 8, 10, 8, 10, 8, UTC)
_PROBE_ID = "rec_bwprobe"


def form_of(common: Record) -> Form | None:
    """Return the form of records that differ in id, moment, rows, bytes and duration only; None if it has none."""
    numbers = {"bytes": _PROBE, "duration_us": _PROBE + 1, "rows": _PROBE + 2}
    body = encode(common._replace(id=_PROBE_ID, at=_PROBE_AT, **numbers), _PROBE + 3)
    values = (moment(_PROBE_AT), str(_PROBE), str(_PROBE + 1), _PROBE_ID, str(_PROBE + 2), str(_PROBE + 3))
    parts: list[bytes] = []
    for slot, value in zip(_SLOTS, values, strict=True):
        before, found, body = body.partition(slot + value.encode())
        if not found or slot + value.encode() in body:
            return None
        parts.append(before + slot)
    return Form(common, (*parts, body))


def encode(record: Record | Stamped, seq: int) -> bytes:
    """Return the canonical bytes of a record at its place in the ledger."""
    if isinstance(record, Stamped):
        form, identity, at, rows, size, spent = record
        told = at.isoformat()[:-6] + "Z" if at.tzinfo is UTC and at.microsecond else moment(at)
        a, b, c, d, e, f, g = form.parts
        values = (a, told.encode(), b, size, c, spent, d, identity.encode(), e, rows, f, seq, g)
        return b"%b%b%b%d%b%d%b%b%b%d%b%d%b" % values
    document = _document(record, seq)
    try:
        body = orjson.dumps(document, option=_OPTIONS)
    except (TypeError, UnicodeError, RecursionError):
        return orjson.dumps(sound(document), option=_OPTIONS)
    # A hit may also be the text `\u0000` itself, escaped: then the slow path changes nothing.
    return orjson.dumps(sound(document), option=_OPTIONS) if b"\\u0000" in body else body


def moment(at: datetime) -> str:
    """Return a moment as the ledger writes it; one without a zone is taken to be UTC."""
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.isoformat(timespec="microseconds")[:-6] + "Z"


def _document(r: Record, seq: int) -> dict[str, object]:
    """Return the members to be written, nearly sorted. Spelt out, for it runs at least once for every statement."""
    document: dict[str, object] = {}
    if r.actions:
        document["actions"] = r.actions
    if r.agent:
        document["agent"] = r.agent
    # orjson writes a UTC moment as `moment` does, ten times faster, except that it leaves out six zeros.
    document["at"] = r.at if r.at.tzinfo is UTC and r.at.microsecond else moment(r.at)
    if r.bytes is not None:
        document["bytes"] = r.bytes
    if r.chain:
        document["chain"] = r.chain
    if r.code:
        document["code"] = r.code
    if r.decision:
        document["decision"] = r.decision
    if r.detail:
        document["detail"] = dict(r.detail)
    if r.duration_us is not None:
        document["duration_us"] = r.duration_us
    if r.fields:
        document["fields"] = dict(r.fields)
    if r.grants:
        document["grants"] = r.grants
    document["id"] = r.id
    document["kind"] = r.kind
    _rest(r, document)
    document["seq"] = seq
    document["v"] = VERSION
    return document


def _rest(r: Record, document: dict[str, object]) -> None:
    if r.labels:
        document["labels"] = r.labels
    if r.message:
        document["message"] = r.message
    if r.mount:
        document["mount"] = r.mount
    if r.policy:
        document["policy"] = r.policy
    if r.purpose:
        document["purpose"] = r.purpose
    if r.refers:
        document["refers"] = r.refers
    if r.rows is not None:
        document["rows"] = r.rows
    if r.session:
        document["session"] = r.session
    if r.statement:
        document["statement"] = r.statement
    if r.task:
        document["task"] = r.task
    if r.user:
        document["user"] = r.user


def sound(value: object, depth: int = 0) -> object:
    """Return the value with everything that JSON cannot carry exactly replaced; never fails."""
    if isinstance(value, str):
        return sound_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**63 else hex(value)
    if isinstance(value, float):
        return float(value) if value - value == 0 else str(value)
    if isinstance(value, datetime):
        return moment(value)
    if depth > MAX_DEPTH:
        return _REPLACEMENT
    if isinstance(value, Mapping):
        members = cast("Mapping[object, object]", value)
        return {sound_text(str(key)): sound(member, depth + 1) for key, member in members.items()}
    if isinstance(value, (list, tuple)):
        return [sound(element, depth + 1) for element in cast("list[object]", value)]
    return f"<{type(value).__name__}>"


def sound_text(text: str) -> str:
    """Return the text with lone surrogates and NUL replaced by U+FFFD."""
    if not text.isascii():
        text = "".join(_REPLACEMENT if "\ud800" <= c <= "\udfff" else c for c in text)
    return text.replace("\0", _REPLACEMENT)


@dataclass(frozen=True, slots=True)
class Entry:
    """A decoded record and its place."""

    seq: int
    record: Record


def decode(body: bytes) -> Entry | None:
    """Read canonical bytes back; None unless they are exactly what `encode` writes."""
    document = read(body)
    if document is None or not _well_formed(document):
        return None
    seq = document.pop("seq")
    document.pop("v")
    values: dict[str, object] = dict(document)
    for name in _LISTS:
        values[name] = tuple(cast("list[str]", document.get(name, [])))
    touched = cast("dict[str, list[str]]", document.get("fields", {}))
    values["fields"] = {name: tuple(names) for name, names in touched.items()}
    values["at"] = datetime.fromisoformat(cast(str, document["at"]))
    entry = Entry(cast(int, seq), _BLANK._replace(**values))
    return entry if encode(entry.record, entry.seq) == body else None


_BLANK = Record(id="", kind="call", at=datetime(1970, 1, 1, tzinfo=UTC))


def read(body: bytes) -> dict[str, JsonValue] | None:
    """Return the members of stored bytes, or None if they are not a JSON object."""
    try:
        document = cast(object, orjson.loads(body))
    except (orjson.JSONDecodeError, RecursionError):
        return None
    return cast("dict[str, JsonValue]", document) if isinstance(document, dict) else None


def _well_formed(document: dict[str, JsonValue]) -> bool:
    touched = document.get("fields", {})
    return (
        document.keys() <= _KNOWN
        and document.get("v") == VERSION
        and type(document.get("seq")) is int
        and isinstance(document.get("id"), str)
        and document.get("kind") in _KINDS
        and _is_moment(document.get("at"))
        and all(isinstance(document.get(name, ""), str) for name in (*_TEXT, "purpose"))
        and all(type(document.get(name, 0)) is int for name in _NUMBERS)
        and all(_is_texts(document.get(name, [])) for name in _LISTS)
        and isinstance(touched, dict)
        and all(_is_texts(names) for names in touched.values())
        and isinstance(document.get("detail", {}), dict)
    )


def _is_texts(value: JsonValue) -> bool:
    return isinstance(value, list) and all(isinstance(element, str) for element in value)


def _is_moment(value: JsonValue) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return moment(datetime.fromisoformat(value)) == value
    except ValueError:
        return False
