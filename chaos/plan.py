"""What goes wrong in a run: drawn by its seed, so that it can be played again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from chaos.faults import CARDS, Draw
from chaos.faults.base import Fault
from chaos.faults.messages import Poison
from chaos.faults.services import AtFailpoint
from shared.failpoints import POINTS, SIGNALS

T = TypeVar("T")
FAILPOINTS_A_RUN = 3
CARDS_A_RUN = 3


def drawn(seed: int) -> list[Fault]:
    """Draw the faults of a run. Points and kinds are dealt like cards: thirty seeds in a row have had every one."""
    rng = random.Random(f"Adieu {seed}")
    faults: list[Fault] = []
    for draw in _dealt(CARDS, seed, CARDS_A_RUN):
        faults.append(_fitting(faults, draw, rng))
    points = _dealt([(point, name) for point in POINTS for name in SIGNALS], seed, FAILPOINTS_A_RUN)
    if any(point == "consumer.parked" for point, _ in points) and not any(isinstance(f, Poison) for f in faults):
        faults.append(Poison.drawn(rng))
    return faults + [AtFailpoint.drawn(rng, point, strikes) for point, strikes in points]


def _dealt(cards: Sequence[T], seed: int, count: int) -> list[T]:
    deck = list(cards)
    random.Random(len(deck)).shuffle(deck)
    return [deck[(seed * count + nth) % len(deck)] for nth in range(count)]


def _fitting(others: Sequence[Fault], draw: Draw, rng: random.Random) -> Fault:
    """Draw one whose replicas are not another one's."""
    taken = {replica for other in others for replica in other.replicas}
    while True:
        fault = draw(rng)
        if not taken.intersection(fault.replicas):
            return fault
