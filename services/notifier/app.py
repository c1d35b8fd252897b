"""Composition of notifier: the only place that wires."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from fastapi import FastAPI

from services.notifier.api import router
from services.notifier.channels import Smtp
from services.notifier.consumers import SUBSCRIPTIONS
from services.notifier.domain import NOTICES_KEPT
from services.notifier.handlers import handlers
from services.notifier.mailer import Mailer
from services.notifier.mails import Composer
from services.notifier.models import OWNER, Notice
from services.notifier.settings import Settings
from shared.clock import Clock
from shared.retention import Keep
from shared.service import Parts, Service, serve
from shared.sessions import ENDED_SESSIONS_KEPT


async def deliver_messages(service: Service) -> None:
    """Run the mailer for as long as the service runs."""
    settings = cast("Settings", service.settings)
    await Mailer(
        service.bus, Smtp(settings), Composer(settings.mail_from, settings.privacy_mailbox), settings.patience
    ).run()


PARTS = Parts(
    owner=OWNER,
    handlers=handlers,
    subscriptions=SUBSCRIPTIONS,
    api=router,
    migrations=Path(__file__).parent / "migrations",
    retention=(Keep(Notice.told_at, NOTICES_KEPT), ENDED_SESSIONS_KEPT),
    tasks=(deliver_messages,),
)


def create_app(settings: Settings, clock: Clock | None = None) -> FastAPI:
    """Make the service as an application, not yet running."""
    return Service(PARTS, settings, clock).http()


if __name__ == "__main__":
    serve(create_app(Settings()))
