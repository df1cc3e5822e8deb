"""PostgreSQL's csvlog, with statements that the server itself logged (`log_statement`, `log_min_duration_statement`)
or pgaudit did. Statements are read by PostgreSQL's own grammar and resolved against what was accepted."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from bailiwick.decide.seen import seen_type, typed
from bailiwick.errors import PolicyError
from bailiwick.gateway.observing import Values, elements_of, table_uses
from bailiwick.learn.importing.imported import Counted, Ground, Reader, moment
from bailiwick.model.observation import Observation, TableUse
from bailiwick.sql.parser import normalized
from bailiwick.sql.usage import Known
from bailiwick.sql.usage_walk import used_in

_COLUMNS = 23
"""Columns that every version since PostgreSQL 9 has."""
_STATEMENT = re.compile(
    r"(?:duration: (?P<time>[0-9.]+) ms  )?(?P<how>statement|execute [^:]*): (?P<sql>.*)", re.DOTALL
)
_HALF = re.compile(r"duration: [0-9.]+ ms  (?:parse|bind) |duration: [0-9.]+ ms$")
_PARAMETERS = re.compile(r"\$(\d+) = (NULL|'(?:[^']|'')*')")
_SILENT = "not a statement"


@dataclass(frozen=True, slots=True)
class _Asked:
    """One statement of a log."""

    sql: str
    values: Mapping[int, str | None]
    milliseconds: float | None = None
    audit: str = ""
    """The ids by which pgaudit tells statements apart: it has a line for each relation."""


def reader_of(mount: str, ground: Ground) -> Reader:
    """Return what reads logs of the database of a mount. Raises PolicyError where there is none."""
    known = [name for name, each in ground.policy.mounts.items() if each.kind == "postgres"]
    name = mount or (known[0] if len(known) == 1 else "")
    if name not in known:
        said = f"there is no mount `{mount}` of kind postgres" if mount else "the policy has not exactly one database"
        raise PolicyError(said, remedy="name it: `--mount NAME`, one of " + ", ".join(known))
    tables = ground.tables(name)
    return lambda lines, file, around, counted: _read(lines, file, around, counted, name, tables)


def _read(
    lines: Iterator[str],
    file: str,
    ground: Ground,
    counted: Counted,
    mount: str,
    tables: Mapping[tuple[str, str], Known],
) -> Iterator[Observation]:
    last: dict[str, _Asked] = {}
    for number, row in enumerate(csv.reader(lines), 1):
        counted.lines += 1
        where = f"{file}:{number}"
        at = moment(row[0]) if len(row) >= _COLUMNS else None
        if at is None:
            counted.leave_out("not a line of csvlog", where)
            continue
        user, session, severity, state, message, detail = row[1], row[5], row[11], row[12], row[13], row[14]
        asked = _asked(message, detail)
        failed = severity in ("ERROR", "FATAL")
        if asked is None or failed:
            counted.leave_out("a statement that failed" if failed else _SILENT, where)
            continue
        before, last[session] = last.get(session), asked
        if before is not None and _is_again(before, asked):
            counted.leave_out("the same statement again", where)
            continue
        found = _observed(asked, ground, tables, session)
        if found is None:
            counted.leave_out("SQL that cannot be understood", where)
            continue
        tables_used, statement = found
        if not tables_used:
            counted.leave_out("a statement without tables", where)
            continue
        counted.observations += 1
        yield Observation(
            ground.agent(user),
            session,
            at,
            user="",
            mount=mount,
            record=where,
            tables=tables_used,
            statement=statement,
            duration_us=None if asked.milliseconds is None else int(asked.milliseconds * 1000),
            code="" if state in ("00000", "") else state,
        )


def _is_again(before: _Asked, asked: _Asked) -> bool:
    """Return whether a line tells of the statement before it: pgaudit's next line, or the server's own beside it."""
    if bool(before.audit) != bool(asked.audit):
        return before.sql == asked.sql
    return bool(asked.audit) and (before.audit, before.sql) == (asked.audit, asked.sql)


def _asked(message: str, detail: str) -> _Asked | None:
    """Return the statement that a line is about; None: about none, or about half of one."""
    if message.startswith("AUDIT: "):
        return _audited(message.removeprefix("AUDIT: "))
    if _HALF.match(message):
        return None
    match = _STATEMENT.fullmatch(message)
    if match is None:
        return None
    values = _parameters(detail)
    return _Asked(match["sql"], values, float(match["time"]) if match["time"] else None)


def _parameters(detail: str) -> dict[int, str | None]:
    _, _, told = detail.partition("arameters: ")
    return {
        int(number): None if text == "NULL" else text[1:-1].replace("''", "'")
        for number, text in _PARAMETERS.findall(told)
    }


def _audited(text: str) -> _Asked | None:
    """Return the statement of a line of pgaudit: type, ids, class, command, object, statement, parameters."""
    row = next(csv.reader([text]), list[str]())
    if len(row) < 8 or row[7] in ("", "<previously logged>", "<not logged>"):
        return None
    given = row[8] if len(row) > 8 else ""
    values: dict[int, str | None] = {}
    if given not in ("", "<none>", "<not logged>", "<previously logged>"):
        values = dict(enumerate(next(csv.reader([given]), list[str]()), 1))
    return _Asked(row[7], values, audit=",".join(row[1:3]))


def _observed(
    asked: _Asked, ground: Ground, tables: Mapping[tuple[str, str], Known], session: str
) -> tuple[tuple[TableUse, ...], str] | None:
    """Return what a statement used, and itself without its literals; None where it cannot be understood."""
    found = used_in(asked.sql, tables)
    if found is None:
        return None
    values: Values = {number: _reader(text) for number, text in asked.values.items()}
    observer = ground.observer(session)
    uses = tuple(use for each in found for use in table_uses(each.tables, values, ground.clear, observer))
    return uses, normalized(asked.sql)


def _reader(text: str | None) -> Callable[[str], object]:
    def read(column: str) -> object:
        if text is None:
            return None
        if column.endswith("[]"):
            return elements_of(text, column.removesuffix("[]"))
        return typed(text, seen_type(column)) if column else text

    return read
