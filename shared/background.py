"""Work that goes on for as long as a service runs, and outlives what passes by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from shared.errors import describe, is_transient

log = logging.getLogger(__name__)


async def again_and_again(what: str, attempt: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Attempt it until cancelled, with a pause between. Raises what does not pass by itself: it ends the service."""
    while True:
        try:
            await attempt()
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("%s waits, then begins anew", what, extra={"error": describe(error)})
        await asyncio.sleep(seconds)
