"""Decisions on completing an argument of a prompt, or a variable of a template of documents. Pure.

What a server offers as values tells of what it holds, so only values that a grant admits are shown, and none at all
where a deny, a gate, a condition or a filter of results would have to be asked about each.
"""

from __future__ import annotations

from dataclasses import dataclass

from bailiwick.decide.asking import Asking, matcher_of
from bailiwick.decide.calls import Admitted, Refused, allowance, unknown
from bailiwick.decide.denials import quoted
from bailiwick.decide.results import View
from bailiwick.match.paths import holds_of_argument
from bailiwick.model.decision import Denial, Deny
from bailiwick.model.matcher import Equal
from bailiwick.model.tool import Kind, keyed


def decide_completion(asking: Asking, kind: Kind, name: str, argument: str) -> Completing | Refused:
    """Decide whether a server may be asked for values of an argument; the view's grants say which are shown."""
    tool = asking.scope.tools.get(keyed(kind, name))
    if tool is None or tool.tool.kind != kind:
        return Refused(None, unknown(asking.scope, name, kind))
    open_ = [grant for grant in tool.allows if grant.when is None and grant.whole]
    ways = [(grant, matcher_of(grant, argument)) for grant in open_]
    grants = tuple(grant for grant, way in ways if way is not None and not isinstance(way, Equal))
    if not grants or tool.denies or tool.held or argument in tool.tool.fixed:
        action = f"{tool.tool.action.resource}:{tool.tool.action.verb}"
        message = f"values of {quoted(argument)} are not completed in this session"
        return Refused(tool, Deny(Denial("argument_not_granted", message, "", "give the value itself", action)))
    return Completing(asking, Admitted(tool, {}, View((), grants), allowance(asking, tool, grants)))


@dataclass(frozen=True, slots=True)
class Completing:
    """What may be completed."""

    asking: Asking
    admitted: Admitted

    def shows(self, argument: str, value: object) -> bool:
        """Return whether some grant would admit the value."""
        ways = (matcher_of(grant, argument) for grant in self.admitted.view.grants)
        return any(
            way is not None and holds_of_argument(way, value, self.asking.resolve, self.asking.now) is True
            for way in ways
        )
