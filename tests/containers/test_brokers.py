"""Three brokers, of which one fails in the middle of a hundred cancellations."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from ops.system import System
from shared.contracts.topics import ACCOUNTS, ALL_TOPICS
from tests.containers.composed import OUT_SECONDS, Compose, composed
from tests.leaving import many_leave, nothing_left

A_HALF = 50


@pytest.fixture(scope="module")
async def three(image: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Compose, System]]:  # noqa: ARG001
    directory = tmp_path_factory.mktemp("brokers")
    async with composed(directory, "compose.brokers.yml", REMIND_SECONDS="2") as started:
        yield started


async def test_every_topic_is_kept_three_times_and_acknowledged_by_two(three: tuple[Compose, System]) -> None:
    _, system = three
    async with system.installation.kafka.admin() as admin:
        topics = await admin.describe_topics([topic.name for topic in ALL_TOPICS])
        (told,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, ACCOUNTS.name)])

    copies = {len(partition["replicas"]) for topic in topics for partition in topic["partitions"]}
    settings = {entry[0]: entry[1] for entry in told.resources[0][4]}
    assert copies == {3}
    assert settings["min.insync.replicas"] == "2"


async def test_nothing_is_lost_and_nothing_stays_when_one_of_three_brokers_is_stopped_and_another_one_killed(
    three: tuple[Compose, System], http: httpx.AsyncClient
) -> None:
    compose, system = three

    async def kill() -> None:
        await compose.kill("kafka-3")
        await compose.up("--no-recreate")  # until it is healthy: the search below reads its topics too

    people = await many_leave(
        system,
        http,
        A_HALF,
        lambda: compose.stop("kafka-2"),
        kill,
        within=OUT_SECONDS / 2,
    )

    await compose.collect_logs()
    assert await nothing_left(system, people)
