"""What the broker says of its groups: where each stands in each partition, and since when the next record waits."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ListOffsetsResultInfo, OffsetSpec, ResourceType

from ops.errors import UserError
from ops.lag.ages import Place, taken_at
from ops.lag.words import Sample
from shared.contracts.topics import TOPICS
from shared.messaging.kafka import Kafka

K = TypeVar("K")
T = TypeVar("T")

PATIENCE_SECONDS = 5.0
"""How long an answer is waited for."""


class Reading(NamedTuple):
    """One group that reads one partition."""

    group: str
    place: Place


class Broker:
    """Asks a Kafka; reads no record, so the right to describe is all it needs. UserError where it does not say."""

    def __init__(self, kafka: Kafka) -> None:
        self._servers = kafka.servers
        self._complaints: list[KafkaError] = []
        self._client: dict[str, Any] = {**kafka.librdkafka, "log_level": 0, "error_cb": self._complaints.append}
        try:
            self._admin = AdminClient(self._client)
        except (KafkaException, ValueError):
            raise UserError(
                f"{self._servers} is no address of a Kafka, or the rest of what it was told is wrong"
            ) from None

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

    def look(self, groups: Sequence[str], expected: Iterable[Reading] = ()) -> dict[Reading, Sample]:
        """Take a sample of all that these groups read, and of what is expected to be read, if it is there."""
        with self._in_words():
            committed, consumed = self._committed(groups), self._consumed(groups)
            readings = sorted({*committed, *consumed, *expected})
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
            return self._with_ages(samples)

    def _with_ages(self, samples: dict[Reading, Sample]) -> dict[Reading, Sample]:
        oldest = {reading: (reading.place, sample.next) for reading, sample in samples.items() if sample.there}
        taken = self.taken_at(oldest.values())
        now = time.time()
        return samples | {
            reading: replace(samples[reading], waits=max(now - taken[record] / 1000, 0.0))
            for reading, record in oldest.items()
            if record in taken
        }

    def taken_at(self, records: Iterable[tuple[Place, int]]) -> dict[tuple[Place, int], int]:
        """Find when the broker took records at these offsets, in milliseconds since 1970; but for deleted ones."""
        return taken_at(records, self._first_since, int(time.time() * 1000))

    def _first_since(self, times: Mapping[Place, int]) -> dict[Place, ListOffsetsResultInfo]:
        return self._listed({place: OffsetSpec.for_timestamp(at) for place, at in times.items()})

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

    def _consumed(self, groups: Sequence[str]) -> set[Reading]:
        """Find which partitions the members of the groups have."""
        asked = self._admin.describe_consumer_groups(list(groups), **_PATIENTLY) if groups else {}
        described = {group: answer.result() for group, answer in asked.items()}
        return {
            Reading(group, Place(each.topic, each.partition))
            for group, description in described.items()
            for member in description.members
            for each in (member.assignment.topic_partitions if member.assignment else [])
        }

    def _offsets(self, places: Iterable[Place], which: OffsetSpec) -> dict[Place, int]:
        return {place: found.offset for place, found in self._listed(dict.fromkeys(places, which)).items()}

    def _listed(self, asked: Mapping[Place, OffsetSpec]) -> dict[Place, ListOffsetsResultInfo]:
        wanted = {TopicPartition(*place): which for place, which in asked.items()}
        answers = self._admin.list_offsets(wanted, **_PATIENTLY) if wanted else {}
        return {Place(each.topic, each.partition): found for each, found in _there(answers)}

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Say what went wrong as the person at the keyboard can understand and mend it."""
        try:
            yield
        except KafkaException as error:
            said = self._said(error.args[0])
            # What a client knows of a broker it goes on believing for minutes, also when that was started anew.
            self._admin = AdminClient(self._client)
            self._complaints.clear()
            raise UserError(said) from None

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
_AWAY = {"_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE"}
_NOT_BELIEVED = {"_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED"}
_NOT_THERE = {"UNKNOWN_TOPIC_OR_PART", "_NOENT", "_UNKNOWN_PARTITION", "_UNKNOWN_TOPIC"}


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


@cache
def _purged_by_its_reader(topic: str) -> bool:
    return any(each.personal and each.covers(topic) for each in TOPICS)
