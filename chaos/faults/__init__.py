"""Every kind of fault, in one table."""

from __future__ import annotations

from chaos.faults.base import Fault
from chaos.faults.engines import ConnectionsCut, DiskFull, EngineStruck
from chaos.faults.messages import Doubled, EverythingOnceMore, Late, Newer, Poison
from chaos.faults.services import NewerVersion, Replicas, Struck, WrongClock
from chaos.faults.topics import OffsetsLost, TopicRecreated

KINDS: tuple[type[Fault], ...] = (
    Struck,
    EngineStruck,
    Replicas,
    Poison,
    OffsetsLost,
    ConnectionsCut,
    Doubled,
    TopicRecreated,
    WrongClock,
    DiskFull,
    EverythingOnceMore,
    Late,
    NewerVersion,
    Newer,
)
"""All but failpoints, of which every run has some."""
