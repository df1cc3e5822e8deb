"""Trino, to be read only. No server has proven what is generated here: `serve` refuses the engine.

Nearly everything in it can fail because of a value, so that relations with hidden rows are always fenced. Texts are
varchar; a value that is bound comes as a varchar literal or an array of them, and is cast where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal

from sqlglot import exp

from bailiwick.errors import PolicyError
from bailiwick.model.mask import Mask
from bailiwick.model.policy import Engine
from bailiwick.model.value import Operand, Ref
from bailiwick.sql.catalogue import Column
from bailiwick.sql.engines import trino_masks
from bailiwick.sql.engines.dialect import Parameters
from bailiwick.sql.engines.predicates import UNKNOWN
from bailiwick.sql.engines.tree import Node
from bailiwick.sql.engines.trino_words import (
    FLOATS,
    INTEGERS,
    MOMENTS,
    is_exact,
    literal_moment,
    literal_number,
    type_of,
)
from bailiwick.sql.engines.writing import Writing
from bailiwick.sql.quote import ident, text

_FUNCTIONS = """
length lower upper substr substring trim ltrim rtrim strpos starts_with replace translate reverse concat concat_ws
split_part codepoint chr regexp_like regexp_extract regexp_replace regexp_count regexp_position
levenshtein_distance hamming_distance soundex to_utf8 from_utf8 to_hex from_hex md5 sha1 sha256 sha512 crc32 xxhash64
coalesce nullif greatest least
abs sign round floor ceil ceiling truncate sqrt cbrt exp ln log log2 log10 pow power mod
sin cos tan asin acos atan atan2 degrees radians pi is_nan is_finite is_infinite
bitwise_and bitwise_or bitwise_xor bitwise_not bit_count
date_trunc date_add date_diff date_format date_parse from_unixtime to_unixtime from_iso8601_date
from_iso8601_timestamp to_iso8601 last_day_of_month year quarter month week week_of_year year_of_week day
day_of_month day_of_week day_of_year hour minute second millisecond
json_extract_scalar json_array_length json_size
count count_if min max sum avg geometric_mean any_value arbitrary max_by min_by approx_distinct approx_percentile
bool_and bool_or stddev stddev_pop stddev_samp variance var_pop var_samp corr covar_pop covar_samp skewness kurtosis
regr_slope regr_intercept
row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
"""
"""Functions over values. None reads anything else, tells of the session or the server, or makes much of little."""
_CASTS_WORDS = """
BOOLEAN TINYINT SMALLINT INT BIGINT FLOAT DOUBLE DECIMAL TEXT VARCHAR DATE TIME TIMESTAMP TIMESTAMPTZ UUID
"""


class Trino:
    """Trino: queries alone."""

    engine: Engine = "trino"
    grammar = "trino"
    functions: Mapping[str, bool] = dict.fromkeys(_FUNCTIONS.split(), True)
    casts: frozenset[str] = frozenset(_CASTS_WORDS.split())
    fence = "LIMIT 9223372036854775807"
    """Trino leaves an OFFSET of 0 out of its plans, a LIMIT only where it knows that there cannot be more rows."""
    rows: tuple[str, ...] = ()
    loud: frozenset[str] = frozenset()
    always_loud = True
    collations: frozenset[str] = frozenset()
    joins: frozenset[str] = frozenset()
    gaps: re.Pattern[str] | None = None
    by_key = False
    catalogs = True
    recursive = False
    writing: Writing | None = None
    clock: Mapping[str, tuple[str, ...]] = {}
    clock_is_reserved = True
    values: tuple[str, int] = ("_col", 0)
    arrows: Mapping[type[Node], str] = {}
    aliases: frozenset[str] = frozenset()
    lacks = frozenset({"Insert", "Update", "Delete", "Merge", "Glob", "ILike", "Collate"})
    holds: Mapping[type[Node], frozenset[str]] = {
        exp.Table: frozenset({"catalog"}),
        exp.TryCast: frozenset({"this", "to", "safe"}),
        exp.Interval: frozenset({"this", "unit"}),
        exp.Extract: frozenset({"this", "expression"}),
    }

    def ident(self, name: str) -> str:
        """Return a name as a quoted identifier."""
        return ident(name)

    def place(self, schema: str, name: str) -> str:
        """Return the full name of a relation: catalog, schema, table."""
        catalog, dot, rest = schema.partition(".")
        if not dot:
            raise PolicyError(f"`{schema}.{name}` is in no catalog", remedy="write `catalog.schema.table`")
        return ".".join(map(ident, (catalog, rest, name)))

    def parameter(self, number: int) -> str:
        """Return the place of a parameter; `trino_words.positional` puts them in order: Trino's have no numbers."""
        return f"?{number}"

    def returned(self, check: str) -> str:
        """Return a condition as it may stand in a RETURNING clause."""
        return check

    def own_functions(self) -> frozenset[str]:
        """Return no functions: there is no second layer that asks for them."""
        return frozenset()

    def compare(
        self, reference: str, sign: str, operand: Operand, column: Column, parameters: Parameters, *, exact: bool
    ) -> str:
        """Compare; what is no number of its type (NaN) is unknown."""
        value = self.value(operand, column, parameters)
        if value is None or (column.type == "boolean" and sign != "="):
            return UNKNOWN
        inner = f"{reference} {sign} {value}"
        if column.type not in FLOATS:
            return f"({inner})"
        right = f"NOT is_nan({reference})"
        return f"CASE WHEN {right} THEN {inner} END" if exact else f"({inner} AND {right})"

    def one_of_list(self, reference: str, operand: Operand, column: Column, parameters: Parameters) -> str:
        """Compare with each value of a list; unknown where it is missing, or NULL is in it and the value is not."""
        exact = is_exact(column.type)
        if not isinstance(operand, Ref) or not (exact or column.type == "text"):
            return UNKNOWN
        given = self.parameter(parameters.number(operand, "decimal[]" if exact else "text[]"))
        kind = "DECIMAL(38, 18)" if exact else "VARCHAR"
        name = f"TRY_CAST({reference} AS {kind})" if exact else reference
        return f"contains(TRY_CAST({given} AS ARRAY({kind})), {name})"

    def within(self, reference: str, span: timedelta, column: Column, parameters: Parameters) -> str:
        """Return whether a moment lies in the last so long."""
        if column.type not in MOMENTS:
            return UNKNOWN
        now = _bound_moment(self.parameter(parameters.number("now", "timestamp with time zone")), column.type)
        return f"({reference} BETWEEN {now} - INTERVAL '{int(span.total_seconds())}' SECOND AND {now})"

    def prefix(self, reference: str, operand: Operand, column: Column, parameters: Parameters) -> str:
        """Return whether a text starts so."""
        value = self.value(operand, column, parameters) if column.type == "text" else None
        return UNKNOWN if value is None else f"starts_with({reference}, {value})"

    def glob(self, reference: str, pattern: str, column: Column) -> str:
        """Return whether the whole text matches."""
        if column.type != "text":
            return UNKNOWN
        shapes = {"*": "%", "?": "_", "%": "|%", "_": "|_", "|": "||"}
        shape = "".join(shapes.get(one, one) for one in pattern)
        return f"({reference} LIKE {text(shape)} ESCAPE '|')"

    def value(self, operand: Operand, column: Column, parameters: Parameters) -> str | None:
        """Return an operand as a value of the column."""
        kind = column.type
        if isinstance(operand, Ref):
            return self._bound(operand, kind, parameters)
        if isinstance(operand, bool):
            return str(operand).upper() if kind == "boolean" else None
        if isinstance(operand, int | Decimal):
            return literal_number(operand, kind)
        if kind in MOMENTS:
            return literal_moment(operand, kind)
        if kind == "uuid":
            return f"TRY_CAST({text(str(operand))} AS UUID)"
        return text(operand.isoformat() if isinstance(operand, date) else operand) if kind == "text" else None

    def _bound(self, operand: Ref, kind: str, parameters: Parameters) -> str | None:
        if kind in MOMENTS:
            return _bound_moment(self.parameter(parameters.number(operand, "timestamp with time zone")), kind)
        if kind in FLOATS or is_exact(kind):
            bound, cast = "decimal", type_of(kind) if kind in FLOATS else "DECIMAL(38, 18)"
            if kind in INTEGERS:
                bound, cast = "integer", "BIGINT"
        elif kind in ("text", "uuid", "boolean"):
            bound, cast = "truth" if kind == "boolean" else "text", type_of(kind)
        else:
            return None
        return f"TRY_CAST({self.parameter(parameters.number(operand, bound))} AS {cast})"

    def masked(self, mask: Mask, reference: str, column: Column, parameters: Parameters) -> tuple[str, str]:
        """Return how a column is shown under a mask. What Trino writes otherwise than PostgreSQL is not shown."""
        kind = column.type
        match mask.name:
            case "full" if kind == "text":
                return "'***'", "text"
            case "partial" | "last4" | "hash" if not trino_masks.is_written_alike(kind):
                return "CAST(NULL AS VARCHAR)", "text"
            case "partial":
                return trino_masks.partial(reference, kind), "text"
            case "last4":
                return trino_masks.last4(reference, kind), "text"
            case "hash":
                inner = self.parameter(parameters.number("mask.inner", "bytea"))
                outer = self.parameter(parameters.number("mask.outer", "bytea"))
                return trino_masks.hashed(reference, kind, inner, outer), "text"
            case "year" if kind in MOMENTS:
                return trino_masks.year(reference, kind), kind
            case "round" if kind in FLOATS or is_exact(kind):
                return trino_masks.rounded(reference, Decimal(mask.arg or "1"), kind), kind
            case _:
                return f"CAST(NULL AS {type_of(kind)})", kind


def _bound_moment(place: str, kind: str) -> str:
    """Return a moment that is bound as text as a value of the type: without a zone it is UTC's."""
    moment = f"TRY_CAST({place} AS TIMESTAMP(6) WITH TIME ZONE)"
    return moment if kind == "timestamp with time zone" else f"CAST(at_timezone({moment}, 'UTC') AS TIMESTAMP(6))"
