"""Decisions on calls of tools, uses of prompts and reads of documents: which grants admit them, what is shown.

Pure. Arguments are closed: one grant must name every one of them; one that must equal a value is filled in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from bailiwick.decide.allowed import allowed_files, allowed_message
from bailiwick.decide.asking import Arguments, Asking, UnclearError, accepted_properties, as_json, matcher_of, resolved
from bailiwick.decide.budgets import charging_of
from bailiwick.decide.denials import quoted
from bailiwick.decide.limits import ceilings
from bailiwick.decide.results import View
from bailiwick.errors import PolicyError
from bailiwick.match.condition import CelInput, compile_condition
from bailiwick.match.evaluate import all_of
from bailiwick.match.paths import holds_of_argument
from bailiwick.match.uris import is_template, values_in
from bailiwick.model.decision import Allow, Denial, Deny, Hold
from bailiwick.model.matcher import Equal, Matcher
from bailiwick.model.policy import Policy
from bailiwick.model.scope import CallGrant, Scope, ToolScope
from bailiwick.model.tool import EVERY_ARGUMENT, Kind, keyed

_most_listed = 12


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call that may be made: with exactly these arguments; of its result only the view is shown."""

    tool: ToolScope
    arguments: Arguments
    view: View
    allow: Allow


@dataclass(frozen=True, slots=True)
class Held:
    """A call that may be made once people have approved it: with exactly these arguments."""

    admitted: Admitted
    hold: Hold

    @property
    def tool(self) -> ToolScope:
        """The tool that is called."""
        return self.admitted.tool


@dataclass(frozen=True, slots=True)
class Refused:
    """A call that may not be made. `tool` is None when the session has no such tool."""

    tool: ToolScope | None
    decision: Deny | Hold


Decided = Admitted | Held | Refused


def decide_call(asking: Asking, name: str, given: Arguments, kind: Kind = "tool") -> Decided:
    """Decide a call by the name and with the arguments that the agent gives; or the use of a prompt."""
    tool = asking.scope.tools.get(keyed(kind, name))
    if tool is None or tool.tool.kind != kind:
        return Refused(None, unknown(asking.scope, name, kind))
    fixed = _fixed(asking, tool)
    closed = _closed(tool, given)
    if closed is None and fixed is None:
        message = f"{quoted(name)} needs a value that this session does not have"
        closed = Denial("context_missing", message, "", _owner(asking), _action(tool))
    if closed is not None or fixed is None:
        return Refused(tool, Deny(closed or _unreachable))
    admitting: list[tuple[CallGrant, dict[str, object]]] = []
    unclear: Denial | None = None
    for grant in tool.allows:
        try:
            completed = _completed(asking, tool, grant, given)
        except UnclearError as error:
            unclear = unclear or replace(error.denial, action=_action(tool))
            continue
        if completed is not None and _when(asking, tool, grant, completed) is True:
            admitting.append((grant, {**completed, **fixed}))
    if not admitting:
        return Refused(tool, Deny(unclear or _not_admitted(asking, tool, given)))
    arguments = admitting[0][1]
    if any(other != arguments for _, other in admitting[1:]):
        message = f"several grants admit this call of {quoted(name)}, with different values for what it leaves out"
        denial = Denial("argument_not_granted", message, "", "give every argument", _action(tool))
        return Refused(tool, Deny(denial))
    return _less_denies(asking, tool, arguments, [grant for grant, _ in admitting])


def without_waiting(decided: Decided) -> Admitted | Refused:
    """Return a decision where nothing can wait for people: what a gate holds is refused."""
    if not isinstance(decided, Held):
        return decided
    hold = decided.hold
    denial = replace(hold.denial, remedy=f"nothing can wait for people here: ask for gate `{hold.gate}` to be loosened")
    return Refused(decided.tool, replace(hold, denial=denial))


def decide_document(asking: Asking, uri: str) -> Decided:
    """Decide the reading of a document by its URI, which gives the variables of its template their values.

    Which document it is does not depend on the session: one that it may not read is no other's for it.
    """
    mapped = [tool.name for mount in asking.policy.mcp.values() for tool in mount.documents.values()]
    if uri in mapped and not is_template(uri):
        return decide_call(asking, uri, {}, "document")
    found = [(name, values) for name in mapped if is_template(name) and (values := values_in(name, uri)) is not None]
    if len(found) != 1:  # of several nobody knows which one the server takes
        return Refused(None, unknown(asking.scope, uri, "document"))
    name, values = found[0]
    return decide_call(asking, name, values, "document")


def _less_denies(asking: Asking, tool: ToolScope, arguments: Arguments, grants: Sequence[CallGrant]) -> Decided:
    hidden, without = frozenset[str](), list[CallGrant]()
    for deny in tool.denies:
        if not _applies(asking, tool, deny, arguments):
            continue
        if not deny.items and not deny.hidden:
            message = f"`{_action(tool)}` with these arguments is denied by the policy"
            return Refused(
                tool, Deny(Denial("action_not_granted", message, "", _owner(asking), _action(tool)), (deny.grant,))
            )
        if deny.items:  # with `fields` too: the whole item goes, which is the smaller scope
            without.append(deny)
        else:
            hidden |= deny.hidden
    view = View(tool.tool.items, tuple(grants), tuple(without), hidden)
    admitted = Admitted(tool, arguments, view, allowance(asking, tool, grants))
    gates = tuple(name for name in tool.held if _fires(asking, tool, name, arguments))
    if not gates:
        return admitted
    message = f"`{_action(tool)}` needs an approval: gate `{gates[0]}` holds it"
    denial = Denial("needs_approval", message, "", "people decide on it once it is asked for", _action(tool))
    return Held(admitted, Hold(gates[0], denial, gates=gates))


def _fires(asking: Asking, tool: ToolScope, gate: str, arguments: Arguments) -> bool:
    """Return whether a gate that holds a tool holds this call: it does unless it is known not to."""
    bounds = tool.bounds.get(gate, {}).items()
    named = ((name, matcher) for name, matcher in bounds if name != EVERY_ARGUMENT)
    if tool.tool.own is not None:
        from bailiwick.decide.own import met

        matched = all_of(met(asking, name, matcher, arguments) for name, matcher in named)
    else:
        matched = all_of(
            holds_of_argument(matcher, arguments.get(name), asking.resolve, asking.now) for name, matcher in named
        )
    return matched is not False


def allowance(asking: Asking, tool: ToolScope, grants: Iterable[CallGrant]) -> Allow:
    """Return an allow by these grants, with the ceilings of them all and of the mount."""
    ids = tuple(grant.grant for grant in grants)
    key = (asking.policy.version, asking.scope.id, tool.mount, tool.tool.key, ids)
    known = _allowances.get(key)
    if known is None or known[0] is not asking.policy or known[1] is not tool:
        if len(_allowances) >= _most_allowances:
            _allowances.clear()
        known = _allowances[key] = (asking.policy, tool, _allowance(asking, tool, ids))
    return known[2]


_allowances: dict[tuple[str, str, str, str, tuple[str, ...]], tuple[Policy, ToolScope, Allow]] = {}
_most_allowances = 1024
"""An allow hangs on nothing but its key: it is made once. Holding policy and tool keeps theirs from being others."""


def _allowance(asking: Asking, tool: ToolScope, ids: tuple[str, ...]) -> Allow:
    mount = asking.policy.tool_mounts.get(tool.mount)
    known = [asking.scope.grants[each] for each in ids if each in asking.scope.grants]
    verb = "read" if tool.tool.own is None else tool.tool.action.verb
    bounds = ceilings(known, () if mount is None else mount.limits, verb)
    budgets = charging_of(asking.policy, asking.scope).of(ids, tool.mount, "read")
    return Allow(ids, frozenset[str]().union(*tool.resource.labels.values()), bounds, budgets)


def _closed(tool: ToolScope, given: Arguments) -> Denial | None:
    """Return why an argument cannot be given at all: it is the gateway's, or none that was accepted."""
    for name in given:
        if name in tool.tool.fixed:
            message = f"argument {quoted(name)} is filled in by the gateway"
            return Denial("argument_not_granted", message, "", "leave it out", _action(tool))
    accepted = accepted_properties(tool.locked.definition)
    unknown = [name for name in given if name not in accepted and not _is_below(tool, name)]
    if unknown:
        message = f"{quoted(unknown[0])} is not an argument of {quoted(tool.tool.name)}"
        known = _names(name for name in accepted if name not in tool.tool.fixed)
        return Denial("argument_not_granted", message, known, "leave it out", _action(tool))
    return None


def _completed(asking: Asking, tool: ToolScope, grant: CallGrant, given: Arguments) -> dict[str, object] | None:
    """Return the arguments that the grant admits, with what it fixes filled in; None when it does not admit them."""
    if tool.tool.own is not None:
        from bailiwick.decide.own import completed_own  # brings Jinja, which few policies need

        return completed_own(asking, tool, grant, given)
    found = dict(given)
    properties = accepted_properties(tool.locked.definition)
    for name, matcher in grant.args.items():
        if name == EVERY_ARGUMENT or name in tool.tool.fixed:
            continue
        if _is_elsewhere(tool, name, given):
            continue
        if name not in properties and _is_needed(tool, name):
            return None  # it is about other routes or fields: this one would be left without its condition
        if isinstance(matcher, Equal):
            value = as_json(resolved(matcher.operand, asking.resolve), _each_of(tool, properties.get(name)))
            if value is None:
                return None
            value = value if _each_of(tool, properties.get(name)) is properties.get(name) else [value]
            if name not in found or (found[name] is None and _is_below(tool, name)):
                if name not in found and name not in properties:
                    return None
                found[name] = value
            if found[name] == value and type(found[name]) is type(value):
                continue
        if _holds(asking, tool, matcher, name, found) is not True:
            return None
    for name, value in found.items():
        if name not in grant.args and not (value is None and _is_below(tool, name)):
            rest = grant.args.get(EVERY_ARGUMENT)
            if rest is None or _holds(asking, tool, rest, name, found) is not True:
                return None
    return found


def _each_of(tool: ToolScope, schema: object) -> object:
    """Return the schema of each value of a parameter of a route that may stand several times; else the schema."""
    if tool.tool.kind != "route" or not isinstance(schema, dict):
        return schema
    found = cast("dict[str, object]", schema)
    return found.get("items", found)


def _holds(asking: Asking, tool: ToolScope, matcher: Matcher, name: str, given: Arguments) -> bool | None:
    """Return whether an argument matches. Of several values: all of them, none of them (False), or unknown."""
    value, schema = given.get(name), accepted_properties(tool.locked.definition).get(name)
    if _each_of(tool, schema) is schema or not isinstance(value, list):
        return holds_of_argument(matcher, value, asking.resolve, asking.now)
    every = {holds_of_argument(matcher, each, asking.resolve, asking.now) for each in cast("list[object]", value)}
    return every.pop() if len(every) == 1 else None


def is_below(name: str) -> bool:
    """Return whether an argument is one of a field within the result of a call: `orders(first)`, of GraphQL alone."""
    return name.endswith(")") and "(" in name


def _is_elsewhere(tool: ToolScope, name: str, given: Arguments) -> bool:
    """Return whether an argument is one of a field that the call does not ask for, so that nothing hangs on it.

    INVARIANT: of each field that a call asks for, every argument is among those given; None where it has no value."""
    return _is_below(tool, name) and name not in given


def _is_below(tool: ToolScope, name: str) -> bool:
    return tool.tool.kind == "field" and is_below(name)


def _is_needed(tool: ToolScope, name: str) -> bool:
    """Return whether what a grant says of an argument says, too, which routes or fields it is about."""
    if tool.tool.kind == "field":
        return not is_below(name)
    return tool.tool.kind == "route" and name.startswith("path.")


def _fixed(asking: Asking, tool: ToolScope) -> dict[str, object] | None:
    """Return the arguments that the policy fixes for the tool; None when the session lacks a value."""
    properties = accepted_properties(tool.locked.definition)
    found: dict[str, object] = {}
    for name, operand in tool.tool.fixed.items():
        value = as_json(resolved(operand, asking.resolve), properties.get(name))
        if value is None:
            return None
        found[name] = value
    return found


def _when(asking: Asking, tool: ToolScope, grant: CallGrant, arguments: Arguments) -> bool | None:
    if grant.when is None:
        return True
    labels = tuple(sorted(tool.resource.labels.get("*", frozenset())))
    facts: dict[str, CelInput] = {"name": tool.resource.name, "mount": tool.mount, "labels": labels}
    given = _nested(arguments) if tool.tool.kind in ("route", "field") else arguments
    try:
        return compile_condition(grant.when).evaluate(asking.session, facts, cast("Mapping[str, CelInput]", given))
    except PolicyError:
        return None


def _nested(arguments: Arguments) -> Arguments:
    """Return the arguments of a route or field as conditions name them: `args.path.id`, `args.body.customer.id`."""
    found: dict[str, object] = {}
    for name, value in arguments.items():
        *way, last = name.split(".") if not name.startswith("query.") else name.split(".", 1)
        inner = found
        for key in way:
            inner = cast("dict[str, object]", inner.setdefault(key, {}))
        inner[last] = value
    return found


def _applies(asking: Asking, tool: ToolScope, deny: CallGrant, arguments: Arguments) -> bool:
    """Return whether a deny concerns the call: it does unless it is known not to."""
    if tool.tool.own is not None:
        from bailiwick.decide.own import met

        named = ((name, matcher) for name, matcher in deny.args.items() if name != EVERY_ARGUMENT)
        matched = all_of(met(asking, name, matcher, arguments) for name, matcher in named)
        return matched is not False and _when(asking, tool, deny, arguments) is not False
    matched = all_of(
        not _is_elsewhere(tool, name, arguments) and _holds(asking, tool, matcher, name, arguments)
        for name, matcher in deny.args.items()
        if name != EVERY_ARGUMENT
    )
    return matched is not False and _when(asking, tool, deny, arguments) is not False


def unknown(scope: Scope, name: str, kind: Kind) -> Deny:
    """Return the denial of what does not exist for a session, whether it is mapped or not."""
    message = f"{quoted(name)} is not a {kind} of this session"
    known = [key.removeprefix(f"{kind}:") for key, each in scope.tools.items() if each.tool.kind == kind]
    remedy = "call one that the session has" if kind == "tool" else f"name a {kind} that the session has"
    return Deny(Denial("resource_unknown", message, _names(known), remedy))


def _not_admitted(asking: Asking, tool: ToolScope, given: Arguments) -> Denial:
    """Say what stands against a call, by the grant that comes nearest."""
    best: tuple[int, list[str], CallGrant] | None = None
    for grant in tool.allows:
        against = list(_against(asking, tool, grant, given))
        if best is None or len(against) < best[0]:
            best = (len(against), against, grant)
    wrong, near = ([], None) if best is None else (best[1], best[2])
    action = _action(tool)
    if near is None or not wrong:
        message = f"`{action}` is not granted under the conditions of this call"
        allowed = allowed_files(asking, (tool,)) if tool.tool.kind == "file" else ""
        return Denial("argument_not_granted", message, allowed, _owner(asking), action)
    message = f"`{action}` is not granted with this {_names(wrong)}"
    return Denial("argument_not_granted", message, _allowed(asking, tool, near), _owner(asking), action)


def _against(asking: Asking, tool: ToolScope, grant: CallGrant, given: Arguments) -> Iterable[str]:
    if tool.tool.own is not None:
        from bailiwick.decide.own import against_own

        yield from against_own(asking, tool, grant, given)
        return
    for name in dict.fromkeys((*given, *grant.args)):
        if name in tool.tool.fixed or name == EVERY_ARGUMENT or _is_elsewhere(tool, name, given):
            continue
        if _is_below(tool, name) and given[name] is None and name not in grant.args:
            continue
        matcher = matcher_of(grant, name)
        if matcher is None:
            yield name
        elif isinstance(matcher, Equal):
            value = as_json(resolved(matcher.operand, asking.resolve))
            if value is None or (name in given and given[name] not in (value, [value])):
                yield name
        elif _holds(asking, tool, matcher, name, given) is not True:
            yield name


def _allowed(asking: Asking, tool: ToolScope, near: CallGrant) -> str:
    """Return what would do: of files all that may be used, so that it tells nothing of the one that was asked for."""
    if tool.tool.kind == "file":
        return allowed_files(asking, (tool,))
    return allowed_message(near) if tool.tool.own is not None else allowed_arguments(near)


def allowed_arguments(grant: CallGrant) -> str:
    """Return which arguments a grant takes. Their bounds are in the tool's schema; no value of the session is said."""
    named = [name for name in grant.args if name != EVERY_ARGUMENT]
    if EVERY_ARGUMENT in grant.args:
        return "any argument" + (f", with the bounds of the tool's schema on {_names(named)}" if named else "")
    return f"{_names(named)}, within the bounds of the tool's schema" if named else "no arguments"


def _action(tool: ToolScope) -> str:
    return f"{tool.tool.action.resource}:{tool.tool.action.verb}"


def _owner(asking: Asking) -> str:
    agent = asking.policy.agents.get(asking.scope.agent)
    return f"ask `{agent.owner}`, who owns `{asking.scope.agent}`" if agent else "ask the policy's owner"


def _names(found: Iterable[str]) -> str:
    names = [quoted(name) for name in found]
    rest = f" and {len(names) - _most_listed} more" if len(names) > _most_listed else ""
    return ", ".join(names[:_most_listed]) + rest


_unreachable = Denial("internal_error", "the gateway failed on this request", remedy="its log and ledger say why")
