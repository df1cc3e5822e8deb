"""Casts and type names: built-in types, and the user-made types of accepted columns."""

from __future__ import annotations

import re

from postgast.pg_query_pb2 import Node, String, TypeName

from bailiwick.sql import regtypes
from bailiwick.sql.catalogue import Catalogue
from bailiwick.sql.environment import NOTHING, UNTYPED, Fact, Level, Walk, joined, refuse
from bailiwick.sql.quote import ident
from bailiwick.sql.templates import put
from bailiwick.sql.types import PSEUDO_TYPES, built_in_of, type_allowed, user_types

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_WORDS = re.compile(r"\{((?: *[A-Za-z_][A-Za-z0-9_.]*(?: [a-z]+)* *,)* *[A-Za-z_][A-Za-z0-9_.]*(?: [a-z]+)* *)\}")
_SPELLED = {
    "int2": "smallint",
    "int4": "integer",
    "int": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "bool": "boolean",
    "varchar": "character varying",
    "bpchar": "character",
    "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone",
    "timetz": "time with time zone",
    "time": "time without time zone",
    "varbit": "bit varying",
}


_ROW_TO = ("text", "varchar")
"""What a whole row may be cast to, beside composite types: each only prints it. After rewriting it is no row of the
relation's own type, so that no cast that somebody made for that can be meant."""


_NUMBERS = ("oid", "int4", "int8")


def declared_name(oid: int, catalogue: Catalogue) -> str:
    """Return the type that a client declares a parameter with, as `format_type` prints it; '' when it is not known."""
    if oid in (0, 705):
        return "unknown"
    name = built_in_of(oid)
    if name:
        bare = name.removesuffix("[]")
        return _SPELLED.get(bare, bare) + name.removeprefix(bare)
    return next((printed for printed, around in catalogue.types.items() if around[0] == oid), "")


def type_name(name: TypeName, walk: Walk) -> str:
    """Check a type name, qualify it in place, and return it as `format_type` prints it."""
    names = [part.string.sval for part in name.names]
    constant = all(item.HasField("a_const") for item in name.typmods)
    if name.setof or name.pct_type or not constant or not 1 <= len(names) <= 2:
        refuse("function_not_allowed", f"type `{'.'.join(names)}` is not allowed here")
    schema, bare = ("", names[0]) if len(names) == 1 else names
    if bare == "bpchar" and schema in ("", "pg_catalog") and not name.typmods:
        del name.names[:-1]  # qualified it would be printed as `char`, which is `char(1)`
        return "character" + ("[]" if name.array_bounds else "")
    found = _resolve(schema, bare, walk)
    if found is None:
        refuse("function_not_allowed", f"type `{'.'.join(names)}` is not allowed", "built-in types")
    del name.names[:]
    for part in found:
        name.names.add().string.sval = part
    printed = _SPELLED.get(bare, bare) if found[0] == "pg_catalog" else ".".join(map(_printed, found))
    return printed + ("[]" if name.array_bounds else "")


def _resolve(schema: str, name: str, walk: Walk) -> tuple[str, str] | None:
    if schema in ("", "pg_catalog") and type_allowed("pg_catalog", name, walk.catalogue):
        return "pg_catalog", name
    if schema:
        return (schema, name) if type_allowed(schema, name, walk.catalogue) else None
    owners = [owner for owner, known in user_types(walk.catalogue) if known == name]
    for owner in walk.visible.search_path:
        if owner in owners:
            return owner, name
    return (owners[0], name) if len(owners) == 1 else None


def _printed(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else ident(name)


def reg_type(node: Node) -> str | None:
    """Return the name of a `reg…` type that the node casts to, None for anything else."""
    if not node.HasField("type_cast"):
        return None
    name = node.type_cast.type_name
    return name.names[-1].string.sval if name.names and name.names[-1].string.sval in regtypes.REG_TYPES else None


def cast(node: Node, level: Level, walk: Walk) -> Fact:
    """Walk a cast. Casts to `reg…` types look into the real catalogue, so they are answered from the scope."""
    target = node.type_cast
    bare = target.type_name.names[-1].string.sval if target.type_name.names else ""
    inner_reg = reg_type(target.arg)
    if inner_reg is not None and bare in ("text", "varchar", "name"):
        return shown_reg(target.arg, inner_reg, level, walk, "text")
    own = reg_type(node)
    if own is not None:
        return shown_reg(node, own, level, walk, "oid")
    if bare in regtypes.TEXT_SEARCH_TYPES:
        return _text_search(node, walk)
    if bare in PSEUDO_TYPES and target.arg.a_const.isnull and _plain(target.type_name):
        target.type_name.names.insert(0, Node(string=String(sval="pg_catalog")))
        return NOTHING  # no value: nothing is read, and what may stand beside it is decided by the server
    inner = walk.value(target.arg, level, walk)
    if inner.named and bare in _NUMBERS:
        inner = numbered(target.arg, inner, walk)
    kind = type_name(target.type_name, walk)
    if inner.type == "record" and bare not in _ROW_TO and kind not in walk.catalogue.composites:
        refuse("function_not_allowed", "a whole row cannot be cast to this type", "a cast to text, or name its columns")
    walk.infer(inner.place, kind)
    # A literal is converted when the statement is planned, and a type is not changed by becoming itself.
    return joined((inner,), kind, leaky=inner.type not in ("unknown", kind))


def _plain(name: TypeName) -> bool:
    return len(name.names) == 1 and not (name.array_bounds or name.typmods or name.setof or name.pct_type)


def printed(node: Node, level: Level, walk: Walk) -> Fact:
    """Walk an operand that is printed where it stands: a `reg…` value gives its name, not its number."""
    name = reg_type(node)
    return shown_reg(node, name, level, walk, "text") if name else walk.value(node, level, walk)


def shown_reg(node: Node, name: str, level: Level, walk: Walk, result: regtypes.Result) -> Fact:
    """Replace `x::regclass` and its kin by an oid (to compare) or by a name (to show) that the scope knows."""
    arg = node.type_cast.arg
    walk.by_value = True
    if node.type_cast.type_name.array_bounds:
        return _numbers(node, name, level, walk)
    if name == "regclass" and arg.HasField("a_const"):
        text = arg.a_const.sval.sval
        if regtypes.regclass_constant(text, walk.visible, walk.catalogue) is None and not text.isdigit():
            refuse("resource_unknown", f"relation `{text}` is not in the scope of this session")
    inner = walk.value(arg, level, walk)
    template = regtypes.reg_template(name, result, walk.catalogue, walk.visible)
    if template is None:
        refuse("function_not_allowed", f"type `{name}` is not allowed", "built-in types")
    put(node, template, (arg,), walk)
    return joined((inner,), result, leaky=True)


def _numbers(node: Node, name: str, level: Level, walk: Walk) -> Fact:
    """Replace a constant `'{a, b}'::regtype[]` by the array of its oids."""
    arg = node.type_cast.arg
    words = _WORDS.fullmatch(arg.a_const.sval.sval)
    if words is None or len(node.type_cast.type_name.array_bounds) > 1:
        refuse("function_not_allowed", f"type `{name}[]` is not allowed", "built-in types")
    made = Node()
    for word in words[1].split(","):
        each = made.a_array_expr.elements.add().type_cast
        each.arg.a_const.sval.sval = word.strip()
        each.type_name.names.add().string.sval = name
        each.type_name.typemod = -1
    node.CopyFrom(made)
    return walk.value(node, level, walk)


def numbered(node: Node, fact: Fact, walk: Walk) -> Fact:
    """Put the oid in place of a name that a column of a system relation shows, walked before."""
    template = regtypes.reg_template(fact.named, "oid", walk.catalogue, walk.visible)
    if template is None:
        refuse("function_not_allowed", f"type `{fact.named}` is not allowed", "built-in types")
    put(node, template, (node,), walk)
    return joined((fact,), "oid", leaky=True)


def _text_search(node: Node, walk: Walk) -> Fact:
    walk.by_value = True
    arg = node.type_cast.arg
    if not arg.HasField("a_const") or not regtypes.text_search_constant(arg.a_const.sval.sval):
        refuse("function_not_allowed", "only built-in text search configurations are allowed", "'english'")
    return UNTYPED
