"""Faults of messages: twice, late, everything once more, spoilt, of a newer version."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from chaos.faults.base import Fault, World, seen
from chaos.publisher import Raw, all_of, new_id
from shared.contracts.topics import ALL_TOPICS, Topic

EVERY = 100
"""One in so many messages is poison."""
ROUNDS = 5


@dataclass
class Doubled(Fault):
    """Everything that app backends publish comes twice."""

    kind = "messages doubled"

    @property
    def words(self) -> str:
        return "everything that app backends state comes twice"

    async def arrange(self, world: World) -> None:
        world.publisher.doubles = True

    async def strike(self, world: World) -> None:
        if await seen(lambda: world.publisher.counted["doubled"] > 0):
            self.evidence = f"{world.publisher.counted['doubled']} facts and more were published twice"


@dataclass
class Newer(Fault):
    """Messages of a newer version: fields and types of events that nobody knows, in every topic."""

    kind = "newer contract"

    @property
    def words(self) -> str:
        return "fields and types of events that nobody knows, in every topic"

    async def arrange(self, world: World) -> None:
        world.publisher.newer = True

    async def strike(self, world: World) -> None:
        people = world.life.crowd.leaving
        unknown = [_unknown(world, topic, person.account_id) for topic in ALL_TOPICS for person in people[:ROUNDS]]
        await world.publisher.send(unknown)
        if await seen(lambda: world.publisher.counted["newer"] > 0):
            self.evidence = f"{world.publisher.counted['newer']} had a new field, {len(unknown)} were of a new type"


def _unknown(world: World, topic: Topic, account: object) -> Raw:
    body = _body(world, topic, "SomethingNewer") | {"account_id": str(account), "more": [1, 2]}
    return Raw(topic.name, str(account).encode(), json.dumps(body).encode())


def _body(world: World, topic: Topic, kind: str) -> dict[str, Any]:
    return {
        "type": kind,
        "id": str(new_id(world.rng)),
        "source": topic.owner,
        "occurred_at": datetime.now(UTC).isoformat(),
        "correlation_id": str(new_id(world.rng)),
    }


@dataclass
class EverythingOnceMore(Fault):
    """What stands in the internal topics is published once more, topic by topic in another order."""

    kind = "everything once more"

    @property
    def words(self) -> str:
        return "all that stands in the services' topics is published once more, the topics in another order"

    async def strike(self, world: World) -> None:
        topics = [topic for topic in ALL_TOPICS if not topic.personal]
        world.rng.shuffle(topics)
        repeated = 0
        for topic in topics:
            found = await all_of(world.system.addresses.kafka, topic)
            # Poison once more would be another dead letter.
            messages = [message for message in found if message.value not in world.poison]
            await world.publisher.send(messages)
            repeated += len(messages)
        self.evidence = f"{repeated} messages were published once more" if repeated else ""


@dataclass
class Late(Fault):
    """What devices and people have said comes only after the account is closed."""

    kind = "messages late"

    @property
    def words(self) -> str:
        return "readings and feedback of those who leave are held back until they are gone"

    async def strike(self, world: World) -> None:
        leaving = world.life.crowd.leaving
        await seen(lambda: any(person.confirmed for person in leaving))
        gone = [person for person in leaving if person.confirmed]
        await world.life.report(gone)
        self.evidence = f"those of {len(gone)} people came after they had left" if gone else ""


@dataclass
class Poison(Fault):
    """One message in a hundred cannot be read, in every topic."""

    kind = "poison"
    planted: int = 0

    @property
    def words(self) -> str:
        return f"one message in {EVERY}, and at least {ROUNDS} in every topic, cannot be read"

    async def arrange(self, world: World) -> None:
        await self._plant(world, 1)

    async def strike(self, world: World) -> None:
        await self._plant(world, ROUNDS - 1)

    async def _plant(self, world: World, rounds: int) -> None:
        messages = []
        for topic in ALL_TOPICS:
            due = max(rounds, world.publisher.counted[topic.name] // EVERY - self.planted)
            for _ in range(due):
                message = _spoilt(world, topic)
                messages.append(message)
                world.poison[message.value or b""] = topic.name
        await world.publisher.send(messages)
        self.planted += len(messages)
        self.evidence = f"{self.planted} were planted"


def _spoilt(world: World, topic: Topic) -> Raw:
    """Spoil a message in one of many ways; about nobody, so that it stays parked."""
    nobody = new_id(world.rng)
    token = new_id(world.rng).hex
    body = _body(world, topic, "ReadingReported") | {"account_id": str(nobody), "token": token}
    ways = [
        f"{token} is no JSON".encode(),
        b"\xff\xfe" + token.encode(),
        json.dumps(body | {"source": "somebody-else"}).encode(),
        json.dumps({name: value for name, value in body.items() if name != "id"}).encode(),
        json.dumps(body)[:-1].encode(),
        json.dumps(body | {"occurred_at": "yesterday"}).encode(),
        json.dumps([body]).encode(),
    ]
    keys = [None, b"\xff", str(nobody).encode(), b""]
    return Raw(topic.name, world.rng.choice(keys), world.rng.choice(ways))
