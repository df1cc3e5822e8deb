"""Values for a COPY, which takes no parameters: it reads them from settings of its transaction (`plan.LENT`).

Around its Execute go two statements of the gateway's own: one sets them, from parameters, the other takes them back. So
they stand in no text that the server shows or logs. What fails between the two takes them back by itself.
"""

from __future__ import annotations

from typing import Final

from bailiwick.mounts.postgres import codec
from bailiwick.mounts.postgres.batch import BIND, CLOSE, PARSE, Batch, Step
from bailiwick.mounts.postgres.codec import NULL_VALUE, pack_int16, pack_int32
from bailiwick.mounts.postgres.counted import Aside
from bailiwick.mounts.postgres.prepared import Prepared
from bailiwick.sql.plan import LENT

OWN: Final = b"bailiwick lent"
"""Name of the statement and the portal; no client may use it."""
_NO_VALUES = b"\0\0\0\0\0\0"


def lend(batch: Batch, prepared: Prepared, values: bytes) -> None:
    """Set the values, `values` as in a Bind, for the statement whose Execute is added next."""
    count = len(prepared.plan.lent)
    sets = ", ".join(_set(number, f"${number}") for number in range(1, count + 1))
    given = b"\0\0" + pack_int16(count) + _marked(values) + b"\0\0"
    _add(batch, prepared, f"SELECT {sets}", given)


def take_back(batch: Batch, prepared: Prepared) -> None:
    """Clear the settings, behind the Execute."""
    sets = ", ".join(_set(number, "''") for number in range(1, len(prepared.plan.lent) + 1))
    _add(batch, prepared, f"SELECT {sets}", _NO_VALUES)


def _set(number: int, value: str) -> str:
    return f"pg_catalog.set_config('{LENT}{number}', {value}, true)"


def _marked(values: bytes) -> bytes:
    """Return values as the settings hold them: nothing for NULL, else `=` and the value."""
    parts: list[bytes] = []
    pos = 0
    while pos < len(values):
        if values.startswith(NULL_VALUE, pos):
            parts.append(pack_int32(0))
            pos += 4
            continue
        size = codec.int32_at(values, pos)[0]
        parts += (pack_int32(size + 1), b"=", values[pos + 4 : pos + 4 + size])
        pos += 4 + size
    return b"".join(parts)


def _add(batch: Batch, prepared: Prepared, text: str, given: bytes) -> None:
    batch.add(codec.message(b"C", b"S" + OWN + b"\0"), Step(CLOSE, name=b"S" + OWN, quiet=True))
    batch.add(codec.parse(OWN, text.encode()), Step(PARSE, name=OWN, quiet=True))
    batch.add(codec.bind(OWN, OWN, given), Step(BIND, name=OWN, quiet=True))
    batch.add(codec.execute(OWN), Aside(prepared))
    batch.add(codec.message(b"C", b"P" + OWN + b"\0"), Step(CLOSE, name=b"P" + OWN, quiet=True))
