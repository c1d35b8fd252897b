"""What the embedded engines have in common: start, wait until it answers, stop, kill."""

from __future__ import annotations

import asyncio
import signal
from abc import ABC, abstractmethod
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from ops.errors import UserError
from ops.processes import StillRunningError, end_leftover, free_port, start_tethered, tail, wait_or_kill

START_SECONDS = 60.0
POLL_SECONDS = 0.02


class EngineError(UserError):
    """An engine cannot be had; the message says why."""


class Engine(ABC):
    """One server in one directory. The same directory may be started again, also after a kill."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    stop_seconds: ClassVar[float]
    passing_failures: ClassVar[tuple[str, ...]] = ()
    """Last words of a start that failed only because a killed predecessor is not gone yet."""

    def __init__(self, directory: Path, port: int | None = None) -> None:
        self.directory = directory.resolve()
        self.port = port or free_port()
        self.log = self.directory / "log"
        self._record = self.directory / "process.json"
        self.user = ""
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """The process that listens; None when it does not run."""
        return self._process.pid if self._process and self.running else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @abstractmethod
    async def _prepare(self) -> Sequence[str | Path]:
        """Make the directory ready and return the command that serves from it."""

    @abstractmethod
    async def _answers(self) -> bool:
        """Tell whether a client is served."""

    async def start(self) -> None:
        """Return when clients are served; raise EngineError with the log's last lines if that fails."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._process:
            with suppress(TimeoutError):  # a moment for one that was just killed
                await asyncio.wait_for(self._process.wait(), timeout=1)
        try:
            await asyncio.to_thread(end_leftover, self._record)
        except StillRunningError as error:
            raise EngineError(f"{self.name} in {self.directory} is {error}") from None
        try:
            command = await self._prepare()
            async with asyncio.timeout(START_SECONDS):
                await self._run_until_it_answers(command)
        except TimeoutError:
            await self._give_up(f"does not answer after {START_SECONDS:.0f} s")
        except BaseException:
            self.kill()
            raise

    async def _run_until_it_answers(self, command: Sequence[str | Path]) -> None:
        await self._spawn(command)
        while not await self._answers():
            if not self.running:
                if not any(words in tail(self.log, 2) for words in self.passing_failures):
                    await self._give_up("ended at once")
                await self._spawn(command)
            await asyncio.sleep(POLL_SECONDS)

    async def _spawn(self, command: Sequence[str | Path]) -> Process:
        self._process = await start_tethered(
            command, log=self.log, record=self._record, user=self.user, cwd=self.directory
        )
        return self._process

    async def _run(self, command: Sequence[str | Path]) -> None:
        """Run a tool of the engine to its end."""
        process = await self._spawn(command)
        if await process.wait():
            await self._give_up("cannot be set up")

    async def _give_up(self, why: str) -> None:
        self.kill()
        raise EngineError(f"{self.name} {why}. The end of {self.log}:\n{tail(self.log)}") from None

    async def stop(self) -> None:
        """Stop in an orderly way; by force when that takes too long."""
        if self._process and self.running:
            self._process.send_signal(self.stop_signal)
            await wait_or_kill(self._process, self.stop_seconds)

    async def wait(self) -> None:
        """Return when it has ended, however it came to that."""
        if self._process:
            await self._process.wait()

    def kill(self) -> None:
        """End it as a power failure would, at once."""
        if self._process and self.running:
            with suppress(ProcessLookupError):
                self._process.kill()
