"""One relation as a session's scope shows it: which columns, how, of which rows. Text, ready to be put in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message
from postgast.pg_query_pb2 import Node, RangeSubselect, SelectStmt

from bailiwick.model.mask import Mask
from bailiwick.model.scope import ReadGrant, ResourceScope, RowFilter, WriteGrant
from bailiwick.sql.catalogue import Relation
from bailiwick.sql.comparing import base_type
from bailiwick.sql.parameters import Parameters
from bailiwick.sql.parser import query_text
from bailiwick.sql.pieces import Piece, piece
from bailiwick.sql.predicates import RelationText
from bailiwick.sql.quote import ident
from bailiwick.sql.trees import tag, within

INNER = "bw"
"""Alias of the real relation inside its scoped form; nothing of the agent's stands there."""
_RAISING = ("sql", "year", "round")
"""Masks that can raise an error over some value."""
_FENCE = " OFFSET '0'::bigint"
"""Nothing is moved into or out of it. Not `OFFSET 0`: before that is computed it is no constant, and a query over what
may be a limit is not shared among the server's workers."""
_ITEM, _QUERY = tag(Node, "range_subselect"), tag(RangeSubselect, "subquery")
_SELECT, _TARGET = tag(Node, "select_stmt"), tag(SelectStmt, "target_list")


@dataclass(frozen=True, slots=True)
class ShownColumn:
    name: str
    type: str
    """Type as shown; empty when unknown (a mask in SQL)."""
    clear: bool
    """Shown as it is in every visible row."""
    leaky: bool
    """Showing it runs an expression that might raise over rows outside the scope."""


class ScopedRelation:
    """The scoped form of one relation. Holds no session values, only the places for them."""

    def __init__(
        self,
        scope: ResourceScope,
        relation: Relation,
        *,
        beneath: ScopedRelation | None = None,
        with_held: bool = False,
    ) -> None:
        """`beneath`: the table as the scope shows it, where the relation is the view over it of the native depth.

        `with_held`: with the fields that gates hold, for what people decide on before it runs."""
        self.through = "" if beneath is None else beneath.relation.schema
        """Then: the table's schema."""
        self.table = beneath or self
        """The table itself: its keys, and all that decides which of its rows are hidden."""
        self.scope = scope
        self.relation = relation
        self.resource = scope.resource
        self._with_held = with_held
        self.hides_rows = bool(scope.resource.tenant or scope.denied_rows) or not any(
            grant.filter == RowFilter() for grant in scope.reads
        )
        probe = RelationText(relation, INNER, Parameters(1), direct=True)
        shown = (self._column(probe, column.name) for column in relation.columns if self._visible(column.name))
        self._pieces: dict[tuple[object, ...], Piece] = {}
        self.columns: dict[str, ShownColumn] = {column.name: column for column in shown}

    @property
    def only_aggregated(self) -> bool:
        """Whether this is what aggregates see of a relation whose rows may not be read."""
        return self.scope.aggregate is not None and bool(self.scope.reads)

    def _visible(self, name: str) -> bool:
        shown = self._with_held or not self.is_held(name)
        return shown and any(name in grant.fields for grant in self.scope.reads)

    def told_keys(self) -> Iterator[tuple[str, str, str]]:
        """Give (schema, table, name) of the keys whose columns can all be read, as the virtual catalogue lists them."""
        for name, columns in self.relation.named_keys:
            if self.columns.keys() >= set(columns):
                yield self.relation.schema, self.relation.name, name

    def is_held(self, name: str) -> bool:
        """Whether reading the field waits for an approval."""
        return f"read:{name}" in self.scope.held

    def _column(self, probe: RelationText, name: str) -> ShownColumn:
        expression, kind = self._shown(probe, name)
        masks = {grant.fields.get(name) for grant in self.scope.reads}
        leaky = any(mask is not None and mask.name in _RAISING for mask in masks)
        return ShownColumn(name, base_type(kind), expression == probe.column(name), leaky)

    def _shown(self, text: RelationText, name: str) -> tuple[str, str]:
        """Return a field's expression and type: clear where a grant admitting *that row* shows it clear, else masked,
        else NULL."""
        expression, kind = self._granted(text, name)
        for denied in self.scope.denied_rows:
            if denied.fields is not None and name in denied.fields:
                expression = f"CASE WHEN {text.is_kept(denied)} THEN {expression} END"
        return expression, kind

    def _granted(self, text: RelationText, name: str) -> tuple[str, str]:
        ways: dict[Mask | None, list[RowFilter]] = {}
        for grant in sorted(self.scope.reads, key=lambda grant: grant.fields.get(name) is not None):
            if name in grant.fields:
                ways.setdefault(grant.fields[name], []).append(grant.filter)
        everywhere = all(name in grant.fields for grant in self.scope.reads)
        branches: list[tuple[str, str, str]] = []
        for mask, filters in ways.items():
            expression, kind = text.shown(name, mask)
            condition = text.some(filters)
            branches.append((condition, expression, kind))
            if condition == "TRUE" or (everywhere and len(ways) == 1):
                break
        if len(branches) == 1 and (everywhere or branches[0][0] == "TRUE"):
            return branches[0][1], branches[0][2]
        kinds = {kind for _, _, kind in branches}
        cast = "::text" if len(kinds) > 1 else ""
        cases = " ".join(f"WHEN {condition} THEN ({expression}){cast}" for condition, expression, _ in branches)
        return f"CASE {cases} END", kinds.pop() if len(kinds) == 1 else "text"

    def admits(self, text: RelationText) -> str:
        """Return the condition under which a row lies in the read scope."""
        grants: Sequence[ReadGrant | WriteGrant] = self.scope.reads
        return self.limited(text, [grant.filter for grant in grants])

    def limited(self, text: RelationText, filters: Sequence[RowFilter]) -> str:
        """Return the union of the filters, under the tenant and without what is denied."""
        parts = [text.some(filters)]
        if self.resource.tenant is not None:
            parts.append(text.tenant(self.resource.tenant))
        parts.extend(text.is_kept(denied) for denied in self.scope.denied_rows if denied.fields is None)
        parts = [part for part in parts if part != "TRUE"]
        return " AND ".join(f"({part})" for part in parts) or "TRUE"

    def field(self, text: RelationText, name: str) -> str:
        """Return how a visible field is shown under `text`'s alias."""
        return self._shown(text, name)[0]

    def source(self) -> str:
        """Return the qualified name of the real relation."""
        return f"{ident(self.relation.schema)}.{ident(self.relation.name)}"

    def put(self, place: Node, parameters: Parameters, names: Sequence[str], *, only: bool, fenced: bool) -> None:
        """Make `place`, an item of a FROM clause, the query that shows these columns of the visible rows."""
        columns = [
            self._piece(("column", name), lambda own, name=name: self._target(own, name), parameters) for name in names
        ]
        rows = self._piece(("rows", only, fenced), lambda own: self._rows(own, only=only, fenced=fenced), parameters)
        for column in columns:
            column.reserve(parameters)  # parameters are numbered in the order in which the text shows them
        parts = [rows.serialized(parameters)]
        parts += [within(_TARGET, column.serialized(parameters)) for column in columns]
        select = within(_SELECT, b"".join(parts))
        place.ParseFromString(within(_ITEM, within(_QUERY, select)))

    def _piece(self, key: tuple[object, ...], make: Callable[[Parameters], Message], parameters: Parameters) -> Piece:
        if parameters.inline:
            return piece(make, parameters)
        if key not in self._pieces:
            self._pieces[key] = piece(make, parameters)
        return self._pieces[key]

    def _target(self, parameters: Parameters, name: str) -> Node:
        text = RelationText(self.relation, INNER, parameters, direct=True)
        return query_text(f"SELECT {self._shown(text, name)[0]} AS {ident(name)}").select_stmt.target_list[0]

    def _rows(self, parameters: Parameters, *, only: bool, fenced: bool) -> SelectStmt:
        where = self.admits(RelationText(self.relation, INNER, parameters, direct=True))
        return query_text(
            f"SELECT FROM {'ONLY ' if only else ''}{self.source()} AS {INNER}"  # composed of quoted names of the policy
            + (f" WHERE {where}" if where != "TRUE" else "")
            + (_FENCE if fenced else "")
        ).select_stmt
