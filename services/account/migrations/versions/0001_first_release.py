"""The tables of account, as of the first release."""

import sqlalchemy as sa
from alembic import op

from shared.migrations import MOMENT, create_messaging_tables, silence_statistics

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    create_messaging_tables()
    op.create_table(
        "registrations",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("region", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("policy_version", sa.Text, nullable=False),
        sa.Column("code_digest", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
    )
    op.create_index("registrations_email", "registrations", ["email"])
    op.create_table(
        "accounts",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("email", sa.Text, nullable=False, unique=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("region", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("policy_version", sa.Text, nullable=False),
        sa.Column("nickname", sa.Text),
        sa.Column("avatar", sa.LargeBinary),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("contact_version", sa.Integer, nullable=False),
        sa.Column("declined", sa.Boolean, nullable=False),
    )
    op.create_index("accounts_declined", "accounts", ["id"], postgresql_where=sa.text("declined"))
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("refresh_digest", sa.Text, nullable=False),
        sa.Column("logged_in_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("ended", sa.Boolean, nullable=False),
    )
    op.create_index("sessions_account", "sessions", ["account_id"])
    op.create_index("sessions_refresh", "sessions", ["refresh_digest"])
    op.create_index("sessions_expiry", "sessions", ["expires_at"])
    op.create_table(
        "installments",
        sa.Column("account_id", sa.Uuid, primary_key=True),
        sa.Column("installment_id", sa.Uuid, primary_key=True),
        sa.Column("lapses_at", MOMENT),
        sa.Column("settled_at", MOMENT),
    )
    still_open = sa.text("settled_at IS NULL")
    op.create_index("installments_lapse", "installments", ["lapses_at"], postgresql_where=still_open)
    op.create_table(
        "cancellations",
        sa.Column("reference", sa.Text, primary_key=True),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("token_digest", sa.Text, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("continued", sa.Boolean, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("due_at", MOMENT),
    )
    op.create_index("cancellations_account", "cancellations", ["account_id"])
    op.create_index("cancellations_due", "cancellations", ["due_at"])
    op.create_table(
        "used_tokens",
        sa.Column("token_digest", sa.Text, primary_key=True),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("used_at", MOMENT, nullable=False),
    )
    op.create_index("used_tokens_used_at", "used_tokens", ["used_at"])
    silence_statistics(
        [
            *((table, column) for table in ("registrations", "accounts") for column in _OF_THE_PERSON),
            ("accounts", "nickname"),
            ("accounts", "avatar"),
            ("accounts", "created_at"),
            ("sessions", "logged_in_at"),
            ("installments", "installment_id"),
            ("installments", "lapses_at"),
            ("installments", "settled_at"),
            ("cancellations", "started_at"),
            ("cancellations", "due_at"),
        ]
    )


_OF_THE_PERSON = ("email", "password_hash", "region", "language", "policy_version")
