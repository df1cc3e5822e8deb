"""The columns of what functions return: those of PostgreSQL's own, and what the catalogue says of added ones."""

from __future__ import annotations

from collections.abc import Mapping

from postgast.pg_query_pb2 import FuncCall

from bailiwick.sql.environment import Walk

OWN: Mapping[str, tuple[str, ...]] = {
    "json_each": ("key", "value"),
    "jsonb_each": ("key", "value"),
    "json_each_text": ("key", "value"),
    "jsonb_each_text": ("key", "value"),
    "json_array_elements": ("value",),
    "jsonb_array_elements": ("value",),
    "json_array_elements_text": ("value",),
    "jsonb_array_elements_text": ("value",),
    "pg_options_to_table": ("option_name", "option_value"),
    "pg_get_keywords": ("word", "catcode", "barelabel", "catdesc", "baredesc"),
}
"""The allowed functions of `pg_catalog` that have OUT parameters, whatever their arguments: the same on 15 to 18."""
TSVECTOR = ("lexeme", "positions", "weights")
"""Those of `unnest(tsvector)`."""
LEXEMES = "lexemes"
"""The type of what that returns."""
_EXPANDED = ("x", "n")
"""Those of `information_schema._pg_expandarray`, which drivers' reflection calls."""


def result_columns(func: FuncCall, walk: Walk) -> tuple[str, ...]:
    """Return the names of the OUT columns; empty for a function that returns one value. Call before it is walked."""
    names = [part.string.sval for part in func.funcname]
    if len(names) == 1 and names[0] in OWN:
        return OWN[names[0]]
    if names[:-1] == ["pg_catalog"]:
        return OWN.get(names[-1], ())
    if names == ["information_schema", "_pg_expandarray"]:
        return _EXPANDED
    found = [columns for place, columns in walk.catalogue.results.items() if _is(place, names, walk)]
    return found[0] if len(found) == 1 else ()


def _is(place: tuple[str, str], names: list[str], walk: Walk) -> bool:
    """Whether the call names this function, one that the policy adds."""
    return ".".join(place) in walk.functions and names in ([place[1]], list(place))
