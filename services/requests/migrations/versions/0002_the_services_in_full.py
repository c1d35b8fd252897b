"""Pictures of feedback, ended sessions; counters of tries."""

import sqlalchemy as sa
from alembic import op

from shared.migrations import add_ended_sessions, add_tries_and_chunks, silence_statistics

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    add_tries_and_chunks()
    add_ended_sessions()
    op.drop_index("feedback_account")
    op.create_index("feedback_account", "feedback", ["account_id", "submitted_at", "id"])
    op.create_table(
        "feedback_pictures",
        sa.Column("feedback_id", sa.Uuid, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
    )
    op.create_index("feedback_pictures_account", "feedback_pictures", ["account_id"])
    silence_statistics([("feedback_pictures", "content"), ("feedback_pictures", "media_type")])
