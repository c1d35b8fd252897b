"""Faults of topics and groups: made anew, offsets lost, everything read again from the beginning."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Self

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from chaos.faults.base import Fault, World, seen
from chaos.rest import READERS, wait_for_rest
from ops.installation import SERVICES, service_of
from ops.provision import provide_topics
from shared.contracts.topics import ALL_TOPICS, ORDERS, Topic, receipts_of
from shared.messaging.kafka import Kafka
from shared.messaging.topic_ids import TopicIds

HEALING = (ORDERS, *map(receipts_of, SERVICES))
"""What is lost of these heals, since open orders are repeated; the others are made anew when all is read."""
REST_SECONDS = 60.0
EMPTY_SECONDS = 30.0


async def hold_all(world: World, service: str = "") -> list[str]:
    """Stop a service with all its replicas, or every one; returns the processes."""
    processes = [each for each in world.installation.processes if service in ("", service_of(each))]
    await asyncio.gather(*map(world.system.supervisor.hold, processes))
    return processes


async def release_all(world: World, processes: list[str]) -> None:
    for process in processes:
        await world.system.supervisor.release(process)


@dataclass
class TopicRecreated(Fault):
    """A topic is deleted and made anew while the services are stopped, as the runbook says."""

    kind = "topic recreated"
    topic: Topic

    @classmethod
    def drawn(cls, rng: random.Random) -> Self:
        return cls(rng.choice(ALL_TOPICS))

    @property
    def words(self) -> str:
        when = "while people leave" if self.topic in HEALING else "when all of it is read"
        return f"topic {self.topic.name} is deleted and made anew {when}"

    def ends(self, service: str) -> bool:  # noqa: ARG002 - every one
        return self.topic in HEALING

    async def arrange(self, world: World) -> None:
        if self.topic not in HEALING:
            await wait_for_rest(world.installation, 0, REST_SECONDS)
            await self._make_anew(world)

    async def strike(self, world: World) -> None:
        if self.topic in HEALING:
            world.made_anew.add(self.topic.name)
            await self._make_anew(world)

    async def _make_anew(self, world: World) -> None:
        kafka = world.installation.kafka
        processes = await hold_all(world)
        before = await _id_of(kafka, self.topic.name)
        async with kafka.admin() as admin:
            await admin.delete_topics([self.topic.name])

            async def gone() -> bool:
                return self.topic.name not in await admin.list_topics()

            await seen(gone)
        await provide_topics(kafka)
        after = await _id_of(kafka, self.topic.name)
        await release_all(world, processes)
        self.evidence = f"its id was {before}, and is {after}" if before != after else ""


async def _id_of(kafka: Kafka, topic: str) -> str:
    ids = TopicIds(kafka)
    await ids.start([topic])
    try:
        return str((await ids.of([topic]))[topic])
    finally:
        await ids.close()


@dataclass
class OffsetsLost(Fault):
    """The broker forgets how far a group has read, or is told that it has read nothing."""

    kind = "offsets lost"
    service: str
    topic: Topic
    replayed: bool

    @classmethod
    def drawn(cls, rng: random.Random) -> Self:
        service = rng.choice(SERVICES)
        topic = rng.choice([subscription.topic for subscription in READERS[service]])
        return cls(service, topic, rng.choice([True, False]))

    @property
    def words(self) -> str:
        if self.replayed:
            return f"{self.service} reads {self.topic.name} again from the beginning"
        return f"the broker forgets how far {self.service} has read {self.topic.name}"

    def ends(self, service: str) -> bool:
        return self.service == service

    async def strike(self, world: World) -> None:
        processes = await hold_all(world, self.service)
        admin = AdminClient({"bootstrap.servers": world.system.addresses.kafka})
        act = self._set_back if self.replayed else self._forget

        async def done() -> bool:
            try:
                self.evidence = await asyncio.to_thread(act, admin)
            except KafkaException:  # members that have ended without a word are missed after some seconds
                return False
            return True

        await seen(done, EMPTY_SECONDS)
        await release_all(world, processes)

    def _forget(self, admin: AdminClient) -> str:
        group = self.topic.group_of(self.service)
        admin.delete_consumer_groups([group])[group].result()
        return f"group {group} was deleted"

    def _set_back(self, admin: AdminClient) -> str:
        group = self.topic.group_of(self.service)
        names = [topic for topic in ALL_TOPICS if self.topic.covers(topic.name)]
        places = [TopicPartition(topic.name, n, 0) for topic in names for n in range(topic.partitions)]
        answer = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)])[group].result()
        for refused in (place.error for place in answer.topic_partitions if place.error):
            raise KafkaException(refused)  # the client tells of it, and calls it no failure
        return f"group {group} was set back to 0 in {len(places)} partitions"
