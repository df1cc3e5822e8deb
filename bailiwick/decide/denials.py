"""Denials in words, for the agent that reads them: what is not granted, what would be, who could open it.

INVARIANT: names nothing that is neither in the scope nor in the request itself, but elevations, gates and the owner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bailiwick.decide.ground import covers, labels_of, named_fields
from bailiwick.decide.roles import grants_of
from bailiwick.model.action import data_verbs
from bailiwick.model.decision import Access, Allow, Denial, Deny, Hold, Queued
from bailiwick.model.label import level_of
from bailiwick.model.policy import ElevationRule, Grant, Policy, Preview
from bailiwick.model.scope import ResourceScope, Scope

_most_listed = 12


def words_of(denial: Denial) -> str:
    """Return a denial in one line, for whoever reads it in place of a result."""
    words = denial.message
    if denial.allowed:
        words += f"; allowed: {denial.allowed}"
    if denial.remedy:
        words += f"; {denial.remedy}"
    return f"denied ({denial.code}): {words}"


class Denials:
    """Says the denials of one scope. What they have in common is computed once, when first needed."""

    def __init__(self, policy: Policy, scope: Scope) -> None:
        self._policy = policy
        self._scope = scope
        self._near: dict[str, str] = {}
        self._elevating: dict[str, tuple[Grant, ...]] = {}
        agent = policy.agents.get(scope.agent)
        owner = f"`{agent.owner}`, who owns `{scope.agent}`," if agent else "the policy's owner"
        self._ask = f"ask {owner} for a grant"
        self._denies = [
            grant for grant in scope.grants.values() if grant.effect == "deny" and not grant.rows and grant.sql is None
        ]

    def unknown(self, access: Access) -> Deny:
        """Deny the use of a resource that the scope does not have."""
        message = f"{quoted(access.resource)} is not a resource of this session"
        return self._deny(Denial("resource_unknown", message, self._resources(), "", _action(access)), access, ())

    def verb(self, access: Access) -> Deny:
        """Deny a verb that the scope does not have on a resource."""
        message = f"`{_action(access)}` is not granted"
        denial = Denial("action_not_granted", message, self._on(access.resource), "", _action(access))
        return self._deny(denial, access, ())

    def fields(self, access: Access, missing: Sequence[str], granted: Sequence[str]) -> Deny:
        """Deny some fields of a verb that the scope has."""
        message = f"`{_action(access)}` is not granted for {_listed(missing)}"
        key = f"{access.resource}:{access.verb}"
        allowed = self._near.get(key)
        if allowed is None:
            allowed = self._near[key] = f"{access.verb} of {_listed(granted)} on {quoted(access.resource)}"
        action = _action(access, missing[0] if len(missing) == 1 else None)
        return self._deny(Denial("field_not_granted", message, allowed, "", action), access, missing)

    def together(self, access: Access) -> Deny:
        """Deny fields that are granted one by one, but by no grant together."""
        message = f"no single grant admits `{_action(access)}` of {_listed(access.fields)} together"
        allowed = f"{access.verb} of each of them by itself on {quoted(access.resource)}"
        return Deny(Denial("field_not_granted", message, allowed, self._ask, _action(access)))

    def held(
        self, access: Access, gates: Sequence[str], fields: Sequence[str], free: Iterable[str], queued: Queued | None
    ) -> Hold:
        """Hold an access; `fields` are those that gates hold (none: the verb), `free` those they leave.

        `queued`: how it waits for people; None where nobody can approve it."""
        gate = gates[0]
        of = f" of {_listed(fields)}" if fields else ""
        message = f"{access.verb}{of} on {quoted(access.resource)} needs an approval: gate `{gate}` holds it"
        rest = tuple(free)
        allowed = f"{access.verb} of {_listed(rest)} on {quoted(access.resource)}" if fields and rest else ""
        advice = f"nobody can approve it here: leave it out, or ask {self._owner()} to loosen gate `{gate}`"
        if gate == "restricted":
            advice += " or to mask the field"
        if queued is not None:
            advice = "nothing is done before a person has approved it"
        action = _action(access, fields[0] if len(fields) == 1 else None)
        return Hold(gate, Denial("needs_approval", message, allowed, advice, action), queued, tuple(gates))

    def queued(self, access: Access, preview: Preview, allowed: Allow) -> Hold:
        """Hold a write that a grant sends through the queue."""
        message = f"`{_action(access)}` waits for an approval: it is kept for people to decide on"
        advice = "nothing is changed before a person has approved it"
        terms = Queued(preview, allowed.grants, allowed.labels, allowed.ceilings, allowed.budgets)
        return Hold("queue", Denial("queued", message, "", advice, _action(access)), terms, ("queue",))

    def _deny(self, denial: Denial, access: Access, missing: Sequence[str]) -> Deny:
        against = self._against(access, missing) if self._denies else ()
        if against:
            remedy = f"the policy denies it expressly; ask {self._owner()}"
        else:
            remedy = self._elevation(access, missing) or self._ask
        return Deny(Denial(denial.code, denial.message, denial.allowed, remedy, denial.action), against)

    def _owner(self) -> str:
        agent = self._policy.agents.get(self._scope.agent)
        return f"`{agent.owner}`" if agent else "the policy's owner"

    def _against(self, access: Access, missing: Sequence[str]) -> tuple[str, ...]:
        """Return the denies, of whole rows' reach, that took away what was asked."""
        wanted = set(missing)
        return tuple(
            grant.id
            for grant in self._denies
            if covers(grant.action, access.resource, access.verb)
            and ((names := self._names(access.resource, grant)) is None or bool(wanted & names))
        )

    def _elevation(self, access: Access, missing: Sequence[str]) -> str:
        for rule in self._policy.elevations.values():
            if self._scope.agent in rule.agents and self._opens(rule, access, missing or access.fields):
                approvers = f", granted by {_listed(rule.approvers)}" if rule.approvers else ""
                return f"elevation `{rule.name}`{approvers} could open it"
        return ""

    def _opens(self, rule: ElevationRule, access: Access, wanted: Sequence[str]) -> bool:
        if rule.name not in self._elevating:
            self._elevating[rule.name] = grants_of(self._policy, (rule.role,))
        given: set[str] = set()
        reached = False
        for grant in self._elevating[rule.name]:
            if grant.effect == "allow" and covers(grant.action, access.resource, access.verb):
                reached = True
                names = self._names(access.resource, grant)
                given |= {name for name in wanted if self._plain(access.resource, name)} if names is None else names
        return reached and set(wanted) <= given

    def _names(self, resource: str, grant: Grant) -> set[str] | None:
        named = named_fields(grant)
        mapped = self._policy.resource(resource)
        if named is None or mapped is None:
            return None
        return {name for each in named for name in mapped.groups.get(each, (each,))}

    def _plain(self, resource: str, field: str) -> bool:
        mapped = self._policy.resource(resource)
        return mapped is not None and level_of(labels_of(mapped, field)) in ("public", "internal")

    def _resources(self) -> str:
        if "" not in self._near:
            known = [f"`{name}` ({', '.join(_verbs(scope))})" for name, scope in self._scope.resources.items()]
            rest = f" and {len(known) - _most_listed} more" if len(known) > _most_listed else ""
            self._near[""] = ", ".join(known[:_most_listed]) + rest
        return self._near[""]

    def _on(self, resource: str) -> str:
        if resource not in self._near:
            scope = self._scope.resources[resource]
            parts = [f"{verb} of {_listed(fields)}" if fields else verb for verb, fields in _verbs(scope).items()]
            self._near[resource] = f"on {quoted(resource)}: " + "; ".join(parts)
        return self._near[resource]


def quoted(name: str) -> str:
    """Return a name of the request in backticks, on one line and of bounded length."""
    if len(name) <= 63 and name.isprintable() and "`" not in name:
        return f"`{name}`"
    line = "".join(character if character.isprintable() and character != "`" else "?" for character in name)
    return f"`{line if len(line) <= 63 else line[:60] + '...'}`"


def _verbs(scope: ResourceScope) -> dict[str, tuple[str, ...]]:
    """Return the verbs of a scope, each with its fields (none for delete)."""
    fields = {
        "read": scope.readable(),
        "create": tuple(sorted({name for grant in scope.creates for name in grant.fields})),
        "update": tuple(sorted({name for grant in scope.updates for name in grant.fields})),
    }
    found = {
        verb: fields.get(verb, ()) for verb in data_verbs if fields.get(verb) or (verb == "delete" and scope.deletes)
    }
    if scope.aggregate is not None:
        told = {name: None for grant in scope.aggregate.grants for name in grant.fields}
        found["counts, sums and averages"] = tuple(told)
    return found


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _most_listed} more" if len(names) > _most_listed else ""
    return ", ".join(quoted(name) for name in names[:_most_listed]) + rest


def _action(access: Access, field: str | None = None) -> str:
    parts = (access.resource, access.verb) if field is None else (access.resource, access.verb, field)
    return ":".join(quoted(part)[1:-1] for part in parts)
