"""Held changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of held changes. Moments are microseconds since 1970 in UTC."""
    op.create_table(
        "changes",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("session", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("mount", sa.Text, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("actions", sa.Text, nullable=False),
        sa.Column("grants", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("statement", sa.Text, nullable=False),
        sa.Column("parameters", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("preview", sa.Text, nullable=False),
        sa.Column("affected", sa.BigInteger),
        sa.Column("shown", sa.Text, nullable=False),
        sa.Column("keys", sa.Text, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
    )
    op.create_index("changes_by_session", "changes", ["session", "state", "digest"])


def downgrade() -> None:
    """Drop the table of held changes: none of them is ever done."""
    op.drop_table("changes")
