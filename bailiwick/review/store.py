"""Where reviews are kept: in the state store, beside the approvals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from bailiwick.gateway.moments import from_microseconds, to_microseconds
from bailiwick.gateway.state import State
from bailiwick.model.review import Review
from bailiwick.review.form import read, told

_metadata = sa.MetaData()
reviews = sa.Table(
    "reviews",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("opened_at", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
known = sa.Table(
    "review_known",
    _metadata,
    sa.Column("agent", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("since", sa.BigInteger, nullable=False),
)
Known = Mapping[tuple[str, str], datetime]
"""(agent, what it has; empty: the agent itself) → since when."""


class ReviewStore:
    """Reviews by id. What is written is on disk when the call returns."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def put(self, review: Review) -> None:
        """Store a review, in the place of what it was before."""
        row = {
            "id": review.id,
            "state": review.state,
            "opened_at": to_microseconds(review.opened_at),
            "body": json.dumps(told(review)),
        }
        async with self._state.writing() as connection:
            await connection.execute(sa.delete(reviews).where(reviews.c.id == review.id))
            await connection.execute(sa.insert(reviews).values(row))

    async def list(self) -> Sequence[Review]:
        """Return all of them, the newest first."""
        async with self._state.reading() as connection:
            rows = await connection.execute(sa.select(reviews.c.body).order_by(reviews.c.opened_at.desc()))
            return [read(json.loads(body)) for (body,) in rows]

    async def known(self) -> Known:
        """Return since when each agent has what it has."""
        async with self._state.reading() as connection:
            rows = await connection.execute(sa.select(known.c.agent, known.c.subject, known.c.since))
            return {(agent, subject): from_microseconds(since) for agent, subject, since in rows}

    async def know(self, gone: Sequence[tuple[str, str]], new: Known) -> None:
        """Forget what agents have no more, and keep what they have now."""
        async with self._state.writing() as connection:
            for agent, subject in gone:
                await connection.execute(sa.delete(known).where(known.c.agent == agent, known.c.subject == subject))
            rows = [
                {"agent": agent, "subject": subject, "since": to_microseconds(at)}
                for (agent, subject), at in new.items()
            ]
            if rows:
                await connection.execute(sa.insert(known), rows)
