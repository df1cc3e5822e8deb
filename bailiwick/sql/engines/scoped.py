"""One relation as a session's scope shows it: which columns, how, of which rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bailiwick.model.mask import Mask
from bailiwick.model.scope import ResourceScope, RowFilter, WriteGrant
from bailiwick.sql.catalogue import Relation
from bailiwick.sql.engines.dialect import Dialect, Parameters
from bailiwick.sql.engines.plan import Reached
from bailiwick.sql.engines.predicates import FALSE, TRUE, RelationText, every
from bailiwick.sql.engines.refusal import refuse

INNER = "bw"
"""Alias of the real relation inside its scoped form; nothing of the agent's stands there."""


@dataclass(frozen=True, slots=True)
class Shown:
    name: str
    type: str
    clear: bool
    """Shown as it is in every visible row."""


class Scoped:
    """The scoped form of one relation. Holds no session values, only the places for them."""

    def __init__(self, dialect: Dialect, scope: ResourceScope, relation: Relation, *, with_held: bool = False) -> None:
        """`with_held`: with the fields that gates hold, for what people decide on before it runs."""
        self.dialect = dialect
        self.scope = scope
        self.relation = relation
        self.resource = scope.resource
        self._with_held = with_held
        self.hides_rows = bool(scope.resource.tenant or scope.denied_rows) or not any(
            grant.filter == RowFilter() for grant in scope.reads
        )
        probe = self.text(Parameters(1))
        self.columns: dict[str, Shown] = {}
        for column in relation.columns:
            if self._visible(column.name):
                expression, kind = self._shown(probe, column.name)
                self.columns[column.name] = Shown(column.name, kind, expression == probe.column(column.name))

    def text(self, parameters: Parameters, alias: str = INNER) -> RelationText:
        """Return what writes expressions over the real relation."""
        return RelationText(self.dialect, self.relation, alias, parameters)

    def column(self, name: str) -> Shown | None:
        """Return the visible column that an agent's name means; case does not count."""
        for each in self.columns.values():
            if folded(each.name) == folded(name):
                return each
        return None

    @property
    def row(self) -> str:
        """The name of what identifies a row of the real table. Raises Refused where it has none."""
        taken = {folded(column.name) for column in self.relation.columns}
        for name in self.dialect.rows:
            if name not in taken:
                return name
        refuse("statement_not_allowed", f"rows of `{self.relation.name}` cannot be told apart")

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of the primary key, or else those by which the policy tells rows apart."""
        names = self.relation.key or self.resource.key
        return names if all(self.relation.column(name) is not None for name in names) else ()

    @property
    def _first(self) -> str:
        return self.relation.columns[0].name

    def in_order(self, names: Collection[str]) -> list[str]:
        """Return the visible columns among the names, in the order of the relation."""
        return [name for name in self.columns if name in names]

    def is_held(self, name: str) -> bool:
        """Whether reading the field waits for an approval."""
        return f"read:{name}" in self.scope.held

    def _visible(self, name: str) -> bool:
        shown = self._with_held or not self.is_held(name)
        return shown and any(name in grant.fields for grant in self.scope.reads)

    def _shown(self, text: RelationText, name: str) -> tuple[str, str]:
        """Clear where a grant admitting *that row* shows it clear, else masked, else NULL."""
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
            if condition == TRUE or (everywhere and len(ways) == 1):
                break
        if len(branches) == 1 and (everywhere or branches[0][0] == TRUE):
            return branches[0][1], branches[0][2]
        kinds = {kind for _, _, kind in branches}
        cases = " ".join(f"WHEN {condition} THEN {expression}" for condition, expression, _ in branches)
        return f"CASE {cases} END", kinds.pop() if len(kinds) == 1 else "text"

    def admits(self, text: RelationText) -> str:
        """Return the condition under which a row lies in the read scope."""
        return self.limited(text, [grant.filter for grant in self.scope.reads])

    def limited(self, text: RelationText, filters: Iterable[RowFilter]) -> str:
        """Return the union of the filters, under the tenant and without what is denied."""
        parts = [text.some(filters)]
        if self.resource.tenant is not None:
            parts.append(text.tenant(self.resource.tenant))
        parts.extend(text.is_kept(denied) for denied in self.scope.denied_rows if denied.fields is None)
        return every(parts)

    def grants(self, verb: str) -> tuple[WriteGrant, ...]:
        """Return the grants to write by a verb."""
        scope = self.scope
        return {"update": scope.updates, "create": scope.creates, "delete": scope.deletes}[verb]

    def source(self) -> str:
        """Return the qualified name of the real relation."""
        return self.dialect.place(self.relation.schema, self.relation.name)

    def form(
        self,
        parameters: Parameters,
        names: Sequence[str],
        *,
        fenced: bool,
        row: str = "",
        key: Mapping[str, str] | None = None,
        only: str = TRUE,
    ) -> str:
        """Return the query that shows these columns of the visible rows; under the name `row` their identity, or the
        columns of their key under the names of `key`. `only` is one more condition of ours."""
        text = self.text(parameters)
        ident = self.dialect.ident
        targets = [f"{self._shown(text, name)[0]} AS {ident(name)}" for name in names]
        targets += [f"{ident(INNER)}.{ident(name)} AS {ident(title)}" for title, name in (key or {}).items()]
        if row:
            targets.append(f"{ident(INNER)}.{self.row} AS {ident(row)}")
        elif not targets:  # of a table without any column SQLite's authorizer could not tell who reads it
            targets.append(f"{text.column(self._first)} AS {ident(INNER)}")
        where = every((self.admits(text), only))
        return (
            f"SELECT {', '.join(targets)} FROM {self.source()} AS {ident(INNER)}"  # noqa: S608  # our own names
            + (f" WHERE {where}" if where != TRUE else "")
            + (f" {self.dialect.fence}" if fenced and where != FALSE else "")
        )

    def reached(self, names: Sequence[str], *, row: bool = False, more: Sequence[str] = ()) -> Reached:
        """Return what its form of these columns reads; with `row` also the identity of rows, and `more` columns."""
        text = self.text(Parameters(1))
        for name in names:
            self._shown(text, name)
        if not names:
            text.column(self._first)
        self.admits(text)
        used = frozenset({*text.used, *more})
        return Reached(self.relation.schema, self.relation.name, used, self.relation.kind == "v", row)


def folded(name: str) -> str:
    """Return a name as engines compare it: ASCII letters without their case, and no others."""
    return "".join(chr(ord(one) + 32) if "A" <= one <= "Z" else one for one in name)
