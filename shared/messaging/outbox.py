"""Events leave through here: inserted into the caller's transaction, never committed by it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ARRAY, LargeBinary, String, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import failpoints
from shared.contracts.base import Event
from shared.contracts.topics import MAX_MESSAGE_BYTES
from shared.database import rows_of

# One statement for all: `WITH ORDINALITY` so that ids are drawn in the order in which the events were announced.
_ADD = text(
    "INSERT INTO outbox (topic, key, type, event_id, body)"
    " SELECT topic, key, type, event_id, body"
    " FROM unnest(:topic, :key, :type, :event_id, :body)"
    " WITH ORDINALITY AS new(topic, key, type, event_id, body, nth) ORDER BY nth"
).bindparams(
    *(bindparam(name, type_=ARRAY(String)) for name in ("topic", "key", "type")),
    bindparam("event_id", type_=ARRAY(Uuid)),
    bindparam("body", type_=ARRAY(LargeBinary)),
)


class EventTooLarge(ValueError):  # noqa: N818 - reads as what it is
    """The event would not fit the broker's limit: refused where it is announced, not where it would block others."""


async def add(connection: AsyncConnection, events: Sequence[Event]) -> None:
    """Have the events published after the caller's commit, in this order. Their accounts are locked exclusively."""
    values = []
    for event in events:
        body = event.model_dump_json().encode()
        if len(body) > MAX_MESSAGE_BYTES:
            raise EventTooLarge(event.type)
        values.append((event.topic.name_for(event.source), event.key, event.type, event.id, body))
    if values:
        await connection.execute(_ADD, rows_of(("topic", "key", "type", "event_id", "body"), values))
        failpoints.reach("outbox.written")
