"""The HTTP doors of the person: ask for something, see what became of it, answer, show who one is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from services.requests.api.wishes import AnyWish, Said, Status, Words
from services.requests.commands import AcceptFee, AnswerQuestion, ShowCode, Submit
from services.requests.domain.cases import Request
from services.requests.law import law_of
from services.requests.repository import cases
from services.requests.settings import Settings
from shared.contracts.requests import Channel
from shared.http import Body, IdempotencyKey, Problem, Reference, count_try, done, id_for
from shared.pages import After, Cursor, Limit, Page, page
from shared.security import Person, reference_for
from shared.service import Running, Service
from shared.sessions import AskingStill
from shared.throttle import Limit as TryLimit

router = APIRouter(prefix="/v1/requests", tags=["requests"])

BY_PERSON = TryLimit("requests-by-person", 20, timedelta(hours=24))
BY_REFERENCE = TryLimit("codes-by-reference", 10, timedelta(hours=1))


class Submitted(Status):
    """A request was taken in, or was there already."""

    reference: str


class Ways(BaseModel):
    """By which ways to ask where one lives."""

    app: str
    mail: str
    spoken: bool


# Doors


@router.get("/ways")
async def see_ways(service: Running, region: Annotated[str | None, Query(max_length=10)] = None) -> Ways:
    """See how one can ask: whoever comes by another way is pointed here."""
    settings: Settings = service.settings  # type: ignore[assignment] # the one that this service was made with
    return Ways(app="POST /v1/requests", mail=settings.privacy_mailbox, spoken=law_of(region).spoken_allowed)


@router.post("", status_code=HTTPStatus.CREATED)
async def submit_request(
    wish: AnyWish, person: AskingStill, service: Running, key: IdempotencyKey = None
) -> Submitted:
    """Ask for a copy, a correction, a deletion or the end of consent. The same open wish again is that one."""
    await count_try(service.bus, BY_PERSON.at(service.settings, person.account_id))
    reference = reference_for(key, "reference", person.account_id)
    command = Submit(
        account_id=person.account_id,
        request_id=id_for(key, "request", person.account_id),
        reference=reference,
        kind=wish.kind,
        channel=Channel.APP,
        known=True,
        scope=wish.scope(),
        text=wish.text,
        values=wish.values_asked(),
    )
    request: Request = await done(service.bus, command)
    if not await _is_that(service, request, command):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency-key-reused", "Each wish wants a key of its own.")
    return Submitted(**Status.of(request).model_dump(), reference=reference)


async def _is_that(service: Service, request: Request, command: Submit) -> bool:
    """Tell whether a request asks for the same, and was not made by the same key for something else."""
    if (request.kind, request.scope) != (command.kind, command.scope):
        return False
    async with service.engine.connect() as connection:
        words = await cases.words(connection, command.request_id)
    return not words or (words[0]["text"], words[0]["values"]) == (command.text, command.values)


@router.get("")
async def list_requests(
    person: AskingStill, service: Running, limit: Limit = 100, after: After = None
) -> Page[Submitted]:
    """List what one has asked for, latest first."""
    async with service.engine.connect() as connection:
        found = await cases.of_account(connection, person.account_id, limit, after)
    shown = [{**Status.of(request).model_dump(), "reference": reference} for request, reference in found]
    return Page[Submitted](**page(shown, limit, lambda each: Cursor(each["received_at"], each["request_id"])))


@router.get("/{reference}")
async def see_request(reference: Reference, service: Running) -> Status:
    """See what became of a request, also when the account is gone: the reference is the key."""
    return Status.of(await _found(service, reference))


async def _found(service: Service, reference: str, person: Person | None = None) -> Request:
    """Find the request that a reference leads to; for a person only one of their own."""
    async with service.engine.connect() as connection:
        request = await cases.find(connection, reference)
    if not request or (person and request.account_id != person.account_id):
        raise Problem(HTTPStatus.NOT_FOUND, "no-such-request")
    return request


@router.get("/{reference}/said")
async def see_said(reference: Reference, person: AskingStill, service: Running) -> list[Said]:
    """See what was asked and decided, in words."""
    request = await _found(service, reference, person)
    async with service.engine.connect() as connection:
        found: Sequence[object] = await cases.decisions(connection, request.request_id)
    return [Said.model_validate(each) for each in found]


class Answer(Body):
    """What one answers to a question."""

    text: Words


@router.post("/{reference}/answer")
async def answer_question(
    reference: Reference, body: Answer, person: AskingStill, service: Running, key: IdempotencyKey = None
) -> Status:
    """Answer what staff has asked."""
    request = await _found(service, reference, person)
    return Status.of(
        await done(
            service.bus,
            AnswerQuestion(
                account_id=person.account_id,
                request_id=request.request_id,
                answer_id=id_for(key, "answer", request.request_id),
                text=body.text,
            ),
        )
    )


@router.post("/{reference}/fee")
async def accept_fee(reference: Reference, person: AskingStill, service: Running) -> Status:
    """Accept the declared costs."""
    request = await _found(service, reference, person)
    return Status.of(await done(service.bus, AcceptFee(account_id=person.account_id, request_id=request.request_id)))


class Code(Body):
    """The code that was mailed to the account's contact."""

    code: str = Field(max_length=40)


@router.post("/{reference}/identity")
async def show_code(reference: Reference, body: Code, service: Running) -> Status:
    """Show by the mailed code that the request is one's own: three tries."""
    await count_try(service.bus, BY_REFERENCE.at(service.settings, reference))
    request = await _found(service, reference)
    command = ShowCode(account_id=request.account_id, request_id=request.request_id, code=body.code)
    return Status.of(await done(service.bus, command))
