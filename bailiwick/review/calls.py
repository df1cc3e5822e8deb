"""Calls of tools, functions and routes as the ledger tells of them, decided by another policy. Pure.

Most arguments are recorded as digests, and of a session's values only the names. What an earlier grant has admitted is
known to match it, and whatever that implies; the rest is unknown, and never counted as fine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import cast

from bailiwick.decide.calls import accepted_properties, is_below, matcher_of
from bailiwick.match.evaluate import all_of, any_of
from bailiwick.match.implies import implies
from bailiwick.match.paths import holds_of_argument
from bailiwick.model.matcher import Anything, Bound, Empty, Equal, Every, Matcher, Not, OneOf, Prefix, Within
from bailiwick.model.scope import CallGrant, Scope, ToolScope
from bailiwick.model.tool import EVERY_ARGUMENT
from bailiwick.model.value import Operand, Ref
from bailiwick.review.asked import UNTOLD, Verdict, unknown

_DECODER = json.JSONDecoder()
_SOME_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ToldCall:
    """A call as a record tells of it."""

    name: str
    arguments: Mapping[str, object] | None
    """Argument → value, or a text that begins with `UNTOLD`. None: they are not told."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a call since it was admitted then."""

    tool: ToolScope | None = None
    grants: tuple[CallGrant, ...] = ()
    """Those that admitted it."""
    held: bool = False
    denied: bool = False


def told_calls(statement: str) -> tuple[ToldCall, ...]:
    """Read the calls that a record tells of: one, or the several that begin a GraphQL operation."""
    found: list[ToldCall] = []
    rest = statement
    while rest:
        name, sign, text = rest.partition(" {")
        if not sign:
            return (*found, ToldCall(name, None))
        try:
            arguments, end = _DECODER.raw_decode("{" + text)
        except (ValueError, RecursionError):
            return (*found, ToldCall(name, None))
        known = cast("Mapping[str, object]", arguments)
        found.append(ToldCall(name, known))
        rest = text[end - 1 :].removeprefix("; ")
    return tuple(found)


def tool_of(scope: Scope, name: str) -> ToolScope | None:
    """Return the tool that a record names, which leaves out what kind of thing it is."""
    found = (scope.tools.get(each) for each in (name, f"route:{name}", f"field:{name}"))
    return next((each for each in found if each is not None), None)


def evidence_of(tool: ToolScope | None, grants: Sequence[str], then: str) -> Evidence:
    """Return what an old scope's tool tells of a call, by the grants that its record names."""
    if tool is None or then == "deny":
        return Evidence(tool, denied=then == "deny")
    admitted = tuple(each for each in tool.allows if each.grant in grants)
    if not grants and len(tool.allows) == 1:
        admitted = tool.allows  # a hold's record does not name them
    return Evidence(tool, admitted, held=then == "hold")


def decided(tool: ToolScope | None, call: ToldCall, evidence: Evidence) -> Verdict:
    """Return what is decided about a call of this tool; None: the session has no such one."""
    if tool is None:
        return Verdict("deny", "resource_unknown", f"`{call.name}` does not exist for the session")
    arguments = call.arguments
    if arguments is None:
        return _without_arguments(tool)
    fixed = {*tool.tool.fixed, *(evidence.tool.tool.fixed if evidence.tool is not None else ())}
    given = {name: value for name, value in arguments.items() if name not in fixed}
    accepted = accepted_properties(tool.locked.definition)
    strange = [name for name in given if name not in accepted and not is_below(name)]
    if strange and not evidence.denied:
        return Verdict("deny", "argument_not_granted", f"`{strange[0]}` is not an argument of `{call.name}`")
    if evidence.denied and evidence.tool is not None and _no_wider(tool, evidence.tool):
        return Verdict("deny", "action_not_granted", f"`{call.name}` is granted no further than then")
    admitting = {each.grant: _admits(each, given, evidence) for each in tool.allows}
    admitted = any_of(admitting.values())
    if admitted is False:
        return Verdict("deny", "argument_not_granted", f"no grant admits `{call.name}` with these arguments")
    denied = any_of(_denies(deny, given, evidence) for deny in tool.denies if not deny.items and not deny.hidden)
    if denied is True:
        return Verdict("deny", "action_not_granted", f"`{call.name}` with these arguments is denied")
    if admitted is None or denied is None:
        return unknown(f"the arguments of `{call.name}` are not recorded, and grants ask for their values")
    grants = tuple(name for name, admits in admitting.items() if admits)
    return _gated(tool, given, evidence, grants)


def _no_wider(tool: ToolScope, old: ToolScope) -> bool:
    """Return whether no call is admitted that was refused before."""
    denies = [replace(each, grant="") for each in tool.denies]
    return (
        tool.tool.fixed == old.tool.fixed
        and tool.locked == old.locked
        and all(replace(each, grant="") in denies for each in old.denies)
        and all(any(_admits_no_more(each, other) for other in old.allows) for each in tool.allows)
    )


def _admits_no_more(grant: CallGrant, other: CallGrant) -> bool:
    """Return whether each call that a grant admits is known to be one that the other does."""
    if other.when is not None and other.when != grant.when:
        return False
    for name in dict.fromkeys((*grant.args, *other.args)):
        mine, others = matcher_of(grant, name), matcher_of(other, name)
        if mine is None:
            if not isinstance(others, Anything | Equal):  # left out, that one fills it in
                return False
        elif others is None or implies(mine, others) is not True:
            return False
    return True


def _without_arguments(tool: ToolScope) -> Verdict:
    if not tool.allows:
        return Verdict("deny", "action_not_granted", f"`{tool.tool.name}` is not granted")
    return unknown(f"the arguments of `{tool.tool.name}` are not recorded")


def _gated(tool: ToolScope, given: Mapping[str, object], evidence: Evidence, grants: tuple[str, ...]) -> Verdict:
    fires = {gate: _fires(tool, gate, given, evidence) for gate in tool.held}
    certain = [gate for gate, known in fires.items() if known is True]
    if certain:
        return Verdict("hold", "needs_approval", f"gate `{certain[0]}` holds it", grants=grants)
    doubtful = [gate for gate, known in fires.items() if known is None]
    if doubtful:
        return unknown(f"whether gate `{doubtful[0]}` holds a call hangs on arguments that are not recorded")
    return Verdict("allow", grants=grants)


def _fires(tool: ToolScope, gate: str, given: Mapping[str, object], evidence: Evidence) -> bool | None:
    bounds = tool.bounds.get(gate)
    if not bounds:
        return True
    matched = all_of(
        _matches(matcher, name, given, Evidence()) for name, matcher in bounds.items() if name != EVERY_ARGUMENT
    )
    old = evidence.tool
    if matched is None and old is not None and gate in old.held and old.bounds.get(gate) == bounds:
        others = [each for each in old.held if each != gate]
        return evidence.held if not evidence.held or not others else None
    return matched


def _admits(grant: CallGrant, given: Mapping[str, object], evidence: Evidence) -> bool | None:
    """Return whether a grant admits a call."""
    if any(each.grant == grant.grant and each == grant for each in evidence.grants):
        return True
    parts: list[bool | None] = []
    for name in dict.fromkeys((*given, *grant.args)):
        if name == EVERY_ARGUMENT:
            continue
        matcher = matcher_of(grant, name)
        if matcher is None:
            parts.append(False if name in given and given[name] is not None else name not in given or None)
        elif name in given:
            parts.append(_matches(matcher, name, given, evidence))
        elif not is_below(name):
            parts.append(True if isinstance(matcher, Equal) else _of_nothing(matcher))
    if grant.when is not None:
        parts.append(True if any(each.when == grant.when for each in evidence.grants) else None)
    return all_of(parts)


def _of_nothing(matcher: Matcher) -> bool | None:
    return holds_of_argument(matcher, None, lambda _: None, _SOME_MOMENT) is True


def _denies(deny: CallGrant, given: Mapping[str, object], evidence: Evidence) -> bool | None:
    """Return whether a deny concerns a call."""
    old = evidence.tool
    if old is not None and not evidence.denied and any(each == deny for each in old.denies):
        return False  # it was there then, and let the call pass
    parts = [_matches(matcher, name, given, Evidence()) for name, matcher in deny.args.items() if name in given]
    if any(name not in given and name != EVERY_ARGUMENT for name in deny.args):
        parts.append(None)
    if deny.when is not None:
        parts.append(None)
    return all_of(parts)


def _matches(matcher: Matcher, name: str, given: Mapping[str, object], evidence: Evidence) -> bool | None:
    """Return whether an argument matches, as far as it is told or follows from what was admitted."""
    if isinstance(matcher, Anything):
        return True
    for grant in evidence.grants:
        admitted = matcher_of(grant, name)
        if admitted is not None and implies(admitted, matcher) is True:
            return True
    value = given.get(name)
    if isinstance(value, str) and value.startswith(UNTOLD):
        return None
    if isinstance(value, list):
        return None  # how several values are matched hangs on the schema
    if _hangs_on_session(matcher):
        return None
    return holds_of_argument(matcher, value, lambda _: None, _SOME_MOMENT) is True


def _hangs_on_session(matcher: Matcher) -> bool:
    match matcher:
        case Equal(operand) | Prefix(operand):
            return _is_ref(operand)
        case OneOf(operands):
            return any(map(_is_ref, operands))
        case Bound():
            return any(map(_is_ref, (matcher.min, matcher.max, matcher.over, matcher.under)))
        case Not(inner):
            return _hangs_on_session(inner)
        case Every(parts):
            return any(map(_hangs_on_session, parts))
        case Within():
            return True
        case Empty():
            return False
        case _:
            return False


def _is_ref(operand: Operand | None) -> bool:
    return isinstance(operand, Ref)
