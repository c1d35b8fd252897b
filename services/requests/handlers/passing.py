"""What requests does because time passes: reminds, lets lapse, warns staff, extends in time."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from services.requests.commands import Extend, PassTime
from services.requests.domain.cases import Request, Step, stepped, time_step
from services.requests.handlers.cases import extend
from services.requests.handlers.desk import Outcome, ask_who, ended, keep, one_by_one, taken, tell
from services.requests.handlers.registry import handlers
from services.requests.law import law_named
from shared.bus import Work
from shared.commands import Refusal
from shared.contracts.requests import RequestEscalated

log = logging.getLogger(__name__)

NOTED: Mapping[Step, Mapping[str, Any]] = {
    Step.REMIND: {"reminded": True},
    Step.WARN: {"alarm": 1},
    Step.ESCALATE: {"alarm": 2},
}
NOTICE_OF_END = {Step.EXPIRE: "not-identified", Step.LAPSE: "request-lapsed"}


@handlers.of(PassTime)
@one_by_one
async def pass_time(work: Work, command: PassTime) -> Outcome:
    """Do the one thing that time brings to a request now, if it still does."""
    request = await taken(work, command)
    if isinstance(request, Refusal):
        return request
    match time_step(request, law_named(request.law), work.now):
        case None:
            return await keep(work, request, command.actor)
        case (Step.EXPIRE | Step.LAPSE) as step:
            return await _end(work, command, request, step)
        case Step.EXTEND:
            (outcome,) = await extend(work, [_extension(command)])
            return outcome
        case step:
            return await _go_on(work, command, request, step)


def _extension(command: PassTime) -> Extend:
    return Extend(
        account_id=command.account_id,
        request_id=command.request_id,
        actor=command.actor,
        reason="not-decided-yet",
    )


async def _end(work: Work, command: PassTime, request: Request, step: Step) -> Outcome:
    outcome = await ended(work, command, request, step, command.actor)
    if isinstance(outcome, Request):
        await tell(work, command, outcome, NOTICE_OF_END[step])
    return outcome


async def _go_on(work: Work, command: PassTime, request: Request, step: Step) -> Outcome:
    after = stepped(request, step, work.now, **NOTED.get(step, {}))
    if isinstance(after, Refusal):
        return after
    kept = await keep(work, after, command.actor)
    if step is Step.REMIND:
        await ask_who(work, command, kept, "prove-it-is-you-reminder")
    if step in (Step.WARN, Step.ESCALATE):
        log.warning("request is due", extra={"request": str(kept.request_id), "due": kept.due_at.isoformat()})
    if step is Step.ESCALATE:
        work.announce(RequestEscalated(**work.stamp(command), request_id=kept.request_id, due_at=kept.due_at))
    return kept
