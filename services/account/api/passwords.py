"""The HTTP door to change a password, and for who has forgotten it."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import BaseModel, Field

from services.account.api.doors import (
    Asking,
    Code,
    Config,
    GivenPassword,
    Hashing,
    Network,
    Password,
    by_network,
    done,
    new_hash,
    prove_password,
)
from services.account.commands import ChangePassword, RequestPasswordReset, ResetPassword
from services.account.domain.access import CODE_WRONG, RESET_LIFE
from services.account.domain.addresses import Email
from services.account.passwords import is_address
from services.account.repository import passwords as repository
from services.account.repository import registrations
from shared.http import Body, IdempotencyKey, count_try, id_for, refused
from shared.security import digest, random_code
from shared.service import Running
from shared.throttle import Limit

router = APIRouter(prefix="/v1", tags=["passwords"])

BY_ADDRESS = Limit("reset-by-address", 3, timedelta(hours=1))
BY_NETWORK = Limit("reset-by-network", 20, timedelta(hours=1))
CODES_BY_NETWORK = Limit("reset-codes-by-network", 100, timedelta(minutes=15))


class NewPassword(Body):
    """The password so far, and the one to be."""

    password: GivenPassword
    new_password: Password


class Forgotten(Body):
    """Whose password is forgotten."""

    email: Email


class Reset(BaseModel):
    """Where to send the code."""

    reset_id: UUID


class ByCode(Body):
    """The mailed code, and the password to be."""

    code: Code
    password: Password
    second_factor_code: Code | None = Field(default=None, description="Needed where there is a second factor.")


@router.put("/account/password", status_code=HTTPStatus.NO_CONTENT)
async def change_password(body: NewPassword, person: Asking, service: Running, passwords: Hashing) -> None:
    """Set another password. Every other session ends."""
    await prove_password(service, passwords, person, body.password)
    async with service.engine.connect() as connection:
        email = await repository.address(connection, person.account_id)
    password_hash = await new_hash(passwords, body.new_password, email)
    command = ChangePassword(account_id=person.account_id, password_hash=password_hash, session_id=person.session_id)
    await done(service, command)


@router.post("/password-resets", status_code=HTTPStatus.ACCEPTED)
async def forget_password(
    body: Forgotten, service: Running, settings: Config, network: Network, key: IdempotencyKey = None
) -> Reset:
    """Have a code mailed that sets another password. The answer is the same whether the address is known or not.

    For an unknown one the same is done for an account of nobody, so that it takes as long, also to confirm.
    """
    await count_try(service.bus, BY_ADDRESS.at(settings, body.email), by_network(BY_NETWORK, settings, network))
    reset_id, code = id_for(key, "password-reset", body.email), random_code()
    async with service.engine.connect() as connection:
        account_id = await registrations.account_with(connection, body.email)
    command = RequestPasswordReset(
        account_id=account_id or uuid4(),
        reset_id=reset_id,
        code=code,
        code_digest=digest(str(reset_id), code),
        expires_at=service.clock() + RESET_LIFE,
    )
    await service.bus.execute(command)
    return Reset(reset_id=reset_id)


@router.post("/password-resets/{reset_id}/confirm", status_code=HTTPStatus.NO_CONTENT)
async def reset_password(
    reset_id: UUID, body: ByCode, service: Running, *, settings: Config, passwords: Hashing, network: Network
) -> None:
    """Set another password by the mailed code; three tries. Every session ends."""
    await count_try(service.bus, by_network(CODES_BY_NETWORK, settings, network))
    async with service.engine.connect() as connection:
        account_id = await repository.account_of_reset(connection, reset_id)
        email = await repository.address(connection, account_id) if account_id else ""
    password_hash = await new_hash(passwords, body.password)
    if not account_id:
        raise refused(CODE_WRONG)
    command = ResetPassword(
        account_id=account_id,
        reset_id=reset_id,
        code_digest=digest(str(reset_id), body.code),
        second_factor_code=body.second_factor_code,
        password_hash=password_hash,
        password_is_address=is_address(body.password, email),
    )
    await done(service, command)
