"""The HTTP door to a second factor: one-time codes from an app on the phone, and recovery codes."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

import pyotp
from fastapi import APIRouter
from pydantic import BaseModel, Field

from services.account.api.doors import Asking, Code, Config, GivenPassword, Hashing, done, prove_password
from services.account.commands import (
    DropSecondFactor,
    EnableSecondFactor,
    PrepareSecondFactor,
    ProveSecondFactor,
    RenewRecoveryCodes,
)
from services.account.domain.access import RECOVERY_CODES
from services.account.handlers.second_factor import recovery_digest
from shared.http import Body
from shared.service import Running

router = APIRouter(prefix="/v1/account/second-factor", tags=["second factor"])

ISSUER = "Adieu"
RECOVERY_BYTES = 14
"""112 random bits: so many need no slow hash to be kept safely."""


class Again(Body):
    """The password again."""

    password: GivenPassword


class AgainWithCode(Again):
    """The password again, and a code."""

    code: Code


class FirstCode(Body):
    """A first code, to show that the app on the phone has the secret."""

    code: Code


class Prepared(BaseModel):
    """The secret, for the app on the phone."""

    secret: str
    uri: Annotated[str, Field(description="For a QR code.")]


class RecoveryCodes(BaseModel):
    """Shown once: each stands in for the second factor, once."""

    recovery_codes: list[str]


def _new_codes() -> list[str]:
    return [secrets.token_hex(RECOVERY_BYTES) for _ in range(RECOVERY_CODES)]


def _digests(account_id: UUID, codes: list[str]) -> tuple[str, ...]:
    return tuple(recovery_digest(account_id, code) for code in codes)


@router.post("", status_code=HTTPStatus.CREATED)
async def prepare_second_factor(
    body: Again, person: Asking, service: Running, settings: Config, passwords: Hashing
) -> Prepared:
    """Get a secret for an app that shows one-time codes; it is asked for only after a first code was right."""
    await prove_password(service, passwords, person, body.password)
    secret = pyotp.random_base32()
    sealed = settings.seal.encrypt(secret.encode()).decode()
    await done(service, PrepareSecondFactor(account_id=person.account_id, sealed_secret=sealed))
    return Prepared(secret=secret, uri=pyotp.TOTP(secret).provisioning_uri(issuer_name=ISSUER))


@router.post("/confirm")
async def enable_second_factor(body: FirstCode, person: Asking, service: Running) -> RecoveryCodes:
    """Have the second factor asked for from now on; shows the recovery codes."""
    codes = _new_codes()
    digests = _digests(person.account_id, codes)
    await done(service, EnableSecondFactor(account_id=person.account_id, code=body.code, recovery_digests=digests))
    return RecoveryCodes(recovery_codes=codes)


@router.post("/recovery-codes")
async def renew_recovery_codes(
    body: AgainWithCode, person: Asking, service: Running, passwords: Hashing
) -> RecoveryCodes:
    """Get new recovery codes; the ones before no longer work."""
    await prove_password(service, passwords, person, body.password)
    await done(service, ProveSecondFactor(account_id=person.account_id, code=body.code))
    codes = _new_codes()
    digests = _digests(person.account_id, codes)
    await done(service, RenewRecoveryCodes(account_id=person.account_id, recovery_digests=digests))
    return RecoveryCodes(recovery_codes=codes)


@router.post("/drop", status_code=HTTPStatus.NO_CONTENT)
async def drop_second_factor(body: AgainWithCode, person: Asking, service: Running, passwords: Hashing) -> None:
    """Turn the second factor off, with password and a last code."""
    await prove_password(service, passwords, person, body.password)
    await done(service, ProveSecondFactor(account_id=person.account_id, code=body.code))
    await done(service, DropSecondFactor(account_id=person.account_id))
