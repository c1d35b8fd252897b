"""Who has changed what, and when: kept without any value, the one before least of all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID, uuid4

from sqlalchemy import Index, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped

from shared.bus import Work
from shared.commands import Command, Needs, Refusal
from shared.contracts.receipts import CorrectedField, DataCorrected, FieldOutcome
from shared.personal_data import Category, OfAccount, opaque, personal, rows
from shared.tables import COLUMN_TYPES


class ChangesBase(DeclarativeBase):
    """The metadata of what a service keeps whose fields can be put right."""

    type_annotation_map = COLUMN_TYPES


class Change(ChangesBase):
    """A field that was changed, or that a request wanted changed; goes with the account."""

    __tablename__ = "changes"
    __table_args__ = (
        Index("changes_account", "account_id"),
        Index("changes_request", "request_id", "field", unique=True),
        rows(OfAccount()),
    )

    id: Mapped[UUID] = opaque("random id", primary_key=True)
    account_id: Mapped[UUID] = opaque("random id")
    field: Mapped[str] = personal(Category.CHANGES)
    changed_at: Mapped[datetime] = personal(Category.CHANGES)
    request_id: Mapped[UUID | None] = opaque("random id; none where the person did it in the app", shown=True)
    outcome: Mapped[str] = opaque("corrected, unchanged or refused", shown=True)
    reason: Mapped[str | None] = opaque("slug: why it was refused", shown=True)


@dataclass(frozen=True, kw_only=True)
class Correct(Command):
    """Put values right, by the field's name; none clears. A request that was answered is answered the same again."""

    needs: ClassVar[Needs] = Needs.NOTHING

    request_id: UUID
    values: tuple[tuple[str, str | None], ...]


def outcome_of(field: str, answer: Refusal | bool) -> CorrectedField:  # noqa: FBT001 - what a handler has found
    """Say what became of a field: refused, changed, or so already."""
    if isinstance(answer, Refusal):
        return CorrectedField(field=field, outcome=FieldOutcome.REFUSED, reason=answer.slug)
    return CorrectedField(field=field, outcome=FieldOutcome.CORRECTED if answer else FieldOutcome.UNCHANGED)


async def note_changed(work: Work, command: Command, fields: Iterable[str]) -> None:
    """Note what a person has changed in the app."""
    await _note(work, command, [outcome_of(field, answer=True) for field in fields], None)


async def answered(work: Work, command: Correct) -> bool:
    """Answer a correction that was carried out before as it was answered then; false where it was not."""
    query = select(Change.field, Change.outcome, Change.reason).where(Change.request_id == command.request_id)
    rows = (await work.connection.execute(query.order_by(Change.field))).mappings().all()
    if rows:
        _announce(work, command, [CorrectedField.model_validate(dict(row)) for row in rows])
    return bool(rows)


async def answer(work: Work, command: Correct, fields: Sequence[CorrectedField]) -> None:
    """Note what became of a correction, and announce it."""
    await _note(work, command, fields, command.request_id)
    _announce(work, command, fields)


async def _note(work: Work, command: Command, fields: Sequence[CorrectedField], request_id: UUID | None) -> None:
    whose = {"account_id": command.account_id, "changed_at": work.now, "request_id": request_id}
    changes = [{"id": uuid4(), **whose, **each.model_dump()} for each in fields]
    if changes:
        await work.connection.execute(insert(Change), changes)


def _announce(work: Work, command: Correct, fields: Sequence[CorrectedField]) -> None:
    work.announce(DataCorrected(**work.stamp(command), request_id=command.request_id, fields=tuple(fields)))
