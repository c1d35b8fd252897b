"""What all HTTP doors of account have in common: who asks, what fields look like, how a command is carried out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

import langcodes
import pycountry
from fastapi import Depends, Request
from pydantic import AfterValidator, StringConstraints

from services.account.domain.cancellations import Declined
from services.account.passwords import MAX_LENGTH, MIN_LENGTH, Passwords
from services.account.repository import sessions
from services.account.settings import Settings
from shared import http
from shared.commands import Command
from shared.contracts.account import DeclineReason
from shared.contracts.base import Text
from shared.http import Problem
from shared.security import (
    Person,
    token_bearer,
)
from shared.service import Running, Service

REMEDIES = {
    DeclineReason.UNPAID_INSTALLMENTS: "Pay the open instalments; you get a message when cancelling is possible.",
    DeclineReason.PAYMENT_MESSAGE_UNREADABLE: "A payment message is being looked into; nothing for you to do.",
}


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
        if not await sessions.session_open(connection, person.session_id):
            raise Problem(HTTPStatus.UNAUTHORIZED, "session-ended", "Log in again.")
    return person


Asking = Annotated[Person, Depends(logged_in)]


async def done(service: Service, command: Command) -> Any:  # noqa: ANN401 - the command's own outcome
    """Carry out one command; what was refused or declined leaves as a problem."""
    outcome = await http.done(service.bus, command)
    if isinstance(outcome, Declined):
        reasons = [
            {"reason": each.reason, "count": each.count, "remedy": REMEDIES[each.reason]} for each in outcome.declines
        ]
        raise Problem(HTTPStatus.CONFLICT, "cancellation-declined", "Not now.", reasons=reasons)
    return outcome
