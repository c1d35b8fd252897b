"""What else happens: a log-in with a second phone, a foreign Kafka client, a device that changes hands."""

from __future__ import annotations

import asyncio
import json
import secrets
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID, uuid4

from confluent_kafka import Producer

from ops.demo.doors import ANSWER_SECONDS, Doors, NotHeldError, until
from ops.demo.people import MODEL, Person
from ops.demo.stage import Stage
from ops.products import Product, as_body
from shared.contracts.topics import DEVICE_ACTIONS, TELEMETRY

NEW_CLIENT = "A new log-in to your account"
FOREIGN_READINGS = 20


class Episodes:
    """Ada logs in with a second phone, and gives a device to Ben."""

    def __init__(self, doors: Doors, stage: Stage, giver: Person, taker: Person) -> None:
        self.doors = doors
        self.stage = stage
        self.giver = giver
        self.taker = taker
        self._device = Product(f"SN-used-{secrets.token_hex(4)}", MODEL, f"pair-{secrets.token_hex(4)}")
        self._binding = UUID(int=0)

    async def second_phone(self) -> None:
        """Log in with another client: the person is told, and can end what is not theirs."""
        giver = self.giver
        with self.stage.step(f"{giver.name} logs in with a second phone") as step:
            body = {"email": giver.email, "password": giver.password, "client_name": f"phone of {giver.nickname}"}
            answer = await self.doors.ask("account", "POST", "/v1/sessions", HTTPStatus.CREATED, json=body)
            await self.doors.mail(giver.email, NEW_CLIENT)
            step.detail = f"mail: “{NEW_CLIENT}”"
        with self.stage.step("and ends the first phone's session") as step:
            headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            await self.doors.ask("account", "DELETE", "/v1/sessions/others", HTTPStatus.NO_CONTENT, headers=headers)
            await self.doors.ask(
                "account", "GET", "/v1/account", HTTPStatus.UNAUTHORIZED, headers=giver.authorization
            )
            giver.access_token = answer.json()["access_token"]
            step.detail = "its access token is refused from now on"

    async def device_changes_hands(self) -> None:
        """Let one person use a device and delete it, and the next one add it: all by a client that is not ours."""
        giver, taker = self.giver, self.taker
        await self.doors.ask(
            "device",
            "POST",
            "/internal/products",
            HTTPStatus.OK,
            json=as_body([self._device]),
            headers=self.doors.internal,
        )
        with self.stage.step("a foreign Kafka client publishes") as step:
            self._binding = await self._add(giver)
            await asyncio.to_thread(self._publish, TELEMETRY.name, giver, self._readings(giver))
            await until("the foreign client's readings", lambda: self._shown(giver, FOREIGN_READINGS))
            step.detail = f"{giver.name} adds {self._device.serial}, which reports {FOREIGN_READINGS} readings"
        with self.stage.step(f"the device goes to {taker.name}") as step:
            deleted = {"type": "DeviceDeleted", "binding_id": str(self._binding)}
            await asyncio.to_thread(self._publish, DEVICE_ACTIONS.name, giver, [self._act(giver, deleted)])
            await until("the deletion", lambda: self._deleted(giver))
            taken = await self._add(taker)
            step.detail = f"{giver.name} deletes it, {taker.name} adds it: binding {taken}"
        with self.stage.step("and shows nothing of before") as step:
            # What the device measured under its first owner arrives late, by both names that it has.
            await asyncio.to_thread(self._publish, TELEMETRY.name, giver, self._readings(giver))
            late = self._readings(taker, measured_at="1970-01-02T00:00:00Z")
            await asyncio.to_thread(self._publish, TELEMETRY.name, taker, late)
            await asyncio.to_thread(self._publish, TELEMETRY.name, taker, self._readings(taker)[:1])
            await until(f"{taker.name}'s own reading", lambda: self._shown(taker, 1))
            step.detail = f"of {2 * FOREIGN_READINGS} late readings none landed; {taker.name}'s own one did"

    async def _add(self, person: Person) -> UUID:
        added = {
            "type": "DeviceAdded",
            "serial": self._device.serial,
            "pairing_code": self._device.pairing_code,
        }
        await asyncio.to_thread(self._publish, DEVICE_ACTIONS.name, person, [self._act(person, added)])
        return await until("the added device", lambda: self._binding_of(person))

    @staticmethod
    def _stamp(person: Person) -> dict[str, Any]:
        return {
            "id": str(uuid4()),
            "source": "app",
            "occurred_at": datetime.now(UTC).isoformat(),
            "correlation_id": str(uuid4()),
            "account_id": str(person.account_id),
        }

    def _act(self, person: Person, action: dict[str, str]) -> dict[str, Any]:
        return {**self._stamp(person), "access_token": person.access_token, **action}

    def _readings(self, person: Person, measured_at: str | None = None) -> list[dict[str, Any]]:
        return [
            {
                **self._stamp(person),
                "type": "ReadingReported",
                "serial": self._device.serial,
                "measured_at": measured_at or datetime.now(UTC).isoformat(),
                "values": {"pm25": number, "co2": person.number},
            }
            for number in range(FOREIGN_READINGS)
        ]

    def _publish(self, topic: str, person: Person, facts: list[dict[str, Any]]) -> None:
        producer = Producer(self.doors.kafka.librdkafka)
        for fact in facts:
            producer.produce(topic, key=str(person.account_id), value=json.dumps(fact))
        if producer.flush(ANSWER_SECONDS):
            raise NotHeldError("the foreign client could not publish")

    async def _binding_of(self, person: Person) -> UUID | None:
        found = await self._devices(person)
        return next((UUID(each["binding_id"]) for each in found if each["serial"] == self._device.serial), None)

    async def _deleted(self, person: Person) -> bool | None:
        return await self._binding_of(person) is None or None

    async def _devices(self, person: Person) -> list[dict[str, Any]]:
        answer = await self.doors.ask("device", "GET", "/v1/devices", HTTPStatus.OK, headers=person.authorization)
        devices: list[dict[str, Any]] = answer.json()["items"]
        return devices

    async def _shown(self, person: Person, count: int) -> bool | None:
        binding = await self._binding_of(person)
        path = f"/v1/devices/{binding}/readings?limit=1000"
        answer = await self.doors.ask("device", "GET", path, HTTPStatus.OK, headers=person.authorization)
        shown = len(answer.json()["items"])
        if shown > count:
            raise NotHeldError(
                f"{person.name}'s device shows {shown} readings, of which {shown - count} are not theirs"
            )
        return shown == count or None
