"""Test cases of a policy: YAML text → cases that know where they stand. What they mean is decided elsewhere. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, cast, get_args

from bailiwick.model.decision import DenialCode
from bailiwick.model.position import Position
from bailiwick.policy import expect
from bailiwick.policy.document import Block, Broken, Entry, Leaf, Listing, Node, read_document
from bailiwick.policy.problem import Problem, Report, near, quoted

Wanted = Literal["allow", "deny", "hold"]
Plain = str | int | float | bool | None | list["Plain"] | dict[str, "Plain"]
_wanted: Mapping[str, Wanted] = {"allow": "allow", "deny": "deny", "hold": "hold"}
asks = ("sql", "action", "tool", "http")
"""What a case can ask for: one of them."""
_who = ("agent", "task", "user", "tenant", "context", "mount")
_keys = ("name", *_who, *asks, "args", "expect", "masked", "rows", "set")
_user_keys = ("id", "groups", "claims")
_codes = frozenset(get_args(DenialCode))


@dataclass(frozen=True, slots=True)
class Case:
    """Who asks for what, and what is to be decided."""

    name: str
    position: Position
    ask: str
    """One of `asks`."""
    asked: str
    expected: Wanted
    which: str = ""
    """The code of a denial or the gate of a hold; empty: any."""
    agent: str = ""
    task: str | None = None
    user: str | None = None
    groups: tuple[str, ...] = ()
    claims: Mapping[str, str] = field(default_factory=dict[str, str])
    tenant: str | None = None
    context: Mapping[str, str] = field(default_factory=dict[str, str])
    mount: str | None = None
    args: Mapping[str, Plain] | None = None
    masked: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    """Resource → field → name of its mask; empty: any."""
    rows: Mapping[str, str] = field(default_factory=dict[str, str])
    """Resource → the rows that are reached, in the words of `bailiwick matrix`."""
    set: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    """Resource → field → what may be written, in the words of `bailiwick matrix`."""


def read_cases(file: str, text: str) -> tuple[tuple[Case, ...], tuple[Problem, ...]]:
    """Return the cases of a file, and every problem; with problems the cases do not count."""
    report = Report()
    root = read_document(file, text, report)
    found: list[Case] = []
    whole = None if root is None else expect.block(report, root, "a file of cases", ("cases", "defaults"))
    if whole is not None:
        given = whole.get("defaults")
        defaults = None if given is None else expect.block(report, given.value, "`defaults`", _who)
        listed = expect.required(report, whole, "cases", "a file of cases")
        if listed is not None and not isinstance(listed.value, Listing):
            expect.wrong(report, listed.value, "`cases`", "a list")
        elif listed is not None and isinstance(listed.value, Listing):
            read = (_case(report, each, defaults) for each in listed.value.items)
            found = [each for each in read if each is not None]
    return tuple(found), report.sorted()


def _case(report: Report, node: Node, defaults: Block | None) -> Case | None:
    block = expect.block(report, node, "a case", _keys)
    if block is None:
        return None
    given = {**({} if defaults is None else defaults.entries), **block.entries}
    asking = [key for key in asks if key in given]
    if len(asking) != 1:
        message = "a case asks for one of " + ", ".join(f"`{key}`" for key in asks)
        report.error(block.position, "missing_key" if not asking else "misplaced_key", message)
        return None
    if "agent" not in given:
        report.error(block.position, "missing_key", "a case has no `agent`", "add `agent:`, or to `defaults`")
    wanted = expect.required(report, block, "expect", "a case")
    expected, which = ("allow", "") if wanted is None else _expected(report, wanted.value)
    user, groups, claims = _user(report, given.get("user"))
    asked = _text(report, given[asking[0]]) or ""
    args = given.get("args")
    return Case(
        _text(report, given.get("name")) or _short(asked),
        block.position,
        asking[0],
        asked,
        expected,
        which,
        _text(report, given.get("agent")) or "",
        _text(report, given.get("task")),
        user,
        groups,
        claims,
        _scalar(report, given.get("tenant")),
        _scalars(report, given.get("context")),
        _text(report, given.get("mount")),
        None if args is None else _mapping(report, args),
        _fields(report, given.get("masked")),
        _scalars(report, given.get("rows")),
        _fields(report, given.get("set")),
    )


def _expected(report: Report, node: Node) -> tuple[Wanted, str]:
    if isinstance(node, Block):
        if len(node.entries) != 1:
            expect.wrong(report, node, "`expect`", "one of `allow`, `deny` and `hold`")
            return "deny", ""
        (entry,) = node.entries.values()
        which = _text(report, entry) or ""
        if entry.key == "deny" and which and which not in _codes:
            message = f"{quoted(which)} is no code of a denial"
            report.error(entry.value.position, "unknown_value", message, near(which, _codes))
        if entry.key not in ("deny", "hold"):
            report.error(
                entry.position, "unknown_key", f"unknown key {quoted(entry.key)} in `expect`", "`deny` or `hold`"
            )
            return "deny", ""
        return cast("Wanted", entry.key), which
    return expect.choice(report, node, "`expect`", _wanted) or "deny", ""


def _user(report: Report, entry: Entry | None) -> tuple[str | None, tuple[str, ...], dict[str, str]]:
    if entry is None:
        return None, (), {}
    if not isinstance(entry.value, Block):
        return _text(report, entry), (), {}
    block = expect.block(report, entry.value, "`user`", _user_keys)
    if block is None:
        return None, (), {}
    groups = block.get("groups")
    names = () if groups is None else expect.several(report, groups.value, "`groups`", expect.text)
    return _text(report, block.get("id")) or "somebody", names, _scalars(report, block.get("claims"))


def _text(report: Report, entry: Entry | None) -> str | None:
    return None if entry is None else expect.text(report, entry.value, f"`{entry.key}`")


def _scalar(report: Report, entry: Entry | None) -> str | None:
    """Return a value as it is written: what type it has is declared by the policy."""
    if entry is None:
        return None
    if isinstance(entry.value, Leaf) and entry.value.value is not None:
        return entry.value.text
    expect.wrong(report, entry.value, f"`{entry.key}`", "a value")
    return None


def _scalars(report: Report, entry: Entry | None) -> dict[str, str]:
    block = None if entry is None else expect.block(report, entry.value, f"`{entry.key}`")
    read = {} if block is None else {each.key: _scalar(report, each) for each in block.entries.values()}
    return {name: value for name, value in read.items() if value is not None}


def _fields(report: Report, entry: Entry | None) -> dict[str, Mapping[str, str]]:
    """Return resource → field → words; a list of fields has no words."""
    block = None if entry is None else expect.block(report, entry.value, f"`{entry.key}`")
    found: dict[str, Mapping[str, str]] = {}
    for each in () if block is None else block.entries.values():
        if isinstance(each.value, Block):
            found[each.key] = _scalars(report, each)
        else:
            found[each.key] = dict.fromkeys(expect.several(report, each.value, f"`{each.key}`", expect.text), "")
    return found


def _mapping(report: Report, entry: Entry) -> dict[str, Plain] | None:
    found = plain(entry.value)
    if isinstance(found, dict):
        return found
    expect.wrong(report, entry.value, f"`{entry.key}`", "a mapping")
    return None


def plain(node: Node) -> Plain:
    """Return what a node means as JSON has it."""
    match node:
        case Block():
            return {each.key: plain(each.value) for each in node.entries.values()}
        case Listing():
            return [plain(each) for each in node.items]
        case Leaf():
            value = node.value
            if isinstance(value, Decimal):
                return float(value)
            return value if value is None or isinstance(value, str | bool | int) else node.text
        case Broken():
            return None


def _short(asked: str) -> str:
    words = " ".join(asked.split())
    return words if len(words) <= 80 else words[:77] + "…"


def cases_schema() -> dict[str, object]:
    """Return the JSON Schema of a file of cases, for editors."""
    text: dict[str, object] = {"type": "string", "minLength": 1}
    value: dict[str, object] = {"type": ["string", "number", "boolean"]}
    values: dict[str, object] = {"type": "object", "additionalProperties": value}
    words: dict[str, object] = {
        "type": "object",
        "additionalProperties": {"anyOf": [{"type": "array", "items": text}, values, text]},
    }
    person: dict[str, object] = {
        "anyOf": [
            text,
            {
                "type": "object",
                "additionalProperties": False,
                "properties": {"id": text, "groups": {"type": "array", "items": text}, "claims": values},
            },
        ]
    }
    who: dict[str, object] = {
        "agent": text,
        "task": text,
        "user": person,
        "tenant": value,
        "context": values,
        "mount": text,
    }
    wanted: dict[str, object] = {
        "anyOf": [
            {"enum": [*_wanted]},
            {
                "type": "object",
                "additionalProperties": False,
                "maxProperties": 1,
                "minProperties": 1,
                "properties": {"deny": {"enum": sorted(_codes)}, "hold": text},
            },
        ]
    }
    case: dict[str, object] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["expect"],
        "oneOf": [{"required": [key]} for key in asks],
        "properties": {
            "name": text,
            **who,
            "sql": {**text, "description": "A statement on `mount`."},
            "action": {**text, "description": "`resource:verb[:field]`."},
            "tool": {**text, "description": "A tool or function, with `args`."},
            "http": {**text, "description": "A request, `METHOD /mount/path`; `args` is its body."},
            "args": {"type": "object"},
            "expect": wanted,
            "masked": words,
            "rows": values,
            "set": words,
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:bailiwick:cases:1",
        "title": "Test cases of a Bailiwick policy",
        "type": "object",
        "additionalProperties": False,
        "required": ["cases"],
        "properties": {
            "defaults": {"type": "object", "additionalProperties": False, "properties": who},
            "cases": {"type": "array", "items": case},
        },
    }
