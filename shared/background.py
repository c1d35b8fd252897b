"""Work that goes on for as long as a service runs, and outlives what passes by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from shared.bus import CommandBus
from shared.commands import Command
from shared.errors import describe, is_transient
from shared.logging import ids_of

log = logging.getLogger(__name__)

BREATH_SECONDS = 0.02
"""Between two parts of what is much, so that others get through."""
C = TypeVar("C", bound=Command)


async def again_and_again(what: str, attempt: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Attempt it until cancelled, with a pause between. Raises what does not pass by itself: it ends the service."""
    while True:
        try:
            await attempt()
        except Exception as error:
            if _told_to_stop():
                # What failed on the way out has taken the place of the cancellation.
                raise asyncio.CancelledError from error
            if not is_transient(error):
                raise
            log.warning("%s waits, then begins anew", what, extra={"error": describe(error)})
        await asyncio.sleep(seconds)


async def part_by_part(
    what: str, bus: CommandBus, find: Callable[[], Awaitable[Sequence[Command]]], seconds: float
) -> None:
    """Carry out what is found, again and again until nothing is; two replicas that find the same share it."""

    async def look() -> None:
        while found := await find():
            if await each_alone(bus, found):
                break  # what fails is tried again after a while
            await asyncio.sleep(BREATH_SECONDS)

    await again_and_again(what, look, seconds)


async def rest(event: asyncio.Event, seconds: float) -> None:
    """Rest for so long, or until the event is set; then it is unset."""
    with suppress(TimeoutError):
        # Not `wait_for`: in Python 3.11 it can swallow a cancellation that comes with the event.
        async with asyncio.timeout(seconds):
            await event.wait()
    event.clear()


async def at_once(bus: CommandBus, commands: Sequence[C]) -> list[C]:
    """Carry out commands in one transaction, or where that fails each in its own; returns those that failed.

    Of no commands there is no transaction, which would wake whoever waits for work.
    """
    if not commands:
        return []
    try:
        await bus.execute(*commands)
    except Exception as error:
        if is_transient(error):
            raise
        return await each_alone(bus, commands)
    return []


async def each_alone(bus: CommandBus, commands: Sequence[C]) -> list[C]:
    """Carry out each command in a transaction of its own; returns those that failed: they cost only themselves."""
    failed = []
    for command in commands:
        try:
            await bus.execute(command)
        except Exception as error:
            if is_transient(error):
                raise
            context = {"error": describe(error), **ids_of([command.caused_by])}
            log.error("%s fails", type(command).__name__, extra=context)  # noqa: TRY400 - a trace may quote values
            failed.append(command)
    return failed


def _told_to_stop() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
