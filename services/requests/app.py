"""Composition of requests: the only place that wires."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from fastapi import FastAPI

from services.requests.api import router
from services.requests.consumers import SUBSCRIPTIONS
from services.requests.handlers import handlers
from services.requests.intake.door import mail_door
from services.requests.models import OWNER, Order, Request
from services.requests.packing import packer
from services.requests.reminder import reminder
from services.requests.repository.cases import WORDS_KEPT
from services.requests.settings import Settings
from services.requests.watcher import watch
from shared.clock import Clock
from shared.retention import Keep
from shared.service import Parts, Service, serve
from shared.sessions import ENDED_SESSIONS_KEPT


def create_app(settings: Settings, clock: Clock | None = None) -> FastAPI:
    """Make the service as an application, not yet running."""
    parts = Parts(
        owner=OWNER,
        handlers=handlers,
        subscriptions=SUBSCRIPTIONS,
        api=router,
        migrations=Path(__file__).parent / "migrations",
        retention=(
            Keep(Order.completed_at, settings.proof_retention),
            Keep(Request.ended_at, settings.proof_retention),
            *(Keep(written.ends_at, timedelta()) for written in WORDS_KEPT),
            ENDED_SESSIONS_KEPT,
        ),
        tasks=(reminder(settings), watch, packer(settings), mail_door(settings)),
    )
    return Service(parts, settings, clock).http()


if __name__ == "__main__":
    serve(create_app(Settings()))
