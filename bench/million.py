"""One person with 1,000,000 readings is served, exported, erased: what that takes, and what others notice of it."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

import asyncpg
import httpx

from bench.measure import memory_megabytes, percentile
from bench.people import HASHER, PASSWORD, Resident, residents, settle
from ops.installation import Installation
from ops.system import System, running

OTHERS = 200
"""Each of them can leave once."""
QUIET_SECONDS = 20.0
SAMPLE_SECONDS = 0.1
PAGE = 1000
Figures = dict[str, Any]


class Town:
    """A system with one person who has very much, and others who live beside."""

    def __init__(self, system: System, client: httpx.AsyncClient) -> None:
        self.system = system
        self.much, *self.others = residents(OTHERS + 1)
        self._client = client
        self._numbers = count()

    async def settle(self, readings: int) -> None:
        """Put all of them into the tables, as the services would have left them."""
        urls = self.system.installation.database_urls
        async with AsyncExitStack() as stack:
            connections = {name: await stack.enter_async_context(_connected(url)) for name, url in urls.items()}
            await settle(connections, [self.much, *self.others], HASHER.hash(PASSWORD), readings=60)
            columns = ("account_id", "binding_id", "measured_at", "event_id", "values")
            rows = _readings(self.much, readings)
            await connections["device"].copy_records_to_table("readings", columns=columns, records=rows)
            await connections["device"].execute("VACUUM ANALYZE")

    async def ask(self, service: str, method: str, path: str, token: str = "", **request: Any) -> httpx.Response:  # noqa: ANN401 - as httpx
        """Ask, and expect to be told what was asked for."""
        url = f"{self.system.addresses.services[service]}{path}"
        headers = request.pop("headers", {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        answer = await self._client.request(method, url, headers=headers, **request)
        answer.raise_for_status()
        return answer

    async def log_in(self, person: Resident) -> str:
        """Log in; gives the access token."""
        body = {"email": person.email, "password": PASSWORD}
        return str((await self.ask("account", "POST", "/v1/sessions", json=body)).json()["access_token"])

    async def leave(self, person: Resident) -> None:
        """Tap a third time, and wait for the certificate."""
        body = {"token": person.token, "password": PASSWORD}
        await self.ask("account", "POST", f"/v1/cancellations/{person.reference}/confirm", json=body)
        while not await self._gone(person):  # noqa: ASYNC110 - other processes decide
            await asyncio.sleep(0.02)

    async def _gone(self, person: Resident) -> bool:
        url = f"{self.system.addresses.services['requests']}/v1/orders/{person.reference}"
        answer = await self._client.get(url)
        return answer.is_success and answer.json()["state"] == "completed"

    async def product(self) -> str:
        """Make a device known; gives its serial."""
        serial = f"SN-{next(self._numbers)}"
        products = {"products": [{"serial": serial, "model": "Purifier", "pairing_code": "0000"}]}
        headers = {"X-Internal-Token": self.system.installation.internal_token}
        await self.ask("device", "POST", "/internal/products", headers=headers, json=products)
        return serial


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        yield connection
    finally:
        await connection.close()


def _readings(person: Resident, number: int) -> Iterator[tuple[Any, ...]]:
    since = datetime.now(UTC) - timedelta(days=1)
    for nth in range(number):
        values = json.dumps({"pm25": nth % 100, "humidity": 40 + nth % 20})
        yield person.account_id, person.bindings[0], since + timedelta(milliseconds=nth), uuid4(), values


class Neighbours:
    """What others do all the time, one thing after the other, and how long each thing takes them."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self._leaving = iter(town.others[: OTHERS // 2])
        self._staying = town.others[OTHERS // 2 :]
        self.took: dict[str, list[float]] = defaultdict(list)

    @asynccontextmanager
    async def living(self) -> AsyncIterator[None]:
        """Have them live for as long as the block lasts."""
        self.took.clear()
        tasks = [asyncio.create_task(self._devices()), asyncio.create_task(self._departures())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _devices(self) -> None:
        person = self._staying[0]
        token = await self._town.log_in(person)
        binding = person.bindings[0]
        for nth in count():
            if nth % 100 == 0:
                token = await self._town.log_in(person)
            body = {"serial": await self._town.product(), "pairing_code": "0000"}
            added = await self._timed(
                "add a device", self._town.ask("device", "POST", "/v1/devices", token, json=body)
            )
            path = f"/v1/devices/{binding}/readings"
            await self._timed("see readings", self._town.ask("device", "GET", path, token))
            path = f"/v1/devices/{added.json()['binding_id']}"
            await self._timed("delete a device", self._town.ask("device", "DELETE", path, token))
            await asyncio.sleep(0.05)

    async def _departures(self) -> None:
        for person in self._leaving:
            await self._timed("leave, to the certificate", self._town.leave(person))
            await asyncio.sleep(0.5)

    async def _timed(self, what: str, act: Awaitable[Any]) -> Any:  # noqa: ANN401 - its own
        began = perf_counter()
        answer = await act
        self.took[what].append((perf_counter() - began) * 1000)
        return answer

    def figures(self) -> Figures:
        """Milliseconds of each thing that they did: median, 95th percentile, the worst, and of how many."""
        return {
            what: {
                "median": round(percentile(took, 0.5)),
                "p95": round(percentile(took, 0.95)),
                "worst": round(max(took)),
                "times": len(took),
            }
            for what, took in self.took.items()
        }


async def _sampled(pid: int, act: Awaitable[Any]) -> tuple[Any, Figures]:
    """Do it, and look at the memory of a process meanwhile."""
    before = peak = memory_megabytes(pid)
    began = perf_counter()
    acting = asyncio.ensure_future(act)
    while not acting.done():
        await asyncio.wait([acting], timeout=SAMPLE_SECONDS)
        peak = max(peak, await asyncio.to_thread(memory_megabytes, pid))
    seconds = round(perf_counter() - began, 1)
    return acting.result(), {"seconds": seconds, "device_megabytes": {"before": round(before), "peak": round(peak)}}


async def _pages(town: Town) -> int:
    token, found, after = await town.log_in(town.much), 0, ""
    for nth in count():
        if nth % PAGE == 0:
            token = await town.log_in(town.much)
        path = f"/v1/devices/{town.much.bindings[0]}/readings?limit={PAGE}{after}"
        page = (await town.ask("device", "GET", path, token)).json()
        found += len(page["items"])
        if not page["next"]:
            break
        after = f"&after={page['next']}"
    return found


async def _export(town: Town, client: httpx.AsyncClient) -> int:
    url = f"{town.system.addresses.services['device']}/v1/devices/{town.much.bindings[0]}/readings.csv"
    headers = {"Authorization": f"Bearer {await town.log_in(town.much)}"}
    lines = 0
    async with client.stream("GET", url, headers=headers) as answer:
        answer.raise_for_status()
        async for some in answer.aiter_bytes():
            lines += some.count(b"\n")
    return lines


async def measure(readings: int) -> Figures:
    """Measure all of it on a system of its own."""
    with tempfile.TemporaryDirectory(prefix="adieu-million-") as directory:
        installation = Installation(Path(directory), {"NETWORK_PATIENCE": "1000"})
        async with running(installation) as system, httpx.AsyncClient(timeout=120) as client:
            town = Town(system, client)
            await town.settle(readings)
            return await _phases(town, client)


async def _phases(town: Town, client: httpx.AsyncClient) -> Figures:
    neighbours = Neighbours(town)
    acts: dict[str, Callable[[], Awaitable[Any]]] = {
        "nothing": lambda: asyncio.sleep(QUIET_SECONDS),
        "sees all page by page": lambda: _pages(town),
        "takes all along as CSV": lambda: _export(town, client),
        "leaves, to the certificate": lambda: town.leave(town.much),
    }
    figures: Figures = {}
    for name, act in acts.items():
        async with neighbours.living():
            count_of, told = await _sampled(town.system.supervisor.pid("device"), act())
        figures[name] = {**told, "count": count_of, "others_milliseconds": neighbours.figures()}
    return figures


def main() -> None:
    """Print what was measured, as JSON."""
    options = argparse.ArgumentParser(prog="python -m bench.million", description=__doc__)
    options.add_argument("--readings", type=int, default=1_000_000)
    figures = asyncio.run(measure(options.parse_args().readings))
    print(json.dumps(figures, indent=2))  # noqa: T201 - what it is for


if __name__ == "__main__":
    main()
