"""The story asks again while a service is away, and takes no answer that it does not expect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from pathlib import Path
from typing import cast

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from ops.demo.doors import Doors, NotHeldError, until
from ops.installation import Installation

Answers = list[httpx.Response | httpx.TransportError]
DoorsTo = Callable[[Answers], Doors]


@pytest.fixture
async def doors_to(tmp_path: Path) -> AsyncIterator[DoorsTo]:
    """Make doors behind which these answers come, one after the other; there is no broker."""
    installation = Installation(tmp_path)
    installation.create()
    clients: list[httpx.AsyncClient] = []

    def make(answers: Answers) -> Doors:
        def answer(_: httpx.Request) -> httpx.Response:
            match answers.pop(0):
                case httpx.Response() as response:
                    return response
                case error:
                    raise error

        clients.append(httpx.AsyncClient(transport=httpx.MockTransport(answer)))
        return Doors(installation, clients[-1], cast("AIOKafkaProducer", None), cast("AIOKafkaAdminClient", None))

    yield make
    for client in clients:
        await client.aclose()


async def test_a_service_that_is_away_is_asked_again(doors_to: DoorsTo) -> None:
    away: Answers = [httpx.ConnectError("refused"), httpx.ReadError("reset"), httpx.Response(503)]
    doors = doors_to([*away, httpx.Response(201, json={"done": True})])
    answer = await doors.ask("account", "POST", "/v1/sessions", HTTPStatus.CREATED)
    assert answer.json() == {"done": True}


async def test_an_answer_that_is_not_expected_ends_the_story(doors_to: DoorsTo) -> None:
    doors = doors_to([httpx.Response(500, text="unexpected")])
    with pytest.raises(NotHeldError, match=r"POST /v1/sessions of account was answered by 500: unexpected"):
        await doors.ask("account", "POST", "/v1/sessions", HTTPStatus.CREATED)


async def test_patience_has_an_end() -> None:
    async def never() -> None:
        return None

    with pytest.raises(NotHeldError, match=r"the mail did not come within 0 s"):
        await until("the mail", never, patience=0.1)
