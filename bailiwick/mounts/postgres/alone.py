"""Statements that the gateway runs itself: what is sent for one, what is kept of its reply, and how it is handed over.

No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from bailiwick.gateway.approvals.executing import Handed
from bailiwick.gateway.wire import Json
from bailiwick.model.approval import Subject
from bailiwick.model.decision import Denial
from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.answers import Reply
from bailiwick.mounts.postgres.approved import Past
from bailiwick.mounts.postgres.codec import pack_int16, pack_int32
from bailiwick.mounts.postgres.errors import changed_notice, denied, own_error
from bailiwick.mounts.sql.results import Answer, Denied, Failed

_RESULTS = b"\0\1\0\0"  # every column as text


def messages_of(subject: Subject) -> bytes:
    """Return what a client sends for a statement that was held: the same text, types, formats and values."""
    given = cast("Mapping[str, Json]", json.loads(subject.content))
    types, formats = bytes.fromhex(str(given["types"])), bytes.fromhex(str(given["formats"]))
    values = [_sized(each) for each in cast("Sequence[Json]", given["values"])]
    formats = formats if values else b""
    tail = pack_int16(len(formats) // 2) + formats + pack_int16(len(values)) + b"".join(values) + _RESULTS
    asked = codec.parse(b"", subject.text.encode(), pack_int16(len(types) // 4) + types) + codec.bind(b"", b"", tail)
    return asked + codec.describe(b"P", b"") + codec.execute(b"") + codec.SYNC


def changed_messages(subject: Subject, sql: str, wanted: int) -> bytes | Denial:
    """Return what a client sends for another statement with the same values, as far as it has parameters."""
    given = cast("Mapping[str, Json]", json.loads(subject.content))
    values = cast("list[Json]", given["values"])
    if wanted not in (0, len(values)):
        message = f"the changed statement has {wanted} parameters, the one that waits has {len(values)}"
        return Denial("statement_unparsable", message, remedy="give `parameters` as well")
    kept = dict(given) if wanted else {**given, "values": [], "types": "", "formats": ""}
    try:
        sql.encode()
    except UnicodeEncodeError:
        return Denial("statement_unparsable", "the statement is no text: it holds half a character")
    if "\0" in sql:
        return Denial("statement_unparsable", "the statement holds a character of zero")
    return messages_of(replace(subject, text=sql, content=json.dumps(kept)))


def settings_of(subject: Subject) -> dict[str, str]:
    """Return the settings under which it was asked for and previewed."""
    given = cast("Mapping[str, Json]", json.loads(subject.content))
    return {**cast("Mapping[str, str]", given.get("settings", {}))}


def kept_of(answer: Answer, reply: Reply) -> dict[str, Json]:
    """Return what is kept of an answer, for the status of its approval and for who sends the statement again."""
    told = cast("dict[str, Json]", answer.json())
    if isinstance(answer, Denied | Failed):
        return told
    rows: list[Json] = [[*row] for row in reply.texts]
    return {**told, "tag": reply.tag.decode(), "texts": rows}


def past(found: Handed, bound: bytes) -> Past | bytes:
    """Return the reply to a statement that the gateway has run; as an error what did not come to its end."""
    told = found.told
    tag, rows = told.get("tag"), cast("list[list[str | None]] | None", told.get("texts"))
    for name in ("denied", "failed"):
        if name in told:
            said = cast("Mapping[str, Json]", told[name])
            message = f"`{found.approval.id}` was approved, and did not come to its end: {said.get('message', '')}"
            return own_error("42501" if name == "denied" else str(said.get("code")), message)
    if not isinstance(tag, str) or rows is None:
        return denied(Denial("approval_closed", f"`{found.approval.id}` has been run; {told.get('lost', '')}"), "")
    _, _, pos = codec.read_bind(bound)
    *_, results = codec.read_bind_tail(bound, pos)
    if rows and b"\1" in results:
        return denied(Denial("approval_closed", f"`{found.approval.id}` has been run: {tag}", "", _AS_TEXT), "")
    if found.approval.modified:
        if rows:
            said = f"`{found.approval.id}` has been run as a reviewer changed it: {tag}"
            return denied(Denial("approval_closed", said, f"`{found.approval.subject.text}`", _AS_TEXT), "")
        return Past(changed_notice(found.approval.subject.text) + codec.message(b"C", tag.encode() + b"\0"))
    cells = b"".join(_data_row(row) for row in rows)
    return Past(cells + codec.message(b"C", tag.encode() + b"\0"))


def _data_row(row: Sequence[str | None]) -> bytes:
    cells = (codec.NULL_VALUE if each is None else pack_int32(len(each.encode())) + each.encode() for each in row)
    return codec.message(b"D", pack_int16(len(row)) + b"".join(cells))


def _sized(value: Json) -> bytes:
    """Return a value of a parameter as in a Bind, from how an approval keeps it."""
    if value is None:
        return codec.NULL_VALUE
    data = bytes.fromhex(str(value["hex"])) if isinstance(value, dict) else str(value).encode()
    return pack_int32(len(data)) + data


_AS_TEXT = "its rows were kept as text: ask how the approval stands, which tells them"
