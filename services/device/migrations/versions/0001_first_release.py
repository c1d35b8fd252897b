"""The tables of device, as of the first release."""

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
        "products",
        sa.Column("serial", sa.Text, primary_key=True),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("pairing_digest", sa.Text, nullable=False),
    )
    op.create_table(
        "ended_sessions",
        sa.Column("session_id", sa.Uuid, primary_key=True),
        sa.Column("ended_at", MOMENT, nullable=False),
    )
    op.create_index("ended_sessions_ended_at", "ended_sessions", ["ended_at"])
    op.create_table(
        "bindings",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("serial", sa.Text, nullable=False, unique=True),
        sa.Column("bound_at", MOMENT, nullable=False),
    )
    op.create_index("bindings_account", "bindings", ["account_id"])
    op.create_table(
        "readings",
        sa.Column("account_id", sa.Uuid, primary_key=True),
        sa.Column("binding_id", sa.Uuid, primary_key=True),
        sa.Column("event_id", sa.Uuid, primary_key=True),
        sa.Column("measured_at", MOMENT, nullable=False),
        sa.Column("values", JSONB, nullable=False),
    )
    silence_statistics(
        [
            ("bindings", "serial"),
            ("bindings", "bound_at"),
            ("readings", "measured_at"),
            ("readings", "values"),
        ]
    )
