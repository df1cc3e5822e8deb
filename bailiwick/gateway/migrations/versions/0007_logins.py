"""Logins to the console."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "logins",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("secret", sa.Text, nullable=False, unique=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("name", "issuer", "groups", "roles", "means")),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("authenticated_at", "opened_at", "seen_at", "until")
        ),
    )


def downgrade() -> None:
    """Drop it; everybody logs in again."""
    op.drop_table("logins")
