"""The query about who has an address that has written to us."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, String, any_, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.account.models import Account

_EMAILS: Any = bindparam("emails", type_=ARRAY(String))
_HOLDERS = select(Account.id, Account.email, Account.region).where(Account.email == any_(_EMAILS))


@dataclass(frozen=True)
class Holder:
    """The account that has an address now."""

    account_id: UUID
    region: str


async def holders(connection: AsyncConnection, addresses: Sequence[str]) -> Mapping[str, Holder]:
    """Find which accounts have the addresses."""
    rows = await connection.execute(_HOLDERS, {"emails": list(addresses)})
    return {row.email: Holder(row.id, row.region) for row in rows}
