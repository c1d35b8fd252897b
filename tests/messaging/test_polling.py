"""A record that the client itself cannot decode stops its partition, and costs nothing of any other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.errors import UnsupportedCodecError

from ops.provision import provide_topics
from services.account.app import create_app
from services.account.settings import Settings
from shared.contracts.billing import InstallmentOwed
from shared.contracts.topics import INSTALLMENTS, Topic, receipts_of
from shared.messaging.kafka import Kafka
from shared.messaging.polling import CarefulConsumer
from shared.service import Service
from tests.builders import ANNA, BEN, NEXT_MONTH, Person, fact, named
from tests.databases import Databases
from tests.lines import Broker, group_of, reader_of, reading, until
from tests.rooms import OpenRoom, Room, SettingsFor

OwnTopic = Callable[[Topic], Awaitable[Topic]]
GOOD, BAD = 0, 1
"""Two partitions."""
NOT_TEXT = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
UNKNOWN_CODEC = UnsupportedCodecError("no library for it")


def owed(person: Person, number: int) -> InstallmentOwed:
    return fact(InstallmentOwed, person, installment_id=named("owed", number), lapses_at=NEXT_MONTH)


ANNAS = [owed(ANNA, number) for number in range(3)]
BENS = [owed(BEN, number) for number in range(3)]
UNDECODABLE = BENS[1]


async def publish(broker: Broker, topic: Topic, partition: int, *events: InstallmentOwed) -> None:
    for each in events:
        await broker.send(topic, each.model_dump_json().encode(), each.key.encode(), partition=partition)
    await broker.flushed()


async def owing(room: Room, person: Person) -> set[UUID]:
    """Name what a person owes."""
    rows = await room.rows("installments")
    return {row["installment_id"] for row in rows if row["account_id"] == person.account_id}


def named_by(*events: InstallmentOwed) -> set[UUID]:
    return {each.installment_id for each in events}


def cannot_decode(monkeypatch: pytest.MonkeyPatch, event: InstallmentOwed, error: Exception) -> None:
    """Let the client fail with that fact, as it does with bytes that it has no way to decode."""
    decode, words = PartitionRecords._consumer_record, str(event.id).encode()  # noqa: SLF001 - where it decodes

    def fail(self: PartitionRecords, place: TopicPartition, record: Any) -> object:  # noqa: ANN401 - the client's own
        if words in record.value:
            raise error
        return decode(self, place, record)

    monkeypatch.setattr(PartitionRecords, "_consumer_record", fail)


@pytest.mark.parametrize("error", [NOT_TEXT, UNKNOWN_CODEC], ids=lambda error: type(error).__name__)
async def test_a_record_that_cannot_be_decoded_stops_its_partition_alone_until_somebody_can_decode_it(
    room: OpenRoom, broker: Broker, own_topic: OwnTopic, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    # Given two partitions, and in the middle of one a record that cannot be decoded
    account, topic = await room("account"), await own_topic(INSTALLMENTS)
    await publish(broker, topic, GOOD, *ANNAS)
    await publish(broker, topic, BAD, *BENS)
    group = group_of(account, topic)

    # When they are read
    with monkeypatch.context() as patched:
        cannot_decode(patched, UNDECODABLE, error)
        consumer = reader_of(account, INSTALLMENTS, topic, broker.topic_ids)
        async with reading(broker, account, consumer):

            async def stopped() -> bool:
                return consumer.unreadable

            async def acknowledged(number: int) -> bool:
                return (await broker.committed_in(group)).get(GOOD) == number

            # Then the other one has its effect, and goes on
            await until(stopped)
            await until(lambda: acknowledged(len(ANNAS)))
            late = owed(ANNA, 3)
            await publish(broker, topic, GOOD, late)
            await until(lambda: acknowledged(len(ANNAS) + 1))

            assert consumer.polls.consumer.paused() == {TopicPartition(topic.name, BAD)}
            assert await owing(account, ANNA) == named_by(*ANNAS, late)

    # And nothing that had no effect was passed over
    passed = (await broker.committed_in(group)).get(BAD, 0)
    assert passed <= BENS.index(UNDECODABLE)
    assert await owing(account, BEN) == named_by(*BENS[:passed])

    # And who can decode it reads all of it
    fresh = reader_of(account, INSTALLMENTS, topic, broker.topic_ids)

    async def all_of_it() -> bool:
        return await owing(account, BEN) == named_by(*BENS)

    async with reading(broker, account, fresh):
        await until(all_of_it)
        assert not fresh.unreadable


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_what_any_client_has_compressed_is_read(
    room: OpenRoom, broker: Broker, own_topic: OwnTopic, compression: str
) -> None:
    account, topic = await room("account"), await own_topic(INSTALLMENTS)
    await broker.send_compressed(topic, ANNAS[0], compression)
    consumer = reader_of(account, INSTALLMENTS, topic, broker.topic_ids)

    async def read_or_stopped() -> bool:
        return consumer.unreadable or bool(await owing(account, ANNA))

    async with reading(broker, account, consumer):
        await until(read_or_stopped)

    assert await owing(account, ANNA) == named_by(ANNAS[0])


async def test_a_service_reads_with_the_careful_client(
    broker: Broker, databases: Databases, settings_for: SettingsFor
) -> None:
    await provide_topics(Kafka(broker.servers))
    name = await databases.fresh("account")
    settings = settings_for("account", databases.url(name), kafka_bootstrap_servers=broker.servers)
    assert isinstance(settings, Settings)
    service: Service = create_app(settings).state.service

    async def at_work() -> bool:
        return not service.missing() and bool(await broker.everything(receipts_of("account")))

    running = asyncio.ensure_future(service.run())
    await until(at_work)
    clients = [consumer.polls.consumer for consumer in service.consumers]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await service.engine.dispose()

    assert {type(client) for client in clients} == {CarefulConsumer}
