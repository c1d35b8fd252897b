"""The simulated system driven by Hypothesis: whatever it finds is made as short as it can be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import ExitStack
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from chaos.simulation import verdict
from chaos.simulation.people import people
from chaos.simulation.rest import come_to_rest
from chaos.simulation.room import SERVICES
from chaos.simulation.seeded import replayed
from chaos.simulation.world import COMMIT, FAILURES, STATEMENT, Fault, InstantLoop, World, watched
from shared.failpoints import POINTS

services = st.sampled_from(SERVICES)
places = st.sampled_from((STATEMENT, COMMIT, *POINTS))
few = st.integers(min_value=0, max_value=9)


class AnyOrder(RuleBasedStateMachine):
    """People and services take turns in any order, and anything may fail at any place."""

    world: World

    @initialize(seed=st.integers(min_value=0, max_value=10_000))
    def people_come(self, seed: int) -> None:
        self.world = World(people(seed))
        self.loop = asyncio.Runner(loop_factory=InstantLoop)
        self.around = ExitStack()
        self.around.enter_context(watched(self.world))
        for service in SERVICES:
            self.run(self.world.start(service))

    def run(self, step: Awaitable[object]) -> None:
        async def taken() -> None:
            await step

        self.loop.run(taken())

    @rule(number=few)
    def somebody_acts(self, number: int) -> None:
        self.run(self.world.act(self.world.people[number % len(self.world.people)]))

    @rule(service=services)
    def a_service_publishes(self, service: str) -> None:
        self.run(self.world.relay(service))

    @rule(service=services, number=few, partitions=st.integers(1, 3), most=st.sampled_from((1, 2, 100)))
    def a_service_reads(self, service: str, number: int, partitions: int, most: int) -> None:
        readers = self.world.rooms[service].readers
        self.run(self.world.poll(service, number % len(readers), partitions, most))

    @rule(service=services)
    def a_service_looks_at_the_clock(self, service: str) -> None:
        self.run(self.world.by_the_clock(service))

    @rule(service=services)
    def a_service_is_started_anew(self, service: str) -> None:
        self.run(self.world.start(service))

    @rule(seconds=st.sampled_from((1, 40)))
    def time_passes(self, seconds: int) -> None:
        self.world.tick(timedelta(seconds=seconds))

    @precondition(lambda self: self.world.broker.log.history)
    @rule(number=few)
    def a_record_comes_again(self, number: int) -> None:
        history = self.world.broker.log.history
        self.world.again(history[-1 - number % len(history)])

    @rule(number=few)
    def a_group_begins_again(self, number: int) -> None:
        groups = sorted(self.world.broker.groups)
        self.world.rewind(groups[number % len(groups)])

    @rule(place=places, passes=few, failure=st.sampled_from(sorted(FAILURES)))
    def something_will_go_wrong(self, place: str, passes: int, failure: str) -> None:
        at_a_point = place in POINTS  # there only a process ends; nothing of its own fails
        self.world.faults.append(Fault(place, passes, "crash" if at_a_point else failure))

    def teardown(self) -> None:
        if hasattr(self, "world"):
            with self.around, self.loop:
                self.run(come_to_rest(self.world))
                self.world.violations += verdict.at_rest(self.world)
                self.run(replayed(self.world))
            assert self.world.violations == []


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
