"""Notifier's HTTP door: what a person was told, as the app shows it. No rules."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from services.notifier import repository
from services.notifier.commands import Kind, ReadNotices
from services.notifier.mails import words
from shared.http import done
from shared.languages import ENGLISH, language_for
from shared.pages import After, Cursor, Limit, Page, page
from shared.service import Running
from shared.sessions import Asking, AskingStill

router = APIRouter(prefix="/v1/notices", tags=["notices"])


class Notice(BaseModel):
    """Something that a person was told, in the person's language."""

    notice_id: UUID
    kind: Kind
    subject: str
    text: str
    told_at: datetime
    read_at: datetime | None
    mailed: str


class Notices(Page[Notice]):
    """Notices, and how many of all are unread."""

    unread: int


@router.get("")
async def list_notices(
    person: AskingStill,
    service: Running,
    limit: Limit = 100,
    after: After = None,
    unread: Annotated[bool, Query(description="Only those that are unread.")] = False,  # noqa: FBT002
) -> Notices:
    """List what one was told in the last 90 days, latest first."""
    async with service.engine.connect() as connection:
        language = language_for(await repository.language_of(connection, person.account_id) or ENGLISH)
        found = await repository.notices(connection, person.account_id, limit, after, unread=unread)
        count = await repository.unread_notices(connection, person.account_id)
    shown = []
    for row in found:
        said = words(Kind(row["kind"]), row["parameters"], language)
        shown.append({**row, "notice_id": row["id"], "subject": said.subject, "text": said.text})
    return Notices(**page(shown, limit, lambda row: Cursor(row["told_at"], row["id"])), unread=count)


@router.put("/read", status_code=HTTPStatus.NO_CONTENT)
async def read_all(person: Asking, service: Running) -> None:
    """Note that one has seen all of them."""
    await done(service.bus, ReadNotices(account_id=person.account_id))


@router.put("/{notice_id}/read", status_code=HTTPStatus.NO_CONTENT)
async def read_notice(notice_id: UUID, person: Asking, service: Running) -> None:
    """Note that one has seen it."""
    await done(service.bus, ReadNotices(account_id=person.account_id, notice_id=notice_id))
