"""What is learnt of a write while it is walked: its target, and what is done to rows of it under which grants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from postgast.pg_query_pb2 import Node, RangeVar

from bailiwick.model.decision import Access
from bailiwick.model.scope import RowFilter, WriteGrant
from bailiwick.sql.environment import Fact, Level, Source, Use, Walk, refuse
from bailiwick.sql.pinned import Pins
from bailiwick.sql.predicates import columns_of
from bailiwick.sql.scoped import ScopedRelation
from bailiwick.sql.sources import schema_of

Verb = Literal["create", "update", "delete"]
_TAGS = {
    "insert_stmt": "INSERT",
    "update_stmt": "UPDATE",
    "delete_stmt": "DELETE",
    "merge_stmt": "MERGE",
}
PG17, PG18 = 170000, 180000


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that a statement does to rows of its target."""

    verb: Verb
    fields: tuple[str, ...]
    grants: tuple[WriteGrant, ...]
    checked: bool
    """Whether a row must be looked at once it was written: it could lie outside of the scope."""


@dataclass(eq=False, slots=True)
class Write:
    """INSERT, UPDATE, DELETE or MERGE; `writes.finish` completes its tree once parameters can be numbered."""

    node: Node
    target: ScopedRelation
    alias: str
    use: Use
    acts: list[Act] = field(default_factory=list[Act])
    others: list[Use] = field(default_factory=list[Use])
    """The rows before and after the change, as RETURNING may name them."""
    leaky: tuple[int, ...] = ()
    """Places of the conjuncts of the agent's condition that may only be evaluated on rows inside the scope."""
    returns: bool = False
    pins: Pins = ()
    """What new rows must hold so that a conflict tells nothing; see `pins`."""
    blind: bool = False
    """Whether a key that it writes may hold what is known to be outside of the scope only once it is written; see
    `foresight`."""
    inner: str = ""
    """The name of the WITH query that this write is."""
    version: int = 0
    """Of the server."""

    @property
    def tag(self) -> str:
        """The first word of the command tag."""
        return _TAGS[self.node.WhichOneof("node") or ""]

    @property
    def checked(self) -> bool:
        """Whether some row that it writes must be looked at."""
        return any(act.checked for act in self.acts)

    def of(self, *verbs: Verb) -> list[Act]:
        """Return what it does of these kinds."""
        return [act for act in self.acts if act.verb in verbs]

    @property
    def uses(self) -> tuple[Use, ...]:
        """How it reads its target."""
        return (self.use, *self.others)

    @property
    def reads(self) -> tuple[Use, ...]:
        """What of that needs the right to read: not the target of an INSERT that neither returns nor compares it."""
        conflicts = self.node.insert_stmt.HasField("on_conflict_clause")
        blind = self.tag == "INSERT" and not conflicts and not self.returns
        return tuple(self.others) if blind and not self.use.fields and not self.use.whole else self.uses

    @property
    def accesses(self) -> tuple[Access, ...]:
        """What it does, for the decision."""
        resource = self.target.resource.name
        return tuple(dict.fromkeys(Access(resource, act.verb, act.fields) for act in self.acts))


def since(walk: Walk, version: int) -> bool:
    """Whether the server is at least of this version; one that nobody asked is of the newest."""
    return walk.catalogue.version == 0 or walk.catalogue.version >= version


def target_of(relation: RangeVar, verb: Verb, walk: Walk) -> ScopedRelation:
    """Return the real relation that is written to. Raises Refused: what is not mapped does not exist."""
    name = relation.relname
    if relation.catalogname:
        refuse("resource_unknown", f"relation `{name}` is not in the scope of this session")
    for schema in (relation.schemaname,) if relation.schemaname else walk.visible.search_path:
        found = walk.relations.get((schema, name))
        if found is not None:
            relation.schemaname = found.relation.schema
            return found
    refuse("resource_unknown", f"relation `{name}` is not in the scope of this session", action=f"{name}:{verb}")


def opened(node: Node, relation: RangeVar, target: ScopedRelation, level: Level, walk: Walk) -> Write:
    """Make the target visible to the expressions of the write, as the scope shows it."""
    alias = relation.alias.aliasname or relation.relname
    if relation.alias.colnames:
        refuse("syntax_not_supported", "the target of a write cannot rename its columns")
    use = Use(node, alias, target)
    facts = {column.name: Fact(column.type, frozenset((use,)), column.leaky) for column in target.columns.values()}
    schema = "" if relation.HasField("alias") else schema_of(target)
    level.sources.append(Source(alias, facts, use, schema, target=True))
    if not relation.HasField("alias"):
        relation.alias.aliasname = alias
    return Write(node, target, alias, use, version=walk.catalogue.version)


def act(target: ScopedRelation, verb: Verb, fields: Iterable[str] = ()) -> Act:
    """Return what is done, with the grants that admit it. Raises Refused."""
    names = tuple(fields)
    grants = _grants_for(target, verb, names)
    checked = verb == "create" or (verb == "update" and _needs_check(target, names, grants))
    return Act(verb, names, grants, checked)


def _grants_for(target: ScopedRelation, verb: Verb, fields: Sequence[str]) -> tuple[WriteGrant, ...]:
    """Return the grants that admit writing all of `fields` together. Raises Refused."""
    scope = target.scope
    every = {"update": scope.updates, "create": scope.creates, "delete": scope.deletes}[verb]
    resource = target.resource.name
    if not every:
        refuse("action_not_granted", f"`{resource}:{verb}` is not granted", action=f"{resource}:{verb}")
    wanted = set(fields)
    found = tuple(grant for grant in every if wanted <= grant.fields) if verb != "delete" else every
    if not found:
        allowed = sorted({name for grant in every for name in grant.fields})
        refused = sorted(wanted - set(allowed)) or sorted(wanted)
        refuse(
            "field_not_granted",
            f"`{resource}:{verb}` of {', '.join(f'`{name}`' for name in refused)} is not granted",
            f"`{resource}:{verb}` of {', '.join(allowed)}",
            action=f"{resource}:{verb}:{refused[0]}",
        )
    return found


def _needs_check(target: ScopedRelation, fields: Sequence[str], grants: Sequence[WriteGrant]) -> bool:
    """Whether a changed row might leave the scope, or what is written is constrained."""
    scope = target.scope
    filters: list[RowFilter] = [grant.filter for grant in scope.reads]
    filters += [grant.filter for grant in grants]
    filters += [denied.filter for denied in scope.denied_rows]
    limiting = set(columns_of(filters, target.relation)) | {target.resource.tenant}
    changed = set(fields)
    if len(grants) > 1 and changed & columns_of((grant.filter for grant in grants), target.relation):
        refuse(
            "statement_not_allowed",
            f"several grants limit this update of `{target.resource.name}` by what it changes",
            "changing these columns one at a time",
        )
    if target.relation.derives and limiting != {None}:
        return True
    return bool(changed & limiting) or any(name in grant.set for grant in grants for name in changed)
