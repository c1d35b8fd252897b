"""Provisioning gives every service its own, and may be repeated."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from ops.engines import EmbeddedKafka, EmbeddedPostgres
from ops.errors import UserError
from ops.installation import SERVICES, Installation
from ops.processes import free_port
from ops.provision import provide, provide_databases, provide_topics
from shared.contracts.topics import ALL_TOPICS, TELEMETRY, Topic
from shared.messaging.kafka import Kafka
from tests.people import eventually


def urls_on(postgres: EmbeddedPostgres) -> dict[str, str]:
    at = f"127.0.0.1:{postgres.port}"
    return {
        name: f"postgresql+asyncpg://provision_{name}:it's 100% secret@{at}/provision_{name}" for name in SERVICES
    }


async def connect(postgres: EmbeddedPostgres, role: str, database: str) -> asyncpg.Connection:
    return await asyncpg.connect(
        host="127.0.0.1", port=postgres.port, user=role, password="it's 100% secret", database=database
    )


async def test_every_service_gets_a_migrated_database_that_no_other_may_enter(postgres: EmbeddedPostgres) -> None:
    for _ in range(2):
        await provide_databases(urls_on(postgres), postgres.admin_url)
    own = await connect(postgres, "provision_account", "provision_account")
    assert await own.fetchval("SELECT count(*) FROM alembic_version") == 1
    await own.close()
    for foreign in ("provision_device", "postgres", "template1"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connect(postgres, "provision_account", foreign)


async def settings_of(admin: AIOKafkaAdminClient, topic: Topic) -> dict[str, str]:
    (described,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name)])
    return {entry[0]: entry[1] for entry in described.resources[0][4]}


async def test_every_topic_exists_with_its_settings(kafka: EmbeddedKafka) -> None:
    for _ in range(2):
        await provide_topics(Kafka(kafka.bootstrap_servers))
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()

    async def all_there() -> bool:
        partitions = {t["topic"]: len(t["partitions"]) for t in await admin.describe_topics()}
        return {topic.name: topic.partitions for topic in ALL_TOPICS}.items() <= partitions.items()

    async def are_set() -> bool:
        return TELEMETRY.kafka_config.items() <= (await settings_of(admin, TELEMETRY)).items()

    # The broker hears of either after its controller has answered.
    await eventually(all_there, "every topic")
    await eventually(are_set, "the settings")
    await admin.close()


async def test_a_changed_setting_of_a_topic_is_set_right(kafka: EmbeddedKafka) -> None:
    await provide_topics(Kafka(kafka.bootstrap_servers))
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    telemetry = ConfigResource(ConfigResourceType.TOPIC, TELEMETRY.name, {"retention.ms": "1"})
    await admin.alter_configs([telemetry])
    await provide_topics(Kafka(kafka.bootstrap_servers))

    async def is_right() -> bool:
        settings = await settings_of(admin, TELEMETRY)
        return settings["retention.ms"] == TELEMETRY.kafka_config["retention.ms"]

    await eventually(is_right, "the setting to be right")  # heard of late, as above
    await admin.close()


@pytest.mark.parametrize("away", ["kafka", "postgres"])
async def test_an_engine_that_does_not_answer_is_one_clear_line(
    kafka: EmbeddedKafka, postgres: EmbeddedPostgres, tmp_path: Path, away: str
) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    told = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "POSTGRES_ADDRESS": f"127.0.0.1:{postgres.port}"}
    told["KAFKA_BOOTSTRAP_SERVERS" if away == "kafka" else "POSTGRES_ADDRESS"] = nowhere
    installation = Installation(tmp_path, told)
    installation.create()

    with pytest.raises(UserError, match=r"cannot be provided: .*Error"):
        await provide(installation, installation.admin_url)
