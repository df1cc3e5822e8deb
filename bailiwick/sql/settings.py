"""The settings that agents may set, show and reset. Everything that is not listed is refused.

A policy never rests on a setting, and what the gateway pinned at start-up stays as it is: a value that would change
the meaning of text (`client_encoding`, `standard_conforming_strings`) may only be set to what it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

REASON = "bailiwick.reason"
"""The agent's own claim of its reason; read by the gateway, shown to reviewers as a claim."""

WAIT = "bailiwick.wait"
"""How long the agent's statements wait for people before they are answered; read by the gateway."""

Scope = Literal["SESSION", "LOCAL"]
Check = Callable[[str], bool]

_ON = frozenset({"on", "true", "yes", "1", "t", "y"})
_OFF = frozenset({"off", "false", "no", "0", "f", "n"})
_DATE_WORDS = frozenset(
    {
        "iso",
        "sql",
        "postgres",
        "german",
        "mdy",
        "dmy",
        "ymd",
        "us",
        "european",
        "euro",
        "noneuropean",
        "noneuro",
        "default",
    }
)
_ZONE = re.compile(r"(?!/)[A-Za-z0-9_+\-/:<>,]{1,64}")
_DURATION = re.compile(r"0*([1-9]\d{0,9}) ?(us|ms|s|min|h|d)?")
_MICROSECONDS = {"us": 1, "ms": 1000, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86_400 * 10**6}
_PRINTABLE = re.compile(r"[\x20-\x7e]{0,63}")


def set_allowed(name: str, values: tuple[str, ...], scope: Scope) -> bool:
    """Whether `SET [LOCAL] name TO values`, or `set_config` of it, may run as it is. `search_path` never: see
    `search_path_unchanged`."""
    if name == REASON:
        return len(values) == 1 and "\x00" not in values[0]
    if name == WAIT:
        return seconds(values) is not None
    check = _SETTABLE.get(name.lower())
    if check is None or not values or any("\x00" in value for value in values):
        return False
    if len(values) > 1 and name.lower() != "datestyle":
        return False
    return scope in ("SESSION", "LOCAL") and all(check(value) for value in values)


def reset_allowed(name: str) -> bool:
    """Whether `RESET name` or `SET name TO DEFAULT` may run: it restores what the gateway pinned at start-up."""
    return name in (REASON, WAIT) or name.lower() in RESETTABLE


def show_allowed(name: str) -> bool:
    """Whether `SHOW name` or `current_setting('name')` may run."""
    return name in (REASON, WAIT) or name.lower() in SHOWABLE


def search_path_unchanged(values: Sequence[str], search_path: Sequence[str]) -> bool:
    """Whether `SET search_path TO values` asks for nothing beyond what the session has: names keep their meaning.

    Such a statement must be answered without being run: upstream the path is pinned to `pg_catalog, pg_temp`.
    """
    words = [word.strip().strip('"') for value in values for word in value.split(",")]
    meant = [word for word in words if word not in ("$user", "")]
    if meant[:1] == ["pg_catalog"] or meant[-1:] == ["pg_catalog"]:
        meant.remove("pg_catalog")
    return bool(meant) and len(set(meant)) == len(meant) and set(meant) <= set(search_path)


def milliseconds(values: Sequence[str]) -> int | None:
    """Return what `SET statement_timeout TO values` asks for, rounded up; None unless that is a bound at all
    (the server rounds half a millisecond down to none).

    One above the session's own bound must not be set: what is pinned upstream stays the most.
    """
    found = _DURATION.fullmatch(values[0].strip()) if len(values) == 1 else None
    asked = 0 if found is None else int(found[1]) * _MICROSECONDS[found[2] or "ms"]
    return -(-asked // 1000) if asked >= 1000 else None


def seconds(values: Sequence[str]) -> float | None:
    """Return what `SET bailiwick.wait TO values` asks for: `30s`, `2min`, or milliseconds; None for anything else."""
    if len(values) != 1:
        return None
    found = _DURATION.fullmatch(values[0].strip())
    if found is None:
        return 0.0 if re.fullmatch(r"0+ ?(us|ms|s|min|h|d)?", values[0].strip()) else None
    return int(found[1]) * _MICROSECONDS[found[2] or "ms"] / 1_000_000


def _one_of(*words: str) -> Check:
    known = frozenset(words)
    return lambda value: value.strip().lower() in known


def _boolean(value: str) -> bool:
    return value.strip().lower() in _ON | _OFF


def _on(value: str) -> bool:
    return value.strip().lower() in _ON


def _date_style(value: str) -> bool:
    return all(word.strip().lower() in _DATE_WORDS for word in value.split(","))


def _float_digits(value: str) -> bool:
    return re.fullmatch(r"-?\d{1,2}", value.strip()) is not None and -15 <= int(value) <= 3


_isolation = _one_of("serializable", "repeatable read", "read committed", "read uncommitted")

_SETTABLE: Mapping[str, Check] = {
    "application_name": lambda value: _PRINTABLE.fullmatch(value) is not None,
    "bytea_output": _one_of("hex", "escape"),
    "client_encoding": _one_of("utf8", "utf-8", "unicode"),
    "client_min_messages": _one_of("notice", "warning", "error"),
    "datestyle": _date_style,
    "default_transaction_deferrable": _boolean,
    "default_transaction_isolation": _isolation,
    "default_transaction_read_only": _on,
    "extra_float_digits": _float_digits,
    "intervalstyle": _one_of("postgres", "postgres_verbose", "sql_standard", "iso_8601"),
    "jit": _boolean,
    "standard_conforming_strings": _on,
    "timezone": lambda value: _ZONE.fullmatch(value) is not None,
    "transaction_deferrable": _boolean,
    "transaction_isolation": _isolation,
    "transaction_read_only": _on,
    "xmlbinary": _one_of("base64", "hex"),
}
RESETTABLE: frozenset[str] = frozenset(
    name for name in _SETTABLE if not name.startswith("transaction_") and name != "default_transaction_read_only"
) | {"search_path", "statement_timeout"}
SHOWABLE: frozenset[str] = frozenset(_SETTABLE) | {
    "statement_timeout",
    "default_table_access_method",
    "in_hot_standby",
    "integer_datetimes",
    "lc_collate",
    "lc_ctype",
    "max_identifier_length",
    "max_index_keys",
    "search_path",
    "server_encoding",
    "server_version",
    "server_version_num",
}
"""Lower-case names that `SHOW` and `current_setting` may read. A reader of system limits or versions harms nobody."""
