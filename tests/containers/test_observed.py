"""What `observe/` asks of Prometheus, asked of a real one that watches the running system."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from ops.installation import Installation
from ops.processes import HOST, free_port, start_tethered, wait_or_kill
from ops.system import System
from tests.containers.prometheus import OBSERVE, Prometheus, program, prometheus, queries
from tests.people import Person, eventually, settle_in
from tests.whole_system import whole_system


@asynccontextmanager
async def exporter(installation: Installation) -> AsyncIterator[str]:
    """Run `adieu exporter`; yields where it listens."""
    port = free_port()
    words = ["exporter", "--port", str(port), "--window", "5", "--directory", str(installation.directory)]
    process = await start_tethered(
        [sys.executable, "-c", "from ops.cli import main; main()", *words],
        log=installation.logs / "exporter.log",
        record=installation.directory / "exporter.process.json",
    )
    try:
        yield f"{HOST}:{port}"
    finally:
        process.terminate()
        await wait_or_kill(process, 10)


@pytest.fixture(scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[System, Prometheus]]:
    directory = tmp_path_factory.mktemp("observed")
    async with whole_system(directory / "system") as system, exporter(system.installation) as address:
        services, token = system.addresses.services, system.installation.metrics_token
        async with prometheus(directory / "prometheus", address, services, token) as watching:
            yield system, watching


async def somebody_lives_and_leaves(system: System) -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        ada = Person(system, http)
        assert system.mailbox
        await settle_in([ada], system.mailbox)
        async with AIOKafkaProducer(bootstrap_servers=system.addresses.kafka) as producer:
            await ada.report(producer, readings=20)
        await ada.start_to_leave()
        await ada.leave()
        await eventually(ada.gone, "a completed order")


async def test_every_query_of_every_panel_and_alert_gives_data(watched: tuple[System, Prometheus]) -> None:
    system, watching = watched
    # Series that have not been there before have no rate yet.
    await eventually(lambda: watching.ask("adieu_messages_handled_total"), "a first scrape")
    await somebody_lives_and_leaves(system)

    for query in queries():

        async def gives_data(text: str = query.text) -> bool:
            return bool(await watching.ask(text))

        await eventually(gives_data, f"{query.where}: {query.text}", 30)


async def test_on_a_system_that_is_well_nothing_fires_and_without_a_service_it_does(
    watched: tuple[System, Prometheus],
) -> None:
    system, watching = watched

    async def nothing_fires() -> bool:
        return not await watching.firing()

    async def its_absence_shows() -> bool:
        return {"NotScraped", "NoConsumer"} <= await watching.firing()

    await eventually(nothing_fires, "no alert")
    await system.supervisor.hold("device")
    try:
        await eventually(its_absence_shows, "NotScraped and NoConsumer")
    finally:
        await system.supervisor.release("device")
    await system.supervisor.wait_until_ready()
    await eventually(nothing_fires, "no alert any more")


def test_promtool_finds_no_fault_in_the_rules_and_each_fires_when_it_should() -> None:
    for words in (("check", "rules", "alerts.yml"), ("test", "rules", "alerts_test.yml")):
        told = subprocess.run([program("promtool"), *words], cwd=OBSERVE, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stdout + told.stderr


def test_promtool_finds_no_fault_in_the_configuration() -> None:
    told = subprocess.run(
        [program("promtool"), "check", "config", "--syntax-only", OBSERVE / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
