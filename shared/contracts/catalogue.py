"""Every fact that is published, by the topic it stands on."""

from __future__ import annotations

from shared.contracts import account, app, billing, device, receipts, requests
from shared.contracts.base import AccountEvent, Event, OwnerEvent
from shared.contracts.topics import Topic

MODULES = (account, device, receipts, requests, app, billing)


def _facts_in(module: object) -> list[type[Event]]:
    named = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Event)]
    return [fact for fact in named if fact not in (Event, AccountEvent, OwnerEvent)]


FACTS: tuple[type[Event], ...] = tuple(fact for module in MODULES for fact in _facts_in(module))


def facts_on(topic: Topic) -> tuple[type[Event], ...]:
    """List the facts that one topic carries."""
    return tuple(fact for fact in FACTS if fact.topic == topic)
