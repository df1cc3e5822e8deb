"""Values that the gateway binds behind the agent's own parameters: as text on the wire, with the OID of their type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from bailiwick.model.session import Claim, Session
from bailiwick.model.value import Ref, Scalar
from bailiwick.mounts.postgres.codec import NULL_VALUE, pack_int32
from bailiwick.sql.plan import Bound, Constant

_types: dict[str, tuple[int, int]] = {
    "boolean": (16, 1000),
    "bytea": (17, 1001),
    "bigint": (20, 1016),
    "smallint": (21, 1005),
    "integer": (23, 1007),
    "text": (25, 1009),
    "real": (700, 1021),
    "double precision": (701, 1022),
    "character": (1042, 1014),
    "character varying": (1043, 1015),
    "date": (1082, 1182),
    "time without time zone": (1083, 1183),
    "timestamp without time zone": (1114, 1115),
    "timestamp with time zone": (1184, 1185),
    "interval": (1186, 1187),
    "numeric": (1700, 1231),
    "uuid": (2950, 2951),
    "jsonb": (3802, 3807),
}
"""Name as `format_type` prints it → OID of the type and of its array. Every other type is left to the server (0)."""
_MOMENT = "timestamp with time zone"


@dataclass(frozen=True, slots=True)
class MaskPads:
    """The mask key as HMAC uses it: padded to a block and XOR-ed with the inner and the outer constant."""

    inner: bytes
    outer: bytes

    @classmethod
    def of(cls, key: bytes) -> MaskPads:
        """Return the pads of a key of at most one SHA-256 block (64 bytes)."""
        block = key.ljust(64, b"\0")
        return cls(bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block))


def type_oid(name: str) -> int:
    """Return the OID of a built-in type, 0 for every other: the server then infers it from the cast around it."""
    array = name.endswith("[]")
    base = name[:-2] if array else name
    head, paren, tail = base.partition("(")
    base = head + tail.partition(")")[2] if paren else head
    oids = _types.get(base.strip())
    return 0 if oids is None else oids[array]


def has_moment(bound: Sequence[Bound]) -> bool:
    """Return whether a value changes from one execution to the next."""
    return any(one.source == "now" for one in bound)


def bound_values(bound: Sequence[Bound], session: Session, pads: MaskPads, now: datetime | None) -> bytes:
    """Return the values as in a Bind message. A session value that is missing is NULL, which matches nothing."""
    return b"".join(_sized(_value(one, session, pads, now)) for one in bound)


def _sized(value: bytes | None) -> bytes:
    return NULL_VALUE if value is None else pack_int32(len(value)) + value


def _value(one: Bound, session: Session, pads: MaskPads, now: datetime | None) -> bytes | None:
    if isinstance(one.source, Ref):
        value = session.value(one.source.path)
        return _text(_moment(value) if one.type == _MOMENT else value, one.type.endswith("[]"))
    if isinstance(one.source, Constant):
        return None if one.source.text is None else one.source.text.encode()
    if one.source == "now":
        return None if now is None else now.isoformat().encode()
    pad = pads.inner if one.source == "mask.inner" else pads.outer
    return b"\\x" + pad.hex().encode()


def _moment(value: Claim | None) -> datetime | None:
    """Return a moment, or the midnight in UTC of a date. Nothing else is one: a text would be read by the time zone
    that the agent has set."""
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo is not None else None
    return datetime(value.year, value.month, value.day, tzinfo=UTC) if isinstance(value, date) else None


def _text(value: Claim | None, array: bool) -> bytes | None:
    if value is None:
        return None
    items = value if isinstance(value, tuple) else (value,)
    texts = [_scalar(item) for item in items]
    if any("\0" in text for text in texts):
        return None
    if array:
        return ("{" + ",".join(_quoted(text) for text in texts) + "}").encode()
    return None if isinstance(value, tuple) else texts[0].encode()


def _scalar(value: Scalar) -> str:
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return str(value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
