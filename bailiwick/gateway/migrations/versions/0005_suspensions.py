"""Agents, sessions, mounts, or everything, that are suspended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of suspensions. Moments are microseconds since 1970 in UTC."""
    op.create_table(
        "suspensions",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drop the table. What was suspended would go on: every open session ends."""
    op.execute("UPDATE sessions SET state = 'REVOKED', reason = 'revoked' WHERE state = 'OPEN'")
    op.drop_table("suspensions")
