"""How migrations run, and the shared tables as they create them. Frozen: a change is a new function, called anew."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import create_async_engine

MOMENT = sa.DateTime(timezone=True)


def run_migrations() -> None:
    """Migrate the database whose address stands in Alembic's `config.attributes["url"]` (the body of `env.py`)."""

    def migrate(connection: sa.Connection) -> None:
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()

    async def connect_and_migrate(url: str) -> None:
        engine = create_async_engine(url, poolclass=sa.pool.NullPool)
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
            await connection.commit()
        await engine.dispose()

    asyncio.run(connect_and_migrate(context.config.attributes["url"]))


def create_messaging_tables() -> None:
    """Create outbox, inbox, positions, dead letters and closed accounts, as of the first release."""
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "inbox",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("event_id", sa.Uuid, primary_key=True),
        sa.Column("taken_at", MOMENT, nullable=False, server_default=sa.func.now()),
    )
    op.create_index("inbox_taken_at", "inbox", ["taken_at"])
    op.create_table(
        "positions",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("topic_id", sa.Uuid, nullable=False),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("account_id", sa.Uuid),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("parked_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("dead_letters_account", "dead_letters", ["account_id", "topic", "id"])
    op.create_table(
        "closed_accounts",
        sa.Column("account_id", sa.Uuid, primary_key=True),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("closed_at", MOMENT, nullable=False),
        sa.Column("receipt", JSONB, nullable=False),
        sa.Column("remark", sa.Text),
    )
    op.create_index("closed_accounts_closed_at", "closed_accounts", ["closed_at"])
    silence_statistics([("outbox", "body"), ("dead_letters", "body")])


def add_tries_and_chunks() -> None:
    """Add the counters of tries, the broker's time of dead letters, and marks of erasures still under way."""
    op.create_table(
        "tries",
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("ends_at", MOMENT, nullable=False),
    )
    op.create_index("tries_ends_at", "tries", ["ends_at"])
    op.add_column("dead_letters", sa.Column("taken_at", MOMENT))
    op.execute("UPDATE dead_letters SET taken_at = parked_at")
    op.alter_column("dead_letters", "taken_at", nullable=False)
    op.add_column("closed_accounts", sa.Column("erased", sa.Boolean, nullable=False, server_default=sa.true()))
    op.alter_column("closed_accounts", "erased", server_default=None)


def add_ended_sessions() -> None:
    """Add the sessions that have ended, for services that hear of them from account."""
    op.create_table(
        "ended_sessions",
        sa.Column("session_id", sa.Uuid, primary_key=True),
        sa.Column("ended_at", MOMENT, nullable=False),
    )
    op.create_index("ended_sessions_ended_at", "ended_sessions", ["ended_at"])


def add_exports() -> None:
    """Add how far exports have come."""
    op.create_table(
        "exports",
        sa.Column("request_id", sa.Uuid, primary_key=True),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("public_key", JSONB, nullable=False),
        sa.Column("ordered_at", MOMENT, nullable=False),
        sa.Column("sheet", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("after", ARRAY(sa.Text)),
        sa.Column("parts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("counts", JSONB, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("ended", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_index("exports_account", "exports", ["account_id"])
    op.create_index("exports_ordered_at", "exports", ["ordered_at"])
    unfinished = sa.text("NOT ended")
    op.create_index("exports_unfinished", "exports", ["request_id"], postgresql_where=unfinished)
    silence_statistics([("exports", "after")])


def add_consent_periods() -> None:
    """Add the periods in which consent is withdrawn, or given again."""
    op.create_table(
        "consent_periods",
        sa.Column("account_id", sa.Uuid, primary_key=True),
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("since", MOMENT, primary_key=True),
        sa.Column("until", MOMENT),
        sa.Column("given", sa.Boolean, nullable=False),
    )
    silence_statistics(("consent_periods", column) for column in ("scope", "since", "until", "given"))


def add_category_marks() -> None:
    """Add the marks of categories that were erased while the account stays."""
    op.create_table(
        "category_marks",
        sa.Column("order_id", sa.Uuid, primary_key=True),
        sa.Column("category", sa.Text, primary_key=True),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("marked_at", MOMENT, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("ground", sa.Text),
        sa.Column("erased", sa.Boolean, nullable=False),
    )
    op.create_index("category_marks_account", "category_marks", ["account_id"])
    op.create_index("category_marks_marked_at", "category_marks", ["marked_at"])
    unfinished = sa.text("NOT erased")
    op.create_index("category_marks_unfinished", "category_marks", ["order_id"], postgresql_where=unfinished)


def add_changes() -> None:
    """Add who has changed what, for services whose fields can be put right."""
    op.create_table(
        "changes",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("request_id", sa.Uuid),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
    )
    op.create_index("changes_account", "changes", ["account_id"])
    op.create_index("changes_request", "changes", ["request_id", "field"], unique=True)
    silence_statistics([("changes", "field"), ("changes", "changed_at")])


def silence_statistics(columns: Iterable[tuple[str, str]]) -> None:
    """Keep the planner's statistics free of people's values: it would keep those of deleted rows."""
    for table, column in columns:
        op.execute(f'ALTER TABLE "{table}" ALTER COLUMN "{column}" SET STATISTICS 0')
