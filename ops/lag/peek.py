"""Reads what waits, to say what it is. Bodies are never opened."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from ops.lag.ages import Place
from ops.lag.broker import Reading
from ops.lag.words import Sample
from shared.contracts.catalogue import facts_on
from shared.contracts.topics import TOPICS
from shared.messaging.kafka import Kafka

PEEK_SECONDS = 5.0
"""So long a look reads at most, over all groups and partitions."""
MOST_PEEKED = 500
"""So many waiting records of a partition are looked at, to say what they are."""
BY_OUR_RELAY = "ce_type"


class Peek:
    """Reads from a Kafka; never joins a group, so that looking changes nothing."""

    def __init__(self, kafka: Kafka) -> None:
        self._consumer = Consumer(kafka.librdkafka | _PEEKING)

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def types(self, samples: Mapping[Reading, Sample]) -> dict[Reading, Mapping[str, int]]:
        """Count how many of each type of event wait, as far as they may be read; "" where a publisher does not say.

        Groups that stand at different places of one partition are looked at in turn.
        """
        turns: dict[Place, list[Reading]] = {}
        for reading, sample in samples.items():
            if sample.there:
                turns.setdefault(reading.place, []).append(reading)
        found: dict[Reading, Mapping[str, int]] = {}
        until = time.monotonic() + PEEK_SECONDS
        while turns and time.monotonic() < until:
            turn = {place: readings.pop() for place, readings in turns.items()}
            turns = {place: readings for place, readings in turns.items() if readings}
            found |= self._types_once({reading: samples[reading] for reading in turn.values()}, until)
        return found

    def _types_once(self, lagging: Mapping[Reading, Sample], until: float) -> dict[Reading, Mapping[str, int]]:
        wanted = {reading: min(sample.there, MOST_PEEKED) for reading, sample in lagging.items()}
        readings = {reading.place: reading for reading in lagging}
        seen: dict[Reading, Counter[str]] = {}
        self._consumer.assign([TopicPartition(*reading.place, sample.next) for reading, sample in lagging.items()])
        while wanted and time.monotonic() < until:
            for message in self._consumer.consume(MOST_PEEKED, timeout=PEEK_SECONDS / 10):
                reading = readings.get(Place(str(message.topic()), message.partition() or 0))
                if not reading or reading not in wanted:
                    continue
                if not message.error():
                    seen.setdefault(reading, Counter())[_type_of(message)] += 1
                # What may not be read or cannot be decoded is not asked for again.
                if message.error() or seen[reading].total() == wanted[reading]:
                    del wanted[reading]
        self._consumer.unassign()
        return dict(seen)


_PEEKING: dict[str, Any] = {
    "group.id": "adieu-lag",  # has to have one; it is never joined, and nothing is committed
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "fetch.message.max.bytes": 64 * 1024,
    "queued.max.messages.kbytes": 4096,
    "log_level": 0,
}


def _type_of(message: Message) -> str:
    """Read what our relay wrote on the record, or know it by the topic; what nobody knows is not repeated."""
    facts = _types_on(message.topic() or "")
    try:
        headers = dict(message.headers() or [])
    except (SystemError, UnicodeDecodeError):  # one has a name that is no text: a foreign publisher's
        headers = {}
    named = [name for name in facts if name.encode() == headers.get(BY_OUR_RELAY)]
    return (named or (facts if len(facts) == 1 else [""]))[0]


@cache
def _types_on(topic: str) -> list[str]:
    return [fact.__name__ for each in TOPICS if each.covers(topic) for fact in facts_on(each)]
