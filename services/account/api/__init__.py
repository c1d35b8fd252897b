"""Account's HTTP doors: request -> command -> status code. No rules."""

from __future__ import annotations

from fastapi import APIRouter

from services.account.api import (
    cancellations,
    consents,
    emails,
    passwords,
    profile,
    registrations,
    second_factor,
    sessions,
)

router = APIRouter()
for door in (registrations, sessions, second_factor, profile, passwords, emails, consents, cancellations):
    router.include_router(door.router)
