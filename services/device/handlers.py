"""What device does on each command: load all that a list of them names, decide each, save, announce."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import uuid4

from services.device import repository
from services.device.commands import BindDevice, RecordReading, UnbindDevice
from services.device.domain import NO_SUCH_DEVICE, NOT_AVAILABLE, Bound, decide_bind
from services.device.models import OWNER
from shared.bus import Handlers, Work
from shared.commands import EraseAccount, Refusal
from shared.contracts.device import DeviceBound, DeviceUnbound
from shared.sessions import ForgetSession, forget_sessions

log = logging.getLogger(__name__)
handlers = Handlers()
handlers.of(ForgetSession)(forget_sessions)


@handlers.of(BindDevice)
async def bind_devices(work: Work, commands: Sequence[BindDevice]) -> list[Bound | Refusal]:
    """Bind each, unless somebody else has it, also where that happens at this very moment."""
    return [await _bind(work, command) for command in commands]


async def _bind(work: Work, command: BindDevice) -> Bound | Refusal:
    product = await repository.product(work.connection, command.serial)
    outcome = decide_bind(product, command, uuid4())
    if isinstance(outcome, Bound) and outcome.new:
        values = {
            "id": outcome.binding_id,
            "account_id": command.account_id,
            "serial": command.serial,
            "bound_at": work.now,
        }
        if not await repository.add_binding(work.connection, values):
            return NOT_AVAILABLE
        work.announce(DeviceBound(**work.stamp(command), binding_id=outcome.binding_id))
    return outcome


@handlers.of(UnbindDevice)
async def unbind_devices(work: Work, commands: Sequence[UnbindDevice]) -> list[Refusal | None]:
    """Unbind each of one's own, with its readings."""
    outcomes: list[Refusal | None] = []
    for command in commands:
        gone = await repository.remove_binding(work.connection, command.account_id, command.binding_id)
        if gone:
            work.announce(DeviceUnbound(**work.stamp(command), binding_id=command.binding_id))
        outcomes.append(None if gone else NO_SUCH_DEVICE)
    return outcomes


@handlers.of(RecordReading)
async def record_readings(work: Work, commands: Sequence[RecordReading]) -> None:
    """Keep all of a batch in one statement; what names no binding of its account is dropped and counted."""
    kept = await repository.record(work.connection, commands)
    if kept < len(commands):
        log.info("readings dropped: no such binding, or a repeat", extra={"count": len(commands) - kept})


@handlers.of(EraseAccount)
async def erase_accounts(work: Work, commands: Sequence[EraseAccount]) -> None:
    """Erase bindings and readings, and answer."""
    await OWNER.erase(work, commands)
