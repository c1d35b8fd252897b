"""The HTTP door to what one has agreed to: see it with its consequences, take it back, agree again."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from services.account.api.doors import AskingStill, Config, done
from services.account.commands import GiveConsent, WithdrawConsent
from services.account.domain.consents import SCOPES, Period, stops_in
from services.account.repository import consents
from shared.contracts.account import POLICY, Purpose, Scope
from shared.http import Body, Problem, count_try
from shared.security import Person
from shared.service import Running, Service
from shared.throttle import Limit

router = APIRouter(prefix="/v1/account/consents", tags=["consents"])

BY_PERSON = Limit("consents-given", 20, timedelta(hours=1))
"""To give, not to withdraw: nobody is ever told to wait with that."""


class Scopes(Body):
    """Purposes at services."""

    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(SCOPES))]


class Span(BaseModel):
    """A time in which consent was withdrawn, or given again; before the first it was given with the policy."""

    given: bool
    since: datetime
    until: datetime | None


class Standing(BaseModel):
    """How it stands, how it stood, and what stops while it is withdrawn."""

    given: bool
    stops: tuple[str, ...]
    periods: list[Span]


class ScopeStanding(Standing):
    """The same for one purpose at one service."""

    purpose: Purpose
    service: str


class Ledger(BaseModel):
    """What one has agreed to, and what would stop without it."""

    policy: Standing
    scopes: list[ScopeStanding]


class Withdrawn(BaseModel):
    """Taken back. By the reference `requests` shows it, also when the account is gone."""

    reference: str
    withdrawn_at: datetime


@router.get("")
async def see_consents(person: AskingStill, service: Running) -> Ledger:
    """See what one has agreed to and, before taking anything back, what would stop."""
    return await _ledger(service, person)


async def _ledger(service: Service, person: Person) -> Ledger:
    async with service.engine.connect() as connection:
        known = await consents.periods(connection, person.account_id)
    scopes = [ScopeStanding(**vars(scope), **_standing(name, known)) for name, scope in SCOPES.items()]
    return Ledger(policy=Standing(**_standing(POLICY, known)), scopes=scopes)


def _standing(scope: str, known: Iterable[Period]) -> dict[str, object]:
    mine = [each for each in known if each.scope == scope]
    spans = [Span(given=each.given, since=each.since, until=each.until) for each in mine]
    return {"given": not any(each.withdrawn_now for each in mine), "stops": stops_in(scope), "periods": spans}


@router.post("/withdrawals")
async def withdraw(body: Scopes, person: AskingStill, service: Running) -> Withdrawn:
    """Take consent back, purpose by purpose. What was done before stays lawful."""
    return await _withdraw(service, person, _names(body))


@router.post("/withdrawals/policy")
async def withdraw_policy(person: AskingStill, service: Running) -> Withdrawn:
    """Take the consent to the whole policy back, at one tap. What stays: to see, export, cancel or agree again."""
    return await _withdraw(service, person, (POLICY,))


async def _withdraw(service: Service, person: Person, scopes: tuple[str, ...]) -> Withdrawn:
    outcome = await done(service, WithdrawConsent(account_id=person.account_id, scopes=scopes))
    return Withdrawn(reference=outcome.reference, withdrawn_at=outcome.since)


@router.post("")
async def give(body: Scopes, person: AskingStill, service: Running, settings: Config) -> Ledger:
    """Agree again, purpose by purpose; to the whole policy again by `POST /v1/account/agreements`."""
    await count_try(service.bus, BY_PERSON.at(settings, person.account_id))
    await done(service, GiveConsent(account_id=person.account_id, scopes=_names(body)))
    return await _ledger(service, person)


def _names(body: Scopes) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(scope.name for scope in body.scopes))
    if unknown := [name for name in names if name not in SCOPES]:
        faults = [{"field": "body.scopes", "fault": "no_such_scope"} for _ in unknown]
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "See `faults`.", faults=faults)
    return names
