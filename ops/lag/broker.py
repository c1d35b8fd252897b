"""What the broker says of its groups: where each stands in each partition, and what waits there."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec, ResourceType

from ops.errors import UserError
from ops.lag.words import Sample
from shared.contracts.catalogue import facts_on
from shared.contracts.topics import TOPICS
from shared.messaging.kafka import Kafka

K = TypeVar("K")
T = TypeVar("T")

PATIENCE_SECONDS = 5.0
"""How long an answer is waited for."""
PEEK_SECONDS = 5.0
MOST_PEEKED = 500
"""So many waiting records of a partition are looked at, to say what they are."""
BY_OUR_RELAY = "ce_type"


class Place(NamedTuple):
    """One partition."""

    topic: str
    partition: int


class Reading(NamedTuple):
    """One group that reads one partition."""

    group: str
    place: Place


@dataclass(frozen=True)
class Waiting:
    """What waits in a partition behind a position, as far as it was looked at; bodies are never opened."""

    oldest: float
    """When the broker took the first of them, in seconds since 1970, by its clock."""
    types: Mapping[str, int] = field(default_factory=dict)
    """How many of each type of event; "" where a foreign publisher does not say."""


@dataclass(frozen=True)
class Look:
    """One look at everything that any of the groups reads."""

    samples: Mapping[Reading, Sample]
    waiting: Mapping[Reading, Waiting]


class Broker:
    """Asks a Kafka; never joins a group, so that looking changes nothing. UserError where it does not say."""

    def __init__(self, kafka: Kafka, *, most_peeked: int = MOST_PEEKED) -> None:
        self._servers = kafka.servers
        self._most_peeked = most_peeked
        self._complaints: list[KafkaError] = []
        client: dict[str, Any] = {**kafka.librdkafka, "log_level": 0, "error_cb": self._complaints.append}
        try:
            self._admin = AdminClient(client)
            self._consumer = Consumer(client | _PEEKING)
        except (KafkaException, ValueError):
            raise UserError(
                f"{self._servers} is no address of a Kafka, or the rest of what it was told is wrong"
            ) from None

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def topics(self) -> set[str]:
        """Name the topics there are, or that this user may see."""
        with self._in_words():
            return set(self._admin.list_topics(timeout=PATIENCE_SECONDS).topics)

    def groups(self) -> list[str]:
        """Name the groups there are, or that this user may see."""
        with self._in_words():
            found = self._admin.list_consumer_groups(**_PATIENTLY).result()
            if found.errors:
                raise KafkaException(found.errors[0])
            return sorted(group.group_id for group in found.valid)

    def retention(self, topics: Iterable[str]) -> dict[str, float | None]:
        """Say for how many seconds the broker keeps the records of each topic; None for ever."""
        asked = [ConfigResource(ResourceType.TOPIC, topic) for topic in sorted(set(topics))]
        with self._in_words():
            answers = self._admin.describe_configs(asked, **_PATIENTLY) if asked else {}
            return {resource.name: _kept_for(config) for resource, config in _there(answers)}

    def look(self, groups: Sequence[str]) -> Look:
        """Take a sample of all that these groups read, and look at what waits there."""
        if not groups:
            return Look({}, {})
        with self._in_words():
            committed, consumed = self._committed(groups), self._consumed(groups)
            readings = sorted(committed.keys() | consumed)
            places = {reading.place for reading in readings}
            starts = self._offsets(places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
            # Committed before end: what is read meanwhile never makes a group stand behind the end.
            ends = self._offsets(places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
            at = time.monotonic()
            samples = {
                reading: Sample(
                    at,
                    starts[reading.place],
                    ends[reading.place],
                    committed.get(reading),
                    consumed=reading in consumed,
                    purged=_purged_by_its_reader(reading.place.topic),
                )
                for reading in readings
                if reading.place in starts and reading.place in ends
            }
            waiting = self._peek({reading: sample for reading, sample in samples.items() if sample.there})
        now = time.time()
        for reading, what in waiting.items():
            samples[reading] = replace(samples[reading], waits=max(now - what.oldest, 0.0))
        return Look(samples, waiting)

    def _committed(self, groups: Iterable[str]) -> dict[Reading, int]:
        asked = {
            group: self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], **_PATIENTLY)[group]
            for group in groups
        }
        return {
            Reading(group, Place(each.topic, each.partition)): each.offset
            for group, answer in asked.items()
            for each in answer.result().topic_partitions
            if each.offset >= 0
        }

    def _consumed(self, groups: Iterable[str]) -> set[Reading]:
        """Find which partitions the members of the groups have."""
        asked = self._admin.describe_consumer_groups(list(groups), **_PATIENTLY)
        described = {group: answer.result() for group, answer in asked.items()}
        return {
            Reading(group, Place(each.topic, each.partition))
            for group, description in described.items()
            for member in description.members
            for each in (member.assignment.topic_partitions if member.assignment else [])
        }

    def _offsets(self, places: Iterable[Place], which: OffsetSpec) -> dict[Place, int]:
        asked = {TopicPartition(*place): which for place in places}
        answers = self._admin.list_offsets(asked, **_PATIENTLY) if asked else {}
        return {Place(each.topic, each.partition): found.offset for each, found in _there(answers)}

    def _peek(self, lagging: Mapping[Reading, Sample]) -> dict[Reading, Waiting]:
        """Look at what waits. Groups that stand at different places of one partition are looked at in turn."""
        turns: dict[Place, list[Reading]] = {}
        for reading in lagging:
            turns.setdefault(reading.place, []).append(reading)
        found: dict[Reading, Waiting] = {}
        while turns:
            turn = {place: readings.pop() for place, readings in turns.items()}
            turns = {place: readings for place, readings in turns.items() if readings}
            found |= self._peek_once({reading: lagging[reading] for reading in turn.values()})
        return found

    def _peek_once(self, lagging: Mapping[Reading, Sample]) -> dict[Reading, Waiting]:
        wanted = {reading: min(sample.there, self._most_peeked) for reading, sample in lagging.items()}
        readings = {reading.place: reading for reading in lagging}
        seen: dict[Reading, list[Message]] = {}
        self._consumer.assign(
            [TopicPartition(*reading.place, sample.end - sample.there) for reading, sample in lagging.items()]
        )
        until = time.monotonic() + PEEK_SECONDS
        while wanted and time.monotonic() < until:
            for message in self._consumer.consume(self._most_peeked, timeout=PEEK_SECONDS / 10):
                reading = readings.get(Place(str(message.topic()), message.partition() or 0))
                if reading and not message.error():
                    seen.setdefault(reading, []).append(message)
                # What may not be read or cannot be decoded has an unknown age, and is not asked for again.
                if reading and (message.error() or len(seen[reading]) >= wanted.get(reading, 0)):
                    wanted.pop(reading, None)
        self._consumer.unassign()
        return {reading: _waiting(messages) for reading, messages in seen.items()}

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Say what went wrong as the person at the keyboard can understand and mend it."""
        try:
            yield
        except KafkaException as error:
            raise UserError(self._said(error.args[0])) from None

    def _said(self, fault: KafkaError) -> str:
        self._admin.poll(0)  # what the client complained of meanwhile: a wrong password shows nowhere else
        if _NOT_BELIEVED & {fault.name(), *(complaint.name() for complaint in self._complaints)}:
            return f"Kafka at {self._servers} does not believe who this is: user or password are wrong"
        if fault.name().endswith("AUTHORIZATION_FAILED"):
            return f"Kafka gives this user no right to look: {fault.name()}"
        if fault.name() in _AWAY:
            return f"Kafka does not answer at {self._servers}"
        return f"Kafka at {self._servers} refuses: {fault.name()}"


_PATIENTLY = {"request_timeout": PATIENCE_SECONDS}
_PEEKING: dict[str, Any] = {
    "group.id": "adieu-lag",  # has to have one; it is never joined, and nothing is committed
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
    "fetch.message.max.bytes": 64 * 1024,
    "queued.max.messages.kbytes": 4096,
}
_AWAY = {"_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE"}
_NOT_BELIEVED = {"_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED"}
_NOT_THERE = {"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_PARTITION", "_UNKNOWN_TOPIC"}


def _there(answers: Mapping[K, Future[T]]) -> Iterator[tuple[K, T]]:
    """Pass over what has been deleted since it was named."""
    for asked, answer in answers.items():
        try:
            yield asked, answer.result()
        except KafkaException as error:
            if error.args[0].name() not in _NOT_THERE:
                raise


def _kept_for(config: Mapping[str, Any]) -> float | None:
    milliseconds = int(config["retention.ms"].value)
    deletes = "delete" in config["cleanup.policy"].value
    return milliseconds / 1000 if deletes and milliseconds >= 0 else None


def _waiting(messages: list[Message]) -> Waiting:
    _, milliseconds = messages[0].timestamp()
    return Waiting(milliseconds / 1000, Counter(map(_type_of, messages)))


def _type_of(message: Message) -> str:
    """Read what our relay wrote on the record, or know it by the topic; what nobody knows is not repeated."""
    facts = _types_on(message.topic() or "")
    said = dict(message.headers() or []).get(BY_OUR_RELAY)
    named = [name for name in facts if name.encode() == said]
    return (named or (facts if len(facts) == 1 else [""]))[0]


@cache
def _purged_by_its_reader(topic: str) -> bool:
    return any(each.personal and each.covers(topic) for each in TOPICS)


@cache
def _types_on(topic: str) -> list[str]:
    return [fact.__name__ for each in TOPICS if each.covers(topic) for fact in facts_on(each)]
