"""An installation that can be broken: replicas, processes that strike themselves, wrong clocks, another version."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from ops.engines import EngineError
from ops.engines.engine import Engine
from ops.installation import SERVICES, Installation, service_of
from ops.system import Tell

ENVIRONMENT = {"NETWORK_PATIENCE": "1000", "REMIND_SECONDS": "0.5"}
"""Everybody comes from one network address, and nobody waits long for who owes a receipt."""
PAUSE_SECONDS = 0.3


class Breakable(Installation):
    """Tells each process, when it starts, what shall be wrong with it."""

    def __init__(self, directory: Path, replicas: Sequence[str] = ()) -> None:
        super().__init__(directory, ENVIRONMENT, (*SERVICES, *replicas))
        self.failpoints: defaultdict[str, list[str]] = defaultdict(list)
        """Where a process shall strike itself, each once: after that its next start is sound."""
        self.odd: defaultdict[str, dict[str, str]] = defaultdict(dict)
        """What `chaos/service.py` is told to make odd in a process."""

    def command(self, process: str) -> Sequence[str]:
        """Start odd processes by another program."""
        odd = [sys.executable, "-m", "chaos.service", service_of(process)]
        return odd if self.odd[process] else super().command(process)

    def service_environment(self, process: str) -> dict[str, str]:
        """Add what shall be wrong."""
        failpoints = [plan for plan in self.failpoints[process] if not self.reached(process, plan)]
        return super().service_environment(process) | self.odd[process] | {"FAILPOINT": ",".join(failpoints)}

    def reached(self, process: str, plan: str) -> str:
        """Return what the log says of a failpoint, once it was reached."""
        point, strikes, _ = plan.split(":")
        said = f"failpoint reached: {point}, SIG{strikes}"
        return said if said in self.log_of(process) else ""

    def log_of(self, process: str) -> str:
        """Read all that a process and those before it have logged."""
        log = self.logs / f"{process}.log"
        return log.read_text(errors="replace") if log.exists() else ""


async def keep(engine: Engine, tell: Tell) -> None:
    """Start an engine again whenever it dies, until cancelled, also where that fails for a while."""
    while True:
        await engine.wait()
        await asyncio.sleep(PAUSE_SECONDS)
        with suppress(EngineError, OSError):
            await engine.start()
            tell(f"{engine.name} was down and is started again")


def with_children(pid: int) -> Iterator[psutil.Process]:
    """List a process and all that it has started."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        yield process
        yield from process.children(recursive=True)


def signal_all(pid: int, with_signal: signal.Signals) -> None:
    """Send a signal to a process and all that it has started."""
    for process in with_children(pid):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(with_signal)


def is_running(pid: int) -> bool:
    """Tell whether a process is there."""
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def is_frozen(pid: int) -> bool:
    """Tell whether a process is stopped where it stands."""
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    return False
