"""What is measured, one function for each thing, and what is wanted of it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench import growth, million, packages, readings, starting
from bench.cancellations import Crowd, crowd, lone
from bench.people import HASHER, PASSWORD, residents, settle
from bench.report import Figure
from bench.stages import adieu, floor, ground
from ops.installation import SERVICES

MORE = 1.1
"""So many times what few cost may many cost."""


@dataclass
class Plan:
    """How much is measured."""

    rounds: int
    people: int
    lone: int
    readings: int
    much: int
    sizes: list[int]
    packages: int
    tell: Callable[[str], None] = print
    figures: list[Figure] = field(default_factory=list)
    charts: dict[str, tuple[str, dict[str, dict[str, float]]]] = field(default_factory=dict)


async def start(plan: Plan) -> None:
    starts = [await starting.start_again() for _ in range(plan.rounds)]
    plan.figures += [
        Figure("everything started, warm, until ready", "s", [s.seconds for s in starts], at_most=8),
        *(
            Figure(f"memory of {name} at rest", "MB", [s.memory[name] for s in starts], at_most=90)
            for name in SERVICES
        ),
    ]


async def cancel(plan: Plan) -> None:
    ours: list[tuple[dict[str, float], Crowd]] = []
    least: list[tuple[dict[str, float], Crowd]] = []
    for number in range(plan.rounds):
        plan.tell(f"cancellations, round {number + 1}: Adieu")
        ours.append(await _leaving(adieu, plan))
        plan.tell(f"cancellations, round {number + 1}: the floor")
        least.append(await _leaving(floor, plan))
    rates, cpu = [c.rate for _, c in ours], [c.cpu_each for _, c in ours]
    rates_below, cpu_below = [c.rate for _, c in least], [c.cpu_each for _, c in least]
    plan.figures += [
        Figure(f"complete cancellations of {plan.people:,}", "per second", rates, rates_below, at_least=300),
        Figure("the same as a share of the floor", "", [median(rates) / median(rates_below)], at_least=0.8),
        Figure("processor time of each, all processes and engines", "ms", cpu, cpu_below, at_most=5),
        Figure("a password check beside it", "ms", [_password_check_ms() for _ in range(plan.rounds)]),
        _lone("a lone one, commit to closed order, p50", "p50", ours, least, 45),
        _lone("a lone one, commit to closed order, p95", "p95", ours, least, 80),
        *(
            Figure(f"memory of {name} under load", "MB", [c.memory[name] for _, c in ours], at_most=90)
            for name in SERVICES
        ),
    ]
    plan.charts["cancellation"] = (
        "CPU-milliseconds of a cancellation, by process",
        {"Adieu": _by_process(ours), "the floor": _by_process(least)},
    )


async def _leaving(system: Callable[..., Any], plan: Plan) -> tuple[dict[str, float], Crowd]:
    async with ground() as on, system(on) as stage:
        people = residents(plan.lone + plan.people)
        await settle(on.connections, people, HASHER.hash(PASSWORD))
        return await lone(stage, people[: plan.lone]), await crowd(stage, people[plan.lone :])


def _lone(name: str, share: str, ours: list[Any], least: list[Any], goal: float) -> Figure:
    return Figure(name, "ms", [one[share] for one, _ in ours], [one[share] for one, _ in least], at_most=goal)


def _by_process(rounds: list[tuple[dict[str, float], Crowd]]) -> dict[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for _, each in rounds:
        for name, cost in each.cpu.items():
            found[name].append(cost)
    return {name: median(costs) for name, costs in found.items()}


def _password_check_ms() -> float:
    kept = HASHER.hash(PASSWORD)
    before = os.times()
    for _ in range(10):
        HASHER.verify(kept, PASSWORD)
    after = os.times()
    return 100 * (after.user + after.system - before.user - before.system)


async def access(plan: Plan) -> None:
    rounds: list[tuple[dict[str, float], packages.Crowd]] = []
    for number in range(plan.rounds):
        plan.tell(f"access, round {number + 1}")
        async with ground() as on, adieu(on) as stage:
            people = residents(plan.lone + plan.packages + 1)
            await settle(on.connections, people, HASHER.hash(PASSWORD))
            alone = await packages.lone(stage, people[: plan.lone])
            rounds.append((alone, await packages.crowd(stage, people[plan.lone : -1])))
            if number == plan.rounds - 1:
                plan.tell(f"access to {plan.much:,} readings")
                much = await packages.large(stage, people[-1], plan.much)
    rates, cpu = [c.rate for _, c in rounds], [c.cpu_each for _, c in rounds]
    plan.figures += [
        Figure(f"access packages of {plan.packages:,}", "per second", rates, at_least=60),
        Figure("processor time of each package, all processes and engines", "ms", cpu, at_most=30),
        Figure("a lone package, p50", "ms", [alone["p50"] for alone, _ in rounds], at_most=250),
        Figure("a lone package, p95", "ms", [alone["p95"] for alone, _ in rounds]),
        Figure(f"a package with {plan.much:,} readings", "s", [much.seconds]),
        *(
            Figure(f"growth of {name}'s memory while it is made", "MB", [grown], at_most=50)
            for name, grown in much.grown.items()
        ),
    ]
    cost = {name: median(c.cpu[name] for _, c in rounds) for name in rounds[0][1].cpu}
    plan.charts["access"] = ("CPU-milliseconds of a package, by process", {"Adieu": cost})


async def read(plan: Plan) -> None:
    ours, least = [], []
    for number in range(plan.rounds):
        plan.tell(f"readings, round {number + 1}")
        least.append(await readings.poll_and_copy(plan.readings))
        ours.append(await readings.exactly_once(plan.readings))
    plan.figures += [
        Figure("readings published twice, stored once", "messages per second", ours, least),
        Figure("the same as a share of the floor", "", [median(ours) / median(least)], at_least=0.4),
    ]


async def grow(plan: Plan) -> None:
    by_people = {}
    async for size, cost in growth.by_people(plan.sizes):
        plan.tell(f"growth: {size:,} people")
        by_people[size] = cost
    by_backlog = {size: cost async for size, cost in growth.by_backlog()}
    for what, costs in (("people in the tables", by_people), ("due at once", by_backlog)):
        few, *_ = costs.values()
        *_, many = costs.values()
        sizes = list(costs)
        name = f"processor time with {sizes[-1]:,} {what} against {sizes[0]:,}"
        plan.figures.append(Figure(name, "times", [many / few], at_most=MORE))
    told = {f"{size:,} people": cost for size, cost in by_people.items()}
    told |= {f"{size:,} due at once": cost for size, cost in by_backlog.items()}
    plan.charts["growth"] = ("CPU-milliseconds of a cancellation", {"Adieu": told})


async def erase_much(plan: Plan) -> None:
    plan.tell(f"one person with {plan.much:,} readings")
    found = await million.measure(plan.much)
    what, without = "leave, to the certificate", found["nothing"]["others_milliseconds"]
    during = found["leaves, to the certificate"]["others_milliseconds"]
    times = during[what]["p95"] / without[what]["p95"]
    name = f"p95 of others' cancellations while {plan.much:,} readings are erased, against without"
    plan.figures.append(Figure(name, "times", [times], at_most=1.5))


WORKS: Mapping[str, Callable[[Plan], Awaitable[None]]] = {
    "starting": start,
    "cancellations": cancel,
    "access": access,
    "readings": read,
    "growth": grow,
    "million": erase_much,
}
