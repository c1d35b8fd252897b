"""Composition of device: the only place that wires."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from services.device.api import router
from services.device.consumers import SUBSCRIPTIONS
from services.device.handlers import handlers
from services.device.models import OWNER, EndedSession
from services.device.settings import Settings
from shared.clock import Clock, system_clock
from shared.retention import Keep
from shared.security import ACCESS_TOKEN_LIFE
from shared.service import Parts, Service, serve

PARTS = Parts(
    owner=OWNER,
    handlers=handlers,
    subscriptions=SUBSCRIPTIONS,
    api=router,
    migrations=Path(__file__).parent / "migrations",
    retention=(Keep(EndedSession.ended_at, 2 * ACCESS_TOKEN_LIFE),),
)


def create_app(settings: Settings, clock: Clock = system_clock) -> FastAPI:
    """Make the service as an application, not yet running."""
    return Service(PARTS, settings, clock).http()


if __name__ == "__main__":
    serve(create_app(Settings()))
