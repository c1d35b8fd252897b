"""The internal door of every service: dead letters, for operations with the internal token."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from shared.errors import describe
from shared.http import Problem
from shared.messaging import dead_letters
from shared.messaging.consumer import Consumer, StillUnreadable
from shared.messaging.dead_letters import DeadLetterView
from shared.security import internal_door

LetterId = Annotated[int, Path(ge=1, lt=2**63)]


def internal_api(consumers: Sequence[Consumer]) -> APIRouter:
    """Make the routes by which parked messages are seen and dealt with. Their bodies are never shown."""
    router = APIRouter(prefix="/internal", dependencies=[Depends(internal_door)], include_in_schema=False)
    engine = consumers[0].bus.engine

    async def parked(letter_id: LetterId) -> DeadLetterView:
        async with engine.connect() as connection:
            letter = await dead_letters.find(connection, letter_id)
        if not letter:
            raise Problem(HTTPStatus.NOT_FOUND, "no-such-dead-letter", "Handled, discarded, or never there.")
        return letter

    def consumer_of(letter: DeadLetterView) -> Consumer:
        return next(c for c in consumers if c.subscription.topic.covers(letter.topic))

    @router.get("/dead-letters")
    async def list_dead_letters() -> list[DeadLetterView]:
        async with engine.connect() as connection:
            return await dead_letters.listing(connection)

    @router.get("/dead-letters/{letter_id}")
    async def show_dead_letter(letter_id: LetterId) -> DeadLetterView:
        return await parked(letter_id)

    @router.post("/dead-letters/{letter_id}/redrive")
    async def redrive(letter_id: LetterId) -> dict[str, int]:
        letter = await parked(letter_id)
        try:
            return {"handled": await consumer_of(letter).redrive(letter)}
        except StillUnreadable as error:
            raise Problem(HTTPStatus.CONFLICT, "still-unreadable", str(error)) from None
        except Exception as error:  # noqa: BLE001 - told to who asked, without values
            raise Problem(HTTPStatus.CONFLICT, "still-fails", describe(error)) from None

    @router.delete("/dead-letters/{letter_id}", status_code=HTTPStatus.NO_CONTENT)
    async def discard(letter_id: LetterId) -> None:
        letter = await parked(letter_id)
        await consumer_of(letter).discard(letter)

    return router
