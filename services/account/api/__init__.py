"""Account's HTTP doors: request -> command -> status code. No rules."""

from __future__ import annotations

from fastapi import APIRouter

from services.account.api import cancellations, profile, registrations, sessions

router = APIRouter()
for door in (registrations, sessions, profile, cancellations):
    router.include_router(door.router)
