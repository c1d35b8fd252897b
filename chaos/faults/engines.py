"""Faults of Kafka and PostgreSQL: killed, restarted, frozen, cut off, without room on the disk."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Self

import asyncpg

from chaos.breakable import Breakable, is_frozen, signal_all
from chaos.faults.base import Fault, World, seen
from ops.demo.leftovers import connected
from ops.engines.engine import Engine

ENGINES = ("Kafka", "PostgreSQL")
FREEZE_SECONDS = (2.0, 8.0, 30.0)
FULL_SECONDS = (3.0, 8.0)
CUTS = 10
CUT_SECONDS = 0.2
REFILL_SECONDS = 0.1
READINGS = 30
NO_SPACE = ("No space left on device", "(53100)")
"""As an engine says it, and as a service does that PostgreSQL has told so."""
ROOM = {"Kafka": "300m", "PostgreSQL": "300m"}


def engine_of(world: World, name: str) -> Engine:
    return next(engine for engine in world.system.engines if engine.name == name)


@dataclass
class EngineStruck(Fault):
    """Killed, restarted in order, or frozen."""

    kind = "engine struck"
    engine: str
    how: str
    seconds: float

    @classmethod
    def drawn(cls, rng: random.Random, engine: str, how: str) -> Self:
        """Draw for how long."""
        return cls(engine, how, rng.choice(FREEZE_SECONDS))

    @property
    def words(self) -> str:
        return f"{self.engine} is {self.how}" + (f" for {self.seconds:.0f} s" if self.how == "frozen" else "")

    async def strike(self, world: World) -> None:
        engine = engine_of(world, self.engine)
        await seen(lambda: engine.pid is not None)
        pid = engine.pid or 0
        if self.how == "frozen":
            self.evidence = await self._freeze(pid)
            return
        if self.how == "killed":
            engine.kill()
        else:
            await engine.stop()
        if await seen(lambda: engine.pid not in (None, pid)):
            self.evidence = f"process {pid} ended, {engine.pid} took its place"

    async def _freeze(self, pid: int) -> str:
        signal_all(pid, signal.SIGSTOP)
        frozen = await seen(lambda: is_frozen(pid))
        await asyncio.sleep(self.seconds)
        signal_all(pid, signal.SIGCONT)
        return f"process {pid} was seen frozen for {self.seconds:.0f} s" if frozen else ""


@dataclass
class ConnectionsCut(Fault):
    """PostgreSQL ends every session, again and again."""

    kind = "connections cut"

    @property
    def words(self) -> str:
        return f"every connection to PostgreSQL is cut, {CUTS} times"

    async def strike(self, world: World) -> None:
        engine = engine_of(world, "PostgreSQL")
        ended = 0
        for _ in range(CUTS):
            await seen(lambda: engine.pid is not None)
            with suppress(OSError, asyncpg.PostgresError):  # another fault has just ended it
                ended += await self._cut(world)
            await asyncio.sleep(CUT_SECONDS)
        self.evidence = f"{ended} sessions ended" if ended else ""

    @staticmethod
    async def _cut(world: World) -> int:
        assert world.system.postgres  # noqa: S101 - chaos runs on embedded engines
        async with connected(world.system.postgres.admin_url) as admin:
            count: int = await admin.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        return count


@dataclass
class DiskFull(Fault):
    """The engine's files lie on a small disk of their own, which is filled up for a while."""

    kind = "disk full"
    engine: str
    seconds: float
    disk: Path | None = None

    @classmethod
    def drawn(cls, rng: random.Random, engine: str) -> Self:
        """Draw for how long."""
        return cls(engine, rng.choice(FULL_SECONDS))

    @property
    def words(self) -> str:
        return f"the disk of {self.engine} is full for {self.seconds:.0f} s"

    def prepare(self, installation: Breakable) -> None:
        if os.geteuid():
            return
        disk = installation.directory / self.engine.lower().removesuffix("ql")
        disk.mkdir(mode=0o700, parents=True, exist_ok=True)
        mounted = subprocess.run(
            ["/bin/mount", "-t", "tmpfs", "-o", f"size={ROOM[self.engine]}", "tmpfs", disk], check=False
        )
        self.disk = None if mounted.returncode else disk

    async def strike(self, world: World) -> None:
        if not self.disk:
            self.evidence = "skipped: a disk of its own takes root"
            return
        engine = engine_of(world, self.engine)
        await seen(lambda: engine.pid is not None)
        pid, ballast = engine.pid, self.disk / "ballast"
        logs = [engine.log, *world.installation.logs.glob("*.log")]
        told = gone = False
        # Something has to be written: an empty page that is there already takes some more.
        reporting = asyncio.create_task(world.life.report(world.life.crowd.leaving, READINGS))
        with_end = monotonic() + self.seconds
        while monotonic() < with_end:
            if not gone:
                # An engine that has ended begins in what room it left: to take that too is another fault.
                self._fill(ballast)
            told = told or any(words in each.read_text(errors="replace") for each in logs for words in NO_SPACE)
            gone = gone or engine.pid != pid
            await asyncio.sleep(REFILL_SECONDS)
        ballast.unlink()
        await reporting
        # The engine's own log lies on that disk too: it may end without room for the word.
        ended = f"process {pid} ended meanwhile" if gone else ""
        self.evidence = "logs say that no space was left" if told else ended

    def _fill(self, ballast: Path) -> None:
        """Take all the room there is; what the engine takes or gives back meanwhile is no matter."""
        assert self.disk  # noqa: S101 - only called with one
        with ballast.open("ab") as file, suppress(OSError):
            while room := os.statvfs(self.disk).f_bavail * os.statvfs(self.disk).f_frsize:
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), room)

    def clean_up(self) -> None:
        if self.disk:
            with suppress(OSError):
                shutil.copy(self.disk / "log", self.disk.parent / "logs" / f"{self.disk.name}.txt")
            subprocess.run(["/bin/umount", "--lazy", self.disk], check=False)
