"""Faults of service processes: struck at a failpoint or at any moment, replicas, wrong clocks, another version."""

from __future__ import annotations

import asyncio
import random
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from chaos.breakable import Breakable, is_frozen, is_running
from chaos.faults.base import Fault, World, seen
from chaos.service import CLOCK_OFF, NEWER
from ops.installation import SERVICES
from shared.failpoints import POINTS, SIGNALS

SOLE = {
    "rollcall": ("requests",),
    "reminder": ("requests",),
    "mailer": ("notifier",),
    "due": ("account",),
    "purge": ("device", "requests", "notifier"),
}
"""Whose process passes such points, where not every one does."""
LOOK_SECONDS = 0.1
FREEZE_SECONDS = (1.0, 3.0, 9.0)
OFTEN = 3
"""At which pass a failpoint strikes, at most."""
RARE = ("service.joined", "owner.part", "consumer.parked", "reminder.found", "rollcall.opened")
"""Points that may be passed only once."""
HOUR = 3600


def _how(strikes: signal.Signals, seconds: float) -> str:
    words = {signal.SIGKILL: "is killed", signal.SIGTERM: "is told to end"}
    return words.get(strikes, f"freezes for {seconds:.0f} s")


@dataclass
class AtFailpoint(Fault):
    """A process strikes itself at a named point."""

    kind = "failpoint"
    point: str
    strikes: str
    process: str
    nth: int
    seconds: float

    @classmethod
    def drawn(cls, rng: random.Random, point: str, strikes: str) -> Self:
        """Draw the rest: in which process, at which pass."""
        process = "device" if point == "owner.part" else rng.choice(SOLE.get(point.partition(".")[0], SERVICES))
        nth = 1 if point in RARE else rng.randint(1, OFTEN)
        return cls(point, strikes, process, nth, rng.choice(FREEZE_SECONDS))

    @property
    def words(self) -> str:
        how = _how(SIGNALS[self.strikes], self.seconds)
        return f"{self.process} {how} at {self.point}, pass {self.nth}: {POINTS[self.point]}"

    @property
    def plan(self) -> str:
        """As the process is told."""
        return f"{self.point}:{self.strikes}:{self.nth}"

    @property
    def reached(self) -> bool:
        """Whether it has struck, and is over."""
        return bool(self.evidence)

    def ends(self, service: str) -> bool:
        return self.process == service and SIGNALS[self.strikes] is not signal.SIGSTOP

    async def arrange(self, world: World) -> None:
        supervisor = world.system.supervisor
        await supervisor.hold(self.process)
        world.installation.failpoints[self.process].append(self.plan)
        await supervisor.release(self.process)
        world.beside(self._watch(world))

    async def _watch(self, world: World) -> None:
        while not (said := world.installation.reached(self.process, self.plan)):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(LOOK_SECONDS)
        world.tell(f"{self.process}: {said}")
        if self.strikes == "STOP":
            await asyncio.sleep(self.seconds)
            thaw(world, self.process)
        self.evidence = f"its log says “{said}”"
        world.over()


@dataclass
class Struck(Fault):
    """A process is struck at any moment."""

    kind = "service struck"
    process: str
    strikes: signal.Signals
    seconds: float

    @classmethod
    def drawn(cls, rng: random.Random) -> Self:
        strikes = rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
        return cls(rng.choice(SERVICES), strikes, rng.choice(FREEZE_SECONDS))

    @property
    def words(self) -> str:
        return f"{self.process} {_how(self.strikes, self.seconds)} while people leave"

    def ends(self, service: str) -> bool:
        return self.process == service and self.strikes is not signal.SIGSTOP

    async def strike(self, world: World) -> None:
        self.evidence = await strike_process(world, self.process, self.strikes, self.seconds)


async def strike_process(world: World, process: str, strikes: signal.Signals, seconds: float) -> str:
    """Send the signal and see what becomes of it; returns that."""
    supervisor = world.system.supervisor
    await seen(lambda: is_running(supervisor.pid(process)))
    pid = supervisor.pid(process)
    supervisor.kill(process, strikes)
    if strikes is signal.SIGSTOP:
        frozen = await seen(lambda: is_frozen(pid))
        await asyncio.sleep(seconds)
        thaw(world, process)
        return f"process {pid} was seen frozen for {seconds:.0f} s" if frozen else ""
    ended = await seen(lambda: supervisor.pid(process) != pid)
    return f"process {pid} ended, {supervisor.pid(process)} took its place" if ended else ""


def thaw(world: World, process: str) -> None:
    """Let a frozen process go on, unless another fault has ended it meanwhile."""
    with suppress(ProcessLookupError):
        world.system.supervisor.kill(process, signal.SIGCONT)


@dataclass
class Replicas(Fault):
    """Two or three processes of one service, one of which freezes or dies: the groups rebalance."""

    kind = "replicas"
    service: str
    count: int
    strikes: signal.Signals
    seconds: float

    @classmethod
    def drawn(cls, rng: random.Random) -> Self:
        strikes = rng.choice([signal.SIGSTOP, signal.SIGSTOP, signal.SIGKILL])
        return cls(rng.choice(SERVICES), rng.choice([2, 3]), strikes, rng.choice([9.0, 20.0]))

    @property
    def replicas(self) -> list[str]:  # type: ignore[override]
        return [f"{self.service}-{number}" for number in range(2, self.count + 1)]

    @property
    def words(self) -> str:
        return f"{self.count} replicas of {self.service}, the first of which {_how(self.strikes, self.seconds)}"

    def ends(self, service: str) -> bool:
        return self.service == service

    async def strike(self, world: World) -> None:
        struck = await strike_process(world, self.service, self.strikes, self.seconds)
        self.evidence = struck and f"{struck}; beside it ran {', '.join(self.replicas)}"


@dataclass
class WrongClock(Fault):
    """A service's clock is wrong by an hour."""

    kind = "wrong clock"
    process: str
    off: int

    @classmethod
    def drawn(cls, rng: random.Random) -> Self:
        return cls(rng.choice(SERVICES), rng.choice([-HOUR, HOUR]))

    @property
    def words(self) -> str:
        return f"the clock of {self.process} is an hour {'ahead' if self.off > 0 else 'behind'}"

    async def arrange(self, world: World) -> None:
        await world.system.supervisor.hold(self.process)
        world.installation.odd[self.process][CLOCK_OFF] = str(self.off)
        await world.system.supervisor.release(self.process)
        self.evidence = await _said_by(world, self.process, CLOCK_OFF)


@dataclass
class NewerVersion(Fault):
    """A replica of a later version, whose events say more, beside one of this version."""

    kind = "two versions side by side"
    service: str

    @classmethod
    def drawn(cls, rng: random.Random) -> Self:
        return cls(rng.choice(SERVICES))

    @property
    def replicas(self) -> list[str]:  # type: ignore[override]
        return [f"{self.service}-2"]

    @property
    def words(self) -> str:
        return f"a newer version of {self.service}, whose events say more, beside one of this version"

    def prepare(self, installation: Breakable) -> None:
        installation.odd[f"{self.service}-2"][NEWER] = "yes"

    async def arrange(self, world: World) -> None:
        self.evidence = await _said_by(world, f"{self.service}-2", NEWER)


async def _said_by(world: World, process: str, what: str) -> str:
    said = f"runs with {what}"
    return f"{process} “{said}”" if await seen(lambda: said in world.installation.log_of(process)) else ""
