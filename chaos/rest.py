"""When a system has come to rest: nothing is on its way, nothing unread, no order open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from ops.demo.leftovers import connected
from ops.installation import SERVICES, Installation
from services.account.consumers import SUBSCRIPTIONS as ACCOUNT
from services.device.consumers import SUBSCRIPTIONS as DEVICE
from services.notifier.consumers import SUBSCRIPTIONS as NOTIFIER
from services.requests.consumers import SUBSCRIPTIONS as REQUESTS
from shared.contracts.topics import ALL_TOPICS

POLL_SECONDS = 0.2
ANSWER_SECONDS = 20.0
READERS = {"account": ACCOUNT, "device": DEVICE, "requests": REQUESTS, "notifier": NOTIFIER}
ON_ITS_WAY = {
    "account": ("outbox",),
    "device": ("outbox", "unbound", "closed_accounts WHERE NOT erased"),
    "requests": ("outbox", "orders WHERE completed_at IS NULL"),
    "notifier": ("outbox", "messages"),
}
"""Rows that are there only as long as something has not come to its end."""


def readers_of(topic_name: str) -> list[str]:
    """List the services that read a topic."""
    return [
        service
        for service, subscriptions in READERS.items()
        for subscription in subscriptions
        if subscription.topic.covers(topic_name)
    ]


async def wait_for_rest(installation: Installation, orders: int, patience: float) -> tuple[float | None, list[str]]:
    """Wait until nothing is on its way; returns how long that took (None: not in time), and what still was."""
    started = monotonic()
    while True:
        restless = await asyncio.gather(_in_databases(installation, orders), _in_topics(installation))
        on_its_way = [each for found in restless for each in found]
        waited = monotonic() - started
        if not on_its_way:
            return waited, []
        if waited > patience:
            return None, on_its_way
        await asyncio.sleep(POLL_SECONDS)


async def _in_databases(installation: Installation, orders: int) -> list[str]:
    found = []
    try:
        for service in SERVICES:
            async with connected(installation.database_urls[service]) as connection:
                for rows in ON_ITS_WAY[service]:
                    count = await connection.fetchval(f"SELECT count(*) FROM {rows}")  # noqa: S608 - words of ours
                    found += [f"{count} rows of {service}.{rows}"] * bool(count)
                if service == "requests":
                    opened = await connection.fetchval("SELECT count(*) FROM orders")
                    found += [f"{opened} orders of {orders}"] * (opened < orders)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        return [f"PostgreSQL: {type(error).__name__}"]
    return found


async def _in_topics(installation: Installation) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=installation.addresses.kafka)
    consumer = AIOKafkaConsumer(bootstrap_servers=installation.addresses.kafka)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await admin.start()
            await consumer.start()
            return [text async for text in _unread(admin, consumer)]
    except (KafkaError, TimeoutError, OSError) as error:
        return [f"Kafka: {type(error).__name__}"]
    finally:
        await admin.close()
        await consumer.stop()


async def _unread(admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer) -> AsyncIterator[str]:
    places = [TopicPartition(topic.name, n) for topic in ALL_TOPICS for n in range(topic.partitions)]
    consumer.assign(places)
    ends = await consumer.end_offsets(places)
    begins = await consumer.beginning_offsets(places)
    for service, subscriptions in READERS.items():
        for subscription in subscriptions:
            group = subscription.topic.group_of(service)
            read = await admin.list_consumer_group_offsets(group)
            for place in (place for place in places if subscription.topic.covers(place.topic)):
                at = read[place].offset if place in read else begins[place]
                if max(at, begins[place]) < ends[place]:
                    left = f"{ends[place] - at} of {place.topic}/{place.partition} for {service}"
                    yield f"{left}, whose group is at {at} of {ends[place]}"
