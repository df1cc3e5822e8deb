"""What was used of budgets that outlive a restart."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table. Moments are microseconds since 1970 in UTC; `until` is empty for what never comes back."""
    op.create_table(
        "budgets",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("span", sa.BigInteger),
        sa.Column("until", sa.BigInteger),
        sa.Column("log", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Drop the table: budgets are full again."""
    op.drop_table("budgets")
