"""What requests does with a withdrawal: has it written into the ledger, keeps it on record, and keeps to it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import UUID

from services.requests.commands import TakeConsent
from services.requests.domain.cases import Request, State, decide_accept, received
from services.requests.handlers.desk import fulfil, keep
from services.requests.handlers.registry import handlers
from services.requests.law import POLICY as LAW
from services.requests.models import OWNER
from services.requests.repository import cases, feedback
from shared.bus import Work
from shared.commands import Command, Needs, Refusal
from shared.consenting import keep_to_consents
from shared.consents import needed, withdrawn
from shared.contracts.account import POLICY
from shared.contracts.requests import Channel, Kind, RequestAccepted, RequestReceived, WithdrawalOrdered

log = logging.getLogger(__name__)
COLLECTING = needed(Needs.COLLECTION, OWNER.name)


async def carry_out(work: Work, command: Command, request: Request) -> None:
    """Have account write it into the ledger, as of when it was wished."""
    scopes = tuple(request.scope.get("scopes", ()))
    whole_policy = request.scope.get("whole_policy", False)
    stamp = {**work.stamp(command), "occurred_at": request.received_at}
    work.announce(WithdrawalOrdered(**stamp, request_id=request.request_id, scopes=scopes, whole_policy=whole_policy))


@handlers.of(TakeConsent)
async def take_consents(work: Work, commands: Sequence[TakeConsent]) -> None:
    """Keep to what was withdrawn, erase feedback from beyond it, and end or write down the request that it was."""
    await keep_to_consents(work, commands)
    for account_id in dict.fromkeys(command.account_id for command in commands):
        await _erase_beyond(work, account_id)
    for command in commands:
        if not command.given:
            await _put_on_record(work, command)


async def _erase_beyond(work: Work, account_id: UUID) -> None:
    known = (await withdrawn(work.connection, [account_id])).get(account_id, ())
    periods = [each for each in known if each.scope in COLLECTING]
    if not periods:
        return
    written = await feedback.written(work.connection, account_id)
    beyond = [which for which, at in written if any(period.covers(at) for period in periods)]
    for feedback_id in beyond:
        await feedback.delete_feedback(work.connection, account_id, feedback_id)
    if beyond:
        log.info("feedback erased: beyond a withdrawal", extra={"count": len(beyond)})


async def _put_on_record(work: Work, command: TakeConsent) -> None:
    request = await cases.take(work.connection, command.request_id or command.event_id)
    if not request and not command.request_id:
        request = await _done_in_the_app(work, command)
    if request and command.reference:
        await cases.add_reference(work.connection, command.reference, request.request_id)
        await fulfil(work, command, request.request_id, actor="account")


async def _done_in_the_app(work: Work, command: TakeConsent) -> Request | None:
    asked = Request(
        request_id=command.event_id,
        account_id=command.account_id,
        kind=Kind.WITHDRAWAL,
        channel=Channel.APP,
        state=State.OPEN,
        law=LAW.name,
        scope=_scope(command),
        received_at=command.since,
        due_at=command.since,
    )
    begun = await keep(work, received(asked, LAW, known=True), "person")
    accepted = decide_accept(begun, work.now, in_part=False, shown=None, as_is=None)
    if isinstance(accepted, Refusal):
        return None
    told = {"request_id": begun.request_id, "kind": Kind.WITHDRAWAL}
    work.announce(RequestReceived(**work.stamp(command), **told, channel=begun.channel, due_at=begun.due_at))
    work.announce(RequestAccepted(**work.stamp(command), **told))
    return await keep(work, accepted, "requests")


def _scope(command: TakeConsent) -> dict[str, object]:
    pairs = [name.split(":") for name in command.scopes if name != POLICY]
    named = [{"purpose": purpose, "service": service} for purpose, service in pairs]
    return {"scopes": named, "whole_policy": POLICY in command.scopes}
