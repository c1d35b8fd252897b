"""The tables of notifier, as of the first release."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.migrations import MOMENT, create_messaging_tables, silence_statistics

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    create_messaging_tables()
    op.create_table(
        "contacts",
        sa.Column("account_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("parameters", JSONB, nullable=False),
        sa.Column("email", sa.Text),
        sa.Column("language", sa.Text),
        sa.Column("contact_version", sa.Integer),
        sa.Column("order_id", sa.Uuid),
        sa.Column("queued_at", MOMENT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("next_attempt_at", MOMENT, nullable=False),
        sa.Column("sent", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_index("messages_account", "messages", ["account_id", "id"])
    unsent = sa.text("NOT sent")
    op.create_index("messages_due", "messages", ["next_attempt_at", "id"], postgresql_where=unsent)
    received = sa.text("kind = 'cancellation-received'")
    op.create_index("messages_received", "messages", ["account_id"], unique=True, postgresql_where=received)
    one_last = sa.text("order_id IS NOT NULL")
    op.create_index("messages_last", "messages", ["account_id"], unique=True, postgresql_where=one_last)
    silence_statistics(
        [
            ("contacts", "email"),
            ("contacts", "language"),
            ("messages", "parameters"),
            ("messages", "email"),
            ("messages", "language"),
        ]
    )
