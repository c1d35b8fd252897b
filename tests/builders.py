"""People and facts for tests, with human names and ids that a name always gives again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

from aiokafka import ConsumerRecord

from shared.contracts.base import AccountEvent, Event
from shared.contracts.topics import Topic
from shared.messaging.positions import Record

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
A_MINUTE = timedelta(minutes=1)
SOON = NOON + 10 * A_MINUTE
NEXT_MONTH = NOON + timedelta(days=30)

F = TypeVar("F", bound=AccountEvent)
_numbers = count(1)


def named(*words: object) -> UUID:
    """Make the id that these words always give. Its version is 5; what the product draws has version 4."""
    return uuid5(NAMESPACE_URL, "/".join(map(str, words)))


@dataclass(frozen=True)
class Person:
    """Somebody with an account."""

    name: str

    @property
    def account_id(self) -> UUID:
        return named("account", self.name)

    @property
    def email(self) -> str:
        return f"{self.name}@mail.example"

    @property
    def order_id(self) -> UUID:
        """The order that erases this person."""
        return named("order", self.name)


ANNA, BEN, CARLA = Person("anna"), Person("ben"), Person("carla")


def fact(kind: type[F], person: Person, **fields: Any) -> F:  # noqa: ANN401 - the fields of any fact
    """State a fact about a person, by the topic's owner unless `source` says otherwise."""
    number = next(_numbers)
    usual: dict[str, Any] = {
        "id": named("event", number),
        "source": kind.topic.owner,
        "occurred_at": NOON,
        "correlation_id": named("wish", number),
        "account_id": person.account_id,
    }
    return kind(**usual | fields)


@cache
def _place_of(_: UUID) -> int:
    return next(_numbers)


def record_of(event: Event, offset: int | None = None, partition: int = 0) -> Record:
    """Put a fact as the broker would hand it over: at the same place again, unless another one is named."""
    return raw_record(
        event.topic,
        event.model_dump_json().encode(),
        event.key.encode(),
        _place_of(event.id) if offset is None else offset,
        partition=partition,
        source=event.source,
    )


def raw_record(
    topic: Topic,
    value: bytes | None,
    key: bytes = b"",
    offset: int | None = None,
    *,
    partition: int = 0,
    source: str = "device",
) -> Record:
    """Put any bytes as the broker would hand them over."""
    at = next(_numbers) if offset is None else offset
    size = len(value or b"")
    taken_at = int(NOON.timestamp() * 1000)
    return ConsumerRecord(topic.name_for(source), partition, at, taken_at, 1, key, value, None, len(key), size, ())
