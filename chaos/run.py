"""One run: a system, people, faults by the seed, rest, and the verdict."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from traceback import format_exception

from chaos.breakable import Breakable, keep
from chaos.crowd import Human, gather, settle
from chaos.faults.base import Fault, World, seen
from chaos.faults.services import AtFailpoint
from chaos.life import Life
from chaos.plan import drawn
from chaos.publisher import publishing
from chaos.rest import wait_for_rest
from chaos.verdict import Line, judged, rows_of_staying
from ops.demo.doors import NotHeldError, open_doors
from ops.demo.leftovers import Rows
from ops.system import Tell, running

REST_SECONDS = 120.0
SETTLE_SECONDS = 60.0
RESERVE = 12
"""So many leave one by one at the end, to reach failpoints that nobody has reached yet."""
STIR_SECONDS = 2.0
MOMENT_SECONDS = (0.2, 1.0)
MUCH = 25_000
"""Readings of one person that are erased part by part."""


@dataclass
class Outcome:
    """What a run has shown."""

    seed: int
    faults: list[str]
    lines: list[Line] = field(default_factory=list)
    recovery_seconds: float | None = None
    """From the end of the last fault to rest; the wishes that waited for that end are part of it."""
    whole_seconds: float = 0.0

    @property
    def held(self) -> bool:
        return all(line.held for line in self.lines)


async def run(
    seed: int,
    people: int,
    directory: Path,
    tell: Tell,
    *,
    faults: Sequence[Fault] | None = None,
    patience: float = REST_SECONDS,
) -> Outcome:
    """Run once, in a fresh directory."""
    started = monotonic()
    plan = drawn(seed) if faults is None else list(faults)
    for fault in plan:
        tell(f"planned: {fault.words}")
    outcome = Outcome(seed, [fault.words for fault in plan])
    shutil.rmtree(directory, ignore_errors=True)
    installation = Breakable(directory, [replica for fault in plan for replica in fault.replicas])
    try:
        for fault in plan:
            fault.prepare(installation)
        async with _world(installation, seed, people, tell) as world:
            try:
                await _Run(world, plan, outcome, patience).play()
            except Exception as error:  # noqa: BLE001 - other seeds may still be run
                trace = "".join(format_exception(error))
                outcome.lines.append(Line("the run comes to its end", held=False, detail=trace))
    finally:
        for fault in plan:
            fault.clean_up()
    outcome.whole_seconds = monotonic() - started
    return outcome


@asynccontextmanager
async def _world(installation: Breakable, seed: int, people: int, tell: Tell) -> AsyncIterator[World]:
    rng = random.Random(seed)
    async with AsyncExitStack() as stack:
        system = await stack.enter_async_context(running(installation, tell))
        doors = await stack.enter_async_context(open_doors(installation))
        publisher = await stack.enter_async_context(publishing(installation.addresses.kafka, rng))
        stack.push_async_callback(_cancel, keepers := [asyncio.create_task(keep(e, tell)) for e in system.engines])
        world = World(
            system, installation, Life(gather(rng, people), doors, publisher), publisher, rng, tell, keepers
        )
        yield world


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _Run:
    def __init__(self, world: World, plan: Sequence[Fault], outcome: Outcome, patience: float) -> None:
        self.world = world
        self.plan = plan
        self.outcome = outcome
        self.patience = patience
        self.failpoints = [fault for fault in plan if isinstance(fault, AtFailpoint)]
        self.others = [fault for fault in plan if not isinstance(fault, AtFailpoint)]
        self.moments = [world.rng.uniform(*MOMENT_SECONDS) for _ in self.others]
        """So long after its wave each strikes."""

    async def play(self) -> None:
        before = await self._settle_in()
        await self._arrange()
        await self._break()
        if await self._come_to_rest():
            async for line in judged(self.world, self.plan, before):
                self.outcome.lines.append(line)

    async def _settle_in(self) -> Rows:
        world, life = self.world, self.world.life
        everybody = life.crowd.everybody
        started = monotonic()
        await settle(world.installation, everybody)
        await life.bind()
        await life.owe()
        await self._settled()
        await life.report(everybody)
        if any(fault.point == "owner.part" for fault in self.failpoints):
            await life.report(life.crowd.leaving[:1], MUCH)
        await self._settled()
        world.tell(f"{len(everybody)} people have settled in after {monotonic() - started:.1f} s")
        return await rows_of_staying(world)

    async def _settled(self) -> None:
        if on_its_way := await self._rest(0, SETTLE_SECONDS):
            raise NotHeldError(f"people cannot settle in: {'; '.join(on_its_way)}")

    async def _rest(self, orders: int, patience: float) -> list[str]:
        _, on_its_way = await wait_for_rest(self.world.installation, orders, patience)
        return on_its_way

    async def _arrange(self) -> None:
        for fault in (*self.others, *self.failpoints):
            await fault.arrange(self.world)
        await self.world.system.supervisor.wait_until_ready()

    async def _break(self) -> None:
        """Have people leave in as many waves as there are strikes, one strike in the middle of each."""
        leaving = self.world.life.crowd.leaving[:-RESERVE]
        async with asyncio.TaskGroup() as wishes:
            wishes.create_task(self._also())
            waves = _parts(leaving, len(self.others))
            for wave, fault, moment in zip(waves, self.others, self.moments, strict=True):
                wishes.create_task(self._wave(wave))
                await asyncio.sleep(moment)
                self.world.tell(f"now: {fault.words}")
                await fault.strike(self.world)
                self.world.over()
        await self._stir()

    async def _wave(self, people: Sequence[Human]) -> None:
        life = self.world.life
        await asyncio.gather(life.leave(people), life.report(people))

    async def _also(self) -> None:
        life = self.world.life
        await asyncio.gather(life.be_declined(), life.change(), life.report(life.crowd.remaining))

    async def _stir(self) -> None:
        """Have the rest leave, one by one until every failpoint was reached."""
        rest = list(self.world.life.crowd.leaving[-RESERVE:])
        while rest and not await seen(lambda: all(fault.reached for fault in self.failpoints), STIR_SECONDS):
            await self.world.life.leave([rest.pop()])
        await self.world.life.leave(rest)

    async def _come_to_rest(self) -> bool:
        world = self.world
        confirmed = sum(person.confirmed for person in world.life.crowd.leaving)
        waited, on_its_way = await wait_for_rest(world.installation, confirmed, self.patience)
        recovery = monotonic() - world.calm_since
        self.outcome.recovery_seconds = recovery if waited is not None else None
        rest = f"{recovery:.1f} s after the last fault" if waited is not None else "; ".join(on_its_way[:5])
        self.outcome.lines.append(Line("everything has come to rest, without a hand", waited is not None, rest))
        if waited is not None:
            await world.life.come_late()
            late = await self._rest(confirmed, self.patience)
            detail = "; ".join(late[:5]) or "readings and feedback of who has left, published after that"
            self.outcome.lines.append(Line("late facts are taken in, and bring nobody back", not late, detail))
        return waited is not None


def _parts(people: Sequence[Human], count: int) -> list[Sequence[Human]]:
    """Cut into so many parts, about as large as each other."""
    return [people[nth::count] for nth in range(count)]
