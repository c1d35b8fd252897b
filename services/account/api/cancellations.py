"""The HTTP door to leave: three taps."""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from services.account.api.doors import AskingStill, Config, Hashing, done
from services.account.commands import (
    CancelAccount,
    ContinueCancellation,
    KeepAccount,
    ScheduleCancellation,
    SpendTry,
    StartCancellation,
)
from services.account.domain.cancellations import TOKEN_LIFE, Scheduled, wait
from services.account.passwords import MAX_LENGTH, Passwords
from services.account.repository import cancellations
from services.account.settings import Settings
from shared.commands import Command
from shared.contracts.account import Origin
from shared.http import Body, IdempotencyKey, Problem, Reference
from shared.security import (
    digest,
    random_secret,
    reference_for,
)
from shared.service import Running, Service

router = APIRouter(prefix="/v1")


WILL_GO = (
    "account, password, nickname, avatar",
    "creation time and login times",
    "devices and all that they have reported",
    "feedback",
    "e-mail address, after the last message",
)
STOPS_WORKING = ("log-in on every device", "bound devices, which can then be bound by somebody else")


class Start(Body):
    """Whether a copy of the data comes first: the account is cancelled once it has been fetched, or after 30 days."""

    package: Literal["first", "none"] = "none"


class Token(Body):
    """The token that starting a cancellation gave."""

    token: str = Field(max_length=100)


class Confirmation(Token):
    """The token, and the password again."""

    password: str = Field(max_length=MAX_LENGTH)


@router.post("/cancellations", status_code=HTTPStatus.CREATED)
async def start_cancellation(
    person: AskingStill, service: Running, body: Start | None = None, key: IdempotencyKey = None
) -> dict[str, Any]:
    """First tap: what will go and what stops working; a reference to keep, and a token for ten minutes."""
    reference = reference_for(key, "cancellation", person.account_id)
    token, expires_at = random_secret(), service.clock() + TOKEN_LIFE
    command = StartCancellation(
        account_id=person.account_id,
        reference=reference,
        token_digest=digest(token),
        expires_at=expires_at,
        package_first=body is not None and body.package == "first",
    )
    await done(service, command)
    return {
        "reference": reference,
        "token": token,
        "expires_at": expires_at,
        "will_go": WILL_GO,
        "stops_working": STOPS_WORKING,
    }


@router.get("/cancellations/{reference}")
async def see_cancellation(reference: Reference, service: Running) -> dict[str, Any]:
    """See how far a cancellation is that has not been carried out yet; the reference is the key."""
    async with service.engine.connect() as connection:
        row = await cancellations.cancellation(connection, reference)
    if not row:
        raise _no_such_cancellation()
    state = "scheduled" if row.due_at else "started"
    return {"reference": reference, "state": state, "confirm_until": row.expires_at, "due_at": row.due_at}


@router.post("/cancellations/{reference}/continue")
async def continue_cancellation(reference: Reference, body: Token, service: Running) -> dict[str, str]:
    """Second tap: go on, having seen what will go."""
    account_id = await _whose(service, reference)
    command = ContinueCancellation(account_id=account_id, reference=reference, token_digest=digest(body.token))
    await done(service, command)
    return {"next": "Confirm with the password."}


@router.post("/cancellations/{reference}/confirm", status_code=HTTPStatus.ACCEPTED)
async def confirm_cancellation(
    reference: Reference, body: Confirmation, service: Running, settings: Config, passwords: Hashing
) -> dict[str, Any]:
    """Third tap: the password again. Asked again with the same token, it gives the same answer."""
    token = digest(body.token)
    if answer := await _given_answer(service, token):
        return answer
    try:
        outcome = await _confirmed(reference, token, body.password, service, settings=settings, passwords=passwords)
    except Problem:
        # Whoever confirms the same at the same time may have been first: then theirs is the answer.
        if answer := await _given_answer(service, token):
            return answer
        raise
    if isinstance(outcome, Scheduled):
        return {"reference": outcome.reference, "state": "scheduled", "due_at": outcome.due_at}
    return await _given_answer(service, token) or {}


async def _confirmed(
    reference: str, token: str, password: str, service: Service, *, settings: Settings, passwords: Passwords
) -> object:
    account_id = await _whose(service, reference)
    kept = await done(service, SpendTry(account_id=account_id, reference=reference, token_digest=token))
    if isinstance(kept, Scheduled):
        return kept
    if not await passwords.fits(password, kept):
        raise Problem(HTTPStatus.FORBIDDEN, "password-wrong")
    try:
        held_back = await _held_back(service, reference, settings)
        return await done(service, _third_tap(account_id, reference, token, service.clock(), held_back))
    except Exception:
        # The password was right: whoever has to ask again because of us is not locked out by it.
        async with service.engine.begin() as connection:
            await cancellations.give_try_back(connection, reference)
        raise


async def _held_back(service: Service, reference: str, settings: Settings) -> timedelta:
    """Find for how long the cancellation is held back: to think it over, and for a package to be fetched."""
    async with service.engine.connect() as connection:
        row = await cancellations.cancellation(connection, reference)
    return wait(timedelta(days=settings.cooling_off_days), package_first=row is not None and row.package_first)


def _third_tap(account_id: UUID, reference: str, token: str, now: datetime, held_back: timedelta) -> Command:
    if not held_back:
        return CancelAccount(account_id=account_id, origin=Origin.APP, token_digest=token)
    due_at = now + held_back
    return ScheduleCancellation(account_id=account_id, reference=reference, token_digest=token, due_at=due_at)


async def _given_answer(service: Service, token_digest: str) -> dict[str, Any] | None:
    async with service.engine.connect() as connection:
        row = await cancellations.answer_to(connection, token_digest)
    return {"reference": row.reference, "state": "cancelled", "order_id": row.order_id} if row else None


def _no_such_cancellation() -> Problem:
    detail = "Its status is kept by `requests`, if it was carried out."
    return Problem(HTTPStatus.NOT_FOUND, "no-such-cancellation", detail)


async def _whose(service: Service, reference: str) -> UUID:
    async with service.engine.connect() as connection:
        account_id = await cancellations.account_of(connection, reference)
    if not account_id:
        raise _no_such_cancellation()
    return account_id


@router.post("/cancellations/{reference}/keep")
async def keep_account(reference: Reference, person: AskingStill, service: Running) -> dict[str, str]:
    """Undo a scheduled cancellation: keep my account."""
    await done(service, KeepAccount(account_id=person.account_id, reference=reference))
    return {"state": "kept"}
