"""Queries that differ in their literals only, of one connection: the server parses and plans one of them for all."""

from __future__ import annotations

from dataclasses import replace

from bailiwick.mounts.postgres.codec import pack_int32
from bailiwick.mounts.postgres.prepared import Prepared
from bailiwick.sql.plan import Bound, Constant
from bailiwick.sql.shapes import cut_for_shape

_MOST = 256
_INTEGER = Bound(Constant(None), "integer")


class Shaped:
    """Statements of the scope in force by their shape, with parameters in the place of their literals."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, tuple[Prepared, Prepared]] = {}

    def clear(self) -> None:
        """Another scope is in force."""
        self._known.clear()

    def learn(self, prepared: Prepared) -> None:
        """Keep the statement of a Query, which has been run, for others of its shape, if it is one for all of them."""
        plan = prepared.plan
        cut = cut_for_shape(prepared.text.decode()) if plan.shaped else None
        if cut is None or cut.shape in self._known:
            return
        if len(self._known) >= _MOST:
            del self._known[next(iter(self._known))]
        bound = (*plan.bound, *(_INTEGER for _ in cut.literals))
        made = Prepared(b"", replace(plan, sql=plan.shaped, bound=bound), prepared.scope, prepared.call, prepared)
        made.repeated = True
        self._known[cut.shape] = (prepared, made)

    def find(self, text: bytes) -> tuple[Prepared, Prepared, bytes] | None:
        """Return for the text of a Query one of its shape, the statement for all of them, and its literals as values
        behind the bound ones of the first."""
        cut = cut_for_shape(text.decode()) if self._known and text.isascii() else None
        found = None if cut is None else self._known.get(cut.shape)
        if cut is None or found is None:
            return None
        return *found, b"".join([pack_int32(len(each)) + each.encode() for each in cut.literals])
