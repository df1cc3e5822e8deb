"""What is known of the mounts while learning: a policy and its lock, or nothing but what was observed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bailiwick.decide.ground import covers
from bailiwick.decide.roles import grants_of
from bailiwick.learn.draft import Never
from bailiwick.learn.facts import Deed
from bailiwick.model.label import level_of, levels
from bailiwick.model.lock import Lock
from bailiwick.model.policy import Grant, Policy, Resource
from bailiwick.model.tool import Tool
from bailiwick.policy.suspects import suspect


class Around:
    """The mounts as a policy has them. Without one, every table and tool gets a name of its own."""

    def __init__(self, policy: Policy | None = None, lock: Lock | None = None) -> None:
        self.policy = policy
        self.lock = lock or Lock({})
        self._tools: dict[tuple[str, str, str], Tool] = {}
        for mount in policy.tool_mounts.values() if policy is not None else ():
            for tool in mount.offered:
                self._tools[mount.name, tool.kind, tool.name] = tool

    def knows(self, deed: Deed) -> bool:
        """Return whether the policy maps what is done; without a policy, draft mounts will."""
        if self.policy is None:
            return True
        if deed.kind == "table":
            return self.policy.resource(deed.resource) is not None
        return (deed.mount, deed.kind, deed.name) in self._tools

    def action(self, deed: Deed) -> tuple[str, str]:
        """Return resource and verb of a deed."""
        tool = self._tools.get((deed.mount, deed.kind, deed.name))
        if tool is not None:
            return tool.action.resource, tool.action.verb
        if deed.kind == "table" or (deed.resource and deed.verb):
            return named(deed.resource), deed.verb
        return named(deed.mount or "tools"), named(deed.name)

    def resource(self, name: str) -> Resource | None:
        """Return the resource of that name that is a table."""
        return None if self.policy is None else self.policy.resource(name)

    def in_force(self, agent: str, resource: str, verb: str) -> list[Grant]:
        """Return the allows that the agent has for a verb on a table, as the policy stands."""
        known = None if self.policy is None else self.policy.agents.get(agent)
        if self.policy is None or known is None:
            return []
        return [
            each
            for each in grants_of(self.policy, known.roles)
            if each.effect == "allow" and each.args is None and covers(each.action, resource, verb)
        ]

    def sensitive(self, resource: str, column: str) -> bool:
        """Return whether a column is labelled confidential or above; where it has no level, whether it looks so."""
        known = self.resource(resource)
        labels = frozenset[str]() if known is None else known.labels.get(column, known.labels.get("*", frozenset()))
        if labels.intersection(levels):
            return level_of(labels) in ("confidential", "restricted")
        return "pii" in labels or suspect(column) is not None

    def hidden(self, resource: str, column: str) -> bool:
        """Return whether a column is seen as a hash while it is observed: it is restricted, and the policy does not
        let it be read in clear."""
        known = self.resource(resource)
        if self.policy is None or known is None:
            return False
        labels = known.labels.get(column, known.labels.get("*", frozenset()))
        if level_of(labels) != "restricted":
            return False
        rule = self.policy.gates.get("restricted")
        open_ = rule.loosen if rule is not None and rule.reason else ()
        named = {column, *(group for group, members in known.groups.items() if column in members)}
        return not any(covers(each, resource, "read") and (each.field is None or each.field in named) for each in open_)

    def sensitive_columns(self) -> Iterator[Never]:
        """Yield the sensitive columns of the accepted tables that the policy maps."""
        for mount in self.policy.mounts.values() if self.policy is not None else ():
            for resource in mount.resources.values():
                table = self.lock.table(mount.name, resource.schema, resource.table)
                for column in table.columns if table is not None else ():
                    if self.sensitive(resource.name, column.name):
                        why = "labelled so" if resource.labels.get(column.name) else "it is called so"
                        yield Never(mount.name, resource.name, column.name, why)


def named(text: str) -> str:
    """Return a name as policies have them, made of any text."""
    found = re.sub(r"[^A-Za-z0-9_-]+", "_", text.removeprefix("public.")).strip("_")[:63]
    return found if re.match(r"[A-Za-z_]", found) else f"x_{found}"[:63]
