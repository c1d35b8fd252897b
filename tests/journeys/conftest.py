"""The whole system, started once for all journeys."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from ops.system import System
from tests.people import Person, settle_in
from tests.whole_system import whole_system


@pytest.fixture(scope="package")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with whole_system(tmp_path_factory.mktemp("journeys")) as system:
        yield system


@pytest.fixture(scope="package")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30) as client:
        yield client


@pytest.fixture
async def ada(system: System, http: httpx.AsyncClient) -> Person:
    """Somebody who has moved in, with one device."""
    person = Person(system, http)
    assert system.mailbox
    await settle_in([person], system.mailbox)
    return person
