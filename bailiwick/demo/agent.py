"""The scripted agent: a real driver on a real connection. Performs steps and says what came of them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg

from bailiwick.demo.dataset import CANARY
from bailiwick.demo.steps import Cut, Done, Expectation, Refused, Rows, Step

CUT_WITHIN = 3.0
"""Seconds that an idle connection may outlive its session; the gateway promises one."""
Revoke = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the agent saw. Exactly one of rows, tag, refusal and cut describes it."""

    came: Expectation
    rows: tuple[tuple[object, ...], ...] = ()
    message: str = ""
    remedy: str = ""
    allowed: str = ""
    decision: str = ""
    """Id of the record."""
    state: str = ""
    """SQLSTATE."""

    def seen(self) -> str:
        """Return everything that reached the agent, as text."""
        return "\n".join([*map(str, self.rows), self.message, self.remedy, self.allowed])


async def perform(connection: asyncpg.Connection, step: Step, revoke: Revoke) -> Outcome:
    """Do one step."""
    if step.revoked:
        await revoke()
        deadline = time.monotonic() + CUT_WITHIN
        while not connection.is_closed() and time.monotonic() < deadline:  # noqa: ASYNC110 -- asyncpg signals it not
            await asyncio.sleep(0.02)
    try:
        if isinstance(step.expect, Rows):
            return _rows(await connection.fetch(step.sql, *step.arguments))
        return Outcome(Done(await connection.execute(step.sql, *step.arguments)))
    except asyncpg.PostgresError as error:
        return _refused(error)
    except (asyncpg.InterfaceError, OSError) as error:
        return Outcome(Cut(), message=str(error))


def difference(step: Step, outcome: Outcome) -> str:
    """Return in which way the outcome is not the expected one; empty when it is."""
    if CANARY in outcome.seen():
        return "something that must not leak was returned"
    expected, came = step.expect, outcome.came
    if isinstance(expected, Rows) and isinstance(came, Rows):
        if came.count != expected.count:
            return f"{expected.count} rows expected, {came.count} came"
        if expected.columns and came.columns != expected.columns:
            return f"columns {', '.join(expected.columns)} expected, {', '.join(came.columns)} came"
        wrong = {name: came.first.get(name) for name, cell in expected.first.items() if came.first.get(name) != cell}
        return f"the first row differs: {wrong}" if wrong else ""
    return "" if came == expected else f"{expected} expected, {came} came ({outcome.message})"


def _rows(records: list[asyncpg.Record]) -> Outcome:
    rows = tuple(tuple(record.values()) for record in records)
    columns = tuple(records[0].keys()) if records else ()
    return Outcome(Rows(len(rows), columns, dict(records[0].items()) if records else {}), rows)


def _refused(error: asyncpg.PostgresError) -> Outcome:
    """Read a denial as an agent reads it: message, what would be allowed, code and decision in the detail, hint."""
    if error.sqlstate.startswith("57P"):
        return Outcome(Cut(), message=error.message, state=error.sqlstate)
    detail = error.detail or ""
    code = re.search(r"^code (\w+)(?:, decision (\w+))?$", detail, re.MULTILINE)
    allowed = re.search(r"^allowed: (.*)$", detail, re.MULTILINE)
    return Outcome(
        Refused(code[1] if code else error.sqlstate),
        message=error.message,
        remedy=error.hint or "",
        allowed=allowed[1] if allowed else "",
        decision=(code[2] or "") if code else "",
        state=error.sqlstate,
    )
