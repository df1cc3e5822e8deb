"""What is explained of tools, functions and routes: of an action, and of a call with its arguments. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from bailiwick.decide.asking import Asking
from bailiwick.decide.calls import Held, Refused, decide_call, unknown
from bailiwick.decide.files import FilePlaces, names_used, redacted_by
from bailiwick.decide.scope import session_values
from bailiwick.errors import PolicyError
from bailiwick.match.file_paths import folded, path_problem
from bailiwick.match.routes import Router, path_fault
from bailiwick.model.decision import Allow, Decision, Denial, Deny, Hold
from bailiwick.model.files import FileVerb, facts, file_verbs
from bailiwick.model.policy import Policy
from bailiwick.model.scope import Scope
from bailiwick.model.session import Session
from bailiwick.model.tool import EVERY_ARGUMENT, Kind, keyed
from bailiwick.mounts.http.arguments import RefusedError, gather
from bailiwick.mounts.http.envelope import Head
from bailiwick.policy.tool_words import tool_in_words

Told = tuple[Decision, tuple[str, ...]]
"""What is decided, and further lines about it."""


def tool_action(scope: Scope, resource: str, verb: str) -> Told:
    """Return what is decided about an action of tools, whatever the arguments, and how the tools may be called."""
    action = f"{resource}:{verb}"
    tools = {
        name: tool
        for name, tool in scope.tools.items()
        if (tool.tool.action.resource, tool.tool.action.verb) == (resource, verb)
    }
    words = tuple(line for name, tool in tools.items() for line in tool_in_words(name, tool, scope.grants))
    if not tools:
        reach = ", ".join(
            sorted({f"`{each.tool.action.resource}:{each.tool.action.verb}`" for each in scope.tools.values()})
        )
        denial = Denial("action_not_granted", f"`{action}` is granted for no tool or function", reach, "", action)
        return Deny(denial), ()
    always = {name: [gate for gate in tool.held if gate not in tool.bounds] for name, tool in tools.items()}
    held = [gates[0] for gates in always.values() if gates]
    if len(held) == len(tools):
        message = f"`{action}` needs an approval: gate `{held[0]}` holds it"
        return Hold(held[0], Denial("needs_approval", message, "", f"loosen gate `{held[0]}`", action)), words
    grants = dict.fromkeys(allow.grant for name, tool in tools.items() if not always[name] for allow in tool.allows)
    return Allow(tuple(grants)), words


def tool_call(policy: Policy, scope: Scope, session: Session, name: str, arguments: str) -> Told:
    """Return what is decided about one call, and with which arguments it would be made."""
    given = _object(arguments)
    kind: Kind = "field" if keyed("field", name) in scope.tools else "tool"
    return _decided(_asking(policy, scope, session), name, given, kind)


_VERBS: Mapping[str, tuple[FileVerb, ...]] = {
    "list_files": ("list",),
    "read_file": ("read",),
    "write_file": ("create", "update"),
    "search_files": ("read",),
    "move_file": ("move",),
    "delete_file": ("delete",),
}


def file_verbs_of(policy: Policy, asked: str) -> tuple[FileVerb, ...]:
    """Return which verbs on files are asked about, by a tool or `resource:verb`; none: it is about something else."""
    resource, _, verb = asked.partition(":")
    if any(resource in mount.paths for mount in policy.files.values()):
        return tuple(each for each in file_verbs if each == verb)
    return _VERBS.get(asked, ()) if policy.files else ()


def file_call(policy: Policy, scope: Scope, session: Session, verb: FileVerb, arguments: str) -> Told:
    """Return what is decided about one file by what is given of it: `path`, and `size`, `type`, `modified`, `to`."""
    given = _object(arguments)
    name, path = given.get("mount") or (next(iter(policy.files)) if len(policy.files) == 1 else None), given.get("path")
    mount = policy.files.get(name) if isinstance(name, str) else None
    if mount is None or not isinstance(path, str):
        known = ", ".join(policy.files)
        raise PolicyError(
            "`--args` does not name a file", remedy=f"give `path`, and `mount` if there are several: {known}"
        )
    wrong = path_problem(path)
    if wrong:
        return Deny(Denial("argument_not_granted", f"this is no path of a file: {wrong}")), ()
    placed = FilePlaces(mount).place(path)
    tool = scope.tools.get(keyed("file", f"{mount.name}/{placed.resource}:{verb}")) if placed is not None else None
    if placed is None or tool is None:
        which = "is of no resource" if placed is None else f"is of `{placed.resource}`, of which this is not granted"
        return Deny(Denial("resource_unknown", f"there is no such file that this session may {verb}: it {which}")), ()
    known_of = {key: value for key, value in given.items() if key in facts and key not in ("path", "level")}
    about = {"path": path, "folded": folded(path), "level": placed.level, **known_of}
    decided = decide_call(_asking(policy, scope, session), f"{mount.name}/{placed.resource}:{verb}", about, "file")
    labelled = (
        f"{mount.name}: {verb} {path}, of {placed.resource}, labelled {', '.join(sorted(placed.labels)) or 'internal'}"
    )
    missing = sorted(names_used(tool) - set(about) - {EVERY_ARGUMENT})
    unsaid = (f"not given, and asked for by grants: {', '.join(missing)}",) if missing else ()
    if isinstance(decided, Refused):
        return decided.decision, (labelled, *unsaid)
    if isinstance(decided, Held):
        return decided.hold, (labelled, *unsaid)
    masked = sorted(redacted_by(decided.view.grants)) if verb == "read" else []
    return decided.allow, (labelled, *([f"masked: {', '.join(masked)}"] if masked else []), *unsaid)


def _object(arguments: str) -> dict[str, object]:
    try:
        given = cast("object", json.loads(arguments))
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise PolicyError("`--args` is not a JSON object", remedy="""write e.g. `--args '{"amount": 30}'`""")
    return cast("dict[str, object]", given)


def route_call(policy: Policy, scope: Scope, session: Session, asked: str, body: str | None) -> Told:
    """Return what is decided about one request, e.g. `GET /billing/invoices/5?page=1`, with a JSON body."""
    method, _, target = asked.partition(" ")
    whole, _, query = target.partition("?")
    mount, slash, path = whole[1:].partition("/")
    api = policy.http.get(mount)
    wrong = path_fault(whole)
    if wrong:
        return Deny(Denial("protocol_violation", f"this path is not taken: {wrong}")), ()
    routes = [] if api is None else [each for each in api.offered if each.route is not None]
    router = Router([(each.route.method, each.route.path, each) for each in routes if each.route is not None])
    found = router.find(method, slash + path or "/")
    if api is None or found is None or found.target.route is None or api.shown(found.target) not in scope.tools:
        return unknown(scope, asked.partition("?")[0], "route"), ()
    head = Head(method, mount, slash + path, query, "", {}, "" if body is None else "json")
    try:
        given = gather(found.target.route, found.values, head, (body or "").encode())
    except RefusedError as error:
        return Deny(error.denial), ()
    name = api.shown(found.target).removeprefix("route:")
    return _decided(_asking(policy, scope, session), name, given.arguments, "route")


def _asking(policy: Policy, scope: Scope, session: Session) -> Asking:
    return Asking(policy, scope, lambda ref: session.value(ref.path), session_values(session), datetime.now(UTC))


def _decided(asking: Asking, name: str, given: Mapping[str, object], kind: Kind) -> Told:
    decided = decide_call(asking, name, given, kind)
    if isinstance(decided, Refused):
        return decided.decision, ()
    if isinstance(decided, Held):
        sent = json.dumps(decided.admitted.arguments, ensure_ascii=False)
        return decided.hold, (f"{decided.tool.mount}: {name} with {sent}, once approved",)
    sent = json.dumps(decided.arguments, ensure_ascii=False)
    return decided.allow, (f"{decided.tool.mount}: {name} with {sent}",)
