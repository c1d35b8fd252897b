"""Runs one service as it should not be: with a clock that is wrong, or as a newer version would be."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from importlib import import_module

from sqlalchemy.ext.asyncio import AsyncConnection

from shared import service
from shared.clock import Clock, system_clock
from shared.contracts.base import Event
from shared.messaging import outbox

CLOCK_OFF, NEWER = "CHAOS_CLOCK_OFF_SECONDS", "CHAOS_NEWER"


def clock_off_by(seconds: float) -> Clock:
    """Make a clock that is wrong by so much."""

    def wrong() -> datetime:
        return system_clock() + timedelta(seconds=seconds)

    return wrong


def speak_newer() -> None:
    """Have every event say more than this version's readers know."""
    add = outbox.add

    async def add_newer(connection: AsyncConnection, events: Sequence[Event]) -> None:
        await add(connection, [_newer(event) for event in events])

    outbox.add = add_newer


def _newer(event: Event) -> Event:
    class Newer(type(event)):  # type: ignore[misc] # a later version of that very class
        told_by_newer: str = "a field of a later version"

    newer: Event = Newer.model_validate_json(event.model_dump_json())
    return newer


def main() -> None:
    name = sys.argv[1]
    if os.environ.get(NEWER):
        speak_newer()
    settings = import_module(f"services.{name}.settings").Settings()
    clock = clock_off_by(float(os.environ.get(CLOCK_OFF, "0")))
    for odd in (each for each in (CLOCK_OFF, NEWER) if each in os.environ):
        print(f"runs with {odd}={os.environ[odd]}", flush=True)  # noqa: T201 - to the log, before it logs
    service.serve(import_module(f"services.{name}.app").create_app(settings, clock))


if __name__ == "__main__":
    main()
