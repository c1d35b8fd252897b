"""Composition of account: the only place that wires."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from fastapi import FastAPI

from services.account.api import router
from services.account.consumers import SUBSCRIPTIONS
from services.account.domain.access import CLIENT_KEPT, HISTORY_KEPT
from services.account.domain.cancellations import STARTED_KEPT
from services.account.due import carry_out_what_is_due
from services.account.handlers import handlers
from services.account.models import (
    OWNER,
    Cancellation,
    Client,
    EmailChange,
    EmailUndo,
    Installment,
    PasswordReset,
    Registration,
    Session,
    UsedToken,
)
from services.account.passwords import Passwords
from services.account.settings import Settings
from shared.clock import Clock
from shared.contracts.topics import LONGEST_RETENTION
from shared.retention import Keep
from shared.service import Parts, Service, serve

PARTS = Parts(
    owner=OWNER,
    handlers=handlers,
    subscriptions=SUBSCRIPTIONS,
    api=router,
    migrations=Path(__file__).parent / "migrations",
    retention=(
        Keep(Registration.expires_at, timedelta()),
        Keep(PasswordReset.expires_at, timedelta()),
        Keep(EmailChange.expires_at, timedelta()),
        Keep(EmailUndo.ends_at, timedelta()),
        Keep(Client.last_used_at, CLIENT_KEPT),
        Keep(Session.logged_in_at, HISTORY_KEPT),
        Keep(Cancellation.expires_at, STARTED_KEPT, Cancellation.due_at.is_(None)),
        Keep(Installment.settled_at, LONGEST_RETENTION + timedelta(days=1)),
        Keep(UsedToken.used_at, timedelta(hours=24)),
    ),
    tasks=(carry_out_what_is_due,),
)


def create_app(settings: Settings, clock: Clock | None = None) -> FastAPI:
    """Make the service as an application, not yet running."""
    app = Service(PARTS, settings, clock).http()
    app.state.passwords = Passwords(settings.parallel_hashes)
    return app


if __name__ == "__main__":
    serve(create_app(Settings()))
