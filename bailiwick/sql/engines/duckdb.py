"""DuckDB. Nearly everything in it can fail because of a value, so that relations with hidden rows are always fenced.

The text below is meant for an instance as the mount opens it: UTC, no collation, all names as in `duckdb_names`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from sqlglot import exp

from bailiwick.model.mask import Mask
from bailiwick.model.policy import Engine
from bailiwick.model.value import Operand, Ref
from bailiwick.sql.catalogue import Column
from bailiwick.sql.engines import duckdb_masks
from bailiwick.sql.engines.dialect import Parameters
from bailiwick.sql.engines.duckdb_names import QUOTED_OR_PARAMETER, full
from bailiwick.sql.engines.grammar import CONFLICTS
from bailiwick.sql.engines.predicates import UNKNOWN
from bailiwick.sql.engines.tree import Node
from bailiwick.sql.engines.writing import DuckDBWriting, Writing
from bailiwick.sql.quote import ident, text

_INTEGERS = frozenset({"smallint", "integer", "bigint"})
_MOMENTS = frozenset({"date", "timestamp without time zone", "timestamp with time zone"})
_LARGEST = 10**20
_DECIMALS = 18

_FUNCTIONS = """
length len strlen char_length character_length lower upper lcase ucase substr substring left right trim ltrim rtrim
instr strpos position contains starts_with ends_with prefix suffix replace translate reverse concat concat_ws
split_part ascii unicode ord chr regexp_matches regexp_full_match regexp_extract regexp_replace levenshtein
damerau_levenshtein jaccard jaro_similarity jaro_winkler_similarity hamming md5 sha1 sha256 hash strip_accents
coalesce ifnull nullif if iff greatest least typeof grouping random uuid gen_random_uuid
json_extract json_extract_string json_value json_valid json_type json_array_length json_exists json_contains
json_extract_path json_extract_path_text json_keys json_structure json_array json_object json_quote json_merge_patch
to_json
today now current_date get_current_time current_localtime current_localtimestamp transaction_timestamp
abs sign round round_even trunc ceil ceiling floor sqrt cbrt exp ln log log10 log2 pow power mod fmod divide gcd lcm
sin cos tan asin acos atan atan2 cot degrees radians pi isnan isinf isfinite even factorial bit_count xor
date_trunc datetrunc date_part datepart date_diff datediff date_sub datesub date_add make_date make_timestamp make_time
year month day hour minute second quarter week weekofyear dayofweek dayofmonth dayofyear isodow isoyear yearweek
weekday dayname monthname last_day epoch epoch_ms strftime strptime try_strptime to_timestamp time_bucket age
to_days to_hours to_minutes to_seconds to_months to_years to_weeks
count min max sum avg mean any_value arbitrary first last median mode quantile quantile_cont quantile_disc
approx_count_distinct approx_quantile count_if countif fsum favg product bool_and bool_or bit_and bit_or bit_xor
stddev stddev_pop stddev_samp var_pop var_samp variance corr covar_pop covar_samp skewness kurtosis entropy mad
list array_agg array_length array_contains array_position list_contains list_has list_has_any list_has_all
list_position list_distinct list_unique list_concat list_sort list_reverse_sort list_sum list_avg list_min list_max
list_count list_first list_last list_slice list_extract array_extract array_slice flatten string_split split
str_split string_to_array array_to_string histogram
regr_slope regr_intercept regr_r2 regr_count regr_avgx regr_avgy regr_sxx regr_syy regr_sxy
arg_max arg_min max_by min_by string_agg group_concat listagg
row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
"""
"""Functions over values, none of which reads anything else, keeps anything, or makes much of little."""
_CASTS_WORDS = """
BOOLEAN TINYINT SMALLINT INT BIGINT INT128 UTINYINT USMALLINT UINT UBIGINT FLOAT DOUBLE DECIMAL TEXT VARCHAR
DATE TIME TIMESTAMP TIMESTAMPNTZ TIMESTAMPTZ UUID JSON
"""
_USED = frozenset(
    {"isnan", "starts_with", "regexp_full_match", "coalesce", "timezone", "list_contains", "list_aggregate", "len"}
)


class DuckDB:
    """DuckDB 2.0."""

    engine: Engine = "duckdb"
    grammar = "duckdb"
    functions: Mapping[str, bool] = dict.fromkeys(_FUNCTIONS.split(), True)
    casts: frozenset[str] = frozenset(_CASTS_WORDS.split())
    fence = "OFFSET 0"
    """INVARIANT: DuckDB pushes no condition below it and does not leave it out, as it does with the largest LIMIT."""
    rows: tuple[str, ...] = ("rowid",)
    loud: frozenset[str] = frozenset()
    always_loud = True
    collations = frozenset({"NOCASE", "NOACCENT"})
    joins = frozenset({"NATURAL", "ASOF", "POSITIONAL"})
    gaps: re.Pattern[str] | None = None
    by_key = False
    catalogs = False
    recursive = True
    writing: Writing | None = DuckDBWriting()
    clock: Mapping[str, tuple[str, ...]] = {
        "current_date": ("today",),
        "current_time": ("get_current_time",),
        "current_timestamp": ("now",),
        "localtime": ("current_localtime",),
        "localtimestamp": ("current_localtimestamp",),
    }
    clock_is_reserved = False
    values: tuple[str, int] = ("col", 0)
    arrows: Mapping[type[Node], str] = {
        exp.Pow: "pow",
        exp.JSONExtract: "json_extract",
        exp.JSONExtractScalar: "json_extract_string",
    }
    aliases = frozenset({"where", "select", "order"})
    lacks: frozenset[str] = frozenset()
    holds: Mapping[type[Node], frozenset[str]] = {
        **CONFLICTS,
        exp.Delete: frozenset({"using"}),
        exp.Qualify: frozenset({"this"}),
        exp.TryCast: frozenset({"this", "to", "safe"}),
        exp.Interval: frozenset({"this", "unit"}),
        exp.Extract: frozenset({"this", "expression"}),
        exp.IntDiv: frozenset({"this", "expression"}),
        exp.Select: frozenset({"qualify"}),
        exp.Star: frozenset({"except_", "replace"}),
        exp.Distinct: frozenset({"on"}),
        exp.SimilarTo: frozenset({"this", "expression"}),
        exp.Any: frozenset({"this"}),
        exp.Array: frozenset({"expressions"}),
        exp.Bracket: frozenset({"this", "expressions"}),
        exp.Slice: frozenset({"this", "expression"}),
        exp.Struct: frozenset({"expressions"}),
        exp.PropertyEQ: frozenset({"this", "expression"}),
        exp.JSONExtract: frozenset({"this", "expression"}),
        exp.JSONExtractScalar: frozenset({"this", "expression"}),
        exp.Group: frozenset({"all", "rollup", "cube", "grouping_sets"}),
        exp.Rollup: frozenset({"expressions"}),
        exp.Cube: frozenset({"expressions"}),
        exp.GroupingSets: frozenset({"expressions"}),
        exp.Pow: frozenset({"this", "expression"}),
    }

    def ident(self, name: str) -> str:
        """Return a name as a quoted identifier."""
        return ident(name)

    def place(self, schema: str, name: str) -> str:
        """Return the full name of a relation."""
        return ".".join(ident(each) for each in full(schema, name))

    def parameter(self, number: int) -> str:
        """Return the place of a parameter."""
        return f"${number}"

    def returned(self, check: str) -> str:
        """Return a condition for a RETURNING clause, in which DuckDB takes no parameters: as variables, bound too."""
        return QUOTED_OR_PARAMETER.sub(lambda found: f"getvariable('bw_{found[1]}')" if found[1] else found[0], check)

    def own_functions(self) -> frozenset[str]:
        """Return the functions that the text of this class itself may call."""
        return (
            frozenset(
                {
                    "isnan",
                    "starts_with",
                    "regexp_full_match",
                    "coalesce",
                    "timezone",
                    "list_contains",
                    "list_aggregate",
                    "len",
                }
            )
            | duckdb_masks.USED
        )

    def compare(
        self, reference: str, sign: str, operand: Operand, column: Column, parameters: Parameters, *, exact: bool
    ) -> str:
        """Compare; what is no number of its type (NaN) is unknown."""
        value = self.value(operand, column, parameters)
        if value is None:
            return UNKNOWN
        inner = f"{_plain(reference, column.type)} {sign} {value}"
        if column.type not in ("real", "double precision"):
            return f"({inner})"
        return (
            f"CASE WHEN NOT isnan({reference}) THEN {inner} END" if exact else f"({inner} AND NOT isnan({reference}))"
        )

    def one_of_list(self, reference: str, operand: Operand, column: Column, parameters: Parameters) -> str:
        """Compare with each value of a list, which is bound as a list."""
        if not isinstance(operand, Ref) or not (_is_number(column.type) or column.type == "text"):
            return UNKNOWN
        kind, cast = _bound_as(column.type)
        given = self.parameter(parameters.number(operand, f"{kind}[]"))
        name = _plain(reference, column.type)
        if column.type in ("real", "double precision"):
            name = f"CASE WHEN NOT isnan({reference}) THEN TRY_CAST({reference} AS {cast}) END"
        elif _is_number(column.type):
            name = f"TRY_CAST({reference} AS {cast})"
        values = f"CAST({given} AS {cast}[])"
        # A list that is missing is not an empty one; and what is NULL in it may be the value.
        return (
            f"CASE WHEN {name} IS NULL THEN NULL WHEN list_contains({values}, {name}) THEN TRUE"
            f" WHEN len({values}) = list_aggregate({values}, 'count') THEN FALSE END"
        )

    def within(self, reference: str, span: timedelta, column: Column, parameters: Parameters) -> str:
        """Return whether a moment lies in the last so long."""
        if column.type not in _MOMENTS:
            return UNKNOWN
        now = _utc(self.parameter(parameters.number("now", "timestamp with time zone")), column.type)
        seconds = int(span.total_seconds())
        return f"({reference} BETWEEN {now} - INTERVAL '{seconds}' SECOND AND {now})"

    def prefix(self, reference: str, operand: Operand, column: Column, parameters: Parameters) -> str:
        """Return whether a text starts so."""
        value = self.value(operand, column, parameters) if column.type == "text" else None
        return UNKNOWN if value is None else f"starts_with({_plain(reference, 'text')}, {value})"

    def glob(self, reference: str, pattern: str, column: Column) -> str:
        """Return whether the whole text matches."""
        if column.type != "text":
            return UNKNOWN
        known = {"*": ".*", "?": "."}
        regex = "".join(
            known.get(one) or (one if one.isalnum() or one in " _" else f"\\x{{{ord(one):x}}}") for one in pattern
        )
        return f"regexp_full_match({reference}, {text(regex)}, 's')"

    def value(self, operand: Operand, column: Column, parameters: Parameters) -> str | None:
        """Return an operand as a value of the column."""
        kind = column.type
        if not (_is_number(kind) or kind in _MOMENTS or kind in ("text", "boolean", "uuid")):
            return None
        if isinstance(operand, Ref):
            if kind in _MOMENTS:
                return _utc(self.parameter(parameters.number(operand, "timestamp with time zone")), kind)
            bound, cast = _bound_as(kind)
            return f"TRY_CAST({self.parameter(parameters.number(operand, bound))} AS {cast})"
        if isinstance(operand, bool):
            return str(operand).upper() if kind == "boolean" else None
        if isinstance(operand, int | Decimal):
            return _number(operand) if _is_number(kind) else None
        if kind in _MOMENTS:
            return _moment(operand, kind)
        if kind == "uuid":
            return f"TRY_CAST({text(str(operand))} AS UUID)"
        return text(operand.isoformat() if isinstance(operand, date) else operand) if kind == "text" else None

    def masked(self, mask: Mask, reference: str, column: Column, parameters: Parameters) -> tuple[str, str]:
        """Return how a column is shown under a mask."""
        kind = column.type
        match mask.name:
            case "full":
                return ("'***'", "text") if kind == "text" else (f"CAST(NULL AS {duckdb_masks.type_of(kind)})", kind)
            case "partial" | "last4":
                return duckdb_masks.partly(mask.name, reference, kind), "text"
            case "hash":
                return duckdb_masks.hashed(reference, kind, parameters, "${}"), "text"
            case "year" if kind in _MOMENTS:
                return f"CAST(date_trunc('year', {reference}) AS {duckdb_masks.type_of(kind)})", kind
            case "round" if _is_number(kind):
                return duckdb_masks.rounded(reference, Decimal(mask.arg or "1"), kind), kind
            case _:
                return f"CAST(NULL AS {duckdb_masks.type_of(kind)})", kind


def _is_number(kind: str) -> bool:
    return kind in _INTEGERS or kind in ("real", "double precision") or kind.partition("(")[0] == "numeric"


def _bound_as(kind: str) -> tuple[str, str]:
    """Return as what a session value is bound to be compared with such a column, and the type that it is given."""
    if kind in _INTEGERS:
        return "integer", "BIGINT"
    if kind in ("real", "double precision"):
        return "decimal", "DOUBLE"
    if kind.partition("(")[0] == "numeric":
        return "decimal", "DECIMAL(38, 18)"
    return ("truth", "BOOLEAN") if kind == "boolean" else ("text", "UUID" if kind == "uuid" else "VARCHAR")


def _plain(reference: str, kind: str) -> str:
    """Return a column so that comparing it is exact and never fails: without its collation, within the digits."""
    if kind == "text":
        return f'({reference} COLLATE "binary")'
    if kind.partition("(")[0] != "numeric":
        return reference
    width, _, scale = kind.removeprefix("numeric").strip("()").partition(",")
    whole = int(width) - int(scale or 0) if width else 39
    return reference if whole <= 38 - _DECIMALS else f"TRY_CAST({reference} AS DECIMAL(38, {_DECIMALS}))"


def _number(value: int | Decimal) -> str | None:
    """Return a number as a literal; None where DuckDB would not compare it exactly."""
    if abs(value) >= _LARGEST:
        return None
    found = format(Decimal(value).normalize(), "f")
    return found if len(found.partition(".")[2]) <= _DECIMALS else None


def _utc(value: str, kind: str) -> str:
    """Return a moment that is bound as text as a value of the type: without a zone it is UTC's."""
    moment = f"TRY_CAST({value} AS TIMESTAMPTZ)"
    return moment if kind == "timestamp with time zone" else f"timezone('UTC', {moment})"


def _moment(operand: str | date, kind: str) -> str | None:
    if isinstance(operand, datetime):
        moment = operand.astimezone(UTC) if operand.tzinfo is not None else operand
        found = moment.replace(tzinfo=None).isoformat(sep=" ")
    elif isinstance(operand, date):
        found = operand.isoformat() + " 00:00:00"
    else:
        return None
    return f"TIMESTAMPTZ '{found}+00'" if kind == "timestamp with time zone" else f"TIMESTAMP '{found}'"
