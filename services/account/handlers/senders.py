"""What account does to say whose address has written to the privacy mailbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast
from uuid import UUID

from services.account.commands import MatchSender
from services.account.domain.addresses import as_kept, sender_digest
from services.account.handlers.registry import handlers
from services.account.repository import senders
from services.account.settings import Settings
from shared.bus import Work
from shared.commands import Lock
from shared.contracts.account import SenderMatched
from shared.errors import NotNow


@handlers.of(MatchSender)
async def match_senders(work: Work, commands: Sequence[MatchSender]) -> None:
    """Answer each with the account that has the address now, or with none; addresses are not kept."""
    kept = [as_kept(command.address) or "" for command in commands]
    known = await _locked(work, commands, kept)
    key = cast("Settings", work.settings).sender_key
    for command, address in zip(commands, kept, strict=True):
        found = known.get(address)
        mine = replace(command, account_id=found.account_id) if found else command
        work.announce(
            SenderMatched(
                **work.stamp(mine),
                request_id=command.request_id,
                matched=found is not None,
                region=found.region if found else None,
                sender=sender_digest(key, command.address),
                on_behalf=command.on_behalf,
            )
        )


async def _locked(
    work: Work, commands: Sequence[MatchSender], addresses: Sequence[str]
) -> Mapping[str, senders.Holder]:
    """Find who has the addresses, lock all of them in one call, and look again: only that counts."""
    before = await senders.holders(work.connection, addresses)
    wanted: dict[UUID, Lock] = {holder.account_id: Lock.EXCLUSIVE for holder in before.values()}
    await work.lock_all(wanted | {command.account_id: Lock.EXCLUSIVE for command in commands})
    after = await senders.holders(work.connection, addresses)
    if after != before:
        raise NotNow("an address has changed hands")
    return after
