"""How Kafka is reached is told once, and every kind of client is told the same; so is a connection that breaks."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import certifi
import pytest
import uvloop
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from ops.engines import EmbeddedKafka
from ops.processes import HOST
from shared.messaging.kafka import Kafka, Mechanism
from tests.rooms import SettingsFor

WHO = ("device", "of device")


def test_without_a_name_nothing_is_shown_and_nothing_encrypted() -> None:
    assert Kafka("k:1").client == {
        "bootstrap_servers": "k:1",
        "security_protocol": "PLAINTEXT",
        "ssl_context": None,
    }
    assert Kafka("k:1").librdkafka == {"bootstrap.servers": "k:1", "security.protocol": "PLAINTEXT"}


def test_several_servers_are_several_for_every_client() -> None:
    kafka = Kafka("k:1,l:2")

    assert kafka.faststream["bootstrap_servers"] == ["k:1", "l:2"]
    assert kafka.client["bootstrap_servers"] == kafka.librdkafka["bootstrap.servers"] == "k:1,l:2"


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_name_and_password_are_shown_as_the_mechanism_wants(mechanism: Mechanism) -> None:
    kafka = Kafka("k:1", "SASL_PLAINTEXT", mechanism, *WHO)

    shown = {"sasl_mechanism": mechanism, "sasl_plain_username": "device", "sasl_plain_password": "of device"}
    assert shown.items() <= kafka.client.items()
    assert kafka.client["security_protocol"] == kafka.librdkafka["security.protocol"] == "SASL_PLAINTEXT"
    assert kafka.librdkafka["sasl.mechanism"] == mechanism
    assert "of device" not in repr(kafka)


@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL"])
def test_what_is_encrypted_is_encrypted_to_whom_the_authorities_know(protocol: str) -> None:
    kafka = Kafka("k:1", protocol, "PLAIN", *WHO, Path(certifi.where()))  # type: ignore[arg-type] # one of them

    context = kafka.client["ssl_context"]
    assert kafka.client["security_protocol"] == kafka.librdkafka["security.protocol"] == protocol
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert kafka.librdkafka["ssl.ca.location"] == certifi.where()


def test_a_service_is_told_by_its_settings(settings_for: SettingsFor) -> None:
    told = {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_username": "device", "kafka_password": "of device"}

    settings = settings_for("device", "postgresql+asyncpg://nowhere.example", kafka_bootstrap_servers="k:1", **told)

    assert settings.kafka == Kafka("k:1", "SASL_PLAINTEXT", "SCRAM-SHA-512", *WHO)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
async def test_what_is_written_to_a_connection_that_has_just_broken_is_an_error_that_the_client_knows(
    kafka: EmbeddedKafka, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    async def write_just_after_it_broke() -> None:
        connection = await create_conn(HOST, kafka.port)
        connection._writer.transport.abort()  # noqa: SLF001 - as a reset would
        await asyncio.sleep(0)  # it is lost now, and the client has not seen it
        with pytest.raises(KafkaConnectionError):
            await connection.send(ApiVersionRequest())
        assert not connection.connected()

    await asyncio.to_thread(run, write_just_after_it_broke())
