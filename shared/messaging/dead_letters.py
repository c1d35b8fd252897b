"""Messages that could not be handled: parked by account and topic, listed, handled anew in order, or discarded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    DateTime,
    Integer,
    LargeBinary,
    String,
    Uuid,
    any_,
    bindparam,
    delete,
    exists,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import failpoints
from shared.contracts.topics import TOPICS
from shared.database import rows_of
from shared.marks import is_older, marks_of
from shared.tables import ClosedAccount, DeadLetter

ADDS_TO = {topic.name: topic.adds_to for topic in TOPICS if topic.adds_to}
"""Which topics add to a category that can be erased alone."""

_PARK = text(
    'INSERT INTO dead_letters (topic, partition, "offset", taken_at, account_id, reason, error, body)'
    ' SELECT topic, partition, "offset", taken_at, account_id, reason, error, body'
    " FROM unnest(:topic, :partition, :offset, :taken_at, :account_id, :reason, :error, :body, :outlives_account)"
    " WITH ORDINALITY"
    ' AS new(topic, partition, "offset", taken_at, account_id, reason, error, body, outlives_account, nth)'
    " WHERE outlives_account OR NOT EXISTS"
    " (SELECT FROM closed_accounts WHERE closed_accounts.account_id = new.account_id)"
    " ORDER BY nth"
).bindparams(
    *(bindparam(name, type_=ARRAY(String)) for name in ("topic", "reason", "error")),
    bindparam("partition", type_=ARRAY(Integer)),
    bindparam("offset", type_=ARRAY(BigInteger)),
    bindparam("taken_at", type_=ARRAY(DateTime(timezone=True))),
    bindparam("account_id", type_=ARRAY(Uuid)),
    bindparam("body", type_=ARRAY(LargeBinary)),
    bindparam("outlives_account", type_=ARRAY(Boolean)),
)
# What is parked for a closed account is only held: behind it would wait nothing but the end of a hold.
_BEHIND = (
    select(DeadLetter.account_id, DeadLetter.topic)
    .distinct()
    .where(
        ~exists().where(ClosedAccount.account_id == DeadLetter.account_id),
        DeadLetter.account_id == any_(bindparam("accounts", type_=ARRAY(Uuid))),
        DeadLetter.topic == any_(bindparam("topics", type_=ARRAY(String))),
    )
)
_SHOWN = (
    DeadLetter.id,
    DeadLetter.topic,
    DeadLetter.partition,
    DeadLetter.offset,
    DeadLetter.account_id,
    DeadLetter.reason,
    DeadLetter.error,
    DeadLetter.parked_at,
)


@dataclass(frozen=True)
class Parked:
    """A message as it is parked."""

    topic: str
    partition: int
    offset: int
    taken_at: datetime
    account_id: UUID | None
    reason: str
    error: str
    body: bytes
    outlives_account: bool
    """What it asks for is done for closed accounts too: the end of a hold, a receipt. It says nothing of a person."""


async def park(connection: AsyncConnection, letters: Sequence[Parked]) -> None:
    """Park messages, but drop what a closed account or an erased category bars anyway: nothing of that may stay.

    The caller holds the lock of every account they name.
    """
    letters = await _not_older(connection, letters)
    if letters:
        columns = [field.name for field in fields(Parked)]
        await connection.execute(_PARK, rows_of(columns, [astuple(letter) for letter in letters]))
        failpoints.reach("consumer.parked")


async def _not_older(connection: AsyncConnection, letters: Sequence[Parked]) -> list[Parked]:
    marks = await marks_of(
        connection, {each.account_id for each in letters if each.account_id and each.topic in ADDS_TO}
    )
    return [
        each
        for each in letters
        if not each.account_id
        or not is_older(each.taken_at, marks.get((each.account_id, ADDS_TO.get(each.topic, ""))))
    ]


async def drop_adding_to(connection: AsyncConnection, account_id: UUID, category: str) -> int:
    """Take off the shelf what would add to a category that is being erased; returns how many."""
    topics = [name for name, added in ADDS_TO.items() if added == category]
    mine = delete(DeadLetter).where(DeadLetter.account_id == account_id, DeadLetter.topic.in_(topics))
    return (await connection.execute(mine)).rowcount if topics else 0


async def standing_before(
    connection: AsyncConnection, accounts: Sequence[UUID], topics: Sequence[str]
) -> set[tuple[UUID, str]]:
    """Tell for which of the accounts something is parked in which of the topics."""
    result = await connection.execute(_BEHIND, {"accounts": list(accounts), "topics": list(topics)})
    return {(row.account_id, row.topic) for row in result}


@dataclass(frozen=True)
class DeadLetterView:
    """What operations see of a parked message: never its body, which may be a person's."""

    id: int
    topic: str
    partition: int
    offset: int
    account_id: UUID | None
    reason: str
    error: str
    parked_at: datetime


async def listing(connection: AsyncConnection, limit: int = 100) -> list[DeadLetterView]:
    """List what is parked, oldest first."""
    result = await connection.execute(select(*_SHOWN).order_by(DeadLetter.id).limit(limit))
    return [DeadLetterView(*row) for row in result]


async def find(connection: AsyncConnection, letter_id: int) -> DeadLetterView | None:
    """Show one, if it is still parked."""
    row = (await connection.execute(select(*_SHOWN).where(DeadLetter.id == letter_id))).first()
    return DeadLetterView(*row) if row else None


async def in_line(connection: AsyncConnection, letter: DeadLetterView) -> list[Any]:
    """Load what has to be handled together with this one, in order: all of that account in that topic."""
    together = (
        (DeadLetter.account_id == letter.account_id) & (DeadLetter.topic == letter.topic)
        if letter.account_id
        else DeadLetter.id == letter.id
    )
    result = await connection.execute(
        select(*_SHOWN, DeadLetter.taken_at, DeadLetter.body)
        .where(together)
        .order_by(DeadLetter.id)
        .with_for_update()
    )
    return list(result)


async def remove(connection: AsyncConnection, ids: Sequence[int]) -> int:
    """Take messages off the shelf: they were handled, or somebody has decided to discard them; returns how many."""
    return (await connection.execute(delete(DeadLetter).where(DeadLetter.id.in_(ids)))).rowcount
