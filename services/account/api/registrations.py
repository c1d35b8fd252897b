"""The HTTP door for who wants an account."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, StringConstraints

from services.account.api.doors import (
    Code,
    Config,
    Hashing,
    Network,
    Password,
    by_network,
    done,
    new_hash,
    policy_outdated,
)
from services.account.commands import ConfirmRegistration, Register, TellOwner
from services.account.domain.access import CODE_LIFE
from services.account.domain.addresses import Email
from services.account.domain.profile import Language, Region
from services.account.repository import registrations
from shared.contracts.base import Text
from shared.http import Body, IdempotencyKey, count_try, id_for
from shared.security import digest, random_code
from shared.service import Running
from shared.throttle import Limit

router = APIRouter(prefix="/v1", tags=["registrations"])

BY_ADDRESS = Limit("registration-by-address", 3, timedelta(hours=1))
BY_NETWORK = Limit("registration-by-network", 20, timedelta(hours=1))


class Registration(Body):
    """What is needed to open an account."""

    email: Email
    password: Password
    region: Region
    language: Language
    policy_version: Annotated[Text, StringConstraints(min_length=1, max_length=40)]


class ByCode(Body):
    """The code that was mailed."""

    code: Code


class Registered(BaseModel):
    """Where to send the code."""

    registration_id: UUID


class Opened(BaseModel):
    """The account is there."""

    account_id: UUID


@router.post("/registrations", status_code=HTTPStatus.ACCEPTED)
async def register(
    body: Registration,
    service: Running,
    *,
    settings: Config,
    passwords: Hashing,
    network: Network,
    key: IdempotencyKey = None,
) -> Registered:
    """Ask for an account. The answer is the same whether the address is known or not."""
    await count_try(service.bus, BY_ADDRESS.at(settings, body.email), by_network(BY_NETWORK, settings, network))
    if body.policy_version != settings.policy_version:
        raise policy_outdated(settings)
    registration_id, code = id_for(key, "registration", body.email), random_code()
    command = Register(
        account_id=registration_id,
        email=body.email,
        password_hash=await new_hash(passwords, body.password, body.email),
        region=body.region,
        language=body.language,
        policy_version=body.policy_version,
        code=code,
        code_digest=digest(str(registration_id), code),
        expires_at=service.clock() + CODE_LIFE,
    )
    async with service.engine.connect() as connection:
        owner = await registrations.owner_of(connection, body.email)
    if owner != registration_id:  # else a repeat of what has become an account
        await service.bus.execute(TellOwner(account_id=owner) if owner else command)
    return Registered(registration_id=registration_id)


@router.post("/registrations/{registration_id}/confirm", status_code=HTTPStatus.CREATED)
async def confirm_registration(registration_id: UUID, body: ByCode, service: Running) -> Opened:
    """Show by the mailed code that the address is one's own; three tries."""
    code_digest = digest(str(registration_id), body.code)
    await done(service, ConfirmRegistration(account_id=registration_id, code_digest=code_digest))
    return Opened(account_id=registration_id)
