"""Plans of texts under one policy in force: those that are known here, those that are not from an analyst.

What was planned for a scope is kept for its other sessions: by the whole text, and by the text without its literals.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from bailiwick.gateway.config import Ceilings
from bailiwick.gateway.enforce import attempt
from bailiwick.gateway.enforcer import LiveSession
from bailiwick.gateway.policies.ready import Ready
from bailiwick.model.decision import Denial
from bailiwick.mounts.postgres.aside import LOST, Aside
from bailiwick.mounts.postgres.jobs import Analyse, Analysed, Answer, Asked, MakeDryRun, MakeRows, Parcel, Setup
from bailiwick.mounts.postgres.translate import Unplanned
from bailiwick.sql.parser import too_long
from bailiwick.sql.plan import Plan
from bailiwick.sql.preview import DryRun, RowsQuery
from bailiwick.sql.shapes import Shapes, cut_for_shape

Plans = tuple[Plan | Denial, ...]
_Key = tuple[str, str, str, tuple[int, ...]]
"""Scope, mount, text and the types declared for its parameters."""
_MOST_SCOPES = 256
_MOST_TEXTS = 4096
_LONGEST_TEXT = 8192
GONE = Denial("resource_unknown", "this mount is not in the policy any more", remedy="ask for a new session")


class Analysis(Protocol):
    """What is made of texts and plans elsewhere, and takes its time."""

    def plan(self, unplanned: Unplanned, live: LiveSession, mount: str, done: Callable[[Plans], None]) -> None:
        """Make the plans of a text that has none yet. `done` is called in a later turn of the event loop."""
        ...

    async def dry_run(self, plan: Plan, live: LiveSession, mount: str) -> DryRun | None:
        """Return what a dry run of a write executes; None: it cannot be run."""
        ...

    async def rows(self, plan: Plan, live: LiveSession, mount: str, count: int) -> RowsQuery | None:
        """Return the query for the rows of so many keys, which a dry run of the plan returned."""
        ...


class _NoAnalysis:
    """Of a listener whose planner knows everything, and that has nothing to make dry runs with."""

    def plan(self, unplanned: Unplanned, live: LiveSession, mount: str, done: Callable[[Plans], None]) -> None:
        """Deny."""
        del unplanned, live, mount
        asyncio.get_running_loop().call_soon(done, (LOST,))

    async def dry_run(self, plan: Plan, live: LiveSession, mount: str) -> DryRun | None:
        """It cannot be run."""
        del plan, live, mount

    async def rows(self, plan: Plan, live: LiveSession, mount: str, count: int) -> RowsQuery | None:
        """There is none."""
        del plan, live, mount, count


NO_ANALYSIS = _NoAnalysis()


@dataclass(frozen=True, slots=True)
class _Under:
    """What there is for one scope on one mount."""

    catalogue: Parcel
    setup: Parcel
    shapes: Shapes


class Planning:
    """Knows the plans of texts under one policy in force; has analysts make those that it does not know."""

    def __init__(self, ready: Ready, aside: Aside, limits: Ceilings) -> None:
        self._ready = ready
        self._aside = aside
        self._limits = limits
        self._catalogues = {
            name: aside.parcel(catalogue)
            for name, catalogue in ready.catalogues.items()
            if ready.force.policy.mounts[name].kind == "postgres"
        }
        self._scopes: OrderedDict[tuple[str, str], _Under] = OrderedDict()
        self._kept: OrderedDict[_Key, Plans] = OrderedDict()
        self._asked: dict[_Key, list[Callable[[Analysed | Denial], None]]] = {}
        """Texts that are being analysed, and who waits for them."""

    def known(self, text: str, live: LiveSession, mount: str, declared: tuple[int, ...]) -> Plans | None:
        """Return a plan or a denial for each statement of the text; None when `plan` has to make them."""
        key = (live.scope.id, mount, text, declared)
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        under = self._under(live, mount)
        if under is None:
            return (GONE,)
        denial = too_long(text, self._limits.statement)
        if denial is not None:
            return (denial,)
        plans = None if any(declared) else _by_shape(text, under.shapes)
        if plans is not None:
            self._keep(key, plans)
        return plans

    def plan(self, unplanned: Unplanned, live: LiveSession, mount: str, done: Callable[[Plans], None]) -> None:
        """Have the plans of a text made; see `Analysis`."""
        under = self._under(live, mount)
        if under is None:
            asyncio.get_running_loop().call_soon(done, (GONE,))
            return
        key = (live.scope.id, mount, unplanned.text, unplanned.declared)

        def told(answer: Analysed | Denial) -> None:
            done((answer,) if isinstance(answer, Denial) else answer.plans)

        if key in self._asked:
            self._asked[key].append(told)
            return
        self._asked[key] = [told]

        def analysed(answer: Answer | Denial) -> None:
            found = answer if isinstance(answer, Analysed) else LOST
            if isinstance(found, Analysed):
                found = self._learned(key, found, under.shapes)
            for tell in self._asked.pop(key, ()):
                tell(found)

        self._aside.ask(
            live.session.id, Analyse(unplanned.text, unplanned.declared), under.catalogue, under.setup, analysed
        )

    async def dry_run(self, plan: Plan, live: LiveSession, mount: str) -> DryRun | None:
        """Have the dry run of a plan made; see `Analysis`."""
        made = await self._made(MakeDryRun(plan), live, mount)
        return made if isinstance(made, DryRun) else None

    async def rows(self, plan: Plan, live: LiveSession, mount: str, count: int) -> RowsQuery | None:
        """Have the query for rows made; see `Analysis`."""
        made = await self._made(MakeRows(plan, count), live, mount)
        return made if isinstance(made, RowsQuery) else None

    async def _made(self, asked: Asked, live: LiveSession, mount: str) -> Answer | Denial:
        under = attempt("asking an analyst", self._under, live, mount)
        if under is None or isinstance(under, Denial):
            return under or GONE
        made: asyncio.Future[Answer | Denial] = asyncio.get_running_loop().create_future()

        def done(answer: Answer | Denial) -> None:
            if not made.done():
                made.set_result(answer)

        self._aside.ask(live.session.id, asked, under.catalogue, under.setup, done)
        return await made

    def _under(self, live: LiveSession, mount: str) -> _Under | None:
        key = (live.scope.id, mount)
        found = self._scopes.get(key)
        policy_mount = self._ready.force.policy.mounts.get(mount)
        if found is None and policy_mount is not None and mount in self._catalogues:
            native = self._ready.natives.get(mount)
            schemas = None if native is None else native.made.schemas_of(live.scope)
            limits = self._limits
            longest = int(limits.statement_time.total_seconds() * 1000)
            setup = Setup(live.scope, mount, policy_mount.functions, limits.statement, schemas, longest)
            found = _Under(self._catalogues[mount], self._aside.parcel(setup), Shapes())
            self._scopes[key] = found
            if len(self._scopes) > _MOST_SCOPES:
                self._scopes.popitem(last=False)
        return found

    def _learned(self, key: _Key, found: Analysed, shapes: Shapes) -> Analysed:
        """Keep what may be kept of an answer, and return it with its plans."""
        _, _, text, declared = key
        cut = None if any(declared) else cut_for_shape(text)
        if cut is not None and (found.shared is not None or not shapes.knows(cut)):
            shapes.keep(cut, found.shared)
        plans = found.plans
        if found.shared is not None:
            plans = _by_shape(text, shapes) or (LOST,)
        self._keep(key, plans)
        return replace(found, plans=plans)

    def _keep(self, key: _Key, plans: Plans) -> None:
        if len(key[2]) <= _LONGEST_TEXT:
            self._kept[key] = plans
            if len(self._kept) > _MOST_TEXTS:
                self._kept.popitem(last=False)


def _by_shape(text: str, shapes: Shapes) -> Plans | None:
    cut = cut_for_shape(text)
    plan = None if cut is None else shapes.plan(cut)
    return None if plan is None else (plan,)
