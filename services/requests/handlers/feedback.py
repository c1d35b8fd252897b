"""What requests does with what people write in the app: keep each text once, erase one's own."""

from __future__ import annotations

from collections.abc import Sequence

from services.requests.commands import AddFeedback, DeleteFeedback
from services.requests.handlers.registry import handlers
from services.requests.repository import feedback
from shared.bus import Work
from shared.commands import Refusal

NO_SUCH_FEEDBACK = Refusal("no-such-feedback")


@handlers.of(AddFeedback)
async def add_feedback(work: Work, commands: Sequence[AddFeedback]) -> None:
    """Keep what people have written; the same again is once."""
    await feedback.add_feedback(work.connection, commands)


@handlers.of(DeleteFeedback)
async def delete_feedback(work: Work, commands: Sequence[DeleteFeedback]) -> list[Refusal | None]:
    """Erase each of one's own."""
    outcomes: list[Refusal | None] = []
    for command in commands:
        gone = await feedback.delete_feedback(work.connection, command.account_id, command.feedback_id)
        outcomes.append(None if gone else NO_SUCH_FEEDBACK)
    return outcomes
