"""Opens sessions on a MariaDB server, and reads what it has. Types are told in PostgreSQL's words.

The socket is our own, so that a session can be cut from another thread.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs, unquote, urlsplit

from bailiwick.errors import BackendError, ConfigError
from bailiwick.model.lock import LockedColumn, LockedTable
from bailiwick.model.policy import Resource
from bailiwick.model.value import Scalar
from bailiwick.sql.catalogue import Column, Relation
from bailiwick.sql.engines.mariadb_words import plain_text, prepared, quoted

if TYPE_CHECKING:
    from pymysql.connections import Connection

_seconds = 30
_loopback = ("localhost", "127.0.0.1", "::1")
_tls = ("verify", "off")
MODE = "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE,NO_ENGINE_SUBSTITUTION"
"""`sql_mode` of every session: the backslash escapes, `"` is a quote of texts, and nothing is cut to fit."""
_GLOBAL = re.compile(r"GRANT (?P<what>.*) ON \*\.\* TO ", re.IGNORECASE)
_SYSTEM = ("mysql", "information_schema", "performance_schema", "sys")
_TYPES: Mapping[str, str] = {
    "tinyint": "smallint",
    "smallint": "smallint",
    "year": "smallint",
    "mediumint": "integer",
    "int": "integer",
    "bigint": "bigint",
    "float": "real",
    "double": "double precision",
    "date": "date",
    "datetime": "timestamp without time zone",
    "timestamp": "timestamp with time zone",
    "time": "time without time zone",
    "uuid": "uuid",
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set", "json"), "text"),
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"), "bytea"),
}
_WIDER: Mapping[str, str] = {"smallint": "integer", "integer": "bigint", "bigint": "numeric(20,0)"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is, and as whom it is asked."""

    host: str
    port: int
    path: str
    """Of a Unix socket; empty: `host` and `port`."""
    user: str
    password: str = field(repr=False)
    tls: bool = True


def place_of(url: str) -> Place:
    """Return what a url says. Raises ConfigError, which never quotes it."""
    parts = urlsplit(url)
    given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    host, tls = parts.hostname or "", given.get("tls")
    try:
        port = parts.port or 3306
    except ValueError:
        port = 0
    if {*given} - {"socket", "tls"} or tls not in (None, *_tls) or not (host or given.get("socket")) or not port:
        raise ConfigError(
            "the url of the MariaDB server is not right", remedy="write mariadb://user:password@host:3306"
        )
    near = host in _loopback or bool(given.get("socket"))
    verified = tls == "verify" or (tls is None and not near)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Place(host, port, given.get("socket", ""), user, password, verified)


@contextlib.contextmanager
def opened(url: str, seconds: float, cut: list[socket.socket] | None = None) -> Generator[Connection]:
    """A session with pinned settings, and no database of its own. `cut` gets its socket: to shut it down ends all.

    Raises BackendError when there is none; its message names neither the server nor what it said.
    """
    try:
        import pymysql
        from pymysql.constants import CLIENT
    except ImportError:
        message = "the driver for MariaDB is not installed"
        raise ConfigError(message, remedy="pip install 'bailiwick[mariadb]'") from None
    place = place_of(url)
    try:
        plug = _connected(place, min(seconds, _seconds))
    except OSError as error:
        raise _unreachable(error) from None
    if cut is not None:
        cut.append(plug)
    connection: Connection | None = None
    try:
        connection = pymysql.Connection(
            host=place.host or "localhost",
            user=place.user,
            password=place.password,
            charset="utf8mb4",
            collation="utf8mb4_general_ci",
            client_flag=CLIENT.FOUND_ROWS,
            local_infile=False,
            autocommit=False,
            read_timeout=max(seconds + _seconds, 1),
            write_timeout=max(seconds + _seconds, 1),
            ssl=ssl.create_default_context() if place.tls else None,
            defer_connect=True,
        )
        connection.connect(plug)
        with connection.cursor() as cursor:
            cursor.execute(f"SET SESSION {_settings(seconds)}")
        yield connection
    except (pymysql.MySQLError, OSError) as error:
        raise _unreachable(error) from None
    finally:
        plug.close()  # what is not committed is rolled back
        if connection is not None:
            with contextlib.suppress(pymysql.MySQLError, OSError):  # its socket is shut already
                connection.close()


def _settings(seconds: float) -> str:
    limit = max(seconds, 0.01)
    wait = max(int(min(seconds, 5)), 1)
    settings: Mapping[str, str] = {
        "sql_mode": f"'{MODE}'",
        "time_zone": "'+00:00'",
        "max_statement_time": f"{limit:.3f}",
        "lock_wait_timeout": str(wait),
        "innodb_lock_wait_timeout": str(wait),
        "group_concat_max_len": "1048576",
        "sql_auto_is_null": "0",
        "foreign_key_checks": "1",
        "unique_checks": "1",
        "sql_select_limit": "18446744073709551615",
    }
    return ", ".join(f"{name} = {value}" for name, value in settings.items())


def _connected(place: Place, seconds: float) -> socket.socket:
    if place.path:
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            found.settimeout(seconds)
            found.connect(place.path)
        except OSError:
            found.close()
            raise
        return found
    found = socket.create_connection((place.host, place.port), timeout=seconds)
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return found


def _unreachable(error: Exception) -> BackendError:
    number = error.args[0] if error.args and isinstance(error.args[0], int) else ""
    return BackendError(
        f"the MariaDB server cannot be asked: {type(error).__name__} {number}".rstrip(),
        remedy="check the mount's `url`, and that the server is there",
    )


def asked(url: str, sql: str) -> list[tuple[object, ...]]:
    """Return the rows of a question of the gateway's own. Raises BackendError."""
    with opened(url, _seconds) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return [tuple(cast("tuple[object, ...]", row)) for row in cursor.fetchall()]


def read_tables(url: str, wanted: Collection[tuple[str, str]] | None) -> Mapping[tuple[str, str], LockedTable]:
    """Read the tables and views with their columns; None means all. Raises BackendError."""
    refuse_powerful(url)
    tables = asked(url, "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES")
    kinds = {
        (str(schema), str(name)): "v" if kind == "VIEW" else "r"
        for schema, name, kind in tables
        if kind in ("BASE TABLE", "VIEW") and str(schema) not in _SYSTEM
    }
    columns: dict[tuple[str, str], list[LockedColumn]] = {}
    keys: dict[tuple[str, str], list[str]] = {}
    for schema, table, name, kind, full, empty, key in asked(url, _COLUMNS):
        place = (str(schema), str(table))
        found = LockedColumn(str(name), type_of(str(kind), str(full)), nullable=empty == "YES")
        columns.setdefault(place, []).append(found)
        if key == "PRI":
            keys.setdefault(place, []).append(str(name))
    return {
        place: LockedTable(*place, kind, tuple(columns.get(place, ())), tuple(keys.get(place, ())))
        for place, kind in sorted(kinds.items())
        if wanted is None or place in wanted
    }


_COLUMNS = """
SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, COLUMN_KEY
FROM information_schema.COLUMNS ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION
"""


def read_relations(url: str, locked: Mapping[tuple[str, str], LockedTable]) -> Mapping[tuple[str, str], Relation]:
    """Read the accepted tables as they are now. Raises BackendError."""
    return {place: _relation(table) for place, table in read_tables(url, locked).items()}


def _relation(table: LockedTable) -> Relation:
    columns = tuple(Column(each.name, place + 1, each.type) for place, each in enumerate(table.columns))
    return Relation(table.schema, table.name, 0, table.kind, columns, table.key)


def refuse_powerful(url: str) -> None:
    """Raise BackendError when the account could do more than read and write tables of databases that were named."""
    for (line,) in asked(url, "SHOW GRANTS"):
        found = _GLOBAL.match(str(line))
        if found is not None and found["what"].upper() != "USAGE":
            raise BackendError(
                "the account on the MariaDB server has privileges on everything (`ON *.*`)",
                remedy="give the mount an account with SELECT, INSERT, UPDATE and DELETE on the mapped tables alone",
            )


def type_of(kind: str, full: str) -> str:
    """Return a type in PostgreSQL's words; `any` where it has none."""
    if full.startswith("tinyint(1)"):
        return "boolean"
    if kind == "decimal":
        return f"numeric{full.removeprefix('decimal').split(' ')[0]}"
    found = _TYPES.get(kind, "any")
    return _WIDER.get(found, found) if "unsigned" in full and kind != "year" else found


def look_up(url: str, resource: Resource, column: str, by_column: str, value: Scalar, tenant: Scalar | None) -> object:
    """Return `column` of the one row whose `by_column` is `value`; None when there is none, or several."""
    query = f"SELECT DISTINCT {quoted(column)} FROM {quoted(resource.schema)}.{quoted(resource.table)} WHERE "  # noqa: S608  # quoted names
    conditions = [_same(by_column, value, 1)]
    values = [value]
    if resource.tenant is not None and tenant is not None:
        conditions.append(_same(resource.tenant, tenant, 2))
        values.append(tenant)
    rows = asked(url, prepared(query + " AND ".join(conditions) + " LIMIT 2", values))
    return rows[0][0] if len(rows) == 1 else None


def _same(column: str, value: Scalar, place: int) -> str:
    name = quoted(column)
    return f"{plain_text(name) if isinstance(value, str) else name} = ?{place}"
