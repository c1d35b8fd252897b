"""What all HTTP doors of account have in common: who asks, what fields look like, how a command is carried out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import StringConstraints

from services.account.domain.access import PASSWORD_TOO_COMMON
from services.account.domain.cancellations import Declined
from services.account.passwords import MAX_LENGTH, MIN_LENGTH, Passwords, is_address, is_common
from services.account.repository import sessions
from services.account.settings import Settings
from shared import http
from shared.commands import Command, Needs
from shared.consenting import asks
from shared.contracts.account import DeclineReason
from shared.contracts.base import Text
from shared.http import Problem, count_try, refused
from shared.security import (
    Person,
    token_bearer,
)
from shared.service import Running, Service
from shared.throttle import Counter, Limit, forgive

REMEDIES = {
    DeclineReason.UNPAID_INSTALLMENTS: "Pay the open instalments; you get a message when cancelling is possible.",
    DeclineReason.PAYMENT_MESSAGE_UNREADABLE: "A payment message is being looked into; nothing for you to do.",
}


Password = Annotated[Text, StringConstraints(min_length=MIN_LENGTH, max_length=MAX_LENGTH)]
GivenPassword = Annotated[Text, StringConstraints(max_length=MAX_LENGTH)]
Code = Annotated[str, StringConstraints(max_length=40)]
PASSWORD_AGAIN = Limit("password-again", 10, timedelta(minutes=15))


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
        if not await sessions.session_open(connection, person.session_id, service.clock()):
            raise Problem(HTTPStatus.UNAUTHORIZED, "session-ended", "Log in again.")
    return person


Asking = Annotated[Person, Depends(asks(logged_in, Needs.POLICY))]
AskingToCollect = Annotated[Person, Depends(asks(logged_in, Needs.COLLECTION))]
"""The same, where the answer must not depend on what is known of others: it asks before anything is looked up."""
AskingStill = Annotated[Person, Depends(logged_in)]
"""The same, also when the whole policy is withdrawn: to see what is there, to go, or to agree again."""


async def done(service: Service, command: Command) -> Any:  # noqa: ANN401 - the command's own outcome
    """Carry out one command; what was refused or declined leaves as a problem."""
    outcome = await http.done(service.bus, command)
    if isinstance(outcome, Declined):
        reasons = [
            {"reason": each.reason, "count": each.count, "remedy": REMEDIES[each.reason]} for each in outcome.declines
        ]
        raise Problem(HTTPStatus.CONFLICT, "cancellation-declined", "Not now.", reasons=reasons)
    return outcome


def network_of(request: Request) -> str:
    """Name the network address that asks (behind a proxy: what the proxy says, if the server trusts it)."""
    return request.client.host if request.client else ""


Network = Annotated[str, Depends(network_of)]


def by_network(limit: Limit, settings: Settings, network: str) -> Counter:
    """Count tries by the network address that they come from."""
    return replace(limit, most=limit.most * settings.network_patience).at(settings, network)


async def begin_anew(service: Service, *counters: Counter) -> None:
    """Forget tries: it was right in the end."""
    async with service.engine.begin() as connection:
        await forgive(connection, counters)


async def prove_password(service: Service, passwords: Passwords, person: Person, password: str) -> None:
    """Have a person who is logged in show the password again; a problem if it is another one."""
    counter = PASSWORD_AGAIN.at(service.settings, person.account_id)
    await count_try(service.bus, counter)
    async with service.engine.connect() as connection:
        kept = await sessions.password_hash(connection, person.account_id)
    if not await passwords.fits(password, kept):
        raise Problem(HTTPStatus.FORBIDDEN, "password-wrong")
    await begin_anew(service, counter)


async def new_hash(passwords: Passwords, password: str, email: str | None = None) -> str:
    """Hash a password to be, unless it is too common, or the address of whom it is for."""
    if is_common(password) or (email and is_address(password, email)):
        raise refused(PASSWORD_TOO_COMMON)
    return await passwords.hash(password)


def policy_outdated(settings: Settings) -> Problem:
    """Say which version of the privacy policy can be agreed to."""
    detail = "Agree to the current version."
    return Problem(HTTPStatus.CONFLICT, "policy-outdated", detail, current=settings.policy_version)
