"""The nouns of what was gathered: actions, forms of calls, slots of values, sessions. All without a value of a row
beyond those that the observations held."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

from bailiwick.model.observation import Seen, SeenType
from bailiwick.model.value import Scalar

Place = Literal["argument", "row", "set", "element"]
"""Of what a slot has the values: an argument, a filter or rows' column, a written column, elements of a list."""
MOST_VALUES = 5000
"""So many different values of one slot are told apart; beyond that they are open anyway."""
MOST_PARTS = 20_000
"""So many different columns, arguments and tools of one agent are told apart; who has more makes them up."""
MOST_EARLIER = 200
"""A session value that a slot never was in so many sessions, it never is."""
FEW = 8
"""Up to so many sessions it is kept which they were."""


class Deed(NamedTuple):
    """What is done, before any value: a verb on a table, or the call of a tool."""

    mount: str
    kind: str
    """`table`, or as the policy has it: tool, prompt, document, route, field."""
    name: str
    """The resource that is a table, or the tool's own name."""
    resource: str
    verb: str


class Atom(NamedTuple):
    """The smallest part of use that can be rare: a deed itself, a column in a role, a written column, an argument."""

    deed: int
    what: Literal["deed", "touched", "clear", "joined", "written", "argument"]
    name: str = ""


class Form(NamedTuple):
    """Calls that differ in values only."""

    atoms: tuple[int, ...]
    """Of all its uses."""
    deeds: tuple[int, ...]
    given: tuple[str, ...] = ()
    """Arguments that had a value (not null)."""


@dataclass(slots=True)
class FormUse:
    """How often calls of one form came, by which sessions."""

    calls: int = 0
    examples: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    """Records, each with its session: a few, of different sessions."""


@dataclass(slots=True)
class Value:
    """One value of a slot."""

    value: Scalar | None
    calls: int = 0
    sessions: int = 0
    last: int = -1
    few: list[int] = field(default_factory=list[int])
    """The first sessions that had it; all of them while there are no more than `FEW`."""


@dataclass(slots=True)
class Slot:
    """The values in one place of one deed."""

    deed: int
    place: Place
    name: str
    calls: int = 0
    """Uses of the deed that had a value here."""
    missed: int = 0
    """Of a row's column: uses that said nothing of it."""
    types: dict[SeenType, int] = field(default_factory=dict[SeenType, int])
    values: dict[str, Value] = field(default_factory=dict[str, Value])
    beyond: int = 0
    """Values that were not told apart any more."""
    ends: list[tuple[Decimal, int]] = field(default_factory=list[tuple[Decimal, int]])
    """Of numbers among those, the smallest and largest, each with its session."""
    hidden: int = 0
    """Values of which nothing but the type is known."""
    aligned: dict[str, int] = field(default_factory=dict[str, int])
    """Session value → uses in which this was it."""
    violators: dict[str, set[int]] = field(default_factory=dict[str, set[int]])
    """Session value → sessions in which this was not it, at least once. Those with too many are left out."""
    earlier: set[int] = field(default_factory=set[int])
    """The first sessions, up to `MOST_EARLIER`: they violate what only later ones have."""
    origins: dict[str, int] = field(default_factory=dict[str, int])
    partial: bool = False
    """Of a list's elements: some were not seen."""


@dataclass(slots=True)
class SessionUse:
    """What one session did."""

    name: str
    person: int
    task: str
    first: datetime
    last: datetime
    forms: dict[int, int] = field(default_factory=dict[int, int])
    """Form → calls."""
    values: dict[str, Seen] = field(default_factory=dict[str, Seen])
    by_key: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """Key of a value → the session values that it is."""
