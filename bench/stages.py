"""What is measured: Adieu, or the floor beside it, each in processes of its own on real engines made for it."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import asyncpg
from sqlalchemy.engine import make_url

from bench.measure import cpu_seconds
from bench.raw import GO
from bench.sink import Sink
from ops.engines import EmbeddedKafka, EmbeddedPostgres
from ops.installation import SERVICES, Installation
from ops.processes import HOST, wait_or_kill
from ops.provision import provide_databases, provide_topics
from ops.system import running

# Durable as in production; and the database tells when each row was committed.
POSTGRES = {"track_commit_timestamp": "on"}
FEW_WORDS = {"LOG_LEVEL": "WARNING", "NETWORK_PATIENCE": "1000000"}


@dataclass
class Ground:
    """Engines, databases, topics and a mail server, and nobody on them yet."""

    directory: Path
    kafka: EmbeddedKafka
    postgres: EmbeddedPostgres
    sink: Sink
    urls: Mapping[str, str]
    connections: Mapping[str, asyncpg.Connection]

    @property
    def engine_pids(self) -> dict[str, int]:
        """The engines' processes, by name."""
        return {engine.name: engine.pid or 0 for engine in (self.kafka, self.postgres)}

    @property
    def environment(self) -> dict[str, str]:
        """What a system needs to be told to stand here."""
        databases = {f"{service.upper()}_DATABASE_URL": url for service, url in self.urls.items()}
        mail = {"SMTP_HOST": HOST, "SMTP_PORT": str(self.sink.port)}
        return {**os.environ, **databases, **mail, "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers}


@dataclass
class Stage:
    """Who stands on the ground, and how they are told that cancellations are due."""

    ground: Ground
    pids: Mapping[str, int]
    go: Callable[[], Awaitable[None]]
    urls: Mapping[str, str] = field(default_factory=dict)
    """Where Adieu's services are reached; the floor has no doors."""
    secrets: Path = Path()

    @property
    def cpu(self) -> dict[str, float]:
        """The processor time of each process so far."""
        return {name: cpu_seconds([pid]) for name, pid in {**self.pids, **self.ground.engine_pids}.items()}


@asynccontextmanager
async def ground() -> AsyncIterator[Ground]:
    """Make it, below a directory that goes with it."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="adieu-bench-")))
        kafka, postgres = EmbeddedKafka(directory / "kafka"), EmbeddedPostgres(directory / "postgres", None, POSTGRES)
        for engine in (kafka, postgres):
            stack.push_async_callback(engine.stop)
            await engine.start()
        sink = Sink()
        await stack.enter_async_context(sink.receiving())
        urls = {service: _url(postgres, service) for service in SERVICES}
        await provide_databases(urls, postgres.admin_url)
        await provide_topics(kafka.bootstrap_servers)
        connections = {service: await asyncpg.connect(_plain(url)) for service, url in urls.items()}
        for connection in connections.values():
            stack.push_async_callback(connection.close)
        yield Ground(directory, kafka, postgres, sink, urls, connections)


def _url(postgres: EmbeddedPostgres, service: str) -> str:
    return f"postgresql+asyncpg://{service}:{service}@{HOST}:{postgres.port}/{service}"


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@asynccontextmanager
async def adieu(on: Ground, **environment: str) -> AsyncIterator[Stage]:
    """Start the four services as they are."""
    installation = Installation(on.directory / "adieu", {**on.environment, **FEW_WORDS, **environment})
    async with running(installation) as system:
        pids = {service: system.supervisor.pid(service) for service in SERVICES}

        async def go() -> None:
            """Nothing to say: account looks every second."""

        yield Stage(on, pids, go, installation.addresses.services, installation.directory / "secrets")


@asynccontextmanager
async def floor(on: Ground, *roles: str) -> AsyncIterator[Stage]:
    """Start the counterpart, or some roles of it."""
    processes = {role: await _start(on, role) for role in roles or SERVICES}
    try:
        for process in processes.values():
            assert process.stdout  # noqa: S101 - it was asked for
            await process.stdout.readline()

        async def go() -> None:
            await on.connections["account"].execute(f"NOTIFY {GO}")

        yield Stage(on, {role: process.pid for role, process in processes.items()}, go)
    finally:
        for process in processes.values():
            process.terminate()
            await wait_or_kill(process, 5)


async def _start(on: Ground, role: str) -> asyncio.subprocess.Process:
    environment = on.environment | {"DATABASE_URL": _plain(on.urls.get(role, on.urls["device"]))}
    command = (sys.executable, "-m", "bench.raw", role)
    return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=environment)


async def until(holds: Callable[[], Awaitable[bool]], seconds: float, patience: float = 600) -> None:
    """Look again and again until it holds; TimeoutError when patience ends."""
    ends = monotonic() + patience
    while not await holds():
        if monotonic() > ends:
            raise TimeoutError
        await asyncio.sleep(seconds)
