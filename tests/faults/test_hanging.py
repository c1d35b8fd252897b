"""A consumer that hangs ends its process, which is started again, and what it had in hand is done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx

from ops.system import System
from shared.database import lock_key
from tests.people import Person, eventually, settle_in
from tests.whole_system import starts_a_system, whole_system


@asynccontextmanager
async def account_is_held(system: System, service: str, account_id: str) -> AsyncIterator[None]:
    """Hold an account's lock in a service's database, as a person at a console could: who comes to it waits."""
    connection = await asyncpg.connect(system.installation.database_urls[service].replace("+asyncpg", ""))
    await connection.execute("SELECT pg_advisory_lock($1)", lock_key(UUID(account_id)))
    try:
        yield
    finally:
        await connection.close()


@starts_a_system
async def test_a_service_whose_consumer_hangs_is_started_again_and_goes_on_where_it_was(tmp_path: Path) -> None:
    async with (
        whole_system(tmp_path / "system", HANG_AFTER_SECONDS="8") as system,
        httpx.AsyncClient(timeout=30) as http,
    ):
        ada = Person(system, http)
        assert system.mailbox
        await settle_in([ada], system.mailbox)
        await ada.start_to_leave()
        async with account_is_held(system, "device", ada.account_id):
            await ada.leave()

            async def ended() -> bool:
                return system.supervisor.restarts["device"] > 0

            await eventually(ended, "device ended")
        await eventually(ada.gone, "a completed order")
    log = (system.installation.logs / "device.log").read_text()
    assert "consumer hangs" in log
    assert ada.mark not in log
