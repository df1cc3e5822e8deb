"""Where a ledger is: a file of SQLite, or a schema of a PostgreSQL database."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from bailiwick.errors import ConfigError

_SCHEMES = ("postgresql", "postgres")
_LOG = "bailiwick"


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """A log in a PostgreSQL database. As text it says where, and not by which login."""

    url: str = field(repr=False)
    """How to connect."""
    log: str = _LOG
    """The log's name: the schema that it is kept in."""

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}?log={self.log}"


LedgerAddress = Path | PostgresAddress


def written(address: LedgerAddress) -> str:
    """Return an address as `read_address` reads it, the login with it: for a process of the gateway's own."""
    if isinstance(address, PostgresAddress):
        return f"{address.url}{'&' if urlsplit(address.url).query else '?'}log={address.log}"
    return str(address.absolute())


def read_address(text: str, base: Path = Path()) -> LedgerAddress:
    """Return what `postgresql://…` or a path (from `base` on) names. Raises ConfigError."""
    scheme, separator, _ = text.partition("://")
    if not separator:
        return base / text
    if scheme not in _SCHEMES:
        raise ConfigError(f"a ledger cannot be kept in `{scheme}://`", remedy="give a path or `postgresql://…`")
    parts = urlsplit(text)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    log = options.pop("log", _LOG)
    if re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", log) is None or log.startswith("pg_"):
        raise ConfigError(f"`{log[:80]}` cannot name a log", remedy="use small letters, digits and `_`")
    if not parts.path.strip("/"):
        raise ConfigError("the ledger's address names no database", remedy="write `postgresql://HOST/DATABASE`")
    return PostgresAddress(urlunsplit(parts._replace(scheme="postgresql", query=urlencode(options))), log)
