"""What account does when consent is withdrawn, and given again: it owns the ledger."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.account.commands import GiveConsent, WithdrawConsent
from services.account.domain.cancellations import Ok
from services.account.domain.consents import SCOPES, Turn, decide_give, decide_withdraw
from services.account.handlers.registry import handlers
from services.account.repository import consents
from shared.bus import Work
from shared.commands import Command
from shared.consents import note
from shared.contracts.account import POLICY, ConsentGiven, ConsentWithdrawn


@dataclass(frozen=True)
class Withdrawn:
    """Consent is withdrawn since then; the reference shows it again."""

    since: datetime
    reference: str


@handlers.of(WithdrawConsent)
async def withdraw_consent(work: Work, commands: Sequence[WithdrawConsent]) -> list[Withdrawn]:
    """Close the periods that stand; what is withdrawn already is only answered again."""
    return [await _withdraw(work, command) for command in commands]


async def _withdraw(work: Work, command: WithdrawConsent) -> Withdrawn:
    if command.wished_at:
        # It counts from the wish on; what was agreed to after that stays so.
        turn = Turn(command.scopes, min(command.wished_at, work.now))
    else:
        known = await consents.periods(work.connection, command.account_id)
        turn = decide_withdraw(known, command.scopes, work.now)
    reference = _reference(work, command.account_id, turn.since)
    if turn.scopes:
        await _enter(work, command, turn, given=False)
    if turn.scopes or command.request_id:
        told = _told(work, command, turn)
        work.announce(ConsentWithdrawn(**told, request_id=command.request_id, reference=reference))
    return Withdrawn(turn.since, reference)


@handlers.of(GiveConsent)
async def give_consent(work: Work, commands: Sequence[GiveConsent]) -> list[Ok]:
    """Open a new period where one was closed."""
    for command in commands:
        await give(work, command, command.scopes)
    return [Ok()] * len(commands)


async def give(work: Work, command: Command, scopes: tuple[str, ...]) -> None:
    """Open a new period in those of the scopes that are withdrawn."""
    turn = decide_give(await consents.periods(work.connection, command.account_id), scopes, work.now)
    if turn.scopes:
        await _enter(work, command, turn, given=True)
        work.announce(ConsentGiven(**_told(work, command, turn)))


async def _enter(work: Work, command: Command, turn: Turn, *, given: bool) -> None:
    await note(work.connection, [(command.account_id, scope, turn.since, given) for scope in turn.scopes])


def _told(work: Work, command: Command, turn: Turn) -> dict[str, Any]:
    scopes = tuple(SCOPES[scope] for scope in turn.scopes if scope != POLICY)
    stamp = {**work.stamp(command), "occurred_at": turn.since}
    return {**stamp, "scopes": scopes, "whole_policy": POLICY in turn.scopes}


def _reference(work: Work, account_id: UUID, since: datetime) -> str:
    """Make the word by which this withdrawal is seen again: the same one as long as it stands, and unguessable."""
    words = f"consent\x1f{account_id}\x1f{since.isoformat()}".encode()
    return hmac.new(work.settings.internal_token.encode(), words, hashlib.sha256).hexdigest()[:43]
