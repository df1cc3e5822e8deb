"""Sessions that are delegated, that ask for less, and that agents open themselves; ids that count once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what is known of a session's opening, and the table of ids that were used up."""
    op.add_column("sessions", sa.Column("asked", sa.Text))
    op.add_column("sessions", sa.Column("parent", sa.Text))
    op.add_column("sessions", sa.Column("opener", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "spent",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("until", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drop both. Sessions that were narrowed would be wide again: they end."""
    op.execute("DELETE FROM sessions WHERE asked IS NOT NULL OR parent IS NOT NULL OR opener <> ''")
    op.drop_table("spent")
    for name in ("opener", "parent", "asked"):
        op.drop_column("sessions", name)
