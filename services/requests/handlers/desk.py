"""What every step of a request does, in one transaction: the record, its audit line, what is announced and told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

from services.requests.codes import code_of
from services.requests.commands import OnRequest
from services.requests.domain.audit import line_after
from services.requests.domain.cases import NO_SUCH_REQUEST, Request, Step, ends_with_account, look_at, stepped
from services.requests.law import Law, law_named
from services.requests.repository import cases, mails
from shared.bus import Work
from shared.commands import Command, Refusal
from shared.contracts.requests import PersonTold, RequestEnded, RequestFulfilled
from shared.throttle import Limit, spend

CODES = Limit("codes-by-account", 5, timedelta(hours=24))
C = TypeVar("C", bound=Command)
Outcome = Request | Refusal | None


def one_by_one(
    handle: Callable[[Work, C], Awaitable[Outcome]],
) -> Callable[[Work, Sequence[C]], Awaitable[list[Outcome]]]:
    """Make the handler of a list of what handles one: requests are few."""

    async def handle_each(work: Work, commands: Sequence[C]) -> list[Outcome]:
        return [await handle(work, command) for command in commands]

    return handle_each


async def taken(work: Work, command: OnRequest) -> Request | Refusal:
    """Load the request that a command names, to change it: nobody else's, and not one that is another's by now."""
    request = await cases.take(work.connection, command.request_id)
    return request if request and request.account_id == command.account_id else NO_SUCH_REQUEST


async def moved(
    work: Work, command: OnRequest, decide: Callable[[Request, Law], Request | Refusal]
) -> Request | Refusal:
    """Load, decide, and keep what was decided."""
    request = await taken(work, command)
    if isinstance(request, Refusal):
        return request
    after = decide(request, law_named(request.law))
    return after if isinstance(after, Refusal) else await keep(work, after, command.actor)


async def keep(work: Work, request: Request, actor: str) -> Request:
    """Save a request with a line of its audit chain for each step that it has taken."""
    lines = []
    count, digest = request.audit_count, request.audit_digest
    for step in request.steps:
        lines.append(line_after(request.request_id, count, digest, work.now, actor, step))
        count, digest = count + 1, lines[-1].digest
    kept = replace(request, steps=(), audit_count=count, audit_digest=digest)
    await cases.save(work.connection, kept, look_at(kept, law_named(kept.law)), lines)
    if kept.ended:
        await cases.end_words(work.connection, kept.request_id, work.now)
    return kept


async def tell(work: Work, command: Command, request: Request, notice: str, **parameters: Any) -> None:  # noqa: ANN401 - what a template takes
    """Tell the person, at the contact of the account. Whose request nobody knows yet is told by mail alone."""
    if request.account_id == request.request_id:
        return
    reference = await cases.reference_of(work.connection, request.request_id)
    said = {"reference": reference, "kind": request.kind, **parameters}
    stamp = work.stamp(command)
    work.announce(PersonTold(**stamp, request_id=request.request_id, notice=notice, parameters=said))


async def ask_who(work: Work, command: Command, request: Request, notice: str = "prove-it-is-you") -> None:
    """Send the code to the account's contact, wherever the wish came from, but not more often than a person writes.

    Counted apart where the relay vouches for the sender: nobody can use up what a real one needs.
    """
    mail = await mails.begun_by(work.connection, request.request_id)
    vouched = mail is not None and mail.authenticated
    if await spend(work.connection, work.now, CODES.at(work.settings, f"{vouched}/{request.account_id}")):
        return
    code = code_of(work.settings.internal_token, request.request_id, request.account_id)
    await tell(work, command, request, notice, code=code, expires_at=request.ends_at)


async def say(work: Work, command: Command, request: Request, notice: str, **said: Any) -> None:  # noqa: ANN401 - what a template takes
    """Tell the person what somebody has put in words, and keep the words as long as they may have to be explained."""
    kept = {"request_id": request.request_id, "account_id": request.account_id, "notice": notice, "said": said}
    await cases.add_decision(work.connection, {"id": uuid4(), **kept}, work.now, ended=request.ended)
    await tell(work, command, request, notice, **said)


async def ended(work: Work, command: Command, request: Request, step: Step, actor: str) -> Request | Refusal:
    """End a request otherwise than by a decision, and announce how."""
    after = stepped(request, step, work.now)
    if isinstance(after, Refusal):
        return after
    kept = await keep(work, after, actor)
    work.announce(RequestEnded(**work.stamp(command), request_id=kept.request_id, how=kept.state))
    return kept


async def end_with_account(work: Work, command: Command) -> Request | None:
    """End what is open of an account that is cancelled: what was written goes with it, the record stays.

    Gives the accepted deletion that the cancellation carries out, by whichever door that came.
    """
    carried_out = None
    for request in await cases.open_of(work.connection, command.account_id):
        if ends_with_account(request):
            await ended(work, command, request, Step.CANCEL_ACCOUNT, "account-cancelled")
        else:
            carried_out = request
    return carried_out


async def fulfil(
    work: Work,
    command: Command,
    request_id: UUID,
    *,
    actor: str = "requests",
    notice: str | None = "request-done",
    **parameters: Any,  # noqa: ANN401 - what a template takes
) -> None:
    """End a request that is carried out, announce that, and tell the person. What has ended stays as it is."""
    request = await cases.take(work.connection, request_id)
    if not request or not request.kind:
        return
    done = stepped(request, Step.FULFIL, work.now)
    if isinstance(done, Refusal):
        return
    kept = await keep(work, done, actor)
    work.announce(RequestFulfilled(**work.stamp(command), request_id=request_id, kind=request.kind))
    if notice:
        await tell(work, command, kept, notice, **parameters)
