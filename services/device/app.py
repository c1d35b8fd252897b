"""Composition of device: the only place that wires."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from services.device.api import router
from services.device.consumers import SUBSCRIPTIONS
from services.device.erasing import erase_what_is_much
from services.device.handlers import handlers
from services.device.models import OWNER
from services.device.settings import Settings
from shared.clock import Clock
from shared.service import Parts, Service, serve
from shared.sessions import ENDED_SESSIONS_KEPT

PARTS = Parts(
    owner=OWNER,
    handlers=handlers,
    subscriptions=SUBSCRIPTIONS,
    api=router,
    migrations=Path(__file__).parent / "migrations",
    retention=(ENDED_SESSIONS_KEPT,),
    tasks=(erase_what_is_much,),
)


def create_app(settings: Settings, clock: Clock | None = None) -> FastAPI:
    """Make the service as an application, not yet running."""
    return Service(PARTS, settings, clock).http()


if __name__ == "__main__":
    serve(create_app(Settings()))
