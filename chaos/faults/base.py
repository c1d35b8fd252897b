"""What all faults have in common: they are drawn by the seed, say what they do, and show that it happened."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, ClassVar

from chaos.breakable import Breakable
from chaos.life import Life
from chaos.publisher import Publisher
from ops.system import System, Tell

PATIENCE_SECONDS = 40.0
POLL_SECONDS = 0.05


@dataclass
class World:
    """A running system with people in it, for faults to reach into."""

    system: System
    installation: Breakable
    life: Life
    publisher: Publisher
    rng: random.Random
    tell: Tell
    background: list[asyncio.Task[None]] = field(default_factory=list)
    poison: dict[bytes, str] = field(default_factory=dict)
    """What has been planted and has to be parked: each body, and in which topic."""
    made_anew: set[str] = field(default_factory=set)
    """Topics of which something unread may be lost, as the runbook says."""

    calm_since: float = 0.0
    """When the last fault was over."""

    def over(self) -> None:
        """Note that a fault is over."""
        self.calm_since = monotonic()

    def beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Let something go on beside everything else."""
        self.background.append(asyncio.create_task(work))


class Fault(ABC):
    """One thing that goes wrong."""

    kind: ClassVar[str]
    replicas: Sequence[str] = ()
    """Processes that there have to be besides one of each service."""
    evidence: str = ""
    """What shows that it really happened; nothing as long as nothing does."""

    @property
    @abstractmethod
    def words(self) -> str:
        """What it does, for people."""

    def ends(self, service: str) -> bool:  # noqa: ARG002 - most end none
        """Tell whether it ends a process of the service while people leave."""
        return False

    def prepare(self, installation: Breakable) -> None:  # noqa: B027 - most need nothing
        """Do what has to be done before anything is started."""

    async def arrange(self, world: World) -> None:  # noqa: B027 - most begin later
        """Begin before anybody leaves."""

    async def strike(self, world: World) -> None:  # noqa: B027 - some only begin before
        """Strike while people leave; return when it is over."""

    def clean_up(self) -> None:  # noqa: B027 - most leave nothing
        """Take away what it has left on the machine."""


async def seen(what: Callable[[], Awaitable[bool] | bool], patience: float = PATIENCE_SECONDS) -> bool:
    """Wait until something is so; false when it is not in time."""
    with_end = asyncio.get_running_loop().time() + patience
    while asyncio.get_running_loop().time() < with_end:
        answer = what()
        if answer if isinstance(answer, bool) else await answer:
            return True
        await asyncio.sleep(POLL_SECONDS)
    return False
