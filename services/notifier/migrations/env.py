"""Alembic's entry; Adieu migrates by `adieu`, one database a service."""

from shared.database import run_migrations

run_migrations()
