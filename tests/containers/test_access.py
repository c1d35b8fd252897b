"""Kafka with users and access rules: who may write and read what, and a forger who tries everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from confluent_kafka import OFFSET_BEGINNING, Consumer, ConsumerGroupTopicPartitions, KafkaError, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)
from prometheus_client.parser import text_string_to_metric_families

from ops.access import rules, users
from ops.installation import EXPORTER, SERVICES, USERS_MECHANISM, kafka_password
from ops.lag.broker import Broker
from ops.lag.exporter import LABELS
from ops.system import System
from shared.contracts.topics import ACCOUNTS, ALL_TOPICS, ORDERS, TELEMETRY, Topic, receipts_of
from shared.messaging.kafka import Kafka
from tests.containers.composed import Compose, composed
from tests.leaving import many_leave
from tests.people import Person, eventually, settle_in
from tests.whole_system import places_of, rows

ADMIN = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_MECHANISM": "PLAIN", "KAFKA_USERNAME": "admin"}
FILES = ("compose.secured.yml", "observe/docker-compose.observe.yml")
FETCH = "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:9308/metrics').read().decode())"


@pytest.fixture(scope="module")
async def secured(image: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Compose, System]]:  # noqa: ARG001
    directory = tmp_path_factory.mktemp("secured")
    async with composed(directory, *FILES, told=ADMIN, REMIND_SECONDS="2") as (compose, system):
        await compose("up", "--detach", "--no-deps", EXPORTER)
        yield compose, system


@pytest.fixture(scope="module")
def system(secured: tuple[Compose, System]) -> System:
    return secured[1]


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


async def test_the_exporter_sees_all_that_everybody_reads_and_since_when_what_is_personal_waits(
    secured: tuple[Compose, System],
) -> None:
    compose, system = secured
    unread = f"device.{TELEMETRY.name}"
    await compose("stop", "device")
    assert await may_write(as_user(system, "app"), TELEMETRY)

    async def sees_it_all() -> bool:
        there = await asyncio.to_thread(all_that_is_read, system.installation.kafka)
        lags, ages, used = await fetched(compose)
        waiting = {place for place, lag in lags.items() if lag and place[0] == unread}
        return bool(waiting) and {*lags} == {*ages} == {*used} == there and all(ages[each] > 0 for each in waiting)

    try:
        await eventually(sees_it_all, "every lag and every age", 60)
    finally:
        await compose("start", "device")


def all_that_is_read(kafka: Kafka) -> set[tuple[str, ...]]:
    """See as superuser which group reads which partition of which topic."""
    broker = Broker(kafka)
    return {
        (reading.group, reading.place.topic, str(reading.place.partition)) for reading in broker.look(broker.groups())
    }


async def fetched(compose: Compose) -> list[dict[tuple[str, ...], float]]:
    """Fetch lags, ages and shares of retentions, by group, topic and partition; none before the exporter listens."""
    text = await compose("exec", "-T", EXPORTER, "sh", "-c", f'python -c "{FETCH}" || true')
    found = {each.name: each.samples for each in text_string_to_metric_families(text)}
    names = (
        "kafka_consumergroup_group_lag",
        "kafka_consumergroup_group_lag_seconds",
        "adieu_lag_retention_used_ratio",
    )
    return [
        {tuple(each.labels[name] for name in LABELS): each.value for each in found.get(name, [])} for name in names
    ]


async def test_the_exporter_is_given_its_own_secrets_and_no_others(secured: tuple[Compose, System]) -> None:
    given = (await secured[0]("exec", "-T", EXPORTER, "ls", "/run/secrets", "/var/lib/adieu")).split()

    assert sorted(given) == [
        "/run/secrets:",
        "/var/lib/adieu:",
        "kafka_bootstrap_servers",
        "kafka_password",
        "kafka_sasl_mechanism",
        "kafka_security_protocol",
        "kafka_username",
        "mailbox",
    ]


async def test_the_exporter_makes_alters_and_deletes_nothing(system: System) -> None:
    admin = AdminClient(as_user(system, EXPORTER).librdkafka)
    group, place = f"device.{ACCOUNTS.name}", TopicPartition(ACCOUNTS.name, 0, 0)
    kept = ConfigResource(
        ResourceType.TOPIC,
        ACCOUNTS.name,
        incremental_configs=[ConfigEntry("retention.ms", "1", incremental_operation=AlterConfigOpType.SET)],
    )

    tried: list[Mapping[Any, Future[Any]]] = [
        admin.create_topics([NewTopic("exporter.topic", 1)]),
        admin.create_partitions([NewPartitions(ACCOUNTS.name, 9)]),
        admin.incremental_alter_configs([kept]),
        admin.delete_records([place]),
        admin.delete_topics([ACCOUNTS.name]),
        admin.delete_consumer_groups([group]),
        admin.create_acls([*rules()][:1]),
    ]
    answers = [future.exception(30) for futures in tried for future in futures.values()]
    moved = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, [place])])[group].result(30)

    assert [each for each in answers if not each or not each.args[0].name().endswith("AUTHORIZATION_FAILED")] == []
    assert len(answers) == len(tried)
    assert [each.error.name() for each in moved.topic_partitions] == ["GROUP_AUTHORIZATION_FAILED"]
