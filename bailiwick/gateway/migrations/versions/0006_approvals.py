"""Approvals, in the place of held changes, none of which could ever be decided."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of approvals. Moments are microseconds since 1970 in UTC."""
    op.drop_index("changes_by_session", "changes")
    op.drop_table("changes")
    op.create_table(
        "approvals",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("session", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("approvals_by_session", "approvals", ["session", "state", "digest"])
    op.create_index("approvals_by_state", "approvals", ["state", "made_at"])


def downgrade() -> None:
    """Drop the approvals: none that waits is ever run."""
    op.drop_index("approvals_by_state", "approvals")
    op.drop_index("approvals_by_session", "approvals")
    op.drop_table("approvals")
    columns = ("session", "agent", "person", "task", "mount", "policy", "actions", "grants", "purpose")
    more = ("statement", "parameters", "digest", "preview")
    op.create_table(
        "changes",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in (*columns, *more)),
        sa.Column("affected", sa.BigInteger),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("shown", "keys")),
        sa.Column("made_at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
    )
    op.create_index("changes_by_session", "changes", ["session", "state", "digest"])
