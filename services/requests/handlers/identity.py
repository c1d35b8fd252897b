"""What requests does to know who asks: a code to the contact of the account, or an authority that staff judges."""

from __future__ import annotations

from services.requests.codes import is_code
from services.requests.commands import JudgeEvidence, RecordEvidence, ShowCode
from services.requests.domain.cases import NO_SUCH_EVIDENCE, Request, decide_code, decide_verify
from services.requests.handlers.cases import opened
from services.requests.handlers.desk import Outcome, keep, one_by_one, taken
from services.requests.handlers.registry import handlers
from services.requests.repository import cases
from shared.bus import Work
from shared.commands import Refusal
from shared.contracts.requests import IdentityVerified


@handlers.of(ShowCode)
@one_by_one
async def show_code(work: Work, command: ShowCode) -> Outcome:
    """Count the try and look at the code, under the request's lock: parallel ones cannot exceed three."""
    request = await taken(work, command)
    if isinstance(request, Refusal):
        return request
    right = is_code(work.settings.internal_token, request.request_id, request.account_id, command.code)
    after, refusal = decide_code(request, work.now, right=right)
    kept = await keep(work, after, command.actor)
    return refusal or await _known(work, command, kept)


@handlers.of(RecordEvidence)
@one_by_one
async def record_evidence(work: Work, command: RecordEvidence) -> Outcome:
    """Note what shows an authority; it counts for nothing until it is judged."""
    request = await taken(work, command)
    if isinstance(request, Request):
        whose = {"id": command.evidence_id, "request_id": request.request_id, "account_id": request.account_id}
        said = {"authority": command.authority, "note": command.note}
        await cases.add_evidence(work.connection, whose | said, work.now)
    return request


@handlers.of(JudgeEvidence)
@one_by_one
async def judge_evidence(work: Work, command: JudgeEvidence) -> Outcome:
    """Accept an authority or not; without one the person still confirms by the code."""
    request = await taken(work, command)
    if isinstance(request, Refusal):
        return request
    judged = {"accepted": command.accepted}
    if not await cases.judge_evidence(work.connection, request.request_id, command.evidence_id, **judged):
        return NO_SUCH_EVIDENCE
    if not command.accepted:
        return request
    verified = decide_verify(request, work.now)
    if isinstance(verified, Refusal):
        return verified
    return await _known(work, command, await keep(work, verified, command.actor))


async def _known(work: Work, command: ShowCode | JudgeEvidence, request: Request) -> Request:
    work.announce(IdentityVerified(**work.stamp(command), request_id=request.request_id))
    return await opened(work, command, request)
