"""A service that starts while what it needs is away waits, and says for what."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from ops.engines import EmbeddedKafka, EmbeddedPostgres
from ops.installation import Installation
from ops.provision import provide_databases, provide_topics
from ops.supervisor import Supervisor
from tests.people import eventually
from tests.whole_system import starts_a_system


@starts_a_system
async def test_a_service_waits_for_database_migrations_broker_and_topics_and_says_so(tmp_path: Path) -> None:
    installation = Installation(tmp_path, {})
    installation.create()
    postgres = EmbeddedPostgres(tmp_path / "postgres", installation.ports["postgres"])
    kafka = EmbeddedKafka(tmp_path / "kafka", installation.ports["kafka"])
    supervisor = Supervisor(installation, print)
    url = f"{installation.addresses.services['device']}/health/ready"

    async with httpx.AsyncClient() as http:

        async def answer() -> httpx.Response | None:
            try:
                return await http.get(url)
            except httpx.TransportError:
                return None

        async def waits_for(what: str) -> None:
            async def told() -> bool:
                response = await answer()
                return response is not None and what in _waits(response)

            await eventually(told, what)

        try:
            await supervisor.release("device")
            await waits_for("database and migrations")
            await postgres.start()
            await waits_for("database and migrations")
            await provide_databases(installation.database_urls, postgres.admin_url)
            await waits_for("broker and topics")
            await kafka.start()
            await waits_for("broker and topics")
            await provide_topics(installation.kafka)

            async def ready() -> bool:
                response = await answer()
                return response is not None and response.status_code == HTTPStatus.OK

            await eventually(ready, "ready")
        finally:
            await supervisor.stop()
            await kafka.stop()
            await postgres.stop()


def _waits(response: httpx.Response) -> list[str]:
    body: dict[str, Any] = response.json()
    assert response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    return list(body["waits_for"])
