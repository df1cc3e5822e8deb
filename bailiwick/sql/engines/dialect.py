"""What differs between engines in the text that we compose ourselves: literals, conditions, masks, parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

from bailiwick.model.mask import Mask
from bailiwick.model.policy import Engine
from bailiwick.model.value import Operand
from bailiwick.sql.catalogue import Column
from bailiwick.sql.engines.plan import Bound, Source
from bailiwick.sql.engines.tree import Node
from bailiwick.sql.engines.writing import Writing


class Parameters:
    """The parameters that we append behind the agent's own. Equal sources of equal types share one."""

    def __init__(self, first: int) -> None:
        self.first = first
        self._bound: dict[Bound, int] = {}

    def number(self, source: Source, type_name: str) -> int:
        """Return the number of the parameter that is bound so."""
        return self._bound.setdefault(Bound(source, type_name), self.first + len(self._bound))

    @property
    def bound(self) -> tuple[Bound, ...]:
        """The parameters so far, in order."""
        return tuple(self._bound)


class Dialect(Protocol):
    """One engine. Conditions are boolean SQL over `reference`, a qualified and quoted column; with `exact` what is
    unknown stays apart from what is false."""

    engine: Engine
    grammar: str
    """Name of the grammar that sqlglot reads and writes it by."""
    functions: Mapping[str, bool]
    """Functions that agents may call, in lower case → whether a call can tell something of its arguments otherwise
    than by its result (an error above all), or cost without bound."""
    casts: frozenset[str]
    """Types that agents may cast to, as sqlglot names them."""
    fence: str
    """What makes a sub-query one into which no condition is pushed."""
    rows: tuple[str, ...]
    """Names of the column that identifies a row of a table; a column of the table's own takes one of them away."""
    loud: frozenset[str]
    """Classes of sqlglot's expressions whose evaluation can fail because of a value."""
    always_loud: bool
    """Whether that is so of nearly all of them."""
    collations: frozenset[str]
    """Collations that agents may name."""
    joins: frozenset[str]
    """Words that may stand before JOIN, beside sides and kinds."""
    holds: Mapping[type[Node], frozenset[str]]
    """What the grammar of this engine admits beside `grammar.HOLDS`."""

    gaps: re.Pattern[str] | None
    """What may stand between the tokens of a text, where comments of the engine are not all what they seem."""
    by_key: bool
    """Whether rows that are written are found and looked at by their keys: the engine does not return them."""
    catalogs: bool
    """Whether schemas lie in catalogs; a relation's schema is then `catalog.schema`."""
    recursive: bool
    """Whether WITH RECURSIVE may be said, also before queries that are not recursive."""
    writing: Writing | None
    """How it writes; None: it is only read."""
    clock: Mapping[str, tuple[str, ...]]
    """Words that ask for the time without brackets → the function that they call, and the texts that it is given."""
    clock_is_reserved: bool
    """Whether these words never mean a column unless they are quoted; else a column or alias comes first."""
    values: tuple[str, int]
    """How the columns of VALUES are called: a word, and the number of the first."""
    arrows: Mapping[type[Node], str]
    """Operators → the functions that they are written as."""
    aliases: frozenset[str]
    """Where the select list is known: names of it in `where`, and in `select` itself those of the items before (a
    column that is there comes first); in `order` as `ORDER BY ALL`."""
    lacks: frozenset[str]
    """Classes of sqlglot's expressions that `grammar.HOLDS` lists and this engine does not have, or not here."""

    def ident(self, name: str) -> str:
        """Return a name as a quoted identifier."""
        ...

    def place(self, schema: str, name: str) -> str:
        """Return the full name of a relation, quoted."""
        ...

    def parameter(self, number: int) -> str:
        """Return the place of a parameter."""
        ...

    def compare(
        self, reference: str, sign: str, operand: Operand, column: Column, parameters: Parameters, *, exact: bool
    ) -> str:
        """Compare by `=`, `<`, `<=`, `>` or `>=`. A value of a wrong type is unknown."""
        ...

    def one_of_list(self, reference: str, operand: Operand, column: Column, parameters: Parameters) -> str:
        """Compare with each value of a session value that is a list."""
        ...

    def within(self, reference: str, span: timedelta, column: Column, parameters: Parameters) -> str:
        """Return whether a moment lies in the last so long, and not after now."""
        ...

    def prefix(self, reference: str, operand: Operand, column: Column, parameters: Parameters) -> str:
        """Return whether a text starts so, case-sensitively."""
        ...

    def glob(self, reference: str, pattern: str, column: Column) -> str:
        """Return whether the whole text matches a pattern of `*` and `?`, case-sensitively."""
        ...

    def value(self, operand: Operand, column: Column, parameters: Parameters) -> str | None:
        """Return an operand as a value of the column; None when it can never be one."""
        ...

    def masked(self, mask: Mask, reference: str, column: Column, parameters: Parameters) -> tuple[str, str]:
        """Return how a column is shown under a mask, and the type of that."""
        ...

    def returned(self, check: str) -> str:
        """Return a condition of ours as it may stand in a RETURNING clause."""
        ...

    def own_functions(self) -> frozenset[str]:
        """Return the functions that the text of this class itself may call."""
        ...
