"""*Agents* and *Matrix*: who may do what, one cell with its use and its history, and what-if."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bailiwick.console.access import ROOT, Visit
from bailiwick.console.figures import Bars, bars
from bailiwick.console.parts import Parts
from bailiwick.console.policies import Policies, compare
from bailiwick.console.tally import Use, Verdict, days_kept
from bailiwick.console.whatif import Asked, Told, explain, longest
from bailiwick.control.web import Reply, Routes
from bailiwick.policy.matrix import Cell, Matrix, matrix

_ROLES = ("viewer", "approver", "auditor", "opener")
_looked_back = 20
"""Versions in which the history of a cell is looked for."""


@dataclass(frozen=True, slots=True)
class Used:
    """A cell of the matrix and what was used of it."""

    cell: Cell
    calls: int
    refused: int
    last: str


class MatrixPages:
    """Agents, the matrix, one cell, what-if."""

    def __init__(self, parts: Parts, policies: Policies) -> None:
        self._parts = parts
        self._policies = policies
        self._made: dict[tuple[str, str | None], Matrix] = {}

    def routes(self) -> Routes:
        """Return who answers which path."""
        page = self._parts.doors.page
        return {
            f"{ROOT}/agents": {"GET": page(self._agents, *_ROLES)},
            f"{ROOT}/matrix": {"GET": page(self._matrix, *_ROLES)},
            f"{ROOT}/matrix/cell": {"GET": page(self._cell, *_ROLES)},
            f"{ROOT}/what-if": {
                "GET": page(self._question, *_ROLES),
                "POST": self._parts.doors.act("what-if", self._answer, *_ROLES),
            },
        }

    async def _agents(self, visit: Visit) -> Reply:
        await self._parts.counting.counted()
        policy, tally = self._policies.policy, self._parts.counting.tally
        live = [each.session.agent for each in self._parts.sessions.registry]
        uses = list(tally.uses.items())
        listed: list[Mapping[str, object]] = []
        for name, agent in policy.agents.items():
            mine = [use for (who, _), use in uses if who == name]
            stopped = self._parts.sessions.suspensions.denial(name)
            listed.append(
                {
                    "agent": agent,
                    "tasks": [task.name for task in policy.tasks.values() if name in task.agents],
                    "alive": live.count(name),
                    "calls": sum(use.calls for use in mine),
                    "refused": sum(use.refused for use in mine),
                    "last": max((use.last for use in mine), default=""),
                    "stopped": "" if stopped is None else stopped.message,
                }
            )
        return self._parts.doors.show(visit, "agents.html", {"agents": listed, "days": days_kept})

    async def _matrix(self, visit: Visit) -> Reply:
        complete = await self._parts.counting.counted()
        task, agent = visit.query.get("task"), visit.query.get("agent", "")
        policy = self._policies.policy
        if (task is not None and task not in policy.tasks) or (agent and agent not in policy.agents):
            return self._parts.doors.problem(visit, 404, "the policy has no such agent or task")
        found = self._of(task)
        agents = [name for name in found.agents if agent in ("", name)]
        rows = [
            (resource, [self._used(cell) for cell in found.cells if cell.resource == resource and cell.agent in agents])
            for resource in found.resources
        ]
        values = {
            "agents": agents,
            "agent": agent,
            "rows": rows,
            "task": task,
            "tasks": [*policy.tasks],
            "notes": found.notes,
            "complete": complete,
            "days": days_kept,
        }
        return self._parts.doors.show(visit, "matrix.html", values)

    async def _cell(self, visit: Visit) -> Reply:
        await self._parts.counting.counted()
        agent, resource, task = (visit.query.get(name) for name in ("agent", "resource", "task"))
        if task is not None and task not in self._policies.policy.tasks:
            return self._parts.doors.problem(visit, 404, "the policy has no such task")
        cells = self._of(task).cells
        cell = next((each for each in cells if (each.agent, each.resource) == (agent, resource)), None)
        if cell is None:
            return self._parts.doors.problem(visit, 404, "the policy has no such agent or resource")
        uses = self._parts.counting.tally.of_resource(cell.agent, cell.resource)
        values = {
            "cell": cell,
            "task": task,
            "uses": sorted(uses.items()),
            "unused": [verb for verb in cell.verbs if verb not in uses or not uses[verb].calls],
            "picture": self._picture([*uses.values()]),
            "history": await self._history(cell.agent, cell.resource),
            "days": days_kept,
        }
        return self._parts.doors.show(visit, "cell.html", values)

    def _of(self, task: str | None) -> Matrix:
        """Return the matrix of the policy in force; it is made once."""
        policy, lock = self._policies.policy, self._policies.lock
        key = (policy.version, task)
        if key not in self._made:
            self._made = {each: made for each, made in self._made.items() if each[0] == policy.version}
            self._made[key] = matrix(policy, lock, task=task)
        return self._made[key]

    def _used(self, cell: Cell) -> Used:
        uses = self._parts.counting.tally.of_resource(cell.agent, cell.resource).values()
        last = max((use.last for use in uses), default="")
        return Used(cell, sum(use.calls for use in uses), sum(use.refused for use in uses), last)

    def _picture(self, uses: Sequence[Use]) -> Bars:
        today = int(self._parts.clock().timestamp()) // 86400
        days: list[Mapping[Verdict, int]] = [
            {"allow": sum(use.days.get(day, 0) for use in uses)} for day in range(today - days_kept + 1, today + 1)
        ]
        return bars(days)

    async def _history(self, agent: str, resource: str) -> Sequence[Mapping[str, object]]:
        """Return what former versions changed of a cell, the newest first."""
        versions = (await self._policies.kept())[:_looked_back]
        found: list[Mapping[str, object]] = []
        for new, old in pairwise(versions):
            changes = [each for each in compare(old, new).changes if (each.agent, each.resource) == (agent, resource)]
            if changes:
                found.append({"version": new.version, "at": new.at, "changes": changes})
        return found

    async def _question(self, visit: Visit) -> Reply:
        return self._asked(visit, visit.query, None)

    async def _answer(self, visit: Visit, given: Mapping[str, str]) -> Reply:
        what = given.get("what", "").strip()
        if not what or len(what) > longest or "\0" in "".join(given.values()):
            return self._asked(visit, given, Told(problem=f"ask something, in at most {longest} characters"))
        asked = Asked(
            what,
            given.get("agent", ""),
            given.get("task", ""),
            given.get("user", ""),
            tuple(given.get("groups", "").replace(",", " ").split()),
            given.get("tenant", ""),
            tuple(each.strip() for each in given.get("values", "").splitlines() if each.strip()),
            given.get("mount", ""),
            given.get("arguments", "").strip(),
        )
        policy = await self._policies.current()
        if policy is None:
            return self._asked(visit, given, Told(problem="the policy in force is not what stands in its files"))
        return self._asked(visit, given, await explain(asked, policy))

    def _asked(self, visit: Visit, given: Mapping[str, str], told: Told | None) -> Reply:
        policy = self._policies.policy
        values = {
            "given": given,
            "told_if": told,
            "agents": [*policy.agents],
            "tasks": [*policy.tasks],
            "mounts": [*policy.mounts],
        }
        return self._parts.doors.show(visit, "whatif.html", values)
