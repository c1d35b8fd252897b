"""The HTTP door for who wants an account."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import EmailStr, Field, StringConstraints

from services.account.api.doors import Hashing, Language, Password, Region, done
from services.account.commands import (
    ConfirmRegistration,
    Register,
)
from services.account.domain.access import CODE_LIFE
from shared.contracts.base import Text
from shared.http import Body
from shared.security import (
    digest,
)
from shared.service import Running

router = APIRouter(prefix="/v1")


class Registration(Body):
    """What is needed to open an account."""

    email: EmailStr
    password: Password
    region: Region
    language: Language
    policy_version: Annotated[Text, StringConstraints(min_length=1, max_length=40)]


class Code(Body):
    """The code that was mailed."""

    code: str = Field(max_length=20)


@router.post("/registrations", status_code=HTTPStatus.ACCEPTED)
async def register(body: Registration, service: Running, passwords: Hashing) -> dict[str, UUID]:
    """Ask for an account. The answer is the same whether the address is known or not."""
    registration_id, code = uuid4(), f"{secrets.randbelow(10**8):08}"
    command = Register(
        account_id=registration_id,
        email=body.email.lower(),
        password_hash=await passwords.hash(body.password),
        region=body.region,
        language=body.language,
        policy_version=body.policy_version,
        code=code,
        code_digest=digest(str(registration_id), code),
        expires_at=service.clock() + CODE_LIFE,
    )
    await done(service, command)
    return {"registration_id": registration_id}


@router.post("/registrations/{registration_id}/confirm", status_code=HTTPStatus.CREATED)
async def confirm_registration(registration_id: UUID, body: Code, service: Running) -> dict[str, UUID]:
    """Show by the mailed code that the address is one's own; three tries."""
    code_digest = digest(str(registration_id), body.code)
    await done(service, ConfirmRegistration(account_id=registration_id, code_digest=code_digest))
    return {"account_id": registration_id}
