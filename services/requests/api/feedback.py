"""The HTTP door to say what one thinks, to see that again, and to delete it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, File, Form, Path, Response, UploadFile
from pydantic import BaseModel, StringConstraints

from services.requests.commands import AddFeedback, DeleteFeedback, Picture
from services.requests.repository import feedback as written
from shared import pictures as decoding
from shared.contracts.base import Text
from shared.http import IdempotencyKey, Problem, count_try, done, id_for, picture_problem
from shared.pages import After, Cursor, Limit, Page, page
from shared.security import Person
from shared.service import Running, Service
from shared.sessions import Asking, AskingStill
from shared.throttle import Limit as TryLimit

router = APIRouter(prefix="/v1/feedback", tags=["feedback"])

BY_PERSON = TryLimit("feedback-by-person", 20, timedelta(hours=1))
MOST_PICTURES = 3
Number = Annotated[int, Path(ge=1, le=MOST_PICTURES)]
NONE: list[UploadFile] = []
"""No pictures; FastAPI copies what is left out."""

Written = Annotated[Text, StringConstraints(min_length=1, max_length=10_000), Form()]
Sent = Annotated[list[UploadFile], File(max_length=MOST_PICTURES, description="PNG, JPEG or WebP, to 1 MiB each.")]


class Submitted(BaseModel):
    """Feedback was taken."""

    feedback_id: UUID
    submitted_at: datetime


class Feedback(Submitted):
    """What one has written."""

    text: str
    pictures: int


@router.post("", status_code=HTTPStatus.CREATED)
async def submit_feedback(
    text: Written,
    person: Asking,
    service: Running,
    pictures: Sent = NONE,
    key: IdempotencyKey = None,
) -> Submitted:
    """Say what one thinks, with up to three pictures. Of a picture only its pixels are kept."""
    await count_try(service.bus, BY_PERSON.at(service.settings, person.account_id))
    clean = tuple([await _clean(each) for each in pictures])
    command = AddFeedback(
        account_id=person.account_id,
        feedback_id=id_for(key, "feedback", person.account_id),
        text=text,
        submitted_at=service.clock(),
        pictures=clean,
    )
    await done(service.bus, command)
    kept = await _one(service, person, command.feedback_id)
    if kept.text != text:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency-key-reused", "Each text wants a key of its own.")
    return Submitted(feedback_id=kept.feedback_id, submitted_at=kept.submitted_at)


async def _clean(sent: UploadFile) -> Picture:
    try:
        picture = await decoding.clean(await sent.read(decoding.MOST_BYTES + 1))
    except decoding.BadPicture as bad:
        raise picture_problem(bad.slug) from None
    return Picture(picture.content, picture.media_type)


@router.get("")
async def list_feedback(
    person: AskingStill, service: Running, limit: Limit = 100, after: After = None
) -> Page[Feedback]:
    """List what one has written, latest first."""
    async with service.engine.connect() as connection:
        found = await written.feedback(connection, person.account_id, limit, after)
    return Page[Feedback](**page(found, limit, lambda row: Cursor(row["submitted_at"], row["feedback_id"])))


async def _one(service: Service, person: Person, feedback_id: UUID) -> Feedback:
    async with service.engine.connect() as connection:
        found: Sequence[object] = await written.feedback(connection, person.account_id, only=feedback_id)
    if not found:
        raise Problem(HTTPStatus.NOT_FOUND, "no-such-feedback")
    return Feedback.model_validate(found[0])


@router.get("/{feedback_id}")
async def see_feedback(feedback_id: UUID, person: AskingStill, service: Running) -> Feedback:
    """See something that one has written."""
    return await _one(service, person, feedback_id)


@router.get("/{feedback_id}/pictures/{number}", response_class=Response)
async def see_picture(feedback_id: UUID, number: Number, person: AskingStill, service: Running) -> Response:
    """See a picture of one's own, numbered from 1."""
    async with service.engine.connect() as connection:
        picture = await written.picture(connection, person.account_id, feedback_id, number)
    if not picture:
        raise Problem(HTTPStatus.NOT_FOUND, "no-such-picture-here")
    headers = {"Content-Disposition": 'inline; filename="picture"'}
    return Response(picture["content"], media_type=picture["media_type"], headers=headers)


@router.delete("/{feedback_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_feedback(feedback_id: UUID, person: Asking, service: Running) -> None:
    """Delete something that one has written, with its pictures."""
    await done(service.bus, DeleteFeedback(account_id=person.account_id, feedback_id=feedback_id))
