"""The HTTP door to another e-mail address, and back."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from services.account.api.doors import (
    Asking,
    AskingToCollect,
    Code,
    Config,
    GivenPassword,
    Hashing,
    done,
    prove_password,
)
from services.account.commands import ChangeEmail, RequestEmailChange, TellOwner, UndoEmailChange
from services.account.domain.access import CODE_LIFE, NO_SUCH_UNDO, UNDO_LIFE
from services.account.domain.addresses import Email
from services.account.repository import emails, registrations
from shared.http import Body, IdempotencyKey, count_try, id_for, refused
from shared.security import digest, random_code, random_secret
from shared.service import Running
from shared.throttle import Limit

router = APIRouter(prefix="/v1", tags=["e-mail address"])

BY_PERSON = Limit("email-changes", 3, timedelta(hours=1))
BY_ADDRESS = Limit("email-changes-by-address", 3, timedelta(hours=1))
"""Whoever asks: or one person with many accounts could fill anybody's mailbox."""


class NewEmail(Body):
    """The address to be, and the password again."""

    email: Email
    password: GivenPassword


class Change(BaseModel):
    """Where to send the code."""

    change_id: UUID


class ByCode(Body):
    """The code that was mailed to the new address."""

    code: Code


class ByToken(Body):
    """The token that was mailed to the old address."""

    token: str = Field(max_length=100)


@router.post("/account/email", status_code=HTTPStatus.ACCEPTED)
async def want_email(
    body: NewEmail,
    person: AskingToCollect,
    service: Running,
    *,
    settings: Config,
    passwords: Hashing,
    key: IdempotencyKey = None,
) -> Change:
    """Have a code mailed to the new address. The answer is the same whether somebody has it or not."""
    await prove_password(service, passwords, person, body.password)
    await count_try(service.bus, BY_PERSON.at(settings, person.account_id), BY_ADDRESS.at(settings, body.email))
    change_id, code = id_for(key, "email-change", person.account_id, body.email), random_code()
    command = RequestEmailChange(
        account_id=person.account_id,
        change_id=change_id,
        email=body.email,
        code=code,
        code_digest=digest(str(change_id), code),
        expires_at=service.clock() + CODE_LIFE,
    )
    async with service.engine.connect() as connection:
        owner = await registrations.owner_of(connection, body.email)
    foreign = owner and owner != person.account_id
    await service.bus.execute(TellOwner(account_id=owner) if owner and foreign else command)
    return Change(change_id=change_id)


@router.post("/account/email/{change_id}/confirm", status_code=HTTPStatus.NO_CONTENT)
async def change_email(change_id: UUID, body: ByCode, person: Asking, service: Running) -> None:
    """Show by the mailed code that the new address is one's own; three tries. The old one is told."""
    undo_token = random_secret()
    command = ChangeEmail(
        account_id=person.account_id,
        change_id=change_id,
        code_digest=digest(str(change_id), body.code),
        undo_token=undo_token,
        undo_digest=digest(undo_token),
        undo_until=service.clock() + UNDO_LIFE,
    )
    await done(service, command)


@router.post("/email-undos", status_code=HTTPStatus.NO_CONTENT)
async def undo_email_change(body: ByToken, service: Running) -> None:
    """Take the old address back, for seven days, by the token that was mailed to it. Every session ends."""
    token_digest = digest(body.token)
    async with service.engine.connect() as connection:
        account_id = await emails.account_of_undo(connection, token_digest)
    if not account_id:
        raise refused(NO_SUCH_UNDO)
    await done(service, UndoEmailChange(account_id=account_id, token_digest=token_digest))
