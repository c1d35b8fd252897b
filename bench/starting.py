"""How long everything takes to start when it has been started here before, and what it needs at rest."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from bench.measure import memory_megabytes
from ops.installation import SERVICES, Installation
from ops.system import running

REST_SECONDS = 5.0


@dataclass(frozen=True)
class Start:
    """One start of engines and services, until all are ready."""

    seconds: float
    memory: dict[str, float]
    """Megabytes of each process, a while after."""


async def start_again() -> Start:
    """Start in a fresh directory, stop, and start there once more: that one counts."""
    with tempfile.TemporaryDirectory(prefix="adieu-bench-") as directory:
        installation = Installation(Path(directory) / "adieu")
        async with running(installation):
            pass
        began = monotonic()
        async with running(installation) as system:
            seconds = monotonic() - began
            await asyncio.sleep(REST_SECONDS)
            services = {service: memory_megabytes(system.supervisor.pid(service)) for service in SERVICES}
            engines = {engine.name: memory_megabytes(engine.pid) for engine in system.engines if engine.pid}
            return Start(seconds, services | engines)
