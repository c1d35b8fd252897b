"""A device service with two products: one that people bind, one that nobody has."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.commands import KNOW_THE_PRODUCT, KNOWN
from tests.doors import Door, door_of
from tests.rooms import OpenRoom


@pytest.fixture
async def door(room: OpenRoom) -> AsyncIterator[Door]:
    device = await room("device")
    await device.run(KNOW_THE_PRODUCT, **KNOWN)
    async with door_of(device) as opened:
        yield opened
