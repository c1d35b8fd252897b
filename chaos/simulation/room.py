"""One service without engines: its real consumers, handlers, relay, purge, mailer and clock, over store and broker.

A process is what a crash ends; the store, the broker's log and the mailbox of the people outlive it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy.ext.asyncio import AsyncEngine

from chaos.simulation.broker import Admin, Broker, KnownTopics, Producer
from chaos.simulation.post import Post
from chaos.simulation.store import Store
from services.account.due import carry_out_once
from services.device.erasing import much
from services.notifier.domain import Patience
from services.notifier.mailer import Mailer
from services.requests.reminder import remind_once
from shared import failpoints
from shared.background import each_alone
from shared.bus import CommandBus
from shared.clock import Clock
from shared.commands import Command
from shared.messaging.consumer import Consumer, Subscription, subscribe
from shared.messaging.purge import Purge
from shared.messaging.relay import Relay
from shared.owner import DataOwner
from shared.retention import Keep, kept_by_every_service, sweep
from shared.service import Service
from shared.settings import ServiceSettings

SERVICES = ("account", "device", "requests", "notifier")
REMIND_AFTER = timedelta(seconds=30)
PATIENCE = Patience(contact=timedelta(hours=1), mail=timedelta(hours=24), attempts=40)


class Stopped(BaseException):
    """A consumer holds its partitions until somebody looks; who looks starts the service anew."""


class StoppingConsumer(Consumer):
    """Says that it has stopped, instead of waiting."""

    async def stop(self, why: str) -> None:
        raise Stopped(why)


KEY = Ed25519PrivateKey.from_private_bytes(b"of the simulation: opens nothing")


@cache
def public_key_file() -> Path:
    """Write down the key that shows who has signed an access token."""
    file = Path(mkdtemp(prefix="adieu-simulation-")) / "public.pem"
    file.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return file


def settings_of(service: str) -> ServiceSettings:
    """Make a service's settings; nothing in them leads anywhere."""
    kind = import_module(f"services.{service}.settings").Settings
    nowhere = Path("nowhere")
    made: ServiceSettings = kind(
        database_url="",
        kafka_bootstrap_servers="",
        internal_token="the internal token of the simulation",  # noqa: S106 - opens nothing
        access_token_public_key_file=public_key_file(),
        access_token_private_key_file=nowhere,
        second_factor_keys_file=nowhere,
        sender_key_file=nowhere,
        package_keys_file=nowhere,
        smtp_host="",
    )
    return made


def owner_of(service: str) -> DataOwner:
    """Find a service as an owner of data: its tables."""
    owner: DataOwner = import_module(f"services.{service}.models").OWNER
    return owner


SETTINGS = {service: settings_of(service) for service in SERVICES}


class Room:
    """A running service."""

    def __init__(self, service: str, store: Store, broker: Broker, post: Post, clock: Clock) -> None:
        self.service = service
        self.store = store
        self.clock = clock
        self.settings = SETTINGS[service]
        self.owner = owner_of(service)
        self.engine = cast("AsyncEngine", store)
        handlers = import_module(f"services.{service}.handlers").handlers
        self.bus = CommandBus(service, handlers, self.engine, clock, self.settings)
        subscriptions: Sequence[Subscription] = import_module(f"services.{service}.consumers").SUBSCRIPTIONS
        self._topic_ids = KnownTopics("")
        self.consumers = [
            StoppingConsumer(each, self.bus, self._topic_ids, self.owner.admitted) for each in subscriptions
        ]
        client: Any = broker.subscribing()
        for consumer in self.consumers:
            subscribe(client, service, consumer, self.settings)
        self.readers = client.readers
        self._producer: Any = Producer(broker)
        self._admin: Any = Admin(broker.log)
        self._relay = Relay(self.engine, "", asyncio.Event())
        personal = [each.topic for each in subscriptions if each.topic.personal]
        self._purge = Purge(self.engine, "", personal, self._topic_ids)
        self._mailer = Mailer(self.bus, cast("Any", post), cast("Any", post), PATIENCE)

    async def announce(self) -> None:
        """Do what a service does when it has started: say what it holds."""
        failpoints.reach("service.joined")
        async with self.bus.work() as work:
            work.announce(self.owner.announcement(work))

    async def does(self, *commands: Command) -> list[object]:
        """Carry out commands as the HTTP door does."""
        return await self.bus.execute(*commands)

    async def relay(self) -> None:
        """Send what stands in the outbox."""
        async with self.engine.connect() as connection:
            await self._relay.drain(connection, self._producer)

    async def purge(self) -> None:
        """Empty personal topics up to where they have been read."""
        async with self.engine.connect() as connection:
            await self._purge.once(connection, self._admin)

    async def by_the_clock(self) -> None:
        """Do what this service does because time has passed."""
        service = cast("Service", self)
        match self.service:
            case "account":
                await carry_out_once(service)
            case "device":
                await each_alone(self.bus, await much(service))
            case "requests":
                await remind_once(service, REMIND_AFTER)
            case "notifier":
                async with self.engine.connect() as connection:
                    await self._mailer.round(connection)

    async def sweep(self) -> None:
        """Delete what was kept for its time."""
        await sweep(self.engine, [*self._kept], self.clock())

    @property
    def _kept(self) -> Sequence[Keep]:
        own = getattr(import_module(f"services.{self.service}.app"), "PARTS", None)
        return [*kept_by_every_service(self.owner, self.settings.mark_retention), *(own.retention if own else ())]
