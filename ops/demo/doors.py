"""The public doors of a running system, knocked at with the patience of a client that knows services restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from time import monotonic
from typing import Any, TypeVar

import httpx
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from ops.installation import Installation
from ops.mailbox import Mail, Mailbox
from shared.contracts.base import Event
from shared.contracts.topics import Topic
from shared.messaging.kafka import Kafka

PATIENCE_SECONDS = 60.0
ANSWER_SECONDS = 30.0
"""How long one answer is waited for, before it is asked for again."""
POLL_SECONDS = 0.05
LINGER_MS = 5
T = TypeVar("T")


class NotHeldError(Exception):
    """Something that the story promises did not hold; the message says what."""


async def until(what: str, attempt: Callable[[], Awaitable[T | None]], patience: float = PATIENCE_SECONDS) -> T:
    """Ask again and again, until there is an answer or the patience is at its end."""
    deadline = monotonic() + patience
    while (answer := await attempt()) is None:
        if monotonic() > deadline:
            raise NotHeldError(f"{what} did not come within {patience:.0f} s")
        await asyncio.sleep(POLL_SECONDS)
    return answer


class Doors:
    """HTTP, topics and the mailbox of one installation. A service that is away is asked again."""

    def __init__(
        self,
        installation: Installation,
        http: httpx.AsyncClient,
        producer: AIOKafkaProducer,
        admin: AIOKafkaAdminClient,
    ) -> None:
        self._installation = installation
        self._http = http
        self._producer = producer
        self._admin = admin
        self._ends: dict[TopicPartition, int] = {}
        self._opened_at = datetime.now(UTC)

    async def ask(
        self,
        service: str,
        method: str,
        path: str,
        *expected: HTTPStatus,
        **request: Any,  # noqa: ANN401 - what httpx takes
    ) -> httpx.Response:
        """Ask over HTTP; NotHeldError unless the answer is one of the expected."""
        url = f"{self._installation.addresses.services[service]}{path}"
        what = f"an answer of {service} to {method} {path}"

        async def attempt() -> httpx.Response | None:
            try:
                answer = await self._http.request(method, url, **request)
            except httpx.TransportError:
                return None
            return None if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE else answer

        answer = await until(what, attempt)
        if answer.status_code not in expected:
            raise NotHeldError(f"{method} {path} of {service} was answered by {answer.status_code}: {answer.text}")
        return answer

    @property
    def kafka(self) -> Kafka:
        """How any Kafka client finds the broker."""
        return self._installation.kafka

    @property
    def internal(self) -> dict[str, str]:
        """The header that opens the internal door."""
        return {"X-Internal-Token": self._installation.internal_token}

    async def publish(self, events: Sequence[Event]) -> None:
        """Publish as any app backend would: JSON on a topic, keyed by the account."""
        sent = [
            await self._producer.send(event.topic.name, event.model_dump_json().encode(), event.key.encode())
            for event in events
        ]
        for record in await asyncio.gather(*sent):
            place = TopicPartition(record.topic, record.partition)
            self._ends[place] = max(record.offset + 1, self._ends.get(place, 0))

    async def read_by(self, service: str, topic: Topic) -> None:
        """Wait until a service has taken in all that was published here on a topic."""
        ends = {place: end for place, end in self._ends.items() if place.topic == topic.name}

        async def attempt() -> bool | None:
            try:
                read = await self._admin.list_consumer_group_offsets(f"{service}.{topic.name}")
            except KafkaError:
                return None
            return all(place in read and read[place].offset >= end for place, end in ends.items()) or None

        await until(f"{service}'s reading of {topic.name}", attempt)

    async def mails(self, address: str) -> list[Mail]:
        """Read what came to an address since the story began, the oldest first."""
        mails = [mail for mail in Mailbox(self._installation.mailbox).mails() if mail.received_at >= self._opened_at]
        return [mail for mail in reversed(mails) if address in mail.recipients]

    async def mail(self, address: str, subject: str) -> Mail:
        """Wait for a mail."""

        async def attempt() -> Mail | None:
            return next((mail for mail in await self.mails(address) if mail.subject == subject), None)

        return await until(f"the mail “{subject}”", attempt)


@asynccontextmanager
async def open_doors(installation: Installation) -> AsyncIterator[Doors]:
    """Open them, and close them behind the caller."""
    kafka = installation.kafka
    async with (
        httpx.AsyncClient(timeout=ANSWER_SECONDS) as http,
        AIOKafkaProducer(**kafka.client, linger_ms=LINGER_MS) as producer,
        kafka.admin() as admin,
    ):
        yield Doors(installation, http, producer, admin)
