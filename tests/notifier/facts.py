"""The facts that notifier hears."""

from __future__ import annotations

from datetime import datetime

from shared.contracts.account import (
    AccountCancelled,
    CancellationPossible,
    ConfirmationRequested,
    ContactChanged,
    Origin,
)
from shared.contracts.requests import ErasureOrdered, ErasureSettled
from tests.builders import SOON, Person, fact

REFERENCES = ("REF-1",)


def contact_of(person: Person, version: int = 1, email: str = "", language: str = "en") -> ContactChanged:
    return fact(ContactChanged, person, version=version, email=email or person.email, language=language)


def code_for(person: Person, expires_at: datetime = SOON) -> ConfirmationRequested:
    return fact(
        ConfirmationRequested,
        person,
        email=person.email,
        language="en",
        code="402917",
        expires_at=expires_at,
    )


def possible_for(person: Person) -> CancellationPossible:
    return fact(CancellationPossible, person)


def cancelled(person: Person) -> AccountCancelled:
    return fact(
        AccountCancelled,
        person,
        order_id=person.order_id,
        origin=Origin.APP,
        references=REFERENCES,
        contact_version=1,
    )


def settled(person: Person, contact_version: int = 1) -> ErasureSettled:
    return fact(
        ErasureSettled,
        person,
        order_id=person.order_id,
        references=REFERENCES,
        contact_version=contact_version,
    )


def ordered(person: Person, *owners: str) -> ErasureOrdered:
    return fact(ErasureOrdered, person, order_id=person.order_id, owners=owners, contact_version=1)
