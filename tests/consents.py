"""Facts about consent for tests: withdrawn, and given again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from shared.contracts.account import POLICY, ConsentGiven, ConsentWithdrawn, Purpose, Scope
from tests.builders import NOON, Person, fact


def _said(scopes: tuple[str, ...]) -> dict[str, Any]:
    pairs = [scope.split(":") for scope in scopes if scope != POLICY]
    named = tuple(Scope(purpose=Purpose(purpose), service=service) for purpose, service in pairs)
    return {"scopes": named, "whole_policy": POLICY in scopes}


def withdrawn(person: Person, *scopes: str, at: datetime = NOON, **more: Any) -> ConsentWithdrawn:  # noqa: ANN401 - fields
    """Consent is withdrawn in these scopes."""
    return fact(ConsentWithdrawn, person, occurred_at=at, **_said(scopes), **more)


def given(person: Person, *scopes: str, at: datetime = NOON) -> ConsentGiven:
    """Consent is given again in these scopes."""
    return fact(ConsentGiven, person, occurred_at=at, **_said(scopes))
