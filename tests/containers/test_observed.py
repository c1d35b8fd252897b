"""What `observe/` asks of Prometheus, asked of a real one that watches the running system."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator

import httpx
import pytest
from aiokafka import AIOKafkaProducer

from ops.system import System
from tests.containers.prometheus import OBSERVE, Prometheus, program, queries, watched_system
from tests.people import Person, eventually, settle_in


@pytest.fixture(scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[System, Prometheus]]:
    async with watched_system(tmp_path_factory.mktemp("observed")) as started:
        yield started


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


async def test_on_a_system_that_is_well_nothing_is_raised(watched: tuple[System, Prometheus]) -> None:
    _, watching = watched

    async def nothing_is_raised() -> bool:
        return not await watching.raised()

    await eventually(nothing_is_raised, "no alert")


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
