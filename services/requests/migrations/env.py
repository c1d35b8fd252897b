"""Alembic's entry; Adieu migrates by `adieu`, one database a service."""

from shared.migrations import run_migrations

run_migrations()
