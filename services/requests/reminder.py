"""What requests does because time passes: open orders are repeated to whoever still owes a receipt."""

from __future__ import annotations

from datetime import timedelta

from services.requests.commands import Remind
from services.requests.repository import orders
from services.requests.settings import Settings
from shared import failpoints
from shared.background import again_and_again, at_once
from shared.service import Service, Task

LOOK_SECONDS = 1.0


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
    if waiting:
        failpoints.reach("reminder.found")
    await at_once(service.bus, [Remind(account_id=row.account_id, order_id=row.order_id) for row in waiting])
