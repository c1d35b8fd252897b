"""Gives every service what it needs, as often as one likes: role and database, migrations, topics, access."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from pathlib import Path

import asyncpg
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError

from ops.access import provide_access, users
from ops.errors import UserError
from ops.installation import Installation, kafka_password
from shared.contracts.topics import ALL_TOPICS
from shared.database import engine_for, missing_migrations
from shared.errors import describe
from shared.messaging.kafka import Kafka

SERVICES_DIRECTORY = Path(__file__).parents[1] / "services"
MOST_REPLICAS = 3


async def provide(installation: Installation, admin_url: str | None) -> None:
    """Provide everything, in the PostgreSQL of that superuser; without `admin_url` the databases exist, outside.

    UserError where an engine does not answer, or does not let us in.
    """
    kafka = installation.kafka
    try:
        await together(provide_topics(kafka), provide_databases(installation.database_urls, admin_url))
    except (KafkaError, OSError, asyncpg.PostgresError, DBAPIError) as error:
        raise UserError(f"what the services need cannot be provided: {describe(error)}") from None
    if installation.makes_kafka_users:
        await provide_access(kafka, {user: installation.vault.secret(kafka_password(user)) for user in users()})


async def together(*work: Awaitable[None]) -> None:
    """Wait until all have ended, then raise the first failure: nothing goes on behind what follows."""
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


async def provide_databases(urls: Mapping[str, str], admin_url: str | None) -> None:
    """Make each service's database ready; without `admin_url` they exist, outside, and are only migrated."""
    if admin_url:
        await create_databases(admin_url, urls.values())
    for service, url in urls.items():  # one by one: Alembic keeps its state in globals
        await migrate(url, SERVICES_DIRECTORY / service / "migrations")


async def create_databases(admin_url: str, urls: Iterable[str]) -> None:
    """Make the role and the database that each address names; nobody else may connect to it."""
    admin = await asyncpg.connect(
        make_url(admin_url).set(drivername="postgresql").render_as_string(hide_password=False)
    )
    try:
        await admin.execute("REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC")
        for url in map(make_url, urls):
            await _create_role(admin, url)
            await _create_database(admin, url)
    finally:
        await admin.close()


async def _create_role(admin: asyncpg.Connection, url: URL) -> None:
    exists = await admin.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", url.username)
    verb = "ALTER" if exists else "CREATE"
    await _execute(admin, f"{verb} ROLE %I LOGIN PASSWORD %L", url.username, url.password)


async def _create_database(admin: asyncpg.Connection, url: URL) -> None:
    if not await admin.fetchval("SELECT true FROM pg_database WHERE datname = $1", url.database):
        await _execute(admin, "CREATE DATABASE %I OWNER %I", url.database, url.username)
    await _execute(admin, "REVOKE ALL ON DATABASE %I FROM PUBLIC", url.database)


async def _execute(admin: asyncpg.Connection, statement: str, *values: str | None) -> None:
    """Run a statement that takes no parameters; PostgreSQL itself quotes what goes into it."""
    quoted = ", ".join(f"${number}::text" for number in range(2, len(values) + 2))
    await admin.execute(await admin.fetchval(f"SELECT format($1, {quoted})", statement, *values))


async def migrate(url: str, migrations: Path) -> None:
    """Bring one database to its newest migration."""
    engine = engine_for(url, pool_size=1)
    try:
        behind = await missing_migrations(engine, migrations)
    finally:
        await engine.dispose()
    if behind:
        config = Config()
        config.set_main_option("script_location", str(migrations).replace("%", "%%"))
        config.attributes["url"] = url
        await asyncio.to_thread(command.upgrade, config, "head")


async def provide_topics(kafka: Kafka) -> None:
    """Make every topic, and give those that are there the settings they should have."""
    async with kafka.admin() as admin:
        replicas = min(MOST_REPLICAS, len((await admin.describe_cluster())["brokers"]))
        created = await admin.create_topics(
            [NewTopic(t.name, t.partitions, replicas, topic_configs=t.kafka_config) for t in ALL_TOPICS]
        )
        _check((name, code) for name, code, *_ in created.topic_errors)
        (altered,) = await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, t.name, t.kafka_config) for t in ALL_TOPICS]
        )
        _check((name, code) for code, _, _, name, *_ in altered.resources)


def _check(outcomes: Iterable[tuple[str, int]]) -> None:
    for topic, code in outcomes:
        if (error := for_code(code)) not in (NoError, TopicAlreadyExistsError):
            raise UserError(f"Kafka does not give topic {topic}: {error.__name__}")
