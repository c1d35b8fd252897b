"""What people live through, again, on the system in containers; and the demo that is told there."""

from __future__ import annotations

import json

from ops.demo.leftovers import Marks, Search, search_files
from ops.system import System
from tests.containers.composed import Compose
from tests.journeys.test_leaving import *  # noqa: F403 - every journey
from tests.people import Person, eventually


async def test_the_demo_holds_against_the_system_in_containers_also_the_second_time(compose: Compose) -> None:
    for _ in range(2):
        told = json.loads(await compose("run", "--rm", "-T", "demo", "python", "-m", "ops", "demo", "--json"))
        assert told["held"], told["did_not_hold"]


async def test_no_container_prints_anything_about_a_person(compose: Compose, system: System, ada: Person) -> None:
    await ada.start_to_leave()
    await ada.leave()
    await eventually(ada.gone, "a completed order")

    await compose.collect_logs()
    found = Search(Marks(ada.mark, ada.email, ada.password))
    search_files(found, system.installation.directory)

    assert found.places["files"] > 0
    assert found.leftovers == []
    assert "requests" in (compose.directory / "logs" / "containers.log").read_text()
