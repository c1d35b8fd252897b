"""What account does on the orders of accepted requests: erases categories, counts, puts right."""

from __future__ import annotations

from collections.abc import Sequence

from services.account.domain.profile import decide_correct
from services.account.handlers.cancellations import held, states
from services.account.handlers.profile import put
from services.account.handlers.registry import handlers
from services.account.models import OWNER, Account
from services.account.repository import profile
from shared.bus import Work
from shared.changes import Correct, answer, answered, outcome_of
from shared.commands import CATEGORY_ERASED, CountData, EraseCategories, Refusal
from shared.contracts.receipts import CorrectedField
from shared.marks import Marks, is_older, marks_of
from shared.personal_data import Personal


@handlers.of(EraseCategories)
async def erase_categories(work: Work, commands: Sequence[EraseCategories]) -> None:
    """Erase, and count that as a change of the profile: what somebody has seen of it is no longer so."""
    erased = await OWNER.apart.erase_once(work, commands)
    await profile.count_changes(work.connection, [command.account_id for command in erased])


@handlers.of(CountData)
async def count_data(work: Work, commands: Sequence[CountData]) -> None:
    """Say what would be erased, and what is held."""
    known = await states(work, commands)
    holds = {account_id: held(work, state) for account_id, state in known.items()}
    await OWNER.apart.count_with(work, commands, holds)


@handlers.of(Correct)
async def correct(work: Work, commands: Sequence[Correct]) -> None:
    """Put each value right by the rules of the HTTP doors, and answer what became of it."""
    for command in commands:
        if not await answered(work, command):
            marks = await marks_of(work.connection, [command.account_id])
            fields = [await _corrected(work, command, marks, field, value) for field, value in command.values]
            await answer(work, command, fields)


async def _corrected(work: Work, command: Correct, marks: Marks, field: str, value: str | None) -> CorrectedField:
    kept = decide_correct(field, value)
    if isinstance(kept, Refusal):
        return outcome_of(field, kept)
    word = Account.__table__.columns[field].info["word"]
    if isinstance(word, Personal) and is_older(command.taken_at, marks.get((command.account_id, word.category))):
        return outcome_of(field, CATEGORY_ERASED)
    return outcome_of(field, answer=await put(work, command, field, kept))
