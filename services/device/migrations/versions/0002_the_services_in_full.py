"""Names of devices, ended bindings, readings in order of time; counters of tries."""

import sqlalchemy as sa
from alembic import op

from shared.migrations import add_tries_and_chunks, silence_statistics

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    add_tries_and_chunks()
    op.add_column("bindings", sa.Column("name", sa.Text))
    op.add_column("bindings", sa.Column("version", sa.Integer, nullable=False, server_default=sa.text("1")))
    op.create_table(
        "unbound",
        sa.Column("account_id", sa.Uuid, primary_key=True),
        sa.Column("binding_id", sa.Uuid, primary_key=True),
    )
    op.drop_constraint("readings_pkey", "readings")
    op.create_primary_key("readings_pkey", "readings", ["account_id", "binding_id", "measured_at", "event_id"])
    silence_statistics([("bindings", "name")])
