"""What device erases part by part: many readings of closed accounts, ended bindings, and beyond a withdrawal."""

from __future__ import annotations

from services.device import repository
from services.device.commands import EraseBeyond, EraseReadings
from shared import apart
from shared.background import part_by_part
from shared.commands import Command, ContinueErasure
from shared.owner import unfinished
from shared.service import Service

LOOK_SECONDS = 1.0


async def erase_what_is_much(service: Service) -> None:
    """Look for what is left to erase, for as long as the service runs."""
    await part_by_part("erasing of much", service.bus, lambda: much(service), LOOK_SECONDS)


async def much(service: Service) -> list[Command]:
    """List what is left to erase now."""
    async with service.engine.connect() as connection:
        accounts = await unfinished(connection)
        ended = await repository.unbound(connection)
        categories = await apart.unfinished(connection)
        beyond = await repository.beyond(connection)
    return [
        *(ContinueErasure(account_id=account_id) for account_id in accounts),
        *categories,
        *(EraseReadings(account_id=account_id, binding_id=binding_id) for account_id, binding_id in ended),
        *(EraseBeyond(account_id=account_id) for account_id in beyond),
    ]
