"""What tests on the real broker share: its clients, and topics of a test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from ops.engines import EmbeddedKafka
from shared.contracts.base import Event
from shared.contracts.catalogue import facts_on
from shared.contracts.topics import Topic
from tests.lines import Broker, renamed, talking_to


@pytest.fixture
async def broker(kafka: EmbeddedKafka) -> AsyncIterator[Broker]:
    async with talking_to(kafka.bootstrap_servers) as clients:
        yield clients


@pytest.fixture
def own_topic(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Callable[[Topic], Awaitable[Topic]]:
    """Make a topic that carries what another one does, and nobody else reads."""
    stands_for: dict[Topic, Topic] = {}

    def facts(topic: Topic) -> tuple[type[Event], ...]:
        return facts_on(stands_for.get(topic, topic))

    monkeypatch.setattr("shared.messaging.reading.facts_on", facts)

    async def make(topic: Topic) -> Topic:
        own = renamed(topic)
        stands_for[own] = topic
        await broker.create(own)
        return own

    return make
