"""What people do: live with the app, want to leave, change something. All by public doors, patiently."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

from chaos.crowd import Crowd, Human
from chaos.publisher import Publisher, new_id
from ops.demo.doors import Doors, NotHeldError
from ops.products import as_body
from shared.contracts.app import DeviceAdded, DeviceDeleted, FeedbackSubmitted, ReadingReported
from shared.contracts.base import AccountEvent
from shared.contracts.billing import InstallmentOwed

READINGS_EACH = 10
LAPSES = timedelta(days=90)


class Life:
    """The workload of one run."""

    def __init__(self, crowd: Crowd, doors: Doors, publisher: Publisher) -> None:
        self.crowd = crowd
        self.doors = doors
        self.publisher = publisher
        self.rng = publisher.rng
        self.bindings: dict[UUID, list[UUID]] = {}
        self.complaints: list[str] = []
        """Answers that nobody should get."""

    def _stamp(self, person: Human, source: str = "app") -> dict[str, Any]:
        return {
            "id": new_id(self.rng),
            "source": source,
            "occurred_at": datetime.now(UTC),
            "correlation_id": new_id(self.rng),
            "account_id": person.account_id,
        }

    # Before

    async def bind(self) -> None:
        """Have everybody add two devices, by the topic."""
        products = [product for person in self.crowd.everybody for product in person.products]
        door = ("device", "POST", "/internal/products", HTTPStatus.OK)
        await self.doors.ask(*door, json=as_body(products), headers=self.doors.internal)
        added = [self._added(person, number) for person in self.crowd.everybody for number in (0, 1)]
        for event in added:
            self.bindings.setdefault(event.account_id, []).append(event.id)
        regretted = [event for person in self.crowd.changing for event in self._regretted(person)]
        await self.publisher.publish([*added, *regretted])

    def _regretted(self, person: Human) -> list[AccountEvent]:
        """Give the second device back, and take it again: facts in one breath, whose order counts."""
        bindings = self.bindings[person.account_id]
        deleted, again = self._deleted(person, bindings.pop()), self._added(person, 1)
        bindings.append(again.id)
        return [deleted, again]

    def _added(self, person: Human, number: int) -> DeviceAdded:
        product = person.products[number]
        return DeviceAdded(
            **self._stamp(person),
            access_token=person.access_token,
            serial=product.serial,
            pairing_code=product.pairing_code,
        )

    async def owe(self) -> None:
        """Have some owe an instalment."""
        stamps = [(self._stamp(person, "billing"), new_id(self.rng)) for person in self.crowd.owing]
        lapses_at = datetime.now(UTC) + LAPSES
        await self.publisher.publish(
            [InstallmentOwed(**stamp, installment_id=which, lapses_at=lapses_at) for stamp, which in stamps]
        )

    async def report(self, people: Sequence[Human], readings: int = READINGS_EACH) -> None:
        """Have devices measure, and people write."""
        events: list[AccountEvent] = []
        for person in people:
            measured = [self._reading(person, number) for number in range(readings)]
            written = FeedbackSubmitted(**self._stamp(person), text=person.feedback(len(person.feedback_ids)))
            person.readings += [event.id for event in measured]
            person.feedback_ids.append(written.id)
            events += [*measured, written]
        await self.publisher.publish(events)

    def _reading(self, person: Human, number: int) -> ReadingReported:
        values = {"pm25": float(number % 35), "co2": person.number}
        at = datetime.now(UTC) + timedelta(milliseconds=number)
        binding = self.bindings[person.account_id][0]
        return ReadingReported(**self._stamp(person), binding_id=binding, measured_at=at, values=values)

    # Meanwhile

    async def leave(self, people: Sequence[Human]) -> None:
        """Have them take the three taps, all at once."""
        await asyncio.gather(*(self._patiently(self._leave(person)) for person in people))

    async def _leave(self, person: Human) -> None:
        started = (await self._start(person, HTTPStatus.CREATED)).json()
        person.reference, person.token = started["reference"], started["token"]
        path, body = f"/v1/cancellations/{person.reference}", {"token": person.token}
        await self.doors.ask("account", "POST", f"{path}/continue", HTTPStatus.OK, json=body)
        body["password"] = person.password
        await self.doors.ask("account", "POST", f"{path}/confirm", HTTPStatus.ACCEPTED, json=body)
        person.confirmed = True

    async def _start(self, person: Human, expected: HTTPStatus) -> Any:  # noqa: ANN401 - a response
        headers = person.authorization | {"Idempotency-Key": f"leave-{person.account_id}"}
        return await self.doors.ask("account", "POST", "/v1/cancellations", expected, headers=headers)

    async def be_declined(self) -> None:
        """Have those who owe something try to leave."""
        await asyncio.gather(
            *(self._patiently(self._start(person, HTTPStatus.CONFLICT)) for person in self.crowd.owing)
        )

    async def change(self) -> None:
        """Have some take another nickname, name a device, and give one away."""
        await asyncio.gather(*(self._patiently(self._change(person)) for person in self.crowd.changing))
        given = [self._deleted(person, self.bindings[person.account_id][1]) for person in self.crowd.changing]
        await self.publisher.publish(given)

    def _deleted(self, person: Human, binding_id: UUID) -> DeviceDeleted:
        return DeviceDeleted(**self._stamp(person), access_token=person.access_token, binding_id=binding_id)

    async def _change(self, person: Human) -> None:
        headers = person.authorization
        nickname = {"nickname": f"New {person.nickname}"}
        await self.doors.ask("account", "PATCH", "/v1/account", HTTPStatus.OK, json=nickname, headers=headers)
        path = f"/v1/devices/{self.bindings[person.account_id][0]}"
        name = {"name": f"Device of {person.nickname}"}
        await self.doors.ask("device", "PATCH", path, HTTPStatus.OK, json=name, headers=headers)

    async def _patiently(self, wish: Any) -> None:  # noqa: ANN401 - any coroutine
        try:
            await wish
        except NotHeldError as error:
            self.complaints.append(str(error))

    # After

    async def come_late(self) -> None:
        """Have devices and people speak up who have been gone for a while."""
        gone = [person for person in self.crowd.leaving if person.confirmed]
        await self.report(gone, readings=2)
