"""Casts to `regclass`, `regtype` and their kin, answered from the scope.

No expression that reaches the server may have such a type (but `regconfig` and `regdictionary`): the server would
coerce an agent's literal or parameter beside it (`COALESCE(x::regclass, '16420')`) and so look up any object by name
or oid. Hence every such cast is replaced and yields an oid, or a text where the name is what is wanted.

In a template `$1` stands for the argument (text, name, oid, unknown); it stands outside every sub-query.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from bailiwick.sql.catalogue import Catalogue, Visible
from bailiwick.sql.system import reach
from bailiwick.sql.system_reach import FIRST_USER_OID, OWNER_OID, Reach, identifier, literal

Result = Literal["oid", "text"]
REG_TYPES: frozenset[str] = frozenset(
    {
        "regclass",
        "regcollation",
        "regnamespace",
        "regoper",
        "regoperator",
        "regproc",
        "regprocedure",
        "regrole",
        "regtype",
    }
)
"""Types that `reg_template` answers."""
TEXT_SEARCH_TYPES: frozenset[str] = frozenset({"regconfig", "regdictionary"})
"""Types whose constants may be cast to as they are, when `text_search_constant` says so."""

_TEXT = "($1)::pg_catalog.text"
_NUMBER = f"pg_catalog.substring({_TEXT}, '^[0-9]{{1,9}}$')::pg_catalog.oid"
"""`$1` as an oid where it is one, else NULL; never fails."""
_TYPE_NAME = (
    r'(?:(?:pg_catalog[.])?(?:[A-Za-z_][A-Za-z0-9_]*|"[^".]+")|double precision|(?:character|bit) varying'
    r"|(?:time|timestamp)(?: ?\([0-9]\))? with(?:out)? time zone)(?: ?\([0-9, ]+\))?(?: ?\[\])*"
)
"""Built-in types as people write them; nothing that `to_regtype` would refuse with an error."""
_PART = re.compile(r'\s*(?:"((?:[^"]|"")+)"|([A-Za-z_\u0080-\uffff][A-Za-z0-9_$\u0080-\uffff]*))\s*(\.|$)')
_BARE = re.compile(r"[a-z_][a-z0-9_]*")


def reg_template(type_name: str, result: Result, catalogue: Catalogue, visible: Visible) -> str | None:
    """Return the expression that stands for `$1::type_name`, or None when the cast is to be refused.

    `oid` for comparisons with oid columns; `text` where the object's name is wanted (`x::regclass::text`, or a column
    cast for display). It yields NULL for whatever is not visible, and never fails for it.
    """
    return _reg(type_name, result, reach(catalogue, visible))


def regclass_template(catalogue: Catalogue, visible: Visible, result: Result = "oid") -> str:
    """Return the expression that stands for `$1::regclass` and `to_regclass($1)`."""
    return regclass(reach(catalogue, visible), result)


def regclass_constant(text: str, visible: Visible, catalogue: Catalogue) -> int | None:
    """Return the oid that a constant `'text'::regclass` stands for, if it is visible or a system relation's."""
    parts = split_name(text)
    if parts is None or len(parts) > 2:
        return None
    name = parts[len(parts) - 1]
    for schema in parts[:-1] or ("pg_catalog", *visible.search_path):
        found = catalogue.system.get((schema, name))
        if found is not None:
            return found.oid
        for each in visible.relations:
            if each.oid and (each.schema, each.name) == (schema, name):
                return each.oid
    return None


def text_search_constant(text: str) -> bool:
    """Whether `'text'::regconfig` (or regdictionary) names nothing but what PostgreSQL itself may bring."""
    parts = split_name(text)
    return parts is not None and (len(parts) == 1 or parts[:-1] == ("pg_catalog",))


def split_name(text: str) -> tuple[str, ...] | None:
    """Split `a."B"` as PostgreSQL does: unquoted parts fold to lower case. None when it is no name."""
    parts: list[str] = []
    place = 0
    while True:
        match = _PART.match(text, place)
        if match is None:
            return None
        quoted, bare, end = match.groups()
        parts.append(quoted.replace('""', '"') if quoted is not None else bare.lower())
        place = match.end()
        if end != ".":
            return tuple(parts)


def regclass(reach: Reach, result: Result) -> str:
    """`$1::regclass` as an oid or as a name."""
    words = _spellings(reach)
    folded = {word: number for word, number in words.items() if '"' not in word}
    own = f"pg_catalog.to_regclass({_plain('(?:(?:pg_catalog|information_schema)[.])?[A-Za-z0-9_]+')})::pg_catalog.oid"
    listed = f"{reach.any_relation(_NUMBER)} OR {_NUMBER} IN ({reach.visible_indexes()})"
    found = [
        *([_case(_TEXT, words), _case(f"pg_catalog.lower({_TEXT})", folded)] if words else []),
        f"(CASE WHEN {own} = ANY ({reach.system_oids}) THEN {own} END)",
        f"(CASE WHEN {listed} THEN {_NUMBER} END)",
    ]
    oid = f"COALESCE({', '.join(found)})"
    if result == "oid":
        return oid
    shown = "".join(f" WHEN {number} THEN {literal(name)}" for number, name in _shown_names(reach).items())
    other = f"{oid}::pg_catalog.regclass::pg_catalog.text"
    return f"COALESCE((CASE {oid}{shown} END), {other})" if shown else other


def regtype(reach: Reach, result: Result) -> str:
    """`$1::regtype` as an oid or as a name. Qualified names are looked up among the visible types only: the server's
    own look-up would tell by its errors whether a type exists."""
    name = _plain(_TYPE_NAME)
    own = f"pg_catalog.to_regtype({name})::pg_catalog.oid"
    found = [
        f"(CASE WHEN {reach.type(_NUMBER)} THEN {_NUMBER} END)",
        _case(_TEXT, _user_types(reach)),
        f"(CASE WHEN {reach.type(own)} THEN {own} END)",
    ]
    oid = f"COALESCE({', '.join(found)})"
    return oid if result == "oid" else f"pg_catalog.format_type({oid}, NULL)"


def regnamespace(reach: Reach, result: Result) -> str:
    """`$1::regnamespace` as an oid or as a name."""
    source = f"FROM pg_catalog.pg_namespace AS bw_s WHERE bw_s.oid IN ({reach.namespaces()})"
    named = f"SELECT bw_s.nspname::pg_catalog.text {source}"
    own = f"pg_catalog.to_regnamespace({_plain('[A-Za-z0-9_]+')})::pg_catalog.oid"
    oid = f"(CASE WHEN {_NUMBER} IN (SELECT bw_s.oid {source}) THEN {_NUMBER} WHEN {_TEXT} IN ({named}) THEN {own} END)"
    return oid if result == "oid" else f"{oid}::pg_catalog.regnamespace::pg_catalog.text"


def _reg(type_name: str, result: Result, reach: Reach) -> str | None:
    if type_name == "regclass":
        return regclass(reach, result)
    if type_name == "regtype":
        return regtype(reach, result)
    if type_name == "regnamespace":
        return regnamespace(reach, result)
    if type_name == "regrole":
        agent = f"{literal(reach.visible.agent)}::pg_catalog.text"
        return f"(CASE WHEN ($1) IS NOT NULL THEN {agent if result == 'text' else f'{OWNER_OID}::pg_catalog.oid'} END)"
    return _own_object(type_name, result) if type_name in REG_TYPES else None


def _own_object(type_name: str, result: Result) -> str:
    """A function, operator or collation: only those that PostgreSQL itself brings; by name only functions."""
    numbered = f"(CASE WHEN {_NUMBER} < {FIRST_USER_OID} THEN {_NUMBER} END)"
    if type_name != "regproc":
        return numbered if result == "oid" else f"{numbered}::pg_catalog.{type_name}::pg_catalog.text"
    name = _plain("(?:pg_catalog[.])?[A-Za-z0-9_]+")
    if result == "text":
        bare = f"pg_catalog.regexp_replace({name}, '^pg_catalog[.]', '')"
        return f"COALESCE({numbered}::pg_catalog.regproc::pg_catalog.text, {bare})"
    found = f"pg_catalog.to_regproc({name})::pg_catalog.oid"
    return f"COALESCE({numbered}, (CASE WHEN {found} < {FIRST_USER_OID} THEN {found} END))"


def _plain(pattern: str) -> str:
    """`$1` where the whole of it looks as `pattern`, else NULL: nothing else reaches a look-up or a cast, which could
    fail, and which PostgreSQL may evaluate ahead of any CASE around it."""
    return f"pg_catalog.substring({_TEXT}, {literal(f'^{pattern}$')})"


def _case(subject: str, words: Mapping[str, int]) -> str:
    """Words → oids as an expression; NULL for any other word."""
    whens = "".join(f" WHEN {literal(word)} THEN {number}" for word, number in words.items())
    return f"(CASE {subject}{whens} END)::pg_catalog.oid" if whens else "NULL::pg_catalog.oid"


def _spellings(reach: Reach) -> dict[str, int]:
    """Ways to write a visible relation's name → its oid; earlier schemas of the path win."""
    found: dict[str, int] = {}
    relations = [each for each in reach.visible.relations if each.oid]
    for each in relations:
        for first in _written(each.schema):
            for second in _written(each.name):
                found.setdefault(f"{first}.{second}", each.oid)
    for schema in reach.visible.search_path:
        for each in relations:
            if each.schema == schema:
                for word in _written(each.name):
                    found.setdefault(word, each.oid)
    return found


def _written(name: str) -> tuple[str, ...]:
    return (name, identifier(name)) if _BARE.fullmatch(name) else (identifier(name),)


def _shown_names(reach: Reach) -> dict[int, str]:
    """Oid → name of a visible relation as the server would print it under the agent's own search path."""
    path = reach.visible.search_path
    return {
        each.oid: _written(each.name)[0]
        if each.schema in path
        else f"{_written(each.schema)[0]}.{_written(each.name)[0]}"
        for each in reach.visible.relations
        if each.oid
    }


def _user_types(reach: Reach) -> dict[str, int]:
    """Ways to write a user-defined type that a visible column has → its oid."""
    found: dict[str, int] = {}
    for printed, number in reach.named_types.items():
        found[printed] = number
        for schema in reach.visible.search_path:
            for prefix in _written(schema):
                if printed.startswith(f"{prefix}."):
                    found.setdefault(printed.removeprefix(f"{prefix}."), number)
    return found
