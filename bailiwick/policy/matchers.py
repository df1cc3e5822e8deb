"""Matchers and masks: YAML → `model.matcher` and `model.mask`."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal

from bailiwick.errors import PolicyError
from bailiwick.model.mask import Mask, mask_names
from bailiwick.model.matcher import Anything, Bound, Empty, Equal, Every, Glob, Matcher, Not, OneOf, Prefix, Within
from bailiwick.model.position import Position
from bailiwick.model.tool import EVERY_ARGUMENT
from bailiwick.model.value import Operand, Ref
from bailiwick.policy.document import Block, Broken, Entry, Leaf, Listing, Node
from bailiwick.policy.expect import block, column, flag, text, wrong
from bailiwick.policy.problem import near, quoted
from bailiwick.policy.reading import Reading, SqlUse
from bailiwick.policy.values import duration, operand, reference

_BOUNDS = ("min", "max", "over", "under")
_SQL_TOKENS = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|(\$[A-Za-z_][\w.]*)")
"""Quoted parts of SQL, to be skipped, and references (group 1)."""
_MAX_SQL = 4096
matcher_keys = (*_BOUNDS, "within", "prefix", "glob", "not", "empty")


def matchers(reading: Reading, node: Node, what: str) -> dict[str, Matcher]:
    """Return name → matcher, e.g. of `rows:`."""
    found = block(reading.report, node, what)
    if found is None:
        return {}
    read: dict[str, Matcher] = {}
    for entry in found.entries.values():
        name = column(reading.report, Leaf(entry.position, entry.key, entry.key, plain=False), f"a key of {what}")
        matcher = _matcher(reading, entry.value, f"{quoted(entry.key)} in {what}")
        if name is not None and matcher is not None:
            read[entry.key] = matcher
    return read


def arguments(reading: Reading, node: Node, what: str) -> dict[str, Matcher]:
    """Return argument → matcher. `any` in place of the mapping, like its key `*`, is every argument not named."""
    if isinstance(node, Leaf) and node.plain and node.text == "any":
        return {EVERY_ARGUMENT: Anything()}
    return matchers(reading, node, what)


def single_operand(reading: Reading, node: Node, what: str) -> Operand | None:
    """Return one value or reference."""
    found = _operand(reading, node, what)
    if isinstance(found, Ref) and found.path == ("user", "groups"):
        reading.report.error(node.position, "list_as_value", f"{what}: `$user.groups` is a list, not one value")
        return None
    return found


def _matcher(reading: Reading, node: Node, what: str) -> Matcher | None:
    if isinstance(node, Listing):
        operands = [_operand(reading, item, f"each item of {what}") for item in node.items]
        return OneOf(tuple(item for item in operands if item is not None))
    if isinstance(node, Block):
        return _conditions(reading, node, what)
    if isinstance(node, Leaf) and node.plain and node.text == "any":
        return Anything()
    found = _operand(reading, node, what)
    if isinstance(found, Ref) and found.path == ("user", "groups"):
        message = f"{what}: `$user.groups` is a list, and one value never equals a list"
        reading.report.error(node.position, "list_as_value", message, "write `[$user.groups]` for one of them")
    return None if found is None else Equal(found)


def _operand(reading: Reading, node: Node, what: str) -> Operand | None:
    found = operand(reading.report, node, what)
    if isinstance(found, Ref):
        reading.ref(found, node.position)
    return found


def _conditions(reading: Reading, node: Block, what: str) -> Matcher | None:
    found = block(reading.report, node, what, matcher_keys)
    if found is None or not found.entries:
        wrong(reading.report, node, what, "a value, a list, `any`, or conditions such as `{min: 1}`", "it is empty")
        return None
    parts: list[Matcher | None] = []
    if any(key in found.entries for key in _BOUNDS):
        parts.append(_bound(reading, found, what))
    # In the order of our list, not of the text, so that equal policies have equal versions.
    others = [found.entries[key] for key in matcher_keys if key in found.entries and key not in _BOUNDS]
    parts.extend(_condition(reading, entry, what) for entry in others)
    good = tuple(part for part in parts if part is not None)
    if len(good) < 2:
        return good[0] if good else None
    return Every(good)


def _condition(reading: Reading, entry: Entry, what: str) -> Matcher | None:
    where = f"`{entry.key}` of {what}"
    match entry.key:
        case "within":
            span = duration(reading.report, entry.value, where)
            return None if span is None else Within(span)
        case "prefix":
            return _prefix(reading, entry.value, where)
        case "glob":
            return _glob(reading, entry.value, where)
        case "empty":
            expected = flag(reading.report, entry.value, where)
            return None if expected is None else Empty(expected)
        case _:
            inner = _matcher(reading, entry.value, where)
            if isinstance(inner, Anything):
                reading.report.error(entry.position, "matches_nothing", f"{where} `any` matches nothing")
            return None if inner is None else Not(inner)


def _prefix(reading: Reading, node: Node, what: str) -> Prefix | None:
    found = _operand(reading, node, what)
    if found is not None and not isinstance(found, (str, Ref)):
        wrong(reading.report, node, what, "text", "put it in quotes")
        return None
    return None if found is None else Prefix(found)


def _glob(reading: Reading, node: Node, what: str) -> Glob | None:
    found = text(reading.report, node, what)
    if found is None:
        return None
    if any(c in found for c in "[]{}\\"):
        message = f"{what}: {quoted(found)} is not a pattern: only `*` (any run) and `?` (one character) are special"
        reading.report.error(node.position, "bad_glob", message, "no `[ ]`, `{ }` or backslashes")
        return None
    return Glob(found)


def _bound(reading: Reading, node: Block, what: str) -> Bound | None:
    ends: dict[str, Operand] = {}
    for key in _BOUNDS:
        entry = node.get(key)
        if entry is None:
            continue
        found = _operand(reading, entry.value, f"`{key}` of {what}")
        if isinstance(found, (bool, str)):
            wrong(
                reading.report,
                entry.value,
                f"`{key}` of {what}",
                "a number, a date, a moment or `$name`",
                _unquote(found),
            )
        elif found is not None:
            ends[key] = found
    _nothing_between(reading, node, ends, what)
    return Bound(ends.get("min"), ends.get("max"), ends.get("over"), ends.get("under")) if ends else None


def _unquote(found: bool | str) -> str:
    return "write it without quotes" if isinstance(found, str) and found[:1].isdigit() else ""


def _nothing_between(reading: Reading, node: Block, ends: dict[str, Operand], what: str) -> None:
    """Report bounds between which no value lies."""
    for low in ("min", "over"):
        for high in ("max", "under"):
            if low in ends and high in ends and _crossed(ends[low], ends[high], closed=(low, high) == ("min", "max")):
                message = f"{what}: nothing lies between `{low}: {ends[low]}` and `{high}: {ends[high]}`"
                reading.report.error(node.position, "matches_nothing", message, "swap them?")


def _crossed(low: Operand, high: Operand, *, closed: bool) -> bool:
    if isinstance(low, (int, Decimal)) and isinstance(high, (int, Decimal)):
        return low > high or (low == high and not closed)
    if isinstance(low, datetime) and isinstance(high, datetime):
        return low > high or (low == high and not closed)
    if type(low) is date and type(high) is date:
        return low > high or (low == high and not closed)
    return False


def masks(reading: Reading, node: Node, resource: str) -> dict[str, Mask]:
    """Return field → mask. `resource` is the one of the grant's action, for the right to use SQL."""
    found = block(reading.report, node, "`mask`")
    if found is None:
        return {}
    read = {entry.key: _mask(reading, entry, resource) for entry in found.entries.values()}
    return {key: mask for key, mask in read.items() if mask is not None}


def _mask(reading: Reading, entry: Entry, resource: str) -> Mask | None:
    what, node = f"the mask of {quoted(entry.key)}", entry.value
    if isinstance(node, Block):
        return _mask_with_argument(reading, node, what, resource)
    if isinstance(node, Leaf) and node.text == "null":
        return Mask("null")
    found = text(reading.report, node, what) if not isinstance(node, Broken) else None
    match found:
        case "full" | "partial" | "last4" | "hash" | "year":
            return Mask(found)
        case "round" | "sql":
            example = "{round: 1000}" if found == "round" else '{sql: "left(note, 3)"}'
            reading.report.error(
                node.position, "bad_mask", f"{what}: `{found}` needs an argument", f"write `{example}`"
            )
        case str():
            message = f"{what} is {quoted(found)} but must be one of " + ", ".join(f"`{name}`" for name in mask_names)
            reading.report.error(node.position, "unknown_value", f"{message} or `sql`", near(found, mask_names))
        case None:
            pass
    return None


def _mask_with_argument(reading: Reading, node: Block, what: str, resource: str) -> Mask | None:
    found = block(reading.report, node, what, ("round", "sql"))
    if found is None or len(found.entries) != 1:
        reading.report.error(node.position, "bad_mask", f"{what} must name one mask", "as in `{round: 1000}`")
        return None
    (entry,) = found.entries.values()
    if entry.key == "sql":
        expression = sql(reading, entry, f"`sql` of {what}", resource)
        return None if expression is None else Mask("sql", expression)
    value = entry.value.value if isinstance(entry.value, Leaf) else None
    if entry.key == "round" and isinstance(value, (int, Decimal)) and not isinstance(value, bool) and value > 0:
        return Mask("round", format(Decimal(value), "f"))
    if entry.key == "round":
        wrong(reading.report, entry.value, f"`round` of {what}", "a step above zero, such as 1000")
    return None


def sql(reading: Reading, entry: Entry, what: str, resource: str) -> str | None:
    """Return text in the database's own dialect, noting its use: the mount must have it switched on."""
    found = text(reading.report, entry.value, what)
    if found is None:
        return None
    reading.sql.append(SqlUse(resource, entry.position))
    at = entry.value.position
    for token in _SQL_TOKENS.finditer(found):
        ref = reference(token[1]) if token[1] else None
        if ref is not None:
            reading.ref(ref, at)
        elif token[1]:
            message = f"{what}: {quoted(token[1])} is not a reference such as `$ticket_id` or `$user.region`"
            reading.report.error(at, "bad_reference", message)
    _check_sql(reading, found, what, at)
    return found


def _check_sql(reading: Reading, found: str, what: str, at: Position) -> None:
    """Report text that is not one expression of the dialect. Its columns are checked against the lock, not here."""
    if len(found) > _MAX_SQL:
        reading.report.error(at, "bad_sql", f"{what} is longer than {_MAX_SQL} characters", "use a view")
        return
    from bailiwick.sql.parameters import Parameters
    from bailiwick.sql.predicates import own_sql  # the parser costs start-up time that few policies need

    try:
        own_sql(found, Parameters(1))
    except PolicyError as error:
        reading.report.error(at, "bad_sql", f"{what}: {error.message}", error.remedy)
