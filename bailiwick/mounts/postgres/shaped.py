"""Queries that differ in their literals only, of one connection: the server parses and plans one of them for all."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from bailiwick.mounts.postgres.codec import pack_int32
from bailiwick.mounts.postgres.prepared import Prepared
from bailiwick.sql.literals import NUMBER
from bailiwick.sql.plan import Bound, Constant
from bailiwick.sql.shapes import cut_for_shape

_MOST = 256
_INTEGER = Bound(Constant(None), "integer")
_DIGITS = rb"(\d{1,9})"


@dataclass(frozen=True, slots=True)
class Like:
    """What is known of one shape."""

    first: Prepared
    """One statement of the shape."""
    prepared: Prepared
    """The statement for all of them, with parameters in the place of their literals."""
    texts: re.Pattern[bytes]
    """Matches the texts of the shape that a text like it becomes by other digits: nothing else around them changes, so
    they are read as the same tokens. A look at it takes a fifth of a cut."""


class Shaped:
    """Statements of the scope in force by their shape."""

    __slots__ = ("_known", "_last")

    def __init__(self) -> None:
        self._known: dict[str, Like] = {}
        self._last: Like | None = None
        """The one that was found last: most clients ask in loops."""

    def clear(self) -> None:
        """Another scope is in force."""
        self._known.clear()
        self._last = None

    def learn(self, prepared: Prepared) -> None:
        """Keep the statement of a Query, which has been run, for others of its shape, if it is one for all of them."""
        plan = prepared.plan
        cut = cut_for_shape(prepared.text.decode()) if plan.shaped else None
        if cut is None or cut.shape in self._known:
            return
        if len(self._known) >= _MOST:
            self.clear()
        bound = (*plan.bound, *(_INTEGER for _ in cut.literals))
        made = Prepared(b"", replace(plan, sql=plan.shaped, bound=bound), prepared.scope, prepared.call, prepared)
        made.repeated = True
        texts = re.compile(_DIGITS.join(re.escape(part.encode()) for part in cut.shape.split(NUMBER)))
        self._known[cut.shape] = Like(prepared, made, texts)

    def find(self, text: bytes) -> tuple[Like, bytes] | None:
        """Return what is known of the shape of a Query's text, and its literals as values behind the bound ones."""
        like = self._last
        found = None if like is None else like.texts.fullmatch(text)
        if like is None or found is None:
            like = self._last = self._looked_up(text)
            found = None if like is None else like.texts.fullmatch(text)
        if like is None or found is None:
            return None
        return like, b"".join([pack_int32(len(each)) + each for each in found.groups()])

    def _looked_up(self, text: bytes) -> Like | None:
        cut = cut_for_shape(text.decode()) if self._known and text.isascii() else None
        return None if cut is None else self._known.get(cut.shape)
