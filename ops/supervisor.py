"""Runs the services as processes of their own and starts again the one that dies."""

from __future__ import annotations

import asyncio
import signal
import time
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import httpx

from ops.errors import UserError
from ops.installation import Installation
from ops.processes import StillRunningError, end_leftover, start_tethered, tail, wait_or_kill

READY_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.05
SHORTEST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 10.0
# Who lived this long starts again without delay; who dies this often before being ready never will be.
STEADY_SECONDS = 10.0
HOPELESS_AFTER = 3


class Supervisor:
    """The service processes of one installation. `tell` hears in words what a person would like to know."""

    def __init__(self, installation: Installation, tell: Callable[[str], None]) -> None:
        self.installation = installation
        self.restarts: Counter[str] = Counter()
        self._tell = tell
        self._processes: dict[str, Process] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}

    def pid(self, service: str) -> int:
        return self._processes[service].pid

    async def start(self) -> None:
        """Start every service and return when all are ready; UserError when one never will be."""
        for process in self.installation.processes:
            await self.release(process)
        await self.wait_until_ready()

    async def wait_until_ready(self) -> None:
        """Return when all are ready, also those that run outside; UserError when one never will be."""
        async with httpx.AsyncClient(timeout=2) as client:
            for process in self.installation.addresses.services:
                await self._wait_until_ready(client, process)

    def kill(self, service: str, with_signal: signal.Signals = signal.SIGKILL) -> None:
        """Send one service a signal; if it dies of it, it is started again."""
        self._processes[service].send_signal(with_signal)

    async def release(self, service: str) -> None:
        """Start one service, and keep it running from now on."""
        await self._start(service)
        self._keepers[service] = asyncio.create_task(self._keep(service))

    async def hold(self, service: str) -> None:
        """Stop one service, in order if it can, until it is released."""
        keeper = self._keepers.pop(service)
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        await _stop(self._processes[service])

    async def stop(self) -> None:
        """Stop all at once."""
        await asyncio.gather(*map(self.hold, list(self._keepers)))

    async def _start(self, service: str) -> None:
        record = self.installation.directory / f"{service}.process.json"
        try:
            await asyncio.to_thread(end_leftover, record)
        except StillRunningError as error:
            raise UserError(f"{service} is {error}") from None
        self._processes[service] = await start_tethered(
            self.installation.command(service),
            log=self.installation.logs / f"{service}.log",
            record=record,
            env=self.installation.service_environment(service),
        )

    async def _keep(self, service: str) -> None:
        quick_deaths = 0
        while True:
            started = time.monotonic()
            await self._processes[service].wait()
            quick_deaths = quick_deaths + 1 if time.monotonic() - started < STEADY_SECONDS else 0
            self.restarts[service] += 1
            self._tell(f"{service} {_how_it_ended(self._processes[service])}; starting it again")
            await asyncio.sleep(min(SHORTEST_PAUSE_SECONDS * 2**quick_deaths, LONGEST_PAUSE_SECONDS))
            await self._start(service)

    async def _wait_until_ready(self, client: httpx.AsyncClient, service: str) -> None:
        hopeless_at = self.restarts[service] + HOPELESS_AFTER
        deadline = time.monotonic() + READY_SECONDS
        url = f"{self.installation.addresses.services[service]}/health/ready"
        while (missing := await _missing(client, url)) is not None:
            if self.restarts[service] >= hopeless_at or time.monotonic() > deadline:
                log = self.installation.logs / f"{service}.log"
                raise UserError(f"{service} is not ready: {missing}. The end of {log}:\n{tail(log)}")
            await asyncio.sleep(POLL_SECONDS)


async def _missing(client: httpx.AsyncClient, url: str) -> str | None:
    """Ask a service what it waits for; None when it is ready."""
    try:
        answer = await client.get(url)
    except httpx.TransportError:
        return "it does not answer"
    return None if answer.is_success else answer.text


async def _stop(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    await wait_or_kill(process, STOP_SECONDS)


def _how_it_ended(process: Process) -> str:
    code = process.returncode or 0
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
