"""The names of a query while its statement is walked: which columns of which tables they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bailiwick.sql.usage import Using

Origins = tuple[tuple[Using, str], ...]
"""The columns of tables that a column is, in clear."""


@dataclass(eq=False, slots=True)
class Source:
    """One item of FROM. `columns` None: a table of which nothing is known."""

    alias: str
    columns: dict[str, Origins] | None
    use: Using | None = None

    def get(self, name: str) -> Origins | None:
        """Return what a column of that name is; None: it has none."""
        if self.columns is None:
            return ((self.use, name),) if self.use is not None else ()
        return self.columns.get(name)

    def has(self, use: Using) -> bool:
        """Return whether rows of a use of a table come from it."""
        if self.use is not None or self.columns is None:
            return self.use is use
        return any(each is use for origins in self.columns.values() for each, _ in origins)

    def starred(self) -> list[tuple[str, Origins]]:
        """Return what `*` stands for."""
        return list((self.columns or {}).items())


@dataclass(eq=False, slots=True)
class Level:
    """The names of one query."""

    outer: Level | None = None
    sources: list[Source] = field(default_factory=list[Source])
    ctes: dict[str, dict[str, Origins]] = field(default_factory=dict[str, "dict[str, Origins]"])
    binding: bool = False
    """Whether what its rows meet is met by those of the query around it as well: it stands there in an EXISTS."""

    def binds(self, use: Using, only: frozenset[str] | None) -> bool:
        """Return whether a condition here is one of the rows of that use."""
        if any(source.has(use) for source in self.sources if only is None or source.alias in only):
            return True
        return self.binding and self.outer is not None and self.outer.binds(use, None)

    def cte(self, name: str) -> dict[str, Origins] | None:
        """Return the columns of a WITH query."""
        level: Level | None = self
        while level is not None:
            if name in level.ctes:
                return level.ctes[name]
            level = level.outer
        return None

    def column(self, names: Sequence[str]) -> Origins:
        """Return what a reference stands for; nothing where that is not known."""
        level: Level | None = self
        while level is not None:
            mine = [each for each in level.sources if len(names) == 1 or each.alias == names[-2]]
            sure = [each for each in mine if each.columns is not None]
            for each in (*sure, *(mine if len(mine) == len(sure) + 1 else ())):
                found = each.get(names[-1])
                if found is not None:
                    return found
            level = level.outer
        return ()


Columns = list[tuple[str, Origins]]


def own_columns(use: Using) -> dict[str, Origins] | None:
    """Return the columns of a table by their names; None where they are not known."""
    return {name: ((use, name),) for name in use.known.columns} if use.known.columns else None


def renamed(columns: Columns, names: Sequence[str]) -> Iterator[tuple[str, Origins]]:
    """Yield columns under the names that an alias gives to the first of them."""
    for place, (name, origins) in enumerate(columns):
        yield names[place] if place < len(names) else name, origins


def first_of(found: Iterable[Origins | None]) -> Origins:
    """Return the first that is something."""
    return next((each for each in found if each), ())
