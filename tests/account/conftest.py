"""Account's door, for what people do by HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.doors import Door, door_of
from tests.rooms import OpenRoom


@pytest.fixture
async def door(room: OpenRoom) -> AsyncIterator[Door]:
    async with door_of(await room("account")) as opened:
        yield opened
