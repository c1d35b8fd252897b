"""What requests does with a mail: answers whoever has written, asks whose address it is, goes on with what is said.

The answer goes before anybody has asked whether there is an account, so it cannot say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from services.requests.commands import AskContact, KnowSender, ShowCode, Submit, TakeMail
from services.requests.domain.cases import NOT_NOW, Request, State, Step, received, stepped
from services.requests.domain.mails import code_in, said
from services.requests.handlers.cases import submit
from services.requests.handlers.desk import Outcome, ask_who, ended, keep, one_by_one, taken
from services.requests.handlers.identity import show_code
from services.requests.handlers.registry import handlers
from services.requests.law import law_of
from services.requests.repository import cases, mails
from shared.bus import Work
from shared.commands import Lock, Refusal
from shared.contracts.requests import Channel, PersonTold, SenderAsked
from shared.security import CODE_DIGITS
from shared.throttle import Limit, spend

ANSWERS = Limit("answers-by-sender", 5, timedelta(hours=24))


@handlers.of(TakeMail)
@one_by_one
async def take_mail(work: Work, command: TakeMail) -> Outcome:
    """Take a mail in, once: it is a request until account says that its sender goes on with another one."""
    if there := await cases.see(work.connection, command.request_id):
        return there
    (request,) = await submit(work, [_submitted(command)])
    if not isinstance(request, Request):
        return request
    named = await mails.led_to(work.connection, command.references)
    await mails.add(work.connection, command, [*named, *command.answers], work.now)
    asked = {"request_id": command.request_id, "address": command.sender}
    work.announce(SenderAsked(**work.stamp(command), **asked))
    await _answer(work, command, request)
    return request


def _submitted(command: TakeMail) -> Submit:
    return Submit(
        account_id=command.account_id,
        caused_by=command.caused_by,
        request_id=command.request_id,
        actor=command.actor,
        reference=command.reference,
        kind=command.kind,
        channel=Channel.MAIL,
        known=False,
        scope={},
        text=command.text,
        message_id=command.message_id,
    )


async def _answer(work: Work, command: TakeMail, request: Request) -> None:
    """Answer whoever has written, but not more often than a person writes: senders are easily forged."""
    mailbox = re.sub(r"\+[^@]*", "", command.sender.lower())
    counter = ANSWERS.at(work.settings, f"{command.authenticated}/{mailbox}")
    if await spend(work.connection, work.now, counter):
        return
    said_of_it = {"reference": command.reference, "prove_by": request.ends_at, "due_at": request.due_at}
    work.announce(
        PersonTold(
            **work.stamp(command),
            request_id=command.request_id,
            notice="mail-received",
            parameters=said_of_it,
            address=command.sender,
            language=command.language,
            in_reply_to=command.message_id,
        )
    )


@handlers.of(KnowSender)
@one_by_one
async def know_sender(work: Work, command: KnowSender) -> Outcome:
    """Go on with another request of the same sender, or ask the person who has the address to confirm."""
    if command.on_behalf:
        return await _ask_contact(work, command)
    answers = await mails.note_sender(work.connection, command.request_id, command.sender)
    if answers is None:
        return None
    thread = await _thread(work, command, answers)
    request = await cases.take(work.connection, command.request_id)
    if not request or request.state is not State.UNVERIFIED:
        return NOT_NOW
    if thread:
        return await _go_on(work, command, request, thread)
    return await _ask_contact(work, command)


async def _ask_contact(work: Work, command: KnowSender) -> Outcome:
    """Send the code to the contact of the account. Nothing tells whoever has written whether there is one."""
    request = await cases.take(work.connection, command.request_id)
    if not request or request.state is not State.UNVERIFIED or not command.matched:
        return NOT_NOW
    await cases.assign(work.connection, command.request_id, command.account_id)
    law = law_of(command.region)
    whose = replace(request, account_id=command.account_id, law=law.name)
    begun = received(whose, law, known=False)
    kept = await keep(work, replace(whose, due_at=begun.due_at, ends_at=begun.ends_at), command.actor)
    await ask_who(work, command, kept)
    return kept


# Going on with another request


async def _thread(work: Work, command: KnowSender, answers: Sequence[UUID]) -> Request | None:
    """Find the request that a mail goes on with: only one of the same account, or by the same sender of none."""
    for answer in answers:
        begun = await mails.begun_by(work.connection, answer)
        other = await cases.see(work.connection, begun.request_id if begun else answer)
        if not other or other.ended or other.request_id == command.request_id:
            continue
        nobodys = other.account_id == other.request_id
        if nobodys and not command.matched and begun and begun.sender == command.sender:
            # Nobody waits for this lock holding what is locked here: a mail answers only what came before it.
            await work.lock_all({other.request_id: Lock.EXCLUSIVE})
            return await _still(work, other)
        if command.matched and other.account_id == command.account_id:
            return await _still(work, other)
    return None


async def _still(work: Work, seen: Request) -> Request | None:
    """Load it to change it, unless it is another one's meanwhile, or has ended."""
    other = await cases.take(work.connection, seen.request_id)
    return other if other and other.account_id == seen.account_id and not other.ended else None


async def _go_on(work: Work, command: KnowSender, mail: Request, thread: Request) -> Outcome:
    """Add what was written to the other request. It counts as an answer, or a try of the code, and proves nothing."""
    await mails.move(work.connection, mail.request_id, thread.request_id, thread.account_id)
    joined = await ended(work, command, mail, Step.THREAD, command.actor)
    await cases.lead_to(work.connection, mail.request_id, thread.request_id)
    match thread.state:
        case State.UNVERIFIED if thread.account_id != thread.request_id:
            await _try_code(work, command, thread, await mails.words_of(work.connection, mail.request_id))
        case State.ASKED:
            answered = stepped(thread, Step.ANSWER, work.now)
            if isinstance(answered, Request):
                await keep(work, answered, command.actor)
    return joined


async def _try_code(work: Work, command: KnowSender, thread: Request, written: str) -> None:
    if code := code_in(said(written), CODE_DIGITS):
        tried = ShowCode(
            account_id=thread.account_id,
            caused_by=command.caused_by,
            request_id=thread.request_id,
            actor=command.actor,
            code=code,
        )
        await show_code(work, [tried])


# Somebody who writes for another


@handlers.of(AskContact)
@one_by_one
async def ask_contact(work: Work, command: AskContact) -> Outcome:
    """Ask account whose address it is; where it is somebody's, that person gets a code, and nobody else hears."""
    request = await taken(work, command)
    if isinstance(request, Refusal):
        return request
    if request.state is not State.UNVERIFIED:
        return NOT_NOW
    asked = {"request_id": command.request_id, "address": command.address, "on_behalf": True}
    work.announce(SenderAsked(**work.stamp(command), **asked))
    return request
