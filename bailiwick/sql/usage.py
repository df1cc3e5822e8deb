"""What a statement uses of its tables: which columns in which role, by which values rows were found, over which joins.

Symbolic: a value is a literal, or the number of a parameter. `usage_walk` finds it in a statement's tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from bailiwick.model.observation import Comparison, Link, Reach, SeenType


@dataclass(frozen=True, slots=True)
class Known:
    """A table that a statement may name."""

    resource: str
    """Its name in the policy; empty where it is mapped to none."""
    columns: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...] = ()
    """Columns that together find at most one row."""
    types: Mapping[str, str] = field(default_factory=dict[str, str])
    """Column → its type, as `LockedColumn.type`."""


Tables = Mapping[tuple[str, str], Known]
"""(schema, name) → table."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """`$number`, whose value a Bind gives."""

    number: int
    listed: bool = False
    """Whether it is a list of the values (`= ANY ($1)`)."""


@dataclass(frozen=True, slots=True)
class Written:
    """A literal."""

    type: SeenType
    text: str


Operand = Parameter | Written


@dataclass(frozen=True, slots=True)
class UsedCondition:
    """As `Condition`; a value that is neither literal nor parameter is left out."""

    field: str
    comparison: Comparison
    operands: tuple[Operand, ...] = ()


@dataclass(frozen=True, slots=True)
class UsedSet:
    """What is written into a column. Not `whole`: something else than these values as well."""

    field: str
    operands: tuple[Operand, ...]
    whole: bool = True


@dataclass(frozen=True, slots=True)
class UsedTable:
    """As `TableUse`, before the values are known."""

    place: tuple[str, str]
    resource: str
    verb: str
    read: tuple[str, ...] = ()
    filtered: tuple[str, ...] = ()
    joined: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    compared: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    reach: Reach = "unknown"
    conditions: tuple[UsedCondition, ...] = ()
    links: tuple[Link, ...] = ()
    sets: tuple[UsedSet, ...] = ()
    types: tuple[tuple[str, str], ...] = ()
    """Type of each column that has a condition or is written, where it is known."""
    counts: bool = False
    """Whether the rows of the result, or those written, are rows of this use."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A column of the result that is a column of a table, as it is."""

    use: int
    """Its place among the tables of the statement."""
    field: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """What one statement uses."""

    tables: tuple[UsedTable, ...] = ()
    shown: tuple[Shown | None, ...] = ()
    """What each column of the result is; None: it is computed, or of several."""


Role = Literal["read", "filtered", "joined", "counted", "compared", "written"]


@dataclass(eq=False, slots=True)
class Using:
    """One use of a table, while its statement is walked."""

    place: tuple[str, str]
    known: Known
    verb: str
    roles: dict[Role, set[str]] = field(default_factory=dict[Role, "set[str]"])
    conditions: dict[UsedCondition, None] = field(default_factory=dict[UsedCondition, None])
    links: dict[Link, None] = field(default_factory=dict[Link, None])
    sets: dict[str, UsedSet] = field(default_factory=dict[str, UsedSet])

    @property
    def name(self) -> str:
        """Return how links call it."""
        return self.known.resource or ".".join(self.place)

    def mark(self, role: Role, column: str) -> None:
        """Note that a column had a role."""
        self.roles.setdefault(role, set()).add(column)

    def put(self, column: str, operand: Operand | None) -> None:
        """Note what is written into a column; None: something that is no single value."""
        self.mark("written", column)
        before = self.sets.get(column, UsedSet(column, ()))
        added = () if operand is None or operand in before.operands else (operand,)
        self.sets[column] = UsedSet(column, before.operands + added, before.whole and operand is not None)

    def done(self, *, counts: bool) -> UsedTable:
        """Return it as it was used; `counts`: rows of the result are rows of it."""
        columns = {role: tuple(sorted(self.roles.get(role, ()))) for role in _roles}
        return UsedTable(
            self.place,
            self.known.resource,
            self.verb,
            columns["read"],
            columns["filtered"],
            columns["joined"],
            columns["counted"],
            columns["compared"],
            columns["written"],
            self._reach(),
            tuple(self.conditions),
            tuple(self.links),
            tuple(self.sets.values()),
            self._types(),
            counts,
        )

    def _types(self) -> tuple[tuple[str, str], ...]:
        named = dict.fromkeys((*(each.field for each in self.conditions), *self.sets))
        return tuple((name, self.known.types[name]) for name in named if name in self.known.types)

    def _reach(self) -> Reach:
        if self.verb == "create":
            return "unknown"
        equal = {each.field for each in self.conditions if each.comparison == "equal"}
        equal |= {each.field for each in self.links}
        return "key" if any(set(key) <= equal for key in self.known.keys if key) else "scan"


_roles: tuple[Role, ...] = ("read", "filtered", "joined", "counted", "compared", "written")
