"""What requests does because time passes: orders are repeated to whoever still owes an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from services.requests.commands import OnRequest, Remind, RemindOfCorrection, RemindOfExport, RemindOfPreview
from services.requests.repository import corrections, deletions, orders, packages
from services.requests.settings import Settings
from shared import failpoints
from shared.background import again_and_again, at_once
from shared.service import Service, Task

LOOK_SECONDS = 1.0
OWED: Mapping[type[OnRequest], Callable[[AsyncConnection, datetime], Awaitable[Sequence[Any]]]] = {
    RemindOfExport: packages.to_remind,
    RemindOfPreview: deletions.to_remind,
    RemindOfCorrection: corrections.to_remind,
}
"""What owners can owe to a request, and who finds the requests that wait for it."""


def reminder(settings: Settings) -> Task:
    """Make the task that repeats open orders."""
    patience = timedelta(seconds=settings.remind_seconds)

    async def remind_for_ever(service: Service) -> None:
        await again_and_again("reminder", lambda: remind_once(service, patience), LOOK_SECONDS)

    return remind_for_ever


async def remind_once(service: Service, patience: timedelta) -> None:
    """Repeat the open orders that have waited long enough; two replicas repeat them once more, no harm."""
    async with service.engine.connect() as connection:
        waiting = await orders.to_remind(connection, service.clock() - patience)
        owed = {kind: await look(connection, service.clock() - patience) for kind, look in OWED.items()}
    if waiting or any(owed.values()):
        failpoints.reach("reminder.found")
    await at_once(service.bus, [Remind(account_id=row.account_id, order_id=row.order_id) for row in waiting])
    for kind, rows in owed.items():
        await at_once(service.bus, [kind(account_id=row.account_id, request_id=row.request_id) for row in rows])
