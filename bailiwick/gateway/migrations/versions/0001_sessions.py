"""Sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of sessions. Moments are microseconds since 1970 in UTC."""
    op.create_table(
        "sessions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("jti", sa.Text, nullable=False, unique=True),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("task", sa.Text),
        sa.Column("person", sa.Text),
        sa.Column("context", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text),
        sa.Column("chain", sa.Text, nullable=False),
        sa.Column("mounts", sa.Text, nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("active_at", sa.BigInteger, nullable=False),
        sa.Column("idle", sa.BigInteger),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_index("sessions_by_state", "sessions", ["state", "opened_at"])


def downgrade() -> None:
    """Drop the table of sessions: every session ends."""
    op.drop_table("sessions")
