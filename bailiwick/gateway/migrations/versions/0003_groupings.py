"""Groupings: what sessions have asked of relations that they may only aggregate."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of groupings, numbered for each session and resource."""
    op.create_table(
        "groupings",
        sa.Column("session", sa.Text, primary_key=True),
        sa.Column("resource", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("refused", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    """Drop the table of groupings."""
    op.drop_table("groupings")
