"""What `bailiwick explain` says of tools and functions: of an action, and of a call with its arguments."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import cast

from bailiwick.decide.calls import Asking, Held, Refused, decide_call
from bailiwick.decide.scope import session_values
from bailiwick.errors import PolicyError
from bailiwick.model.decision import Allow, Decision, Denial, Deny, Hold
from bailiwick.model.policy import Policy
from bailiwick.model.scope import Scope
from bailiwick.model.session import Session
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
    try:
        given = cast("object", json.loads(arguments))
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise PolicyError("`--args` is not a JSON object", remedy="""write e.g. `--args '{"amount": 30}'`""")
    asking = Asking(policy, scope, lambda ref: session.value(ref.path), session_values(session), datetime.now(UTC))
    decided = decide_call(asking, name, cast("dict[str, object]", given))
    if isinstance(decided, Refused):
        return decided.decision, ()
    if isinstance(decided, Held):
        sent = json.dumps(decided.admitted.arguments, ensure_ascii=False)
        return decided.hold, (f"{decided.tool.mount}: {name} with {sent}, once approved",)
    sent = json.dumps(decided.arguments, ensure_ascii=False)
    return decided.allow, (f"{decided.tool.mount}: {name} with {sent}",)
