"""Requests' HTTP doors: request -> command -> status code. No rules."""

from __future__ import annotations

from fastapi import APIRouter

from services.requests.api import feedback, intake, orders, packages, requests, staff

router = APIRouter()
for door in (orders, feedback, intake, requests, packages, staff):
    router.include_router(door.router)
