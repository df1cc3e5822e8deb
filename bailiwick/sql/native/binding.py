"""Session values inside the database: bound to one connection and one role, and not to be forged.

The gateway sets `bailiwick.session` to an HMAC and the values. The functions here check it with a key that only their
owner can read, over the values *and* the server process and its start, so that the text is worth nothing on another
connection. Nothing is written, so it works on a standby. Absent or wrong: NULL, and NULL matches nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from bailiwick.model.session import Claim, Session
from bailiwick.model.value import Scalar
from bailiwick.sql.quote import ident, plain

SLACK = timedelta(minutes=10)
"""How long values stay good behind their session's end by the server's clock; the gateway ends it by its own."""
_PURPOSE = b"bailiwick native session values\0"


def session_key(mask_key: bytes, mount: str) -> bytes:
    """Return the key under which session values of a mount are bound; made of the gateway's own mask key."""
    return hmac.digest(mask_key, _PURPOSE + mount.encode(), "sha256")


def pads(key: bytes) -> tuple[bytes, bytes]:
    """Return the inner and outer pad of HMAC-SHA-256 under a key of at most 64 bytes."""
    block = key.ljust(64, b"\0")
    return bytes(byte ^ 0x36 for byte in block), bytes(byte ^ 0x5C for byte in block)


def session_values(session: Session) -> dict[str, Claim]:
    """Return every value that a policy can refer to, by the text of the reference without `$`."""
    found: dict[str, Claim] = dict(session.context)
    if session.tenant is not None:
        found["tenant"] = session.tenant
    if session.user is not None:
        found |= {f"user.{name}": claim for name, claim in session.user.claims.items() if "." not in name}
        found["user.id"] = session.user.id
        found["user.groups"] = tuple(sorted(session.user.groups))
    return found


def bound_text(key: bytes, role: str, values: Mapping[str, Claim], until: datetime, backend: str) -> str:
    """Return the value of `bailiwick.session` for a connection.

    `backend` is what `backend_query` returned there, `role` the role that the connection then takes (`none`: its own).
    """
    content = {"role": role, "until": (until + SLACK).timestamp(), "values": _texts(values)}
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return hmac.new(key, f"{backend}\n{body}".encode(), "sha256").hexdigest() + body


def backend_query(home: str) -> str:
    """Return the query that identifies a connection: its process and when that started, as one text."""
    return f"SELECT {_BACKEND.format(home=ident(home))}"


def keys_digest(session: bytes, mask: bytes) -> str:
    """Return a fingerprint by which it is seen whether a database holds these keys; it tells nothing of them."""
    return hashlib.sha256(b"".join((*pads(session), *pads(mask)))).hexdigest()[:16]


def _texts(values: Mapping[str, Claim]) -> dict[str, str | list[str]]:
    found: dict[str, str | list[str]] = {}
    for name, value in values.items():
        items: Iterable[Scalar] = value if isinstance(value, tuple) else (value,)
        texts = [plain(item) for item in items]
        if not any("\0" in text for text in texts):
            found[name] = texts if isinstance(value, tuple) else texts[0]
    return found


_BACKEND = (
    "pg_catalog.concat(pg_catalog.pg_backend_pid(), ' ', (EXTRACT(epoch FROM {home}.started()) * 1000000)::bigint)"
)

STARTED = """
SELECT a.backend_start FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) AS a
"""

SESSION = """
DECLARE
  given text := pg_catalog.current_setting('bailiwick.session', true);
  body text := pg_catalog.substr(given, 65);
  key record;
  found jsonb;
BEGIN
  IF given IS NULL OR pg_catalog.length(given) < 66 THEN
    RETURN NULL;
  END IF;
  SELECT k."inner", k."outer" INTO STRICT key FROM {home}.keys AS k;
  IF pg_catalog.left(given, 64) IS DISTINCT FROM pg_catalog.encode(pg_catalog.sha256(key."outer"
      || pg_catalog.sha256(key."inner" || pg_catalog.convert_to({backend} || E'\\n' || body, 'UTF8'))), 'hex') THEN
    RETURN NULL;
  END IF;
  found := body::jsonb;
  IF (found ->> 'role') IS DISTINCT FROM pg_catalog.current_setting('role')
      OR (pg_catalog.to_timestamp((found ->> 'until')::double precision) > pg_catalog.statement_timestamp()) IS NOT TRUE
  THEN
    RETURN NULL;
  END IF;
  RETURN found -> 'values';
END
"""

VALUE = """
DECLARE
  found jsonb := {home}.session() -> name;
BEGIN
  RETURN CASE pg_catalog.jsonb_typeof(found) WHEN 'string' THEN found #>> '{{}}' END;
END
"""

LIST = """
DECLARE
  found jsonb := {home}.session() -> name;
BEGIN
  RETURN CASE pg_catalog.jsonb_typeof(found)
    WHEN 'string' THEN ARRAY[found #>> '{{}}']
    WHEN 'array' THEN ARRAY(SELECT e FROM pg_catalog.jsonb_array_elements_text(found) AS e)
  END;
END
"""

BOUND = """
BEGIN
  RETURN {home}.session() IS NOT NULL;
END
"""


def function_bodies(home: str) -> dict[str, str]:
    """Return signature → body of the functions, but for `started`."""
    schema = ident(home)
    backend = _BACKEND.format(home=schema)
    return {
        "session()": SESSION.format(home=schema, backend=backend),
        "value(name text)": VALUE.format(home=schema),
        "list(name text)": LIST.format(home=schema),
        "bound()": BOUND.format(home=schema),
    }
