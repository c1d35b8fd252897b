"""The tables of requests, as of the first release, and the minimum of owners that every order asks."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from shared.migrations import MOMENT, create_messaging_tables, silence_statistics

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MINIMUM = {"account": "data", "device": "data", "requests": "data", "notifier": "contact"}


def upgrade() -> None:
    """Apply."""
    create_messaging_tables()
    op.create_table(
        "feedback",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("submitted_at", MOMENT, nullable=False),
    )
    op.create_index("feedback_account", "feedback", ["account_id"])
    owners = op.create_table(
        "owners",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("categories", ARRAY(sa.Text), nullable=False),
        sa.Column("admitted_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("left", sa.Boolean, nullable=False),
    )
    # Without an own announcement, so that no order can open before anybody is asked.
    op.bulk_insert(
        owners,
        [{"name": name, "phase": phase, "categories": [], "left": False} for name, phase in MINIMUM.items()],
    )
    op.alter_column("owners", "admitted_at", server_default=None)
    op.create_table(
        "orders",
        sa.Column("order_id", sa.Uuid, primary_key=True),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("origin", sa.Text),
        sa.Column("references", ARRAY(sa.Text), nullable=False),
        sa.Column("contact_version", sa.Integer, nullable=False),
        sa.Column("opened_at", MOMENT),
        sa.Column("asked_at", MOMENT),
        sa.Column("settled_at", MOMENT),
        sa.Column("completed_at", MOMENT),
        sa.Column("certificate", JSONB),
    )
    op.create_index("orders_open", "orders", ["asked_at"], postgresql_where=sa.text("completed_at IS NULL"))
    op.create_table(
        "order_references",
        sa.Column("reference", sa.Text, primary_key=True),
        sa.Column("order_id", sa.Uuid, _of_order(), nullable=False),
    )
    op.create_index("ix_order_references_order_id", "order_references", ["order_id"])
    op.create_table(
        "dues",
        sa.Column("order_id", sa.Uuid, _of_order(), primary_key=True),
        sa.Column("owner", sa.Text, primary_key=True),
        sa.Column("phase", sa.Text, nullable=False),
        sa.Column("answered_at", MOMENT),
        sa.Column("items", JSONB, nullable=False),
        sa.Column("remark", sa.Text),
    )
    silence_statistics([("feedback", "text"), ("feedback", "submitted_at")])


def _of_order() -> sa.ForeignKey:
    return sa.ForeignKey("orders.order_id", ondelete="CASCADE")
