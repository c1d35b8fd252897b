"""Account's HTTP door: request -> command -> status code. No rules."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID, uuid4

import langcodes
import pycountry
from fastapi import APIRouter, Depends, Request, Response
from fastapi import Body as FromBody
from pydantic import AfterValidator, EmailStr, Field, StringConstraints

from services.account import repository
from services.account.commands import (
    CancelAccount,
    ChangeAvatar,
    ChangeNickname,
    ConfirmRegistration,
    ContinueCancellation,
    EndSession,
    KeepAccount,
    OpenSession,
    RefreshSession,
    Register,
    ScheduleCancellation,
    SpendTry,
    StartCancellation,
)
from services.account.domain import CODE_LIFE, SESSION_LIFE, TOKEN_LIFE, Declined, Scheduled
from services.account.passwords import MAX_LENGTH, MIN_LENGTH, Passwords
from services.account.settings import Settings
from shared.commands import Command, Refusal
from shared.contracts.account import DeclineReason, Origin
from shared.contracts.base import Text
from shared.http import Body, Problem, Reference
from shared.security import (
    ACCESS_TOKEN_LIFE,
    Person,
    digest,
    issue_access_token,
    random_secret,
    token_bearer,
)
from shared.service import Running, Service

router = APIRouter(prefix="/v1")

MAX_AVATAR_BYTES = 1024 * 1024
PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")
REMEDIES = {
    DeclineReason.UNPAID_INSTALLMENTS: "Pay the open instalments; you get a message when cancelling is possible.",
    DeclineReason.PAYMENT_MESSAGE_UNREADABLE: "A payment message is being looked into; nothing for you to do.",
}
WILL_GO = (
    "account, password, nickname, avatar",
    "creation time and login times",
    "devices and all that they have reported",
    "feedback",
    "e-mail address, after the last message",
)
STOPS_WORKING = ("log-in on every device", "bound devices, which can then be bound by somebody else")


def _region(code: str) -> str:
    known = pycountry.countries.get(alpha_2=code) or pycountry.subdivisions.get(code=code)  # type: ignore[no-untyped-call]
    if not known:
        msg = "no code of ISO 3166-1 or 3166-2"
        raise ValueError(msg)
    return code


def _language(tag: str) -> str:
    if not langcodes.tag_is_valid(tag):
        msg = "no tag of BCP 47"
        raise ValueError(msg)
    return langcodes.standardize_tag(tag)


Region = Annotated[str, AfterValidator(_region)]
Language = Annotated[str, StringConstraints(max_length=35), AfterValidator(_language)]
Password = Annotated[Text, StringConstraints(min_length=MIN_LENGTH, max_length=MAX_LENGTH)]


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


class LogIn(Body):
    """Address and password."""

    email: EmailStr
    password: str = Field(max_length=MAX_LENGTH)


class Refresh(Body):
    """A refresh token."""

    refresh_token: str = Field(max_length=100)


class Profile(Body):
    """What a person can change."""

    nickname: Annotated[Text, StringConstraints(min_length=1, max_length=60)] | None


class Token(Body):
    """The token that starting a cancellation gave."""

    token: str = Field(max_length=100)


class Confirmation(Token):
    """The token, and the password again."""

    password: str = Field(max_length=MAX_LENGTH)


def settings_of(request: Request) -> Settings:
    """Find account's settings (FastAPI dependency)."""
    settings: Settings = request.app.state.service.settings
    return settings


def passwords_of(request: Request) -> Passwords:
    """Find what hashes passwords (FastAPI dependency)."""
    passwords: Passwords = request.app.state.passwords
    return passwords


Config = Annotated[Settings, Depends(settings_of)]
Hashing = Annotated[Passwords, Depends(passwords_of)]


async def logged_in(service: Running, person: Annotated[Person, Depends(token_bearer)]) -> Person:
    """Say who asks, in a session that is still open (FastAPI dependency)."""
    async with service.engine.connect() as connection:
        if not await repository.session_open(connection, person.session_id):
            raise Problem(HTTPStatus.UNAUTHORIZED, "session-ended", "Log in again.")
    return person


Asking = Annotated[Person, Depends(logged_in)]


async def _done(service: Service, command: Command) -> Any:  # noqa: ANN401 - the command's own outcome
    """Carry out one command; what was refused or declined leaves as a problem."""
    (outcome,) = await service.bus.execute(command)
    match outcome:
        case Refusal(slug):
            raise Problem(HTTPStatus.CONFLICT, slug)
        case Declined(declines):
            reasons = [
                {"reason": each.reason, "count": each.count, "remedy": REMEDIES[each.reason]} for each in declines
            ]
            raise Problem(HTTPStatus.CONFLICT, "cancellation-declined", "Not now.", reasons=reasons)
    return outcome


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
    await _done(service, command)
    return {"registration_id": registration_id}


@router.post("/registrations/{registration_id}/confirm", status_code=HTTPStatus.CREATED)
async def confirm_registration(registration_id: UUID, body: Code, service: Running) -> dict[str, UUID]:
    """Show by the mailed code that the address is one's own; three tries."""
    code_digest = digest(str(registration_id), body.code)
    await _done(service, ConfirmRegistration(account_id=registration_id, code_digest=code_digest))
    return {"account_id": registration_id}


@router.post("/sessions", status_code=HTTPStatus.CREATED)
async def log_in(body: LogIn, service: Running, settings: Config, passwords: Hashing) -> dict[str, Any]:
    """Log in. An unknown address gets the answer, and costs the work, of a wrong password."""
    async with service.engine.connect() as connection:
        found = await repository.credentials(connection, body.email.lower())
    if not await passwords.fits(body.password, found.password_hash if found else None) or not found:
        raise Problem(HTTPStatus.UNAUTHORIZED, "credentials-wrong", "Address or password is wrong.")
    person, refresh, now = Person(found.id, uuid4()), random_secret(), service.clock()
    command = OpenSession(
        account_id=person.account_id,
        session_id=person.session_id,
        refresh_digest=digest(refresh),
        expires_at=now + SESSION_LIFE,
    )
    await _done(service, command)
    return _tokens(settings, person, refresh, now)


@router.post("/sessions/refresh")
async def refresh(body: Refresh, service: Running, settings: Config) -> dict[str, Any]:
    """Get the next pair of tokens; a refresh token works once."""
    now, old, new = service.clock(), digest(body.refresh_token), random_secret()
    async with service.engine.connect() as connection:
        found = await repository.session_by_refresh(connection, old, now)
    if not found:
        raise Problem(HTTPStatus.UNAUTHORIZED, "session-ended", "Log in again.")
    await _done(service, RefreshSession(account_id=found.account_id, refresh_digest=old, next_digest=digest(new)))
    return _tokens(settings, Person(found.account_id, found.id), new, now)


def _tokens(settings: Settings, person: Person, refresh_token: str, now: datetime) -> dict[str, Any]:
    return {
        "account_id": person.account_id,
        "access_token": issue_access_token(settings.access_token_private_key, person, now),
        "expires_in": int(ACCESS_TOKEN_LIFE.total_seconds()),
        "refresh_token": refresh_token,
    }


@router.delete("/sessions/current", status_code=HTTPStatus.NO_CONTENT)
async def log_out(person: Asking, service: Running) -> None:
    """Log out: at once here, elsewhere within the lag of a topic."""
    await _done(service, EndSession(account_id=person.account_id, session_id=person.session_id))


@router.get("/account")
async def see_account(person: Asking, service: Running) -> dict[str, Any]:
    """See one's own data."""
    async with service.engine.connect() as connection:
        row = await repository.profile(connection, person.account_id)
        if not row:
            raise Problem(HTTPStatus.GONE, "account-closed")
        return {**row, "login_times": await repository.login_times(connection, person.account_id)}


@router.patch("/account")
async def change_account(body: Profile, person: Asking, service: Running) -> dict[str, Any]:
    """Set or clear the nickname."""
    await _done(service, ChangeNickname(account_id=person.account_id, nickname=body.nickname))
    return await see_account(person, service)


@router.put("/account/avatar", status_code=HTTPStatus.NO_CONTENT)
async def set_avatar(
    person: Asking,
    service: Running,
    picture: Annotated[bytes, FromBody(media_type="image/*")] = b"",
) -> None:
    """Set the avatar: PNG, JPEG or WebP of at most 1 MiB."""
    if len(picture) > MAX_AVATAR_BYTES:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "picture-too-large")
    if not picture.startswith(PICTURES):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "no-such-picture", "PNG, JPEG or WebP.")
    await _done(service, ChangeAvatar(account_id=person.account_id, avatar=picture))


@router.get("/account/avatar")
async def see_avatar(person: Asking, service: Running) -> Response:
    """See the avatar."""
    async with service.engine.connect() as connection:
        picture = await repository.avatar(connection, person.account_id)
    if picture is None:
        raise Problem(HTTPStatus.NOT_FOUND, "no-avatar")
    return Response(picture, media_type="application/octet-stream")


@router.post("/cancellations", status_code=HTTPStatus.CREATED)
async def start_cancellation(person: Asking, service: Running) -> dict[str, Any]:
    """First tap: what will go and what stops working; a reference to keep, and a token for ten minutes."""
    reference, token, expires_at = random_secret(), random_secret(), service.clock() + TOKEN_LIFE
    command = StartCancellation(
        account_id=person.account_id, reference=reference, token_digest=digest(token), expires_at=expires_at
    )
    await _done(service, command)
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
        row = await repository.cancellation(connection, reference)
    if not row:
        raise _no_such_cancellation()
    state = "scheduled" if row.due_at else "started"
    return {"reference": reference, "state": state, "confirm_until": row.expires_at, "due_at": row.due_at}


@router.post("/cancellations/{reference}/continue")
async def continue_cancellation(reference: Reference, body: Token, service: Running) -> dict[str, str]:
    """Second tap: go on, having seen what will go."""
    account_id = await _whose(service, reference)
    command = ContinueCancellation(account_id=account_id, reference=reference, token_digest=digest(body.token))
    await _done(service, command)
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
    kept = await _done(service, SpendTry(account_id=account_id, reference=reference, token_digest=token))
    if isinstance(kept, Scheduled):
        return kept
    if not await passwords.fits(password, kept):
        raise Problem(HTTPStatus.FORBIDDEN, "password-wrong")
    return await _done(service, _third_tap(account_id, reference, token, service.clock(), settings))


def _third_tap(account_id: UUID, reference: str, token: str, now: datetime, settings: Settings) -> Command:
    if not settings.cooling_off_days:
        return CancelAccount(account_id=account_id, origin=Origin.APP, token_digest=token)
    due_at = now + timedelta(days=settings.cooling_off_days)
    return ScheduleCancellation(account_id=account_id, reference=reference, token_digest=token, due_at=due_at)


async def _given_answer(service: Service, token_digest: str) -> dict[str, Any] | None:
    async with service.engine.connect() as connection:
        row = await repository.answer_to(connection, token_digest)
    return {"reference": row.reference, "state": "cancelled", "order_id": row.order_id} if row else None


def _no_such_cancellation() -> Problem:
    detail = "Its status is kept by `requests`, if it was carried out."
    return Problem(HTTPStatus.NOT_FOUND, "no-such-cancellation", detail)


async def _whose(service: Service, reference: str) -> UUID:
    async with service.engine.connect() as connection:
        account_id = await repository.account_of(connection, reference)
    if not account_id:
        raise _no_such_cancellation()
    return account_id


@router.post("/cancellations/{reference}/keep")
async def keep_account(reference: Reference, person: Asking, service: Running) -> dict[str, str]:
    """Undo a scheduled cancellation: keep my account."""
    await _done(service, KeepAccount(account_id=person.account_id, reference=reference))
    return {"state": "kept"}
