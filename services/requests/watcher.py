"""What requests does because time passes: looks for requests that time brings something to, before a date passes."""

from __future__ import annotations

from services.requests.commands import PassTime
from services.requests.repository import cases
from shared.background import again_and_again, at_once
from shared.service import Service

LOOK_SECONDS = 1.0


async def watch(service: Service) -> None:
    """Look again and again, for as long as the service runs."""
    await again_and_again("watcher", lambda: watch_once(service), LOOK_SECONDS)


async def watch_once(service: Service) -> None:
    """Do what is due now; two replicas that find the same do it once."""
    async with service.engine.connect() as connection:
        found = await cases.to_look_at(connection, service.clock())
    await at_once(service.bus, [PassTime(account_id=row.account_id, request_id=row.request_id) for row in found])
