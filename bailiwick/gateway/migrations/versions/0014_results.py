"""What came of approved requests that the gateway ran itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of results. Moments are microseconds since 1970 in UTC."""
    op.create_table(
        "approval_results",
        sa.Column("approval", sa.Text, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("taken", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("approval_results_by_moment", "approval_results", ["at"])


def downgrade() -> None:
    """Drop them: what was run stays on record."""
    op.drop_index("approval_results_by_moment", "approval_results")
    op.drop_table("approval_results")
