"""Kafka with users and access rules: who may write and read what, and a forger who tries everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from ops.access import users
from ops.installation import SERVICES, USERS_MECHANISM, kafka_password
from ops.system import System
from shared.contracts.topics import ACCOUNTS, ALL_TOPICS, ORDERS, Topic, receipts_of
from shared.messaging.kafka import Kafka
from tests.containers.composed import composed
from tests.leaving import many_leave
from tests.people import Person, eventually, settle_in
from tests.whole_system import places_of, rows

ADMIN = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_USERNAME": "admin"}


@pytest.fixture(scope="module")
async def system(image: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:  # noqa: ARG001
    directory = tmp_path_factory.mktemp("secured")
    async with composed(directory, "compose.secured.yml", told=ADMIN, REMIND_SECONDS="2") as (_, system):
        yield system


def as_user(system: System, user: str) -> Kafka:
    """Reach Kafka as somebody else."""
    password = system.installation.vault.secret(kafka_password(user))
    return replace(system.installation.kafka, mechanism=USERS_MECHANISM, username=user, password=password)


async def may_write(kafka: Kafka, topic: Topic) -> bool:
    producer = AIOKafkaProducer(**kafka.client)
    try:
        await producer.start()
        await producer.send_and_wait(topic.name, b"forged")
    except TopicAuthorizationFailedError:
        return False
    finally:
        await producer.stop()
    return True


async def readable(kafka: Kafka) -> set[str]:
    """Try to read every topic, with another client: ours asks without end for what it may not even see."""

    def read() -> set[str]:
        answers: dict[str, bool] = {}
        consumer = Consumer(kafka.librdkafka | {"group.id": f"{kafka.username}.looks", "enable.partition.eof": True})
        consumer.assign([TopicPartition(topic.name, 0, OFFSET_BEGINNING) for topic in ALL_TOPICS])
        # What can be read answers: by a record, or by its end. Of what cannot, some say so and some say nothing.
        while len(answers) < len(ALL_TOPICS) and (message := consumer.poll(10)):
            error = message.error()
            answers[str(message.topic())] = not error or error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001
        consumer.close()
        return {topic for topic, is_readable in answers.items() if is_readable}

    return await asyncio.to_thread(read)


async def test_people_leave_as_ever(system: System, http: httpx.AsyncClient) -> None:
    await many_leave(system, http, 10, lambda: asyncio.sleep(0))


async def test_publishers_outside_have_users_of_their_own(system: System, http: httpx.AsyncClient) -> None:
    person = Person(system, http)
    assert system.mailbox
    await settle_in([person], system.mailbox)

    async with AIOKafkaProducer(**as_user(system, "app").client) as producer:
        await person.report(producer, readings=1)

    async def arrived() -> bool:
        return "device.readings" in places_of([person.mark], await rows(system))

    await eventually(arrived, "the reading")


@pytest.mark.parametrize("topic", [ACCOUNTS, ORDERS, receipts_of("device")], ids=lambda topic: str(topic.name))
async def test_a_forger_cannot_publish_a_cancellation_an_order_or_a_receipt(system: System, topic: Topic) -> None:
    kafka = system.installation.kafka
    strangers = [user for user in users() if user != topic.owner]

    assert [user for user in strangers if await may_write(as_user(system, user), topic)] == []
    for pretended in (
        replace(as_user(system, topic.owner), password="guessed"),
        replace(kafka, password="guessed"),
        replace(kafka, mechanism=USERS_MECHANISM, username="nobody", password="guessed"),
        replace(kafka, protocol="PLAINTEXT"),
    ):
        with pytest.raises(KafkaConnectionError):
            await may_write(pretended, topic)


async def test_every_topic_is_read_by_whom_it_is_for_and_a_personal_one_by_its_one_reader(system: System) -> None:
    could = {(user, topic) for user in users() for topic in await readable(as_user(system, user))}

    assert could == {(user, topic.name) for user in SERVICES for topic in ALL_TOPICS if topic.reader in (None, user)}


async def test_every_topic_is_written_by_its_owner_alone(system: System) -> None:
    could = {
        (user, topic.name)
        for user in users()
        for topic in ALL_TOPICS
        if await may_write(as_user(system, user), topic)
    }

    assert could == {(topic.owner, topic.name) for topic in ALL_TOPICS}
