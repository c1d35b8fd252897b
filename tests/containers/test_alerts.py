"""Each alert fires when what it is for happens to the running system, and ends when what the runbook says is done.

The rules are those of `observe/alerts.yml` in a hurry: seconds stand for their minutes and hours.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass

import asyncpg
import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka import TopicPartition as KafkaPlace
from confluent_kafka.admin import AdminClient

from ops.engines import EmbeddedKafka, EmbeddedPostgres
from ops.provision import provide, provide_topics
from ops.system import System
from shared.contracts.topics import ACCOUNTS, TELEMETRY
from tests.containers.prometheus import RULES, Prometheus, alerts, watched_system
from tests.lines import settings_of
from tests.people import Person, eventually, settle_in

IN_A_HURRY = ((r"for: \w+", "for: 1s"), (r"> (60|3600)$", "> 5"), (r"\[5m\]", "[20s]"))
PATIENCE_SECONDS = 120.0
READINGS_A_ROUND = 500


@dataclass(frozen=True)
class Stage:
    """A system that is watched, and somebody who lives with it."""

    system: System
    watching: Prometheus
    http: httpx.AsyncClient
    ada: Person

    @property
    def kafka(self) -> EmbeddedKafka:
        assert self.system.kafka
        return self.system.kafka

    @property
    def postgres(self) -> EmbeddedPostgres:
        assert self.system.postgres
        return self.system.postgres

    async def report(self, readings: int = 10) -> None:
        """Have Ada's device report."""
        async with AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap_servers) as producer:
            await self.ada.report(producer, readings)

    async def set_telemetry(self, **settings: str) -> None:
        """Change settings of a topic, as somebody could by hand."""
        changed = settings_of(TELEMETRY, **settings)
        async with self.system.installation.kafka.admin() as admin:
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, TELEMETRY.name, changed)])

    async def adieu(self, *words: str) -> str:
        """Run a verb of `adieu` on this system."""
        command = [sys.executable, "-c", "from ops.cli import main; main()", *words]
        directory = ("--directory", str(self.system.installation.directory))
        process = await asyncio.create_subprocess_exec(*command, *directory, stdout=asyncio.subprocess.PIPE)
        said, _ = await process.communicate()
        assert process.returncode == 0
        return said.decode()

    @asynccontextmanager
    async def holding_readings(self) -> AsyncIterator[None]:
        """Hold a table of device, as a session that somebody forgot at a console could."""
        session = await asyncpg.connect(self.system.installation.database_urls["device"].replace("+asyncpg", ""))
        try:
            async with session.transaction():
                await session.execute("LOCK TABLE readings IN ACCESS EXCLUSIVE MODE")
                yield
        finally:
            await session.close()


@asynccontextmanager
async def device_is_away(stage: Stage) -> AsyncIterator[None]:
    await stage.system.supervisor.hold("device")
    yield
    await stage.system.supervisor.release("device")
    await stage.system.supervisor.wait_until_ready()


@asynccontextmanager
async def what_device_has_not_read_is_deleted(stage: Stage) -> AsyncIterator[None]:
    async with device_is_away(stage):
        await stage.ada.log_in()
        place, _ = await _fullest_partition(stage)
        async with stage.system.installation.kafka.admin() as admin:
            await admin.delete_records({place: RecordsToDelete(before_offset=-1)})
        yield
    await stage.ada.log_in()  # the group's position is behind what is gone until it has read something


@asynccontextmanager
async def device_is_away_for_half_as_long_as_readings_are_kept(stage: Stage) -> AsyncIterator[None]:
    await stage.set_telemetry(retention_ms="60000")
    async with device_is_away(stage):
        await stage.report()
        yield
        await provide_topics(stage.system.installation.kafka)


@asynccontextmanager
async def device_was_set_back(stage: Stage) -> AsyncIterator[None]:
    place, start = await _fullest_partition(stage)
    back = ConsumerGroupTopicPartitions(f"device.{ACCOUNTS.name}", [KafkaPlace(place.topic, place.partition, start)])
    by_hand = AdminClient(stage.system.installation.kafka.librdkafka)

    async def set_back() -> bool:
        (answer,) = by_hand.alter_consumer_group_offsets([back]).values()
        (placed,) = (await asyncio.to_thread(answer.result)).topic_partitions
        return placed.error is None

    async with device_is_away(stage):
        await eventually(set_back, "a group without members")  # the broker counts one that left for some seconds
        yield


async def _fullest_partition(stage: Stage) -> tuple[TopicPartition, int]:
    """Find the partition of the accounts' topic that holds most, and where it begins."""
    places = [TopicPartition(ACCOUNTS.name, number) for number in range(ACCOUNTS.partitions)]
    async with AIOKafkaConsumer(bootstrap_servers=stage.kafka.bootstrap_servers) as looks:
        starts, ends = await looks.beginning_offsets(places), await looks.end_offsets(places)
    fullest = max(places, key=lambda place: ends[place] - starts[place])
    return fullest, starts[fullest]


@asynccontextmanager
async def a_session_holds_a_table(stage: Stage) -> AsyncIterator[None]:
    async with stage.holding_readings():
        await stage.report()
        yield


@asynccontextmanager
async def more_comes_than_is_read(stage: Stage) -> AsyncIterator[None]:
    async def rush() -> None:
        while True:  # a database that is slow: less is taken in than comes
            async with stage.holding_readings():
                await asyncio.gather(stage.report(READINGS_A_ROUND), asyncio.sleep(1))

    rushing = asyncio.create_task(rush())
    yield
    rushing.cancel()
    await asyncio.gather(rushing, return_exceptions=True)


@asynccontextmanager
async def kafka_is_away(stage: Stage) -> AsyncIterator[None]:
    await stage.kafka.stop()
    await stage.ada.log_in()
    yield
    await stage.kafka.start()


@asynccontextmanager
async def the_database_is_away(stage: Stage) -> AsyncIterator[None]:
    await stage.postgres.stop()
    await stage.report()
    yield
    await stage.postgres.start()


@asynccontextmanager
async def device_has_another_password(stage: Stage) -> AsyncIterator[None]:
    admin = await asyncpg.connect(stage.postgres.admin_url.replace("+asyncpg", ""))
    await stage.system.supervisor.hold("device")
    await admin.execute("ALTER ROLE device PASSWORD 'another one'")
    await stage.system.supervisor.release("device")
    yield
    await admin.close()
    await provide(stage.system.installation, stage.postgres.admin_url)


@asynccontextmanager
async def somebody_publishes_garbage(stage: Stage) -> AsyncIterator[None]:
    async with AIOKafkaProducer(bootstrap_servers=stage.kafka.bootstrap_servers) as producer:
        await producer.send_and_wait(TELEMETRY.name, b"garbage")
    yield
    for letter in json.loads(await stage.adieu("dead-letters", "list", "--json")):
        await stage.adieu("dead-letters", "discard", letter["name"])


@asynccontextmanager
async def an_owner_does_not_answer(stage: Stage) -> AsyncIterator[None]:
    leaver = Person(stage.system, stage.http)
    assert stage.system.mailbox
    await settle_in([leaver], stage.system.mailbox)
    await leaver.start_to_leave()
    async with device_is_away(stage):
        await leaver.leave()
        yield
    await eventually(leaver.gone, "a completed order")


@asynccontextmanager
async def a_topic_cannot_be_purged(stage: Stage) -> AsyncIterator[None]:
    await stage.set_telemetry(cleanup_policy="compact")
    await stage.report()
    yield
    await provide_topics(stage.system.installation.kafka)


DRILLS: Mapping[Callable[[Stage], AbstractAsyncContextManager[None]], set[str]] = {
    device_is_away: {"NotScraped", "NoConsumer"},
    device_is_away_for_half_as_long_as_readings_are_kept: {"RetentionHalfUsed"},
    what_device_has_not_read_is_deleted: {"Losing"},
    device_was_set_back: {"Rewound"},
    a_session_holds_a_table: {"Stalled"},
    more_comes_than_is_read: {"Growing"},
    kafka_is_away: {"LagUnknown", "OutboxWaits"},
    the_database_is_away: {"TriesRepeated"},
    device_has_another_password: {"NotReady"},
    somebody_publishes_garbage: {"DeadLetters"},
    an_owner_does_not_answer: {"OrderWaits"},
    a_topic_cannot_be_purged: {"PurgeWaits"},
}


def hurried(rules: str) -> str:
    for patient, in_a_hurry in IN_A_HURRY:
        rules = re.sub(patient, in_a_hurry, rules, flags=re.MULTILINE)
    return rules


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with (
        watched_system(tmp_path_factory.mktemp("alerts"), hurried(RULES)) as (system, watching),
        httpx.AsyncClient(timeout=30) as http,
    ):
        ada = Person(system, http)
        assert system.mailbox
        await settle_in([ada], system.mailbox)
        yield Stage(system, watching, http, ada)


def test_every_alert_is_drilled() -> None:
    assert set.union(*DRILLS.values()) == {rule["alert"] for rule in alerts()}


@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.__name__)
async def test_what_it_is_for_raises_the_alert_and_what_the_runbook_says_ends_it(
    stage: Stage, drill: Callable[[Stage], AbstractAsyncContextManager[None]]
) -> None:
    async def all_is_well() -> bool:
        raised = await stage.watching.raised()
        print("raised:", raised)  # noqa: T201 - shown with the failure
        return not raised

    unheard = set(DRILLS[drill])

    async def each_was_heard() -> bool:
        unheard.difference_update(await stage.watching.firing())
        return not unheard

    await eventually(all_is_well, "a system that is well", PATIENCE_SECONDS)
    async with drill(stage):
        with suppress(TimeoutError):  # what was broken is mended for the next one, heard or not
            await eventually(each_was_heard, f"{DRILLS[drill]}", PATIENCE_SECONDS)
    await eventually(all_is_well, "the end of the alert", PATIENCE_SECONDS)
    assert unheard == set()
