"""A broker and a database in containers of their own, for tests of what talks to one of them alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from ops.engines.kafka import SETTINGS
from ops.processes import HOST, free_port

KAFKA_IMAGE = os.environ.get("KAFKA_IMAGE") or "apache/kafka:4.3.1"
POSTGRES_IMAGE = os.environ.get("POSTGRES_IMAGE") or "postgres:17"
KAFKA_PORT, POSTGRES_PORT = 9092, 5432
START_SECONDS = 90


@dataclass(frozen=True)
class BrokerInContainer:
    """Where it is, as `EmbeddedKafka` says it."""

    bootstrap_servers: str


@dataclass(frozen=True)
class DatabaseInContainer:
    """Where it is, as `EmbeddedPostgres` says it."""

    port: int
    admin_url: str


@contextmanager
def broker_in_container() -> Iterator[BrokerInContainer]:
    """Start Kafka with the settings of the embedded one; its address has to be known to it before it starts."""
    address = f"{HOST}:{free_port()}"
    settings = SETTINGS | {
        "listeners": f"BROKER://:{KAFKA_PORT},CONTROLLER://:9093",
        "advertised.listeners": f"BROKER://{address}",
        "controller.quorum.voters": "1@localhost:9093",
    }
    container = DockerContainer(KAFKA_IMAGE)
    container.with_envs(**{f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in settings.items()})
    _publish(container, KAFKA_PORT, address)
    container.waiting_for(LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(START_SECONDS))
    with container:
        yield BrokerInContainer(address)


@contextmanager
def database_in_container() -> Iterator[DatabaseInContainer]:
    """Start PostgreSQL, fast and forgetful."""
    address = f"{HOST}:{free_port()}"
    container = PostgresContainer(POSTGRES_IMAGE, POSTGRES_PORT, "postgres", "of a test", "postgres", driver=None)
    container.with_command("postgres -c max_connections=200 -c fsync=off -c synchronous_commit=off")
    _publish(container, POSTGRES_PORT, address)
    with container:
        url = f"postgresql+asyncpg://postgres:of a test@{address}/postgres"
        yield DatabaseInContainer(int(address.rpartition(":")[2]), url)


def _publish(container: DockerContainer, port: int, address: str) -> None:
    """To this machine alone; the library's own way to say it opens the port to everybody."""
    host, _, at = address.rpartition(":")
    container.ports = {f"{port}/tcp": (host, int(at))}  # type: ignore[dict-item] # passed on as it is
