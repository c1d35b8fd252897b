"""Runs the whole system: engines, mailbox, what the services need, and the services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from ops.engines import EmbeddedKafka, EmbeddedPostgres
from ops.engines.engine import Engine
from ops.installation import Addresses, Installation
from ops.mailbox import Mailbox
from ops.provision import provide, together
from ops.supervisor import Supervisor

Tell = Callable[[str], None]


@dataclass(frozen=True)
class System:
    """A system that runs. What is None is outside, named by the environment."""

    installation: Installation
    supervisor: Supervisor
    kafka: EmbeddedKafka | None
    postgres: EmbeddedPostgres | None
    mailbox: Mailbox | None

    @property
    def addresses(self) -> Addresses:
        return self.installation.addresses

    @property
    def engines(self) -> list[Engine]:
        """Those that are embedded."""
        return [engine for engine in (self.kafka, self.postgres) if engine]

    async def keep_engines(self, tell: Tell) -> None:
        """Start again every embedded engine that dies, until cancelled."""
        await asyncio.gather(*(_keep(engine, tell) for engine in self.engines))


def silent(_message: str) -> None:
    """Tell nobody."""


@asynccontextmanager
async def running(installation: Installation, tell: Tell = silent) -> AsyncIterator[System]:
    """Start everything, yield it when all is ready, and stop everything in order, however the block ends."""
    installation.create()
    async with AsyncExitStack() as stack:
        installation.claim()
        stack.callback(installation.release)
        system = _assemble(installation, tell)
        if not installation.external_services:
            stack.push_async_callback(_for_each, system.engines, Engine.stop)
            await _for_each(system.engines, Engine.start)
            if system.mailbox:
                await stack.enter_async_context(system.mailbox.receiving(installation.ports["smtp"]))
            await provide(installation, system.postgres.admin_url if system.postgres else installation.admin_url)
        stack.push_async_callback(system.supervisor.stop)
        await system.supervisor.start()
        yield system


def _assemble(installation: Installation, tell: Tell) -> System:
    directory, ports = installation.directory, installation.ports
    return System(
        installation,
        Supervisor(installation, tell),
        None if installation.external_kafka else EmbeddedKafka(directory / "kafka", ports["kafka"]),
        None if installation.databases_are_outside else EmbeddedPostgres(directory / "postgres", ports["postgres"]),
        None if installation.external_smtp else Mailbox(installation.mailbox),
    )


async def _for_each(engines: list[Engine], act: Callable[[Engine], Awaitable[None]]) -> None:
    await together(*(act(engine) for engine in engines))


async def _keep(engine: Engine, tell: Tell) -> None:
    while True:
        await engine.wait()
        tell(f"{engine.name} ended; starting it again")
        await engine.start()
