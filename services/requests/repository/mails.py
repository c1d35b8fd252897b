"""All queries about mails to the privacy mailbox: by what they are known again, and what is attached."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, RowMapping, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.requests.commands import TakeMail
from services.requests.models import MailAttachment, ReceivedMail, RequestReference, RequestWords
from services.requests.repository.cases import WORDS_KEPT, far


async def add(connection: AsyncConnection, command: TakeMail, answers: Sequence[UUID], now: datetime) -> None:
    """Keep by what a mail is known again, and what is attached."""
    whose = {"request_id": command.request_id, "account_id": command.account_id, "ends_at": far(now)}
    mail = {"id": command.request_id, "answers": list(answers), "authenticated": command.authenticated}
    await connection.execute(upsert(ReceivedMail).on_conflict_do_nothing(), {**whose, **mail})
    files = [
        {**whose, "mail_id": command.request_id, "number": number, **vars(attachment)}
        for number, attachment in enumerate(command.attachments, start=1)
    ]
    if files:
        await connection.execute(insert(MailAttachment), files)


async def note_sender(connection: AsyncConnection, mail_id: UUID, sender: str) -> Sequence[UUID] | None:
    """Note whose the address is, once, and read what the mail says to answer; none where it is known or not there."""
    mine = update(ReceivedMail).where(ReceivedMail.id == mail_id, ReceivedMail.sender.is_(None))
    answers: Sequence[UUID] | None = await connection.scalar(
        mine.values(sender=sender).returning(ReceivedMail.answers)
    )
    return answers


async def begun_by(connection: AsyncConnection, mail_id: UUID) -> Row[str | None, UUID, bool] | None:
    """Find a mail, by the request that it began: who sent it, and to which request it belongs."""
    query = select(ReceivedMail.sender, ReceivedMail.request_id, ReceivedMail.authenticated)
    return (await connection.execute(query.where(ReceivedMail.id == mail_id))).first()


async def led_to(connection: AsyncConnection, references: Sequence[str]) -> Sequence[UUID]:
    """Find the requests that references lead to."""
    query = select(RequestReference.request_id).where(RequestReference.reference.in_(references))
    return list(await connection.scalars(query))


async def words_of(connection: AsyncConnection, mail_id: UUID) -> str:
    """Read what a mail says."""
    return await connection.scalar(select(RequestWords.text).where(RequestWords.id == mail_id)) or ""


async def move(connection: AsyncConnection, mail_id: UUID, request_id: UUID, account_id: UUID) -> None:
    """Have all that was written with a mail belong to the request that it answers."""
    for table in WORDS_KEPT:
        mine = update(table).where(table.request_id == mail_id)
        await connection.execute(mine.values(request_id=request_id, account_id=account_id))


async def attachments(connection: AsyncConnection, request_id: UUID) -> Sequence[RowMapping]:
    """List what is attached to the mails of a request; whether it is kept, not its content."""
    kept = MailAttachment.content.is_not(None).label("kept")
    query = select(
        MailAttachment.mail_id, MailAttachment.number, MailAttachment.name, MailAttachment.media_type, kept
    )
    mine = query.where(MailAttachment.request_id == request_id)
    return (await connection.execute(mine.order_by(MailAttachment.mail_id, MailAttachment.number))).mappings().all()


async def attachment(connection: AsyncConnection, request_id: UUID, mail_id: UUID, number: int) -> bytes | None:
    """Read what is attached; none where it is not there, or only named."""
    query = select(MailAttachment.content).where(
        MailAttachment.request_id == request_id, MailAttachment.mail_id == mail_id, MailAttachment.number == number
    )
    content: bytes | None = await connection.scalar(query)
    return content
