"""What every service is made of: consumers, relay, purge, retention, health, and the two doors."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from faststream.kafka import KafkaBroker
from prometheus_client import CONTENT_TYPE_LATEST

from shared import failpoints
from shared.bus import CommandBus, Handlers
from shared.clock import Clock, clock_told_by
from shared.contracts.topics import ALL_TOPICS
from shared.database import engine_for, missing_migrations
from shared.edge import guard, show_doors
from shared.errors import NotNow, describe, is_transient
from shared.exporting import export_what_is_much
from shared.http import PROBLEMS, answer_problems
from shared.logging import log_as_json
from shared.messaging.consumer import Consumer, Subscription, subscribe
from shared.messaging.liveness import Liveness
from shared.messaging.polling import start_carefully
from shared.messaging.purge import Purge
from shared.messaging.relay import Relay
from shared.messaging.topic_ids import TopicIds
from shared.metrics import OF_EVERY_SERVICE, Measure, exposition
from shared.operations import internal_api
from shared.owner import DataOwner
from shared.retention import Keep, kept_by_every_service, sweep_for_ever
from shared.security import metrics_door
from shared.settings import ServiceSettings

log = logging.getLogger(__name__)

WAIT_SECONDS = 0.25
STOP_SECONDS = 5.0
"""How long work may take to end when the service is told to stop; then it is cut off, as by a kill.

Needed: aiokafka's consumer can wait for ever in its stop when it rejoins its group at that moment.
"""
MOST_BYTES = 4 * 1024 * 1024
"""The largest body that any door reads."""
Task = Callable[["Service"], Awaitable[None]]


@dataclass(frozen=True)
class Parts:
    """What one service brings to what all have."""

    owner: DataOwner
    handlers: Handlers
    subscriptions: Sequence[Subscription]
    api: APIRouter
    migrations: Path
    retention: Sequence[Keep] = ()
    measures: Sequence[Measure] = ()
    """What only this service can say of itself, beside what all do."""
    tasks: Sequence[Task] = ()
    """What runs beside the consumers for as long as the service does."""


class Service:
    """A running service: waits for what it needs, and says for what."""

    def __init__(self, parts: Parts, settings: ServiceSettings, clock: Clock | None = None) -> None:
        self.parts = parts
        self.settings = settings
        self.name = parts.owner.name
        self.clock = clock or clock_told_by(settings.clock_shift_file)
        self.engine = engine_for(settings.database_url)
        self.bus = CommandBus(self.name, parts.handlers, self.engine, self.clock, settings)
        self.topic_ids = TopicIds(settings.kafka)
        self.consumers = [
            Consumer(subscription, self.bus, self.topic_ids, parts.owner.admitted, settings.brake_after)
            for subscription in parts.subscriptions
        ]
        self.waits_for: str | None = "start"

    def http(self) -> FastAPI:
        """Make the HTTP door; what else runs starts and stops with it."""
        app = FastAPI(
            title=f"Adieu: {self.name}",
            lifespan=self._lifespan,
            docs_url=None,
            redoc_url=None,
            max_body_size=MOST_BYTES,
            responses=PROBLEMS,
        )
        app.state.service = self
        answer_problems(app)
        app.include_router(self._health())
        app.include_router(self._metrics())
        app.include_router(internal_api(self.consumers))
        app.include_router(self.parts.api)
        show_doors(app)
        guard(app, self.settings.cors_origins)
        return app

    def missing(self) -> list[str]:
        """List what this service still waits for before it is ready."""
        waits = [self.waits_for] if self.waits_for else []
        waits += [f"{c.subscription.topic.name}: not joined" for c in self.consumers if not c.joined]
        waits += [f"{c.subscription.topic.name}: stopped" for c in self.consumers if c.braked or c.unreadable]
        return waits

    def _health(self) -> APIRouter:
        router = APIRouter(prefix="/health", include_in_schema=False)

        @router.get("/live")
        async def live() -> dict[str, str]:
            return {"service": self.name}

        @router.get("/ready")
        async def ready() -> JSONResponse:
            missing = self.missing()
            status = HTTPStatus.SERVICE_UNAVAILABLE if missing else HTTPStatus.OK
            return JSONResponse({"service": self.name, "waits_for": missing}, status)

        return router

    def _metrics(self) -> APIRouter:
        router = APIRouter(dependencies=[Depends(metrics_door)], include_in_schema=False)
        turn = asyncio.Lock()

        @router.get("/metrics")
        async def metrics() -> Response:
            measures = [*OF_EVERY_SERVICE, *self.parts.measures]
            written = await exposition(self.engine, measures, turn, ready=not self.missing())
            return Response(written, media_type=CONTENT_TYPE_LATEST)

        return router

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        running = asyncio.create_task(self.run())
        running.add_done_callback(_end_process_on_failure)
        yield
        running.cancel()
        _ended, unended = await asyncio.wait({running}, timeout=STOP_SECONDS)
        if unended:
            log.warning("stops in the middle: not all work has ended in time")
        await self.engine.dispose()

    async def run(self) -> None:
        """Wait for database and broker, then work until cancelled."""
        await self._until("database and migrations", self._database_ready)
        await self._until("broker and topics", self._broker_ready)
        broker = self._broker()
        try:
            async with asyncio.TaskGroup() as group:
                # First of all the relay: to join the groups can take until they miss a predecessor that was killed.
                for task in self._tasks():
                    group.create_task(task)
                await start_carefully(broker)
                self.waits_for = None
                failpoints.reach("service.joined")
                await self._announce_owner()
        finally:
            await broker.stop()
            await self.topic_ids.close()

    def _broker(self) -> KafkaBroker:
        broker = KafkaBroker(
            **self.settings.kafka.faststream,
            client_id=self.name,
            consumer_only=True,
            allow_auto_create_topics=False,
            metadata_max_age_ms=10_000,
            apply_types=False,
            logger=logging.getLogger("shared.broker"),
        )
        for consumer in self.consumers:
            subscribe(broker, self.name, consumer, self.settings)
        return broker

    def _tasks(self) -> list[Any]:
        kafka = self.settings.kafka
        personal = [c.subscription.topic for c in self.consumers if c.subscription.topic.personal]
        kept = [*kept_by_every_service(self.parts.owner, self.settings.mark_retention), *self.parts.retention]
        tasks: list[Any] = [
            Relay(self.engine, kafka, self.bus.written).run(),
            sweep_for_ever(self.engine, kept, self.clock),
            export_what_is_much(self.bus),
            Liveness(self.consumers, kafka, self.settings.hang_after_seconds).run(),
            *(task(self) for task in self.parts.tasks),
        ]
        if personal:
            tasks.append(Purge(self.engine, kafka, personal, self.topic_ids).run())
        return tasks

    async def _announce_owner(self) -> None:
        async with self.bus.work() as work:
            work.announce(self.parts.owner.announcement(work))

    async def _until(self, what: str, attempt: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await attempt()
            except Exception as error:
                if not is_transient(error):
                    raise
                if self.waits_for != what:
                    log.warning("waits for %s", what, extra={"error": describe(error)})
                self.waits_for = what
                await asyncio.sleep(WAIT_SECONDS)

    async def _database_ready(self) -> None:
        if await missing_migrations(self.engine, self.parts.migrations):
            msg = "migrations"
            raise NotNow(msg)

    async def _broker_ready(self) -> None:
        await self.topic_ids.start(topic.name for topic in ALL_TOPICS)


def service_of(request: Request) -> Service:
    """Find the running service (FastAPI dependency)."""
    service: Service = request.app.state.service
    return service


Running = Annotated[Service, Depends(service_of)]


def _end_process_on_failure(running: asyncio.Task[None]) -> None:
    """End the process when its work has failed: whoever supervises it starts it anew, and everything converges."""
    if not running.cancelled() and (error := running.exception()):
        log.critical("ends", extra={"error": describe(error)})
        os.kill(os.getpid(), signal.SIGTERM)


def serve(app: FastAPI) -> None:
    """Run a service's application until it is told to stop."""
    service: Service = app.state.service
    log_as_json(service.name, service.settings.log_level)
    failpoints.hook = failpoints.planned(service.settings.failpoint)
    uvicorn.run(
        app,
        host=service.settings.http_host,
        port=service.settings.http_port,
        loop="uvloop",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
