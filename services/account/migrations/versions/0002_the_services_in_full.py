"""Clients, second factor, changes of address and password, agreements; counters of tries."""

import sqlalchemy as sa
from alembic import op

from shared.migrations import MOMENT, add_tries_and_chunks, silence_statistics

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    add_tries_and_chunks()
    op.add_column("accounts", sa.Column("avatar_media_type", sa.Text))
    # Pictures so far were taken unseen: nobody could say what they are.
    op.execute("UPDATE accounts SET avatar = NULL")
    op.add_column("accounts", sa.Column("totp_secret", sa.Text))
    op.add_column("accounts", sa.Column("totp_confirmed", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("accounts", sa.Column("totp_last_step", sa.BigInteger))
    op.add_column("accounts", sa.Column("version", sa.Integer, nullable=False, server_default=sa.text("1")))
    op.create_table(
        "agreements",
        sa.Column("account_id", sa.Uuid, primary_key=True),
        sa.Column("policy_version", sa.Text, primary_key=True),
        sa.Column("agreed_at", MOMENT, nullable=False),
    )
    op.execute("INSERT INTO agreements SELECT id, policy_version, created_at FROM accounts")
    _mailed_code("password_resets")
    _mailed_code("email_changes", sa.Column("email", sa.Text, nullable=False))
    op.create_table(
        "email_undos",
        sa.Column("token_digest", sa.Text, primary_key=True),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("ends_at", MOMENT, nullable=False),
    )
    op.create_index("email_undos_account", "email_undos", ["account_id"])
    op.create_index("email_undos_email", "email_undos", ["email"])
    op.create_index("email_undos_end", "email_undos", ["ends_at"])
    op.create_table(
        "recovery_codes",
        sa.Column("account_id", sa.Uuid, primary_key=True),
        sa.Column("code_digest", sa.Text, primary_key=True),
    )
    op.create_table(
        "clients",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("token_digest", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("last_used_at", MOMENT, nullable=False),
    )
    op.create_index("clients_account", "clients", ["account_id"])
    op.create_index("clients_token", "clients", ["token_digest"])
    op.create_index("clients_last_used", "clients", ["last_used_at"])
    op.add_column("sessions", sa.Column("client_id", sa.Uuid))
    op.add_column("sessions", sa.Column("previous_digest", sa.Text))
    op.add_column("sessions", sa.Column("last_used_at", MOMENT))
    op.execute("UPDATE sessions SET last_used_at = logged_in_at")
    op.alter_column("sessions", "last_used_at", nullable=False)
    op.drop_index("sessions_expiry")
    op.create_index("sessions_previous", "sessions", ["previous_digest"])
    op.create_index("sessions_logged_in_at", "sessions", ["logged_in_at"])
    silence_statistics(
        [
            ("accounts", "avatar_media_type"),
            ("accounts", "totp_secret"),
            ("agreements", "policy_version"),
            ("agreements", "agreed_at"),
            ("email_changes", "email"),
            ("email_undos", "email"),
            ("recovery_codes", "code_digest"),
            ("clients", "name"),
            ("clients", "last_used_at"),
            ("sessions", "last_used_at"),
        ]
    )


def _mailed_code(table: str, *more: sa.Column[str]) -> None:
    op.create_table(
        table,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("account_id", sa.Uuid, nullable=False),
        *more,
        sa.Column("code_digest", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
    )
    op.create_index(f"{table}_account", table, ["account_id"])
    op.create_index(f"{table}_expiry", table, ["expires_at"])
