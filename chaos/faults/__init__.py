"""Every kind of fault, in one table: a card each, from which a run draws its own."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from chaos.faults.base import Fault
from chaos.faults.engines import ConnectionsCut, DiskFull, EngineStruck
from chaos.faults.messages import Doubled, EverythingOnceMore, Late, Newer, Poison
from chaos.faults.services import NewerVersion, Replicas, Struck, WrongClock
from chaos.faults.topics import OffsetsLost, TopicRecreated

Draw: TypeAlias = Callable[[random.Random], Fault]

CARDS: tuple[Draw, ...] = (
    *(
        partial(EngineStruck.drawn, engine=engine, how=how)
        for engine in ("Kafka", "PostgreSQL")
        for how in ("killed", "restarted", "frozen")
    ),
    *(partial(DiskFull.drawn, engine=engine) for engine in ("Kafka", "PostgreSQL")),
    ConnectionsCut.drawn,
    Struck.drawn,
    Replicas.drawn,
    NewerVersion.drawn,
    WrongClock.drawn,
    TopicRecreated.drawn,
    OffsetsLost.drawn,
    Doubled.drawn,
    Late.drawn,
    EverythingOnceMore.drawn,
    Newer.drawn,
    Poison.drawn,
)
"""All but failpoints, of which every run has some. A killed or restarted broker is also a coordinator that moves."""
