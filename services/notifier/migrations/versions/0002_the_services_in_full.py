"""Notices in the app, ended sessions; counters of tries."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.migrations import MOMENT, add_ended_sessions, add_tries_and_chunks, silence_statistics

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    add_tries_and_chunks()
    add_ended_sessions()
    op.add_column("messages", sa.Column("notice_id", sa.Uuid))
    op.create_table(
        "notices",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("parameters", JSONB, nullable=False),
        sa.Column("told_at", MOMENT, nullable=False),
        sa.Column("read_at", MOMENT),
        sa.Column("mailed", sa.Text, nullable=False),
    )
    op.create_index("notices_account", "notices", ["account_id", "told_at", "id"])
    op.create_index("notices_told_at", "notices", ["told_at"])
    silence_statistics([("notices", "parameters"), ("notices", "told_at"), ("notices", "read_at")])
