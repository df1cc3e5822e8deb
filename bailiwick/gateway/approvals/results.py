"""What came of requests that the gateway ran itself, kept until whoever asked has come for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, cast

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from bailiwick.gateway.moments import to_microseconds
from bailiwick.gateway.state import State

Came = Mapping[str, object]
"""What came of a request, as JSON."""
KEPT: Final = timedelta(hours=24)
longest_result: Final = 1024 * 1024
"""Characters of a result that is kept."""
results = sa.Table(
    "approval_results",
    sa.MetaData(),
    sa.Column("approval", sa.Text, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("taken", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)


class ApprovalResults:
    """Results by the id of the approval. What is written is on disk when the call returns."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def keep(self, approval: str, told: Came, at: datetime) -> None:
        """Keep a result, and forget those that are too old. Of one that is too long it says so."""
        body = json.dumps(told)
        if len(body) > longest_result:
            body = json.dumps({"lost": f"the result is longer than {longest_result} characters and was not kept"})
        row = {"approval": approval, "at": to_microseconds(at), "taken": 0, "body": body}
        async with self._state.writing() as connection:
            await connection.execute(sa.delete(results).where(results.c.at < to_microseconds(at - KEPT)))
            await connection.execute(insert(results).values(row).on_conflict_do_nothing())

    async def find(self, approval: str) -> Came | None:
        """Return a result, whether it was handed over or not."""
        async with self._state.reading() as connection:
            found = await connection.execute(sa.select(results.c.body).where(results.c.approval == approval))
            body = found.scalar()
        return None if body is None else cast("Came", json.loads(cast("str", body)))

    async def waits(self, approval: str) -> bool:
        """Return whether there is a result that nobody has taken."""
        waiting = sa.select(results.c.approval).where(results.c.approval == approval, results.c.taken == 0)
        async with self._state.reading() as connection:
            return (await connection.execute(waiting)).first() is not None

    async def take(self, approval: str) -> Came | None:
        """Return a result to whoever makes the request again: once; the next time it is a new request."""
        mine = sa.update(results).where(results.c.approval == approval, results.c.taken == 0).values(taken=1)
        async with self._state.writing() as connection:
            if (await connection.execute(mine)).rowcount != 1:
                return None
        return await self.find(approval)
