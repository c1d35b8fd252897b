"""Races made certain: a statement is held at a chosen point until the other side waits for it, or is through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import await_only

_WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
LOOK_AGAIN = 0.005


COMMIT = "COMMIT"


class Held:
    """The first statement that contains these words, held; or the first commit."""

    def __init__(self, words: str) -> None:
        self._words = words
        self._go = asyncio.Event()
        self.reached = asyncio.Event()

    def hold(self, _: object, __: object, statement: str, *___: Any) -> None:  # noqa: ANN401 - the event's own
        if self._words in statement and not self.reached.is_set():
            self.reached.set()
            await_only(self._go.wait())

    def hold_commit(self, connection: object) -> None:
        self.hold(connection, None, COMMIT)

    def let_go(self) -> None:
        """Let it run."""
        self._go.set()


@contextmanager
def held_before(engine: AsyncEngine, words: str) -> Iterator[Held]:
    """Hold the first statement with these words before it runs."""
    held = Held(words)
    listeners: dict[str, Callable[..., None]] = {"before_cursor_execute": held.hold, "commit": held.hold_commit}
    for name, listener in listeners.items():
        event.listen(engine.sync_engine, name, listener)
    try:
        yield held
    finally:
        held.let_go()
        for name, listener in listeners.items():
            event.remove(engine.sync_engine, name, listener)


async def waits_or_is_done(engine: AsyncEngine, running: asyncio.Task[Any]) -> None:
    """Return when the task is done, or its transaction waits for another one's lock."""
    async with engine.connect() as watching:
        # Within one transaction the server would always show the same.
        await watching.execution_options(isolation_level="AUTOCOMMIT")
        while not running.done() and not await watching.scalar(_WAITING):  # noqa: ASYNC110 - nothing would tell
            await asyncio.sleep(LOOK_AGAIN)


async def overlap(engine: AsyncEngine, held_at: str, first: Awaitable[Any], second: Awaitable[Any]) -> None:
    """Hold `first` before the statement with these words, run `second` as far as it comes, then let both end."""
    with held_before(engine, held_at) as held:
        one = asyncio.ensure_future(first)
        await asyncio.wait([one, asyncio.ensure_future(held.reached.wait())], return_when="FIRST_COMPLETED")
        assert held.reached.is_set(), f"nothing ran {held_at!r}"
        other = asyncio.ensure_future(second)
        await waits_or_is_done(engine, other)
        held.let_go()
        await asyncio.gather(one, other)
