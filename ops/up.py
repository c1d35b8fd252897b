"""`adieu up`: the whole system in the foreground, until it is told to stop."""

from __future__ import annotations

import asyncio

from rich.console import Console

from ops.foreground import until_told_to_stop
from ops.installation import Installation
from ops.screens import show_addresses
from ops.system import running


async def run_in_foreground(installation: Installation, screen: Console) -> None:
    """Run until Ctrl-C or SIGTERM, and return when everything has stopped."""
    await until_told_to_stop(_run(installation, screen))


async def _run(installation: Installation, screen: Console) -> None:
    def tell(message: str) -> None:
        screen.print(message, style="yellow", highlight=False)

    screen.print("Starting; the first time takes longer.")
    try:
        async with running(installation, tell) as system:
            show_addresses(screen, system)
            screen.print("Ready. Ctrl-C stops everything.")
            await system.keep_engines(tell)
            await asyncio.Event().wait()  # without engines of its own there is nothing to keep
    finally:
        screen.print("Stopped.")
