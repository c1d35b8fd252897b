"""Marks of categories that were erased while the account stays: what is older than one is dropped."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.commands import Command
from shared.tables import CategoryMark

_LATEST = (
    select(CategoryMark.account_id, CategoryMark.category, func.max(CategoryMark.marked_at))
    .where(CategoryMark.account_id == any_(bindparam("accounts", type_=ARRAY(Uuid))))
    .group_by(CategoryMark.account_id, CategoryMark.category)
)
Marks = Mapping[tuple[UUID, str], datetime]
"""When a category of an account was last erased, by the broker's clock."""


async def marks_of(connection: AsyncConnection, accounts: Collection[UUID]) -> Marks:
    """Read the marks of accounts. Without their locks the answer would be worth nothing."""
    if not accounts:
        return {}
    rows = await connection.execute(_LATEST, {"accounts": sorted(accounts)})
    return {(account_id, category): marked_at for account_id, category, marked_at in rows}


async def older_than_marks(connection: AsyncConnection, commands: Sequence[Command]) -> list[bool]:
    """Tell which commands came by a message that is older than the erasure of what it would add to.

    Marks are asked for only where a topic says that it adds to something that can be erased alone.
    """
    adding = [_adds_to(command) for command in commands]
    asking = {c.account_id for c, category in zip(commands, adding, strict=True) if category}
    marks = await marks_of(connection, asking)
    return [
        category is not None and is_older(command.taken_at, marks.get((command.account_id, category)))
        for command, category in zip(commands, adding, strict=True)
    ]


def _adds_to(command: Command) -> str | None:
    return command.caused_by.topic.adds_to if command.caused_by and command.taken_at else None


def is_older(taken_at: datetime | None, marked_at: datetime | None) -> bool:
    """Tell whether the broker took a message before the order to erase; what came by no message is new."""
    return taken_at is not None and marked_at is not None and taken_at <= marked_at
