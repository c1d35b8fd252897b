"""What goes wrong is drawn by the seed: always the same, and everything within thirty in a row."""

from __future__ import annotations

from collections import Counter
from random import Random

from chaos.faults import CARDS
from chaos.faults.services import AtFailpoint
from chaos.plan import drawn
from shared.failpoints import POINTS, SIGNALS, planned


def test_a_seed_draws_the_same_faults_every_time() -> None:
    assert [fault.words for fault in drawn(7)] == [fault.words for fault in drawn(7)]
    assert [fault.words for fault in drawn(7)] != [fault.words for fault in drawn(8)]


def test_thirty_seeds_in_a_row_strike_every_point_with_every_signal() -> None:
    struck = Counter(
        (fault.point, fault.strikes) for seed in range(30) for fault in drawn(seed) if isinstance(fault, AtFailpoint)
    )

    assert set(struck) == {(point, strikes) for point in POINTS for strikes in SIGNALS}


def test_thirty_seeds_in_a_row_have_every_kind_of_fault() -> None:
    kinds = {fault.kind for seed in range(30) for fault in drawn(seed)}

    assert kinds == {draw(Random(1)).kind for draw in CARDS} | {AtFailpoint.kind}


def test_replicas_of_one_run_have_names_of_their_own() -> None:
    for seed in range(300):
        replicas = [replica for fault in drawn(seed) for replica in fault.replicas]
        assert len(replicas) == len(set(replicas))


def test_every_failpoint_that_is_drawn_can_be_planned() -> None:
    for seed in range(30):
        for fault in drawn(seed):
            if isinstance(fault, AtFailpoint):
                assert planned(fault.plan)
