"""What requests does with a wish from receipt to decision; what an accepted one does stands with its kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from services.requests.commands import (
    Accept,
    AcceptFee,
    AcceptInPart,
    AnswerQuestion,
    AskPerson,
    Classify,
    Extend,
    OnRequest,
    Pause,
    QuoteFee,
    Refuse,
    Resume,
    Submit,
    TakePayment,
)
from services.requests.domain.cases import (
    NOT_SPOKEN,
    OTHER_KIND,
    Request,
    State,
    Step,
    accepted_at_once,
    decide_accept,
    decide_ask,
    decide_classify,
    decide_extend,
    decide_pause,
    decide_quote,
    decide_refuse,
    received,
    same_wish,
    stepped,
)
from services.requests.handlers import access, corrections, deletions, withdrawals
from services.requests.handlers.desk import Outcome, ask_who, ended, keep, moved, one_by_one, say, taken, tell
from services.requests.handlers.registry import handlers
from services.requests.law import law_named, law_of
from services.requests.repository import cases
from shared.bus import Work
from shared.commands import Command, Refusal
from shared.contracts.requests import (
    Channel,
    Kind,
    RequestAccepted,
    RequestExtended,
    RequestFeeAccepted,
    RequestReceived,
    RequestRefused,
)

CARRY_OUT: Mapping[Kind, Callable[[Work, Command, Request], Awaitable[None]]] = {
    Kind.ACCESS: access.carry_out,
    Kind.CORRECTION: corrections.carry_out,
    Kind.DELETION: deletions.carry_out,
    Kind.WITHDRAWAL: withdrawals.carry_out,
}


# Coming in


@handlers.of(Submit)
@one_by_one
async def submit(work: Work, command: Submit) -> Outcome:
    """Take a wish in, once; a known person's is opened at once. The same open wish again is the one that is there."""
    law = law_of(command.region)
    if command.channel is Channel.SPOKEN and not law.spoken_allowed:
        return NOT_SPOKEN
    if there := await _there(work, command):
        return there
    request = received(_asked_for(work, command, law.name), law, known=command.known)
    if command.known:
        same = same_wish(request, await cases.open_of(work.connection, command.account_id))
        if same:
            await cases.add_reference(work.connection, command.reference, same.request_id)
            return same
    request = await keep(work, request, command.actor)
    await _keep_words(work, command)
    told = {"request_id": request.request_id, "kind": request.kind, "channel": request.channel}
    work.announce(RequestReceived(**work.stamp(command), **told, due_at=request.due_at))
    await tell(work, command, request, "request-received", due_at=request.due_at)
    if not request.known:
        await ask_who(work, command, request)
    return await opened(work, command, request)


async def _there(work: Work, command: Submit) -> Request | None:
    """Find what the same wish has made before: the request, or the one that it was a repeat of."""
    same = await cases.take(work.connection, command.request_id)
    return same or await cases.find(work.connection, command.reference)


def _asked_for(work: Work, command: Submit, law: str) -> Request:
    return Request(
        request_id=command.request_id,
        account_id=command.account_id,
        kind=command.kind,
        channel=command.channel,
        state=State.UNVERIFIED,
        law=law,
        scope=command.scope,
        received_at=work.now,
        due_at=work.now,
    )


async def _keep_words(work: Work, command: Submit) -> None:
    await cases.add_reference(work.connection, command.reference, command.request_id)
    if command.text is not None or command.values is not None:
        words = {"text": command.text, "values": command.values, "message_id": command.message_id}
        whose = {"id": command.request_id, "request_id": command.request_id, "account_id": command.account_id}
        await cases.add_words(work.connection, whose | words, work.now)


async def opened(work: Work, command: OnRequest, request: Request) -> Request:
    """Go on with what is known: join it with the same open wish, or accept at once what nobody has to judge."""
    if request.state is not State.OPEN:
        return request
    same = same_wish(request, await cases.open_of(work.connection, request.account_id))
    if same:
        joined = await ended(work, command, request, Step.JOIN, "requests")
        await cases.lead_to(work.connection, request.request_id, same.request_id)
        return request if isinstance(joined, Refusal) else joined
    if request.kind is Kind.DELETION:
        await deletions.prepare(work, command, request)
    last = await cases.last_access(work.connection, request.account_id)
    if not accepted_at_once(request, law_named(request.law), work.now, last):
        return request
    accepted = decide_accept(request, work.now, in_part=False, shown=None, as_is=None)
    return request if isinstance(accepted, Refusal) else await _carry_out(work, command, accepted, "requests")


@handlers.of(Classify)
@one_by_one
async def classify(work: Work, command: Classify) -> Outcome:
    """Say what is wished, having read it."""
    request = await moved(work, command, lambda it, _: decide_classify(it, command.kind, command.scope, work.now))
    if isinstance(request, Refusal):
        return request
    if command.values is not None:
        whose = {"id": command.request_id, "request_id": request.request_id, "account_id": request.account_id}
        await cases.read_as(work.connection, whose | {"values": command.values}, work.now)
    return await opened(work, command, request)


# Decisions


@handlers.of(Accept)
@one_by_one
async def accept(work: Work, command: Accept) -> Outcome:
    """Accept all of it, and have it carried out."""
    return await _accept(work, command, in_part=False)


@handlers.of(AcceptInPart)
@one_by_one
async def accept_in_part(work: Work, command: AcceptInPart) -> Outcome:
    """Accept a part of it, and tell why not the rest."""
    request = await taken(work, command)
    if isinstance(request, Refusal):
        return request
    refused = decide_refuse(request, command.ground, law_named(request.law), work.now)
    if isinstance(refused, Refusal):
        return refused
    outcome = await _accept(work, command, in_part=True)
    if isinstance(outcome, Request):
        await say(work, command, outcome, "request-accepted-in-part", **_reasons(command))
    return outcome


async def _accept(work: Work, command: Accept, *, in_part: bool) -> Outcome:
    request = await taken(work, command)
    if isinstance(request, Refusal):
        return request
    if isinstance(command, AcceptInPart):
        if command.kind is not request.kind:
            return OTHER_KIND
        request = replace(request, scope=command.scope, ground=command.ground)
    as_is = await deletions.preview_digest(work, request) if request.kind is Kind.DELETION else None
    if isinstance(as_is, Refusal):
        return as_is
    accepted = decide_accept(request, work.now, in_part=in_part, shown=command.shown, as_is=as_is)
    return accepted if isinstance(accepted, Refusal) else await _carry_out(work, command, accepted, command.actor)


async def _carry_out(work: Work, command: Command, accepted: Request, actor: str) -> Request:
    request = await keep(work, accepted, actor)
    if request.kind:
        told = {"request_id": request.request_id, "kind": request.kind, "in_part": request.in_part}
        work.announce(RequestAccepted(**work.stamp(command), **told))
        await CARRY_OUT[request.kind](work, command, request)
    return request


@handlers.of(Refuse)
@one_by_one
async def refuse(work: Work, command: Refuse) -> Outcome:
    """Refuse, on a ground that the law allows, with facts, items and remedy."""
    request = await moved(work, command, lambda it, law: decide_refuse(it, command.ground, law, work.now))
    if isinstance(request, Request):
        told = {"request_id": request.request_id, "ground": command.ground}
        work.announce(RequestRefused(**work.stamp(command), **told))
        await say(work, command, request, "request-refused", **_reasons(command))
    return request


def _reasons(command: Refuse | AcceptInPart) -> dict[str, object]:
    reasons = {"facts": command.facts, "items": command.items, "remedy": command.remedy}
    return {"ground": command.ground, **reasons}


@handlers.of(Extend)
@one_by_one
async def extend(work: Work, command: Extend) -> Outcome:
    """Take longer, and tell the person why before the first date passes."""
    request = await moved(work, command, lambda it, law: decide_extend(it, law, work.now))
    if isinstance(request, Request):
        work.announce(RequestExtended(**work.stamp(command), request_id=request.request_id, due_at=request.due_at))
        await say(work, command, request, "request-extended", reason=command.reason, due_at=request.due_at)
    return request


# Questions, pauses, fees


@handlers.of(AskPerson)
@one_by_one
async def ask_person(work: Work, command: AskPerson) -> Outcome:
    """Ask, and wait."""
    request = await moved(work, command, lambda it, _: decide_ask(it, work.now))
    if isinstance(request, Request):
        await say(work, command, request, "request-question", question=command.question, answer_by=request.ends_at)
    return request


@handlers.of(AnswerQuestion)
@one_by_one
async def answer_question(work: Work, command: AnswerQuestion) -> Outcome:
    """Take the answer, and go on."""
    request = await moved(work, command, lambda it, _: stepped(it, Step.ANSWER, work.now))
    if isinstance(request, Request):
        whose = {"id": command.answer_id, "request_id": request.request_id, "account_id": request.account_id}
        words = {"text": command.text, "message_id": command.message_id}
        await cases.add_words(work.connection, whose | words, work.now)
    return request


@handlers.of(Pause)
@one_by_one
async def pause(work: Work, command: Pause) -> Outcome:
    """Let it rest."""
    return await moved(work, command, lambda it, _: decide_pause(it, command.until, work.now))


@handlers.of(Resume)
@one_by_one
async def resume(work: Work, command: Resume) -> Outcome:
    """Go on with what was paused, or what the person has not answered."""
    return await moved(work, command, lambda it, _: stepped(it, Step.RESUME, work.now))


@handlers.of(QuoteFee)
@one_by_one
async def quote_fee(work: Work, command: QuoteFee) -> Outcome:
    """Ask for the declared costs."""
    last = await cases.last_access(work.connection, command.account_id)
    request = await moved(work, command, lambda it, law: decide_quote(it, law, work.now, last))
    if isinstance(request, Request):
        costs = [{"what": cost.what, "amount": str(cost.amount)} for cost in command.costs]
        total = str(sum(cost.amount for cost in command.costs))
        said = {"costs": costs, "total": total, "currency": command.currency, "accept_by": request.ends_at}
        await say(work, command, request, "request-fee", **said)
    return request


@handlers.of(AcceptFee)
@one_by_one
async def accept_fee(work: Work, command: AcceptFee) -> Outcome:
    """Note that the person agrees, and tell billing what is owed."""
    request = await moved(work, command, lambda it, _: stepped(it, Step.AGREE, work.now, ends_at=it.ends_at))
    if isinstance(request, Request):
        said = (await cases.decisions(work.connection, request.request_id))[-1]["said"]
        owed = {"amount": said["total"], "currency": said["currency"]}
        work.announce(RequestFeeAccepted(**work.stamp(command), request_id=request.request_id, **owed))
    return request


@handlers.of(TakePayment)
@one_by_one
async def take_payment(work: Work, command: TakePayment) -> Outcome:
    """Go on with what is paid."""
    return await moved(work, command, lambda it, _: stepped(it, Step.PAY, work.now, fee_paid=True))
