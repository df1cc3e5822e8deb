"""Function calls: built-in functions on the allow-list, functions that the policy adds, and those that we answer.

Deny by default. What passes is emitted with its schema, so that nothing on a search path can shadow it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from postgast import pg_query_pb2 as pb
from postgast.pg_query_pb2 import FuncCall, Node, WindowDef

from bailiwick.sql import functions, regtypes, settings
from bailiwick.sql.casts import printed
from bailiwick.sql.environment import NOTHING, Fact, Level, Walk, joined, not_late, refuse
from bailiwick.sql.extension_lists import ONE_ARGUMENT
from bailiwick.sql.results import LEXEMES
from bailiwick.sql.templates import put
from bailiwick.sql.types import BUILT_IN

AGGREGATES = frozenset(
    {
        "any_value",
        "array_agg",
        "avg",
        "bit_and",
        "bit_or",
        "bit_xor",
        "bool_and",
        "bool_or",
        "corr",
        "count",
        "covar_pop",
        "covar_samp",
        "every",
        "json_agg",
        "json_agg_strict",
        "json_object_agg",
        "jsonb_agg",
        "jsonb_agg_strict",
        "jsonb_object_agg",
        "max",
        "min",
        "range_agg",
        "range_intersect_agg",
        "regr_avgx",
        "regr_avgy",
        "regr_count",
        "regr_intercept",
        "regr_r2",
        "regr_slope",
        "regr_sxx",
        "regr_sxy",
        "regr_syy",
        "stddev",
        "stddev_pop",
        "stddev_samp",
        "string_agg",
        "sum",
        "var_pop",
        "var_samp",
        "variance",
        "xmlagg",
    }
)
_EXPANDED = (("x", NOTHING), ("n", Fact("integer")))
"""The fields of what `information_schema._pg_expandarray` returns."""
_CONFIGURED = frozenset(
    {
        ("json_to_tsvector", 3),
        ("jsonb_to_tsvector", 3),
        ("phraseto_tsquery", 2),
        ("plainto_tsquery", 2),
        ("to_tsquery", 2),
        ("to_tsvector", 2),
        ("ts_headline", 3),
        ("ts_headline", 4),
        ("websearch_to_tsquery", 2),
    }
)
"""(function, number of arguments) of the calls whose first argument is a text search configuration."""
_NAMED_CONFIGURATION = (
    "(SELECT bw_c.oid::pg_catalog.regconfig FROM pg_catalog.pg_ts_config AS bw_c WHERE bw_c.oid < 16384"
    " AND bw_c.cfgname = pg_catalog.regexp_replace(($1)::pg_catalog.text, '^pg_catalog[.]', ''))"
)
_PRINTING = frozenset({"concat", "concat_ws", "format"})
_POPULATING = ("json_populate_record", "json_populate_recordset", "jsonb_populate_record", "jsonb_populate_recordset")
_TEXT_FUNCTIONS = """
    btrim chr concat concat_ws format initcap left lpad ltrim md5 overlay quote_ident quote_literal regexp_replace
    regexp_substr repeat replace reverse right rpad rtrim split_part string_agg substr substring to_char to_hex
    translate
""".split()  # noqa: SIM905  # a list of names reads better as text
"""Functions that give a text, or of bytes and bits give such."""
_TYPES = {
    "count": "bigint",
    "length": "integer",
    "lower": "text",
    "row_number": "bigint",
    "setweight": "tsvector",
    "strip": "tsvector",
    "to_tsvector": "tsvector",
    "upper": "text",
}


def call(node: Node, level: Level, walk: Walk) -> Fact:
    """Check and qualify one call."""
    func = node.func_call
    if _is_cast(func):
        argument, names = func.args[0], list(func.funcname)
        cast = Node()
        cast.type_cast.arg.CopyFrom(argument)
        cast.type_cast.type_name.names.extend(names)
        cast.type_cast.type_name.typemod = -1
        node.CopyFrom(cast)
        return walk.value(node, level, walk)
    name = _resolve(func, walk)
    sorts = [item.sort_by.node for item in func.agg_order]
    if _aggregates(func, name):
        with not_late(level):
            facts = walk.values(func.args, level)
            walk.values((func.agg_filter, *sorts), level)
    else:
        each = printed if name in _PRINTING else walk.value
        facts = [each(argument, level, walk) for argument in func.args]
        with not_late(level):
            walk.values((func.agg_filter, *sorts), level)
    check_sort(func.agg_order)
    if func.HasField("over"):
        window(func.over, level, walk)
    if name is None:
        added = ".".join(part.string.sval for part in func.funcname)
        if added in walk.catalogue.functions and func.funcname[-1].string.sval in ONE_ARGUMENT and len(facts) != 1:
            refuse("function_not_allowed", f"this form of `{added}` is not allowed", f"`{added}` of one argument")
        fact = joined(facts, walk.catalogue.functions.get(added, ""), leaky=True)
        own = func.funcname[0].string.sval == "information_schema"
        return Fact("record", fact.uses, fact.leaky, _EXPANDED) if own else fact
    return _builtin(node, name, facts, walk)


def _is_cast(func: FuncCall) -> bool:
    """Whether this is `type(value)` of a type without a function of that name: another way to write a cast."""
    names = [part.string.sval for part in func.funcname]
    built_in = names[-1] in BUILT_IN and names[-1] not in functions.ALLOWED and names[:-1] in ([], ["pg_catalog"])
    return built_in and len(func.args) == 1 and not _decorated(func) and not func.args[0].HasField("named_arg_expr")


def _aggregates(func: FuncCall, name: str | None) -> bool:
    """Whether the arguments are gathered from a group's rows (those before WITHIN GROUP are not)."""
    return name in AGGREGATES and not func.HasField("over")


def _builtin(node: Node, name: str, facts: Sequence[Fact], walk: Walk) -> Fact:
    func = node.func_call
    if name == "set_config" or (name == "current_setting" and all(map(_constant, func.args))):
        walk.by_value = True
        _setting(func, name)
        return Fact("text")
    template = functions.call_template(name, len(func.args), walk.catalogue, walk.visible)
    beside = functions.beside_template(name, len(func.args), walk.catalogue, walk.visible) if not template else None
    if beside is not None:
        template, walk.beside[name] = beside
    if template is not None:
        arguments = list(func.args)
        if any(argument.HasField("named_arg_expr") for argument in arguments) or _decorated(func):
            refuse("function_not_allowed", f"this form of `{name}` is not allowed")
        put(node, template, arguments, walk)
        return joined(facts, leaky=True)
    if name not in functions.ALLOWED:
        refuse("function_not_allowed", f"function `{name}` is not allowed", "built-in functions that only compute")
    if (name, len(func.args)) in _CONFIGURED:
        _configuration(func, facts, walk)
    own = _of_extension(name, facts, walk)
    if own:
        _qualify(func, own, name)
        return joined(facts, walk.catalogue.functions[f"{own}.{name}"], leaky=True)
    if name != "unnest":  # `unnest(a, b)` of FROM is a form of the grammar, which knows it by its bare name only
        _qualify(func, "pg_catalog", name)
    kind = _result(name, facts)
    if func.agg_star or func.agg_within_group or func.HasField("over") or name in AGGREGATES:
        # Computed after every filter, and no condition on it is pushed below. But a value from around the query may be
        # aggregated in it: that happens wherever the query is evaluated.
        walk.leaks = walk.leaks.union(*(fact.uses for fact in facts))
        return Fact(kind)
    return joined(facts, kind, leaky=True)


def _configuration(func: FuncCall, facts: Sequence[Fact], walk: Walk) -> None:
    """Look at a text search configuration that a literal or parameter names without a cast: the server would look any
    up, and so tell that it is there."""
    first = func.args[0]
    document = len(func.args) == 3 and facts[1].type == "tsquery"  # `ts_headline(document, query, options)`
    document = document or (len(func.args) == 3 and _call_of(func.args[1]).endswith("tsquery"))
    if document and func.funcname[-1].string.sval == "ts_headline":
        return
    walk.by_value = walk.by_value or first.HasField("a_const")
    if first.HasField("a_const") and not regtypes.text_search_constant(first.a_const.sval.sval):
        refuse("function_not_allowed", "only built-in text search configurations are allowed", "'english'")
    if first.HasField("param_ref"):
        put(first, _NAMED_CONFIGURATION, (first,), walk)


def _call_of(node: Node) -> str:
    return node.func_call.funcname[-1].string.sval if node.HasField("func_call") else ""


def _of_extension(name: str, facts: Sequence[Fact], walk: Walk) -> str:
    """Return the schema of an opened extension that has a function of a built-in one's name for its own type, as citext
    has: the better match."""
    kinds = [fact.type for fact in facts if fact.type in walk.catalogue.opened]
    schemas = {kind.rpartition(".")[0] for kind in kinds}
    found = [schema for schema in schemas if f"{schema}.{name}" in walk.catalogue.functions]
    return found[0] if len(found) == 1 else ""


def _result(name: str, facts: Sequence[Fact]) -> str:
    """Return the type of what a function returns, where it is known."""
    if name == "unnest" and len(facts) == 1:
        return LEXEMES if facts[0].type == "tsvector" else facts[0].type[:-2] if facts[0].type.endswith("[]") else ""
    if name in _POPULATING and facts:
        return facts[0].type
    if name in _TEXT_FUNCTIONS and not (facts and facts[0].type in ("bytea", "bit", "bit varying", "")):
        return "text"
    return _TYPES.get(name, "")


def _decorated(func: FuncCall) -> bool:
    return bool(func.agg_order or func.agg_star or func.agg_distinct or func.func_variadic or func.HasField("over"))


def _resolve(func: FuncCall, walk: Walk) -> str | None:
    """Return the name of a built-in function, or None for one that the policy adds (qualified in place)."""
    names = [part.string.sval for part in func.funcname]
    schema, name = ("", names[0]) if len(names) == 1 else (names[0], names[-1])
    if len(names) <= 2 and schema in ("", "pg_catalog") and (schema or not _added(name, walk)):
        return name
    if len(names) == 2 and schema == "information_schema" and name == "_pg_expandarray":
        return None
    added = f"{schema}.{name}" if schema else _added(name, walk)
    if len(names) > 2 or added not in walk.functions:
        refuse("function_not_allowed", f"function `{'.'.join(names)}` is not allowed", "built-in functions")
    owner, _, bare = added.partition(".")
    _qualify(func, owner, bare)
    return None


def _added(name: str, walk: Walk) -> str:
    """Return the one added function of that bare name, empty when there is none or a built-in has the name."""
    if name in functions.ALLOWED:
        return ""
    found = [added for added in walk.functions if added.rpartition(".")[2] == name]
    return found[0] if len(found) == 1 else ""


def _constant(node: Node) -> bool:
    return node.HasField("a_const") or (node.HasField("type_cast") and node.type_cast.arg.HasField("a_const"))


def _setting(func: FuncCall, name: str) -> None:
    """Let constant reads and writes of harmless settings pass (Django and asyncpg send them)."""
    if name == "set_config" and _switches_jit(func):
        _qualify(func, "pg_catalog", name)
        return
    texts: list[str] = []
    for argument in func.args:
        const = argument.a_const if argument.HasField("a_const") else argument.type_cast.arg.a_const
        kind = const.WhichOneof("val")
        if kind not in ("sval", "boolval"):
            refuse("function_not_allowed", f"`{name}` is only allowed with constant arguments")
        texts.append(const.sval.sval if kind == "sval" else "true" if const.boolval.boolval else "false")
    if name == "current_setting":
        allowed = bool(texts) and settings.show_allowed(texts[0])
    else:
        allowed = len(texts) == 3 and settings.set_allowed(
            texts[0], (texts[1],), "LOCAL" if texts[2] == "true" else "SESSION"
        )
    if not allowed:
        refuse("function_not_allowed", f"`{name}` of `{texts[0] if texts else ''}` is not allowed")
    _qualify(func, "pg_catalog", name)


def _switches_jit(func: FuncCall) -> bool:
    """Whether this is `set_config('jit', $1, …)`, as asyncpg restores it: only speed depends on it."""
    if len(func.args) != 3 or not _constant(func.args[2]):
        return False
    return func.args[0].a_const.sval.sval == "jit" and func.args[1].HasField("param_ref")


def _qualify(func: FuncCall, schema: str, name: str) -> None:
    del func.funcname[:]
    func.funcname.add().string.sval = schema
    func.funcname.add().string.sval = name


def value_function(node: Node, level: Level, walk: Walk) -> Fact:  # noqa: ARG001  # the signature of handlers
    """Check `current_date`, `current_user` and the like."""
    op = node.sqlvalue_function.op
    kind = pb.SQLValueFunctionOp.Name(op).removeprefix("SVFOP_")
    template = functions.value_function_template(kind, walk.visible)
    if template is not None:
        put(node, template, (), walk)
    return NOTHING


def window(over: WindowDef, level: Level, walk: Walk) -> None:
    """Check a window definition."""
    walk.values((*over.partition_clause, *(item.sort_by.node for item in over.order_clause)), level)
    walk.values((over.start_offset, over.end_offset), level)
    check_sort(over.order_clause)


def check_sort(nodes: Iterable[Node]) -> None:
    """Refuse an `ORDER BY … USING op` whose operator is not built in."""
    for node in nodes:
        names = [part.string.sval for part in node.sort_by.use_op]
        if len(names) > 2 or (len(names) == 2 and names[0] != "pg_catalog"):
            refuse("function_not_allowed", f"operator `{'.'.join(names)}` is not allowed", "built-in operators")
