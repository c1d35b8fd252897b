"""Whatever comes in, no door fails: property-based requests made from the OpenAPI documents, on real databases."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from time import sleep
from typing import Any

import pytest
import schemathesis
import uvicorn
from argon2 import PasswordHasher
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ops.processes import free_port
from tests.builders import ANNA
from tests.doors import door_of
from tests.openapi.test_actors import furnished
from tests.rooms import SERVICES, OpenRoom, Room

EXAMPLES = int(os.environ.get("ADIEU_FUZZ_EXAMPLES", "15"))
"""For each operation; more find more, and take longer."""
HELD = [not_a_server_error, response_schema_conformance, content_type_conformance, status_code_conformance]


@contextmanager
def listening(room: Room) -> Iterator[str]:
    """Run a service's application in a thread, with a loop and an engine of its own, and without a broker."""
    port = free_port(None, taken=[])
    app = import_module(f"services.{room.service}.app").create_app(room.settings, room.clock)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, lifespan="off", log_config=None))

    async def serve() -> None:
        await server.serve()
        await app.state.service.engine.dispose()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    while not server.started and thread.is_alive():
        sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("the heron reads at dusk")


def asked(operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode, headers: dict[str, str]) -> None:
    """Ask one operation many times, with what its document allows or with what it does not."""

    @seed(20261102)  # the same cases every time: what is found is found again
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        case.call_and_validate(headers=headers, checks=HELD, timeout=60)

    ask()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
@pytest.mark.parametrize("service", SERVICES)
async def test_no_request_makes_a_door_fail(room: OpenRoom, service: str, mode: GenerationMode) -> None:
    ready = await furnished(room, service)
    if service == "account":
        await ready.run("UPDATE accounts SET password_hash = :hash", hash=HASH)
    async with door_of(ready) as door:
        of_person, of_staff = door.token_of(ANNA).headers, door.staff().headers
    with listening(ready) as address:
        schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
        for result in schema.get_all_operations():
            assert isinstance(result, Ok)
            operation = result.ok()
            asked(operation, mode, of_staff if "/staff/" in operation.path else of_person)
