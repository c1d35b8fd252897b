"""All queries about feedback."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, and_, delete, func, select, true, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.requests.commands import AddFeedback
from services.requests.models import Feedback, FeedbackPicture
from shared.pages import Cursor


async def add_feedback(connection: AsyncConnection, commands: Sequence[AddFeedback]) -> None:
    """Keep what people have written, with its pictures; what is kept already stays as it is."""
    written = [
        {"id": c.feedback_id, "account_id": c.account_id, "text": c.text, "submitted_at": c.submitted_at}
        for c in commands
    ]
    await connection.execute(upsert(Feedback).on_conflict_do_nothing(), written)
    drawn = [
        {"feedback_id": c.feedback_id, "account_id": c.account_id, "number": number, **vars(picture)}
        for c in commands
        for number, picture in enumerate(c.pictures, start=1)
    ]
    if drawn:
        await connection.execute(upsert(FeedbackPicture).on_conflict_do_nothing(), drawn)


async def feedback(
    connection: AsyncConnection,
    account_id: UUID,
    limit: int = 1,
    after: Cursor | None = None,
    only: UUID | None = None,
) -> Sequence[RowMapping]:
    """List what a person has written, latest first; one more than the limit, if there is."""
    of_it = select(func.count()).where(FeedbackPicture.feedback_id == Feedback.id).scalar_subquery()
    query = (
        select(Feedback.id.label("feedback_id"), Feedback.submitted_at, Feedback.text, of_it.label("pictures"))
        .where(Feedback.account_id == account_id, Feedback.id == only if only else true())
        .order_by(Feedback.submitted_at.desc(), Feedback.id.desc())
        .limit(limit + 1)
    )
    if after:
        query = query.where(tuple_(Feedback.submitted_at, Feedback.id) < tuple_(after.at, after.id))
    return (await connection.execute(query)).mappings().all()


async def written(connection: AsyncConnection, account_id: UUID) -> list[tuple[UUID, datetime]]:
    """List what a person has written by id, and when."""
    query = select(Feedback.id, Feedback.submitted_at).where(Feedback.account_id == account_id)
    return [(row[0], row[1]) for row in await connection.execute(query)]


async def picture(connection: AsyncConnection, account_id: UUID, feedback_id: UUID, number: int) -> RowMapping | None:
    """Read a picture."""
    query = select(FeedbackPicture.content, FeedbackPicture.media_type).where(
        FeedbackPicture.account_id == account_id,
        FeedbackPicture.feedback_id == feedback_id,
        FeedbackPicture.number == number,
    )
    return (await connection.execute(query)).mappings().first()


async def delete_feedback(connection: AsyncConnection, account_id: UUID, feedback_id: UUID) -> bool:
    """Erase something that a person has written, with its pictures; false where it is not there."""
    mine = and_(Feedback.account_id == account_id, Feedback.id == feedback_id)
    gone = (await connection.execute(delete(Feedback).where(mine))).rowcount == 1
    if gone:
        drawn = and_(FeedbackPicture.account_id == account_id, FeedbackPicture.feedback_id == feedback_id)
        await connection.execute(delete(FeedbackPicture).where(drawn))
    return gone
