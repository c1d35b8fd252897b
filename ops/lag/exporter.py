"""Lag as metrics, under the names that the field uses, for Prometheus to fetch."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ops.errors import UserError
from ops.lag.broker import Broker
from ops.lag.watch import Line, Watch
from ops.lag.words import Word
from shared.messaging.kafka import Kafka

EVERY_SECONDS = 5.0
LABELS = ("group", "topic", "partition")


class LagCollector(Collector):
    """Gives what the last look has seen; nothing of it while the broker does not answer."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.answers = False

    def collect(self) -> Iterator[Metric]:
        """Make the metrics of a scrape."""
        yield GaugeMetricFamily("adieu_lag_up", "Whether Kafka answers", value=float(self.answers))
        yield from _of_groups(self.lines)
        yield from _of_partitions(self.lines)


def _of_groups(lines: Iterable[Line]) -> Iterator[Metric]:
    offset = _gauge("kafka_consumergroup_group_offset", "Up to where the group has read")
    lag = _gauge("kafka_consumergroup_group_lag", "Records that wait")
    seconds = _gauge("kafka_consumergroup_group_lag_seconds", "For how long the oldest of them waits")
    used = _gauge("adieu_lag_retention_used_ratio", "Share of the retention that the oldest waiting record used up")
    catch_up = _gauge("adieu_lag_catch_up_seconds", "In how long it has caught up at this pace; +Inf for never")
    word = _gauge("adieu_lag_word", "1 for the word that says how the group gets on", "word")
    for line in lines:
        labels = (line.group, line.topic, str(line.partition))
        lag.add_metric(labels, line.lag)
        catch_up.add_metric(labels, float("inf") if line.catch_up is None else line.catch_up)
        for metric, value in ((offset, line.committed), (seconds, line.seconds), (used, line.used)):
            if value is not None:
                metric.add_metric(labels, value)
        for each in Word:
            word.add_metric([*labels, str(each)], float(each is line.word))
    yield from (offset, lag, seconds, used, catch_up, word)


def _of_partitions(lines: Iterable[Line]) -> Iterator[Metric]:
    earliest = GaugeMetricFamily(
        "kafka_partition_earliest_offset", "First record that is there", labels=("topic", "partition")
    )
    latest = GaugeMetricFamily(
        "kafka_partition_latest_offset", "Where the next record will stand", labels=("topic", "partition")
    )
    for (topic, partition), line in {(line.topic, line.partition): line for line in lines}.items():
        earliest.add_metric((topic, str(partition)), line.start)
        latest.add_metric((topic, str(partition)), line.end)
    yield from (earliest, latest)


def _gauge(name: str, documentation: str, *more: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=(*LABELS, *more))


def export(kafka: Kafka, address: tuple[str, int], window: float) -> None:
    """Serve until interrupted. UserError where Kafka does not answer at the start; later it is waited for."""
    broker = Broker(kafka)
    collector = LagCollector()
    broker.topics()
    registry = CollectorRegistry()
    registry.register(collector)
    try:
        start_http_server(address[1], address[0], registry)
    except OSError as error:
        raise UserError(f"cannot listen at {address[0]}:{address[1]}: {error.strerror}") from None
    look_for_ever(Watch(broker, window), collector)


def look_for_ever(watch: Watch, collector: LagCollector) -> None:
    """Look every few seconds; while there is nothing to be seen, say so and go on."""
    while True:
        try:
            collector.lines, collector.answers = watch.look(), True
        except UserError:
            collector.lines, collector.answers = [], False
        time.sleep(EVERY_SECONDS)
