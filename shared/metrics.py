"""What a service counts of itself, and what it reads from its database when asked; of nobody in particular."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.errors import is_transient
from shared.tables import DeadLetter

DATABASE_SECONDS = 2.0
"""How long the database may take. To give up a connection can take the driver 2 more; Prometheus waits for 5."""

REASONS = ("unreadable", "wrong-source", "failed", "waits-behind")
"""Why a message is parked: all the values that this label has."""

_HANDLED = Counter("adieu_messages_handled", "Messages taken from a topic, each with its effect or parked", ["topic"])
_FAILED = Counter("adieu_tries_failed", "Tries that failed for a reason that does not pass by itself", ["topic"])
_RETRIED = Counter("adieu_tries_repeated", "Tries that failed for a reason that passes by itself", ["topic"])
_PARKED = Counter("adieu_messages_parked", "Messages that could not be handled", ["topic", "reason"])
_SECONDS = Histogram("adieu_handling_seconds", "From a poll to the commit of its batch", ["topic"])
TAKEN_IN = Gauge("adieu_taken_in_offset", "Up to where a personal topic has had its effect", ["topic", "partition"])
PURGED = Gauge("adieu_purged_offset", "Up to where the broker has deleted it for that", ["topic", "partition"])


class Counts:
    """What is counted of one topic, from the first moment on, so that its rates begin at 0."""

    def __init__(self, topic: str) -> None:
        self.handled = _HANDLED.labels(topic)
        self.failed = _FAILED.labels(topic)
        self.retried = _RETRIED.labels(topic)
        self.seconds = _SECONDS.labels(topic)
        self.parked = {reason: _PARKED.labels(topic, reason) for reason in REASONS}


@cache
def counts_of(topic: str) -> Counts:
    """Find the counters of a topic as a subscription names it: a pattern stands for all of its topics."""
    return Counts(topic)


@dataclass(frozen=True)
class Measure:
    """Something that is read from the database when somebody asks: rows of a label's value and a number."""

    name: str
    what: str
    statement: Any
    label: str | None = None
    """None for one number, whatever its row is of."""
    always: Sequence[str] = ()
    """Values of the label that are told also when there is no row of them: with 0."""


_OLDEST_UNSENT = text(
    "SELECT topic, extract(epoch FROM now() - (convert_from(body, 'UTF8')::jsonb ->> 'occurred_at')::timestamptz)"
    " FROM outbox ORDER BY id LIMIT 1"
)
UNSENT = Measure("adieu_outbox_seconds", "For how long the oldest event waits for the relay", _OLDEST_UNSENT)
PARKED_NOW = Measure(
    "adieu_dead_letters",
    "Messages that are parked now",
    select(DeadLetter.reason, func.count()).group_by(DeadLetter.reason),
    label="reason",
    always=REASONS,
)
OF_EVERY_SERVICE = (UNSENT, PARKED_NOW)


class _Read(Collector):
    """Metrics that were read once."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Sequence[Metric]:
        return self._metrics


async def exposition(engine: AsyncEngine, measures: Sequence[Measure], turn: asyncio.Lock, *, ready: bool) -> bytes:
    """Write everything down for Prometheus; what the database would say is left out while it does not answer.

    Only who has the `turn` asks it: however many wait, they keep one connection of those that all work shares.
    """
    metrics = [GaugeMetricFamily("adieu_ready", "Whether the service is ready", value=float(ready))]
    try:
        async with asyncio.timeout(DATABASE_SECONDS), turn, engine.connect() as connection:
            metrics += [await _measured(connection, measure) for measure in measures]
    except Exception as error:
        if not is_transient(error):
            raise
    registry = CollectorRegistry()
    registry.register(_Read(metrics))
    return generate_latest(REGISTRY) + generate_latest(registry)


async def _measured(connection: AsyncConnection, measure: Measure) -> GaugeMetricFamily:
    found = dict.fromkeys(measure.always, 0.0)
    found |= {str(value): float(number) for value, number in await connection.execute(measure.statement)}
    if measure.label is None:
        return GaugeMetricFamily(measure.name, measure.what, value=max(found.values(), default=0.0))
    metric = GaugeMetricFamily(measure.name, measure.what, labels=[measure.label])
    for value, number in found.items():
        metric.add_metric([value], number)
    return metric
