"""What requests does because time passes: open orders are repeated to whoever still owes a receipt."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from services.requests import repository
from services.requests.commands import Remind
from services.requests.settings import Settings
from shared.errors import describe, is_transient
from shared.service import Service, Task

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


def reminder(settings: Settings) -> Task:
    """Make the task that repeats open orders."""
    patience = timedelta(seconds=settings.remind_seconds)

    async def remind_for_ever(service: Service) -> None:
        while True:
            try:
                await remind_once(service, patience)
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("reminders wait", extra={"error": describe(error)})
            await asyncio.sleep(LOOK_SECONDS)

    return remind_for_ever


async def remind_once(service: Service, patience: timedelta) -> None:
    """Repeat the open orders that have waited long enough; two replicas repeat them once more, no harm."""
    async with service.engine.connect() as connection:
        waiting = await repository.to_remind(connection, service.clock() - patience)
    if waiting:
        await service.bus.execute(*(Remind(account_id=row.account_id, order_id=row.order_id) for row in waiting))
