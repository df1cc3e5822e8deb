"""Decisions on what the gateway itself does for a mount: facts that it works out of a call are arguments too. Pure.

Each value of an argument that is a list must match, and an argument that is not given has no value: an allow is not
broken by it, a deny or a gate does not find it. Facts need not be named by a grant, but where a module says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

from bailiwick.decide.asking import Arguments, Asking, UnclearError, as_json, matcher_of, resolved
from bailiwick.decide.messages import ATTACHED_LEVEL, FACTS, GIVEN, RECIPIENTS, VARIABLE, worked_out
from bailiwick.decide.templates import templates_in
from bailiwick.match.addresses import canonical_address
from bailiwick.match.evaluate import Resolve
from bailiwick.match.paths import holds_of_argument
from bailiwick.model.label import levels
from bailiwick.model.matcher import Equal, Matcher
from bailiwick.model.scope import CallGrant, ToolScope
from bailiwick.model.session import Claim
from bailiwick.model.tool import EVERY_ARGUMENT
from bailiwick.model.value import Ref

OPEN_LEVELS = levels[: levels.index("confidential")]


def completed_own(asking: Asking, tool: ToolScope, grant: CallGrant, given: Arguments) -> dict[str, object] | None:
    """Return the arguments and facts of a call that a grant admits; None when it does not admit them.

    Raises UnclearError for a call that means nothing."""
    if any(True for _ in _unnamed(grant, given)):
        return None
    found = _meant(asking, tool, grant, given)
    if found is None or any(True for _ in _amiss(asking, grant, found)):
        return None
    return found


def against_own(asking: Asking, tool: ToolScope, grant: CallGrant, given: Arguments) -> Iterable[str]:
    """Yield the names of arguments and facts for which a grant does not admit a call that means something."""
    unnamed = tuple(_unnamed(grant, given))
    if unnamed:
        yield from unnamed
        return
    try:
        found = _meant(asking, tool, grant, given)
    except UnclearError:
        return
    if found is not None:
        yield from _amiss(asking, grant, found)


def facts_of(definition: str) -> tuple[str, ...]:
    """Return what a policy may bound beside the arguments that agents give."""
    variables = (name for each in templates_in(definition).values() for name in each.variables)
    return (*FACTS, *dict.fromkeys(VARIABLE + name for name in variables))


def met(asking: Asking, name: str, matcher: Matcher, found: Arguments) -> bool | None:
    """Return whether an argument meets what a deny or a gate says: False where it has no value, unknown where some of
    its values do and some do not."""
    known = _every(asking, name, matcher, found)
    return False if known is None and found.get(name) is None else known


def _meant(asking: Asking, tool: ToolScope, grant: CallGrant, given: Arguments) -> dict[str, object] | None:
    mount = asking.policy.email.get(tool.mount)
    filled = _filled(asking, tool, grant, given)
    return (
        None if mount is None or filled is None else worked_out(mount, tool.locked.definition, filled, asking.attached)
    )


def _filled(asking: Asking, tool: ToolScope, grant: CallGrant, given: Arguments) -> dict[str, object] | None:
    """Return what is given, with what the grant fixes filled in; None when the session lacks a value."""
    found = {name: value for name, value in given.items() if name in GIVEN and value is not None}
    for name, matcher in grant.args.items():
        if isinstance(matcher, Equal) and name in GIVEN and name not in found:
            value = as_json(resolved(matcher.operand, asking.resolve))
            if value is None:
                return None
            found[name] = [value] if name in RECIPIENTS else value
    template = templates_in(tool.locked.definition).get(str(found.get("template")))
    variables = found.get("variables", {})
    if template is None or not isinstance(variables, dict):
        return found
    values = dict(cast("dict[str, object]", variables))
    for name, variable in template.variables.items():
        matcher = grant.args.get(VARIABLE + name)
        if isinstance(matcher, Equal) and values.get(name) is None:
            texts = {"type": "string"} if variable.type in ("string", "text", "email", "url", "date") else None
            value = as_json(resolved(matcher.operand, asking.resolve), texts)
            if value is None:
                return None
            values[name] = value
    return {**found, "variables": values} if values else found


def _amiss(asking: Asking, grant: CallGrant, found: Arguments) -> Iterable[str]:
    for name in dict.fromkeys((*found, *grant.args)):
        matcher = matcher_of(grant, name)
        if name == EVERY_ARGUMENT or (matcher is None and _is_free(name, found)):
            continue
        if matcher is None:
            yield name
            continue
        known = _every(asking, name, matcher, found)
        absent = found.get(name) is None or found.get(name) == []
        if known is not True and not (absent and known is None):
            yield name


def _unnamed(grant: CallGrant, given: Arguments) -> Iterable[str]:
    """Yield what is given and a grant does not name at all: what the call means need not be worked out for it."""
    for name, value in given.items():
        if value is not None and name in GIVEN and name != "variables" and matcher_of(grant, name) is None:
            yield name


def _is_free(name: str, found: Arguments) -> bool:
    """Return whether a grant need not name it: facts, and variables, which were accepted with their template. Links
    that no template brought are what the agent says, as any argument; and files of `confidential` and above go out only
    where a grant says so."""
    if name == "links":
        return not found.get("links")
    if name == ATTACHED_LEVEL:
        return found.get(name) in OPEN_LEVELS
    return name in FACTS or name == "variables" or name.startswith(VARIABLE)


def _every(asking: Asking, name: str, matcher: Matcher, found: Arguments) -> bool | None:
    """Return whether a value matches; of several all of them, none (False), or unknown."""
    if name in RECIPIENTS:
        asking = replace(asking, resolve=_canonical(asking.resolve))
    value = found.get(name)
    if not isinstance(value, list):
        return holds_of_argument(matcher, value, asking.resolve, asking.now)
    listed = cast("list[object]", value) or [None]
    every = {holds_of_argument(matcher, each, asking.resolve, asking.now) for each in listed}
    return every.pop() if len(every) == 1 else None


def _canonical(resolve: Resolve) -> Resolve:
    """Return session values as addresses are compared."""

    def canonical(ref: Ref) -> Claim | None:
        value = resolve(ref)
        return canonical_address(value) if isinstance(value, str) else value

    return canonical
