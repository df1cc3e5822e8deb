"""MariaDB. The text is meant for a session as the mount opens it: pinned `sql_mode`, UTC, utf8mb4.

No text of an agent or a policy stands between quotes: what is no name is written as hexadecimal, so that nothing
depends on how the server reads quotes and backslashes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from sqlglot import exp

from bailiwick.errors import PolicyError
from bailiwick.model.mask import Mask
from bailiwick.model.policy import Engine
from bailiwick.model.value import Operand, Ref
from bailiwick.sql.catalogue import Column
from bailiwick.sql.engines import mariadb_masks
from bailiwick.sql.engines.dialect import Parameters
from bailiwick.sql.engines.mariadb_words import hexadecimal, is_number, plain_text, quoted
from bailiwick.sql.engines.predicates import UNKNOWN
from bailiwick.sql.engines.tree import Node
from bailiwick.sql.engines.writing import MariaDBWriting, Writing

_MOMENTS = frozenset({"date", "timestamp without time zone", "timestamp with time zone"})
_ISO = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9:]{8}(\.[0-9]{1,6})?)?(\+00:00)?"
_LARGEST_DIGITS = 38
_GAPS = re.compile(r"(?:[ \t\r\n]|#[^\n]*(?:\n|\Z)|--(?:[ \t\r][^\n]*)?(?:\n|\Z)|/\*(?![!+M])(?:[^*]|\*(?!/))*\*/)*")
"""White space and comments. INVARIANT: none that MariaDB executes (`/*!`, `/*M!`), or that it does not end alike."""

_QUIET = """
length char_length character_length octet_length lower upper lcase ucase substr substring left right trim ltrim rtrim
instr locate coalesce ifnull nullif sign floor ceil ceiling greatest least concat concat_ws reverse replace
year month day dayofmonth dayofweek dayofyear weekday week quarter hour minute second date datediff to_days last_day
dayname monthname dayofyear weekofyear yearweek to_days makedate time_to_sec unix_timestamp
now curdate curtime current_date current_time current_timestamp localtime localtimestamp utc_date utc_time
utc_timestamp isnull bit_and bit_or bit_xor
min max count row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value
last_value nth_value md5 sha1 sha2 hex
"""
_LOUD = """
if date_add date_sub adddate subdate from_unixtime str_to_date from_days period_diff period_add time_format
substring_index field elt find_in_set strcmp ascii mid pi sin cos tan asin acos atan atan2 cot degrees radians crc32
abs round mod sum avg std stddev stddev_pop stddev_samp var_pop var_samp variance pow power sqrt exp ln log log2 log10
group_concat date_format json_extract json_value json_unquote json_length json_valid json_type json_array json_object
json_keys json_contains json_arrayagg json_objectagg truncate json_query json_quote json_depth json_exists
json_contains_path json_search json_set json_insert json_replace json_remove json_merge_patch json_merge_preserve
json_compact rand median format regexp_substr regexp_instr regexp_replace
"""
"""They can fail because of a value, or make large ones."""


class MariaDB:
    """MariaDB 10.6 and later."""

    engine: Engine = "mariadb"
    grammar = "mariadb"
    functions: Mapping[str, bool] = {name: name in _LOUD.split() for name in (_QUIET + _LOUD).split()}
    casts = frozenset({"BIGINT", "UBIGINT", "CHAR", "TEXT", "VARCHAR", "DECIMAL", "DATE", "DATETIME", "DOUBLE"})
    fence = "LIMIT 18446744073709551615"
    """INVARIANT: MariaDB neither merges what has a LIMIT nor pushes conditions below it."""
    rows: tuple[str, ...] = ()
    loud = frozenset({"Add", "Sub", "Mul", "Div", "Mod", "Neg", "Cast", "Select", "IntDiv", "Interval", "Extract"}) | {
        "GroupConcat",
        "RegexpLike",
        "TimestampDiff",
    }
    """Numbers overflow, and a sub-query fails that has more rows than one."""
    always_loud = False
    collations: frozenset[str] = frozenset()
    joins = frozenset({"NATURAL"})
    holds: Mapping[type[Node], frozenset[str]] = {
        exp.Interval: frozenset({"this", "unit"}),
        exp.Extract: frozenset({"this", "expression"}),
        exp.IntDiv: frozenset({"this", "expression"}),
        exp.BitwiseXor: frozenset({"this", "expression"}),
        exp.TimestampDiff: frozenset({"this", "expression", "unit"}),
        exp.Any: frozenset({"this"}),
        exp.Xor: frozenset({"this", "expression"}),
        exp.RegexpLike: frozenset({"this", "expression"}),
        exp.GroupConcat: frozenset({"this", "separator"}),
        exp.Group: frozenset({"rollup"}),
        exp.Rollup: frozenset(),
    }
    gaps: re.Pattern[str] | None = _GAPS
    by_key = True
    catalogs = False
    recursive = True
    writing: Writing | None = MariaDBWriting()
    clock: Mapping[str, tuple[str, ...]] = {
        **{each: (each,) for each in ("current_date", "current_time", "current_timestamp", "localtime")},
        **{each: (each,) for each in ("localtimestamp", "utc_date", "utc_time", "utc_timestamp")},
    }
    clock_is_reserved = True
    values: tuple[str, int] = ("", 0)
    arrows: Mapping[type[Node], str] = {}
    aliases: frozenset[str] = frozenset()
    lacks: frozenset[str] = frozenset()

    def ident(self, name: str) -> str:
        """Return a name as a quoted identifier."""
        if not name or "\x00" in name:
            raise PolicyError(f"`{name!r}` cannot be an identifier")
        return quoted(name)

    def place(self, schema: str, name: str) -> str:
        """Return the full name of a relation."""
        return f"{self.ident(schema)}.{self.ident(name)}"

    def parameter(self, number: int) -> str:
        """Return the place of a parameter. The mount puts them in order: MariaDB's have no numbers."""
        return f"?{number}"

    def returned(self, check: str) -> str:
        """Return a condition as it may stand in a RETURNING clause."""
        return check

    def own_functions(self) -> frozenset[str]:
        """Return no functions: MariaDB has no second layer that asks for them."""
        return frozenset()

    def compare(
        self, reference: str, sign: str, operand: Operand, column: Column, parameters: Parameters, *, exact: bool
    ) -> str:
        """Compare. Texts are the same when each character is, whatever the column's collation thinks of them."""
        value = self.value(operand, column, parameters)
        if value is None or (column.type in ("text", "boolean") and sign != "="):
            return UNKNOWN
        inner = f"{reference} {sign} {value}"
        if column.type == "text":
            same = f"{plain_text(reference)} = {value}"
            return f"({same})" if exact else f"({inner} AND {same})"  # the first half may use an index
        right = _is_of(column.type, reference)
        if not right:
            return f"({inner})"
        return f"CASE WHEN {right} THEN {inner} END" if exact else f"({inner} AND {right})"

    def one_of_list(self, reference: str, operand: Operand, column: Column, parameters: Parameters) -> str:
        """Compare with each value of a list, which is bound as JSON."""
        number = is_number(column.type)
        if not isinstance(operand, Ref) or not (number or column.type == "text"):
            return UNKNOWN
        given = self.parameter(parameters.number(operand, "decimal[]" if number else "text[]"))
        kind = "DECIMAL(38,18)" if number else "LONGTEXT"
        rows = f"JSON_TABLE({given}, '$[*]' COLUMNS (`v` {kind} PATH '$' NULL ON EMPTY NULL ON ERROR)) AS `j`"
        name = reference if number else plain_text(reference)
        item = "`j`.`v`" if number else plain_text("`j`.`v`")
        found = f"{name} IN (SELECT {item} FROM {rows})"  # noqa: S608  # composed of quoted names
        return f"CASE WHEN {given} IS NOT NULL THEN {found} END"  # a list that is missing is not an empty one

    def within(self, reference: str, span: timedelta, column: Column, parameters: Parameters) -> str:
        """Return whether a moment lies in the last so long."""
        if column.type not in _MOMENTS:
            return UNKNOWN
        now = f"CAST({self.parameter(parameters.number('now', 'timestamp without time zone'))} AS DATETIME(6))"
        inner = f"{reference} BETWEEN {now} - INTERVAL {int(span.total_seconds())} SECOND AND {now}"
        return f"CASE WHEN {_is_of(column.type, reference)} THEN {inner} END"

    def prefix(self, reference: str, operand: Operand, column: Column, parameters: Parameters) -> str:
        """Return whether a text starts so."""
        value = self.value(operand, column, parameters) if column.type == "text" else None
        if value is None:
            return UNKNOWN
        return f"(LEFT({plain_text(reference)}, CHAR_LENGTH({value})) COLLATE utf8mb4_nopad_bin = {value})"

    def glob(self, reference: str, pattern: str, column: Column) -> str:
        """Return whether the whole text matches."""
        if column.type != "text":
            return UNKNOWN
        shapes = {"*": "%", "?": "_", "%": "|%", "_": "|_", "|": "||"}
        shape = "".join(shapes.get(one, one) for one in pattern)
        return f"({plain_text(reference)} LIKE {hexadecimal(shape)} ESCAPE {hexadecimal('|')})"

    def value(self, operand: Operand, column: Column, parameters: Parameters) -> str | None:
        """Return an operand as a value of the column."""
        kind = column.type
        if isinstance(operand, Ref):
            return self._bound(operand, kind, parameters)
        if isinstance(operand, bool):
            return str(int(operand)) if kind == "boolean" else None
        if isinstance(operand, int | Decimal):
            return _number(operand, kind) if is_number(kind) else None
        if kind in _MOMENTS:
            return _moment(operand)
        return hexadecimal(operand.isoformat() if isinstance(operand, date) else operand) if kind == "text" else None

    def _bound(self, operand: Ref, kind: str, parameters: Parameters) -> str | None:
        if is_number(kind):
            place = self.parameter(parameters.number(operand, "decimal"))
            return f"CAST({place} AS {'FLOAT' if kind == 'real' else 'DECIMAL(38,18)'})"
        if kind in _MOMENTS:
            place = self.parameter(parameters.number(operand, "timestamp without time zone"))
            shaped = f"{place} REGEXP {hexadecimal(f'^{_ISO}' + chr(92) + 'z')}"
            return f"CASE WHEN {shaped} THEN CAST(SUBSTRING_INDEX({place}, '+', 1) AS DATETIME(6)) END"
        return self.parameter(parameters.number(operand, kind)) if kind in ("text", "boolean") else None

    def masked(self, mask: Mask, reference: str, column: Column, parameters: Parameters) -> tuple[str, str]:
        """Return how a column is shown under a mask."""
        kind = column.type
        match mask.name:
            case "full":
                return ("'***'", "text") if kind == "text" else ("NULL", kind)
            case "partial":
                return mariadb_masks.partial(reference, kind), "text"
            case "last4":
                return mariadb_masks.last4(reference, kind), "text"
            case "hash":
                inner, outer = (self.parameter(parameters.number(f"mask.{one}", "bytea")) for one in ("inner", "outer"))  # pyright: ignore[reportArgumentType]  # the two names of Source
                return mariadb_masks.hashed(reference, kind, inner, outer), "text"
            case "year" if kind in _MOMENTS:
                return mariadb_masks.year(reference, kind), kind
            case "round" if is_number(kind):
                return mariadb_masks.rounded(reference, Decimal(mask.arg or "1"), kind), kind
            case _:
                return "NULL", kind


def _is_of(kind: str, reference: str) -> str:
    """Whether a value is one of its column's type; empty where each is. A date of zeros is no moment."""
    if kind == "boolean":
        return f"{reference} IN (0, 1)"
    return f"YEAR({reference}) > 0" if kind in _MOMENTS else ""


def _number(value: int | Decimal, kind: str) -> str | None:
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    if not value.is_finite() if isinstance(value, Decimal) else False:
        return None
    if sum(one.isdigit() for one in text) > _LARGEST_DIGITS:
        return None
    return f"CAST({text} AS FLOAT)" if kind == "real" else text


def _moment(operand: str | date) -> str | None:
    try:
        found = datetime.fromisoformat(operand) if isinstance(operand, str) else operand
    except ValueError:
        return None
    if isinstance(found, datetime):
        found = found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo is not None else found
        return f"CAST('{found.isoformat(sep=' ')}' AS DATETIME(6))"
    return f"CAST('{found.isoformat()}' AS DATE)"
