"""Decisions: a request against a scope, as look-ups in tables that are made once for the scope."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bailiwick.decide.budgets import Charging, batches
from bailiwick.decide.denials import Denials
from bailiwick.decide.gates import gates_in
from bailiwick.decide.ground import labels_of
from bailiwick.decide.limits import ceilings, strictest
from bailiwick.decide.queue import beside, least_preview, together
from bailiwick.model.ceilings import Ceilings
from bailiwick.model.decision import Access, Allow, Decision, Deny, Hold, Queued, Request
from bailiwick.model.policy import Grant, Limit, Policy, Preview
from bailiwick.model.scope import ReadGrant, ResourceScope, Scope, WriteGrant

_most_tables = 256
_most_kept = 512
_no_labels = frozenset[str]()


class DecisionTable:
    """What a scope answers. Immutable to the outside; may be kept as long as policy and scope are in force."""

    __slots__ = ("_bare", "_denials", "_entries", "_resources", "_unused", "charging", "policy", "scope")

    def __init__(self, policy: Policy, scope: Scope) -> None:
        self.policy = policy
        self.scope = scope
        self._resources = frozenset((each.resource.mount, name) for name, each in scope.resources.items())
        self._denials = Denials(policy, scope)
        self._entries: dict[tuple[str, str, str], _Entry] = {}
        self._bare = {name: ceilings((), mount.limits, None) for name, mount in policy.mounts.items()}
        """Mount → ceilings on a statement that uses no resource."""
        self.charging = charging = Charging(policy, scope.agent, scope.grants)
        """What the parts of the policy charge."""
        self._unused = {name: charging.of((), name, None) for name in policy.mounts}
        """Mount → budgets of a statement that uses no resource."""
        for name, resource in scope.resources.items():
            mount = policy.mounts.get(resource.resource.mount)
            whole = batches(policy, scope.agent)
            terms = _Terms(
                scope.grants, (*whole, *(() if mount is None else mount.limits)), charging, mount is not None
            )
            for verb, entry in _entries(resource, self._denials, terms):
                self._entries[resource.resource.mount, name, verb] = entry

    def decide(self, request: Request) -> Decision:
        """Allow a request if each of its accesses is granted; deny if one is not; else hold if a gate holds one."""
        accesses = request.accesses
        if len(accesses) == 1:
            return self._one(request.mount, accesses[0])
        held: Hold | None = None
        queued: Hold | None = None
        grants: dict[str, None] = {}
        labels: set[str] = set()
        bounds = self._bare.get(request.mount)
        budgets = {each.key: each for each in self._unused.get(request.mount, ())}
        for access in accesses:
            decision = self._one(request.mount, access)
            if isinstance(decision, Allow):
                budgets |= {each.key: each for each in decision.budgets}
                grants.update(dict.fromkeys(decision.grants))
                labels |= decision.labels
                bounds = strictest(bounds, decision.ceilings)
            elif isinstance(decision, Deny):
                return decision
            elif decision.queued is None:
                held = held or decision
            else:
                queued = together(queued, decision)
        if held is None and queued is not None:
            return beside(queued, Allow(tuple(grants), frozenset(labels), bounds, tuple(budgets.values())))
        return held or Allow(tuple(grants), frozenset(labels), bounds, tuple(budgets.values()))

    def _one(self, mount: str, access: Access) -> Decision:
        entry = self._entries.get((mount, access.resource, access.verb))
        if entry is not None:
            return entry.kept.get(access.fields) or entry.decide(access)
        if (mount, access.resource) in self._resources:
            return self._denials.verb(access)
        return self._denials.unknown(access)


def decide(policy: Policy, scope: Scope, request: Request) -> Decision:
    """Decide a request. The table of the scope is kept for the next request of the same policy and scope."""
    return table_of(policy, scope).decide(request)


_tables: OrderedDict[tuple[str, str], DecisionTable] = OrderedDict()


def table_of(policy: Policy, scope: Scope) -> DecisionTable:
    """Return the decision table of a scope, made at its first use and kept with the newest ones."""
    key = (policy.version, scope.id)
    table = _tables.get(key)
    if table is None or table.scope is not scope or table.policy is not policy:
        table = _tables[key] = DecisionTable(policy, scope)
        if len(_tables) > _most_tables:
            _tables.popitem(last=False)
    return table


class _Terms(NamedTuple):
    """What the grants of a scope and their mount say beside whom and what they reach."""

    grants: Mapping[str, Grant]
    mount: tuple[Limit, ...]
    charging: Charging
    waits: bool
    """Whether what a gate holds there can wait for people, or is refused."""

    def ceilings(self, verb: str, granting: Iterable[str]) -> Ceilings | None:
        """Return the ceilings of an access that these grants contribute to."""
        return ceilings(self._known(granting), self.mount, verb)

    def preview(self, granting: Iterable[str]) -> Preview | None:
        """Return how a write is previewed; None when no grant that contributes to it says `through: queue`."""
        return least_preview(grant.preview for grant in self._known(granting) if grant.through == "queue")

    def shown(self, granting: Iterable[str]) -> Preview:
        """Return how a write is previewed that a gate holds."""
        return least_preview(grant.preview for grant in self._known(granting)) or "rows"

    def _known(self, granting: Iterable[str]) -> list[Grant]:
        return [self.grants[name] for name in granting if name in self.grants]


class _Entry:
    """One verb of one resource: which grants reach which of its fields.

    Reads add up field by field; what is written together must be admitted together, by one grant.
    """

    __slots__ = (
        "_denials",
        "_every",
        "_fields",
        "_gate",
        "_gates",
        "_labels",
        "_mount",
        "_reading",
        "_terms",
        "_unnamed",
        "_verb",
        "kept",
    )

    def __init__(
        self,
        fields: Mapping[str, tuple[str, ...]],
        every: tuple[str, ...],
        labels: Mapping[str, frozenset[str]],
        unnamed: frozenset[str],
        gate: str | None,
        gates: Mapping[str, str],
        denials: Denials,
        verb: str,
        terms: _Terms,
        mount: str,
    ) -> None:
        self._fields = fields
        self._every = every
        self._labels = labels
        self._unnamed = unnamed
        self._gate = gate
        self._gates = gates
        self._denials = denials
        self._reading = verb == "read"
        self._verb = verb
        self._terms = terms
        self._mount = mount
        self.kept: dict[tuple[str, ...], Allow | Hold] = {}
        """Decisions made, by fields: what is granted is asked for again and again."""

    def decide(self, access: Access) -> Decision:
        """Decide an access of this verb and resource."""
        missing = [name for name in access.fields if name not in self._fields]
        if missing:
            return self._denials.fields(access, missing, tuple(self._fields))
        granting = self._granting(access.fields)
        if not granting:
            return self._denials.together(access)
        terms = self._terms
        budgets = terms.charging.of(granting, self._mount, self._verb)
        allowed = Allow(granting, self._labels_of(access.fields), terms.ceilings(self._verb, granting), budgets)
        preview = None if self._reading else self._terms.preview(granting)
        decision = self._held(access, allowed, preview)
        if decision is None:
            decision = allowed if preview is None else self._denials.queued(access, preview, allowed)
        if len(self.kept) < _most_kept:
            self.kept[access.fields] = decision
        return decision

    def _held(self, access: Access, allowed: Allow, preview: Preview | None) -> Hold | None:
        held = [name for name in access.fields if name in self._gates]
        gates = dict.fromkeys(gates_in(self._gate or ""))
        for name in held:
            gates.update(dict.fromkeys(gates_in(self._gates[name])))
        if not gates:
            return None
        free = () if self._gate is not None else [name for name in self._fields if name not in self._gates]
        names = () if self._gate is not None else held
        queued = None
        if self._terms.waits:
            kind: Preview = "rows" if self._reading else self._terms.shown(allowed.grants)
            queued = Queued(kind, allowed.grants, allowed.labels, allowed.ceilings)
            gates.update({} if preview is None else {"queue": None})
        return self._denials.held(access, tuple(gates), names, free, queued)

    def _granting(self, names: Sequence[str]) -> tuple[str, ...]:
        if not names:
            return self._every
        found = self._fields[names[0]]
        if all(self._fields[name] is found for name in names):
            return found
        if self._reading:
            return tuple(dict.fromkeys(grant for name in names for grant in self._fields[name]))
        others = [frozenset(self._fields[name]) for name in names[1:]]
        return tuple(grant for grant in found if all(grant in other for other in others))

    def _labels_of(self, names: Sequence[str]) -> frozenset[str]:
        return frozenset[str]().union(*(self._labels[name] for name in names)) if names else self._unnamed


def _entries(scope: ResourceScope, denials: Denials, terms: _Terms) -> Iterable[tuple[str, _Entry]]:
    verbs: tuple[tuple[str, Sequence[ReadGrant | WriteGrant]], ...] = (
        ("read", scope.reads),
        ("update", scope.updates),
        ("create", scope.creates),
        ("delete", scope.deletes),
        ("aggregate", scope.aggregate.grants if scope.aggregate is not None else ()),
    )
    for verb, grants in verbs:
        if not grants:
            continue
        fields = _granting_fields(grants)
        reading = verb in ("read", "aggregate")
        labels = {name: labels_of(scope.resource, name) if reading else _no_labels for name in fields}
        unnamed = scope.resource.labels.get("*", _no_labels) if reading else _no_labels
        gated = "read" if reading else verb
        prefix = f"{gated}:"
        gates = {key[len(prefix) :]: each for key, each in scope.held.items() if key.startswith(prefix)}
        every = tuple(dict.fromkeys(grant.grant for grant in grants))
        if verb == "aggregate":
            terms = terms._replace(waits=False)  # what it may be told depends on the moment at which it asks
        gate, mount = scope.held.get(gated), scope.resource.mount
        yield verb, _Entry(fields, every, labels, unnamed, gate, gates, denials, gated, terms, mount)


def _granting_fields(grants: Sequence[ReadGrant | WriteGrant]) -> dict[str, tuple[str, ...]]:
    """Return the fields, each with the ids of its grants; fields of the same grants share one tuple."""
    found: dict[str, dict[str, None]] = {}
    for grant in grants:
        for name in grant.fields:
            found.setdefault(name, {})[grant.grant] = None
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    return {name: shared.setdefault(ids, ids) for name, ids in ((name, tuple(each)) for name, each in found.items())}
