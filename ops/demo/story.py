"""The story in five scenes, through public doors only: HTTP, topics, the person's mailbox."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

from ops.demo.doors import Doors, NotHeldError, until
from ops.demo.people import Person
from ops.demo.stage import Stage
from ops.products import as_body
from shared.contracts.app import FeedbackSubmitted, ReadingReported
from shared.contracts.base import AccountEvent
from shared.contracts.billing import InstallmentOwed, InstallmentPaid
from shared.contracts.topics import FEEDBACK, INSTALLMENTS, TELEMETRY

READINGS_A_DEVICE = 1000
BETWEEN_READINGS = timedelta(milliseconds=200)
FEEDBACK_A_PERSON = 3
CODE = re.compile(r"\b\d{8}\b")
CASCADE_POLL_SECONDS = 0.01

DECLINED = "Your account cannot be cancelled yet"
POSSIBLE = "Your account can be cancelled now"
FAREWELL = "Your data is erased"


@dataclass
class Cancellation:
    """What the person holds of it."""

    reference: str = ""
    token: str = ""
    confirmed_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    order: dict[str, Any] = field(default_factory=dict)
    """As `requests` tells it in the end."""

    def ms_until(self, moment: str) -> int:
        """From the confirmation to a moment of the order."""
        return round((datetime.fromisoformat(moment) - self.confirmed_at).total_seconds() * 1000)


class Story:
    """Ada leaves, Ben stays."""

    def __init__(self, doors: Doors, stage: Stage) -> None:
        self.doors = doors
        self.stage = stage
        self.person = Person("Ada", region="DE-BE", language="en")
        self.bystander = Person("Ben", region="CN", language="zh-Hans")
        self.cancellation = Cancellation()
        self.published = 0
        self.last_mail = ""
        self._installment = uuid4()

    async def _both(self, act: Callable[[Person], Awaitable[None]]) -> None:
        await asyncio.gather(act(self.person), act(self.bystander))

    # 1

    async def settle_in(self) -> None:
        """Have two people open accounts and bind devices."""
        ada, ben = self.person, self.bystander
        self.stage.scene("1  A person and a bystander settle in")
        with self.stage.step("four devices made known") as step:
            await self._make_known(ada, ben)
            step.detail = "as `adieu import-products` does, by the internal door"
        with self.stage.step("both register") as step:
            await self._both(self._register)
            step.detail = f"{ada.email}, {ben.email}; confirmed by the mailed codes"
        with self.stage.step("both log in") as step:
            await self._both(self._log_in)
            step.detail = "and set nickname and avatar"
        with self.stage.step("both bind two devices") as step:
            await self._both(self._bind)
            step.detail = ", ".join(product.serial for product in ada.products + ben.products)

    async def settle(self, person: Person, readings: int) -> None:
        """Have somebody else move in, with so many readings of each device, and feedback."""
        await self._make_known(person)
        await self._register(person)
        await self._log_in(person)
        await self._bind(person)
        await self.doors.publish(self._readings(person, readings) + self._feedback(person))
        await self._all_read()

    async def _make_known(self, *people: Person) -> None:
        body = as_body([product for person in people for product in person.products])
        await self.doors.ask(
            "device", "POST", "/internal/products", HTTPStatus.OK, json=body, headers=self.doors.internal
        )

    async def _register(self, person: Person) -> None:
        body = {
            "email": person.email,
            "password": person.password,
            "region": person.region,
            "language": person.language,
            "policy_version": "2026-01",
        }
        answer = await self.doors.ask("account", "POST", "/v1/registrations", HTTPStatus.ACCEPTED, json=body)
        person.account_id = UUID(answer.json()["registration_id"])
        await until("the mailed code", lambda: self._confirm(person))

    async def _confirm(self, person: Person) -> bool | None:
        """Try the newest code that was mailed: a registration that was asked for twice has brought two."""
        for mail in reversed(await self.doors.mails(person.email)):
            if code := CODE.search(mail.text):
                path = f"/v1/registrations/{person.account_id}/confirm"
                answer = await self.doors.ask(
                    "account", "POST", path, HTTPStatus.CREATED, HTTPStatus.CONFLICT, json={"code": code[0]}
                )
                # After a lost answer the registration is gone, because there is an account.
                return answer.status_code == HTTPStatus.CREATED or await self._can_log_in(person) or None
        return None

    async def _can_log_in(self, person: Person) -> bool:
        with suppress(NotHeldError):
            await self.open_session(person)
        return bool(person.access_token)

    async def open_session(self, person: Person) -> None:
        """Log in with the password."""
        body = {"email": person.email, "password": person.password}
        answer = await self.doors.ask("account", "POST", "/v1/sessions", HTTPStatus.CREATED, json=body)
        person.access_token = answer.json()["access_token"]

    async def _log_in(self, person: Person) -> None:
        await self.open_session(person)
        headers = person.authorization
        await self.doors.ask(
            "account", "PATCH", "/v1/account", HTTPStatus.OK, json={"nickname": person.nickname}, headers=headers
        )
        picture = {"content": person.avatar, "headers": headers | {"Content-Type": "image/png"}}
        await self.doors.ask("account", "PUT", "/v1/account/avatar", HTTPStatus.NO_CONTENT, **picture)

    async def _bind(self, person: Person) -> None:
        for product in person.products:
            body = {"serial": product.serial, "pairing_code": product.pairing_code}
            answer = await self.doors.ask(
                "device", "POST", "/v1/devices", HTTPStatus.CREATED, json=body, headers=person.authorization
            )
            person.bindings.append(UUID(answer.json()["binding_id"]))

    # 2

    async def live(self) -> None:
        """Publish what devices measure, what people write, and what is owed."""
        self.stage.scene("2  Their life with the app, on topics")
        await self._publish_readings()
        with self.stage.step("feedback and an instalment") as step:
            await self.doors.publish(self._feedback(self.person) + self._feedback(self.bystander))
            lapses_at = datetime.now(UTC) + timedelta(days=90)
            await self._bill(InstallmentOwed, lapses_at=lapses_at)
            step.detail = f"{2 * FEEDBACK_A_PERSON} pieces of feedback; {self.person.name} owes an instalment"
        with self.stage.step("all of it taken in") as step:
            await self._all_read()
            await self._both(self._see_readings)
            step.detail = f"each of the four devices shows its {READINGS_A_DEVICE:,} readings"

    async def _publish_readings(self) -> None:
        with self.stage.step("readings published") as step:
            started = monotonic()
            readings = [each for person in (self.person, self.bystander) for each in self._readings(person)]
            await self.doors.publish(readings)
            self.published = len(readings)
            rate = len(readings) / (monotonic() - started)
            step.detail = f"{len(readings):,} by a plain Kafka producer, {rate:,.0f} a second"

    @staticmethod
    def _readings(person: Person, count: int = READINGS_A_DEVICE) -> list[AccountEvent]:
        # Not from before they were bound: such readings belong to whoever had the device then.
        first = datetime.now(UTC) - count * BETWEEN_READINGS
        return [
            reading_of(person, binding, first + number * BETWEEN_READINGS, number)
            for number in range(count)
            for binding in person.bindings
        ]

    @staticmethod
    def _feedback(person: Person) -> list[AccountEvent]:
        return [
            FeedbackSubmitted(**_stamp("app", person), text=person.feedback(number))
            for number in range(FEEDBACK_A_PERSON)
        ]

    async def _bill(self, fact: type[InstallmentOwed | InstallmentPaid], **more: datetime) -> None:
        stamp = _stamp("billing", self.person)
        await self.doors.publish([fact(**stamp, installment_id=self._installment, **more)])

    async def _all_read(self) -> None:
        readers = (("device", TELEMETRY), ("requests", FEEDBACK), ("account", INSTALLMENTS))
        await asyncio.gather(*(self.doors.read_by(service, topic) for service, topic in readers))

    async def _see_readings(self, person: Person) -> None:
        for binding in person.bindings:
            path = f"/v1/devices/{binding}/readings?limit={READINGS_A_DEVICE}"
            answer = await self.doors.ask("device", "GET", path, HTTPStatus.OK, headers=person.authorization)
            shown = len(answer.json()["items"])
            if shown != READINGS_A_DEVICE:
                raise NotHeldError(f"a device shows {shown} of its {READINGS_A_DEVICE} readings")

    # 3

    async def want_to_leave(self) -> None:
        """Be declined until the instalment is paid; then start and continue."""
        self.stage.scene(f"3  {self.person.name} wants to leave")
        await self._be_declined()
        with self.stage.step("the instalment is paid") as step:
            await self._bill(InstallmentPaid)
            await self.doors.mail(self.person.email, POSSIBLE)
            step.detail = f"an event of billing; mail: “{POSSIBLE}”"
        with self.stage.step("cancelling is started") as step:
            started = await self._start(HTTPStatus.CREATED)
            self.cancellation.reference, self.cancellation.token = started["reference"], started["token"]
            step.detail = f"reference {started['reference']}"
        self.stage.note("will go", "; ".join(started["will_go"]))
        self.stage.note("stops working", "; ".join(started["stops_working"]))
        with self.stage.step("and continued") as step:
            path = f"/v1/cancellations/{self.cancellation.reference}/continue"
            token = {"token": self.cancellation.token}
            step.detail = (await self.doors.ask("account", "POST", path, HTTPStatus.OK, json=token)).json()["next"]

    async def _be_declined(self) -> None:
        with self.stage.step("cancelling is declined") as step:
            problem = await self._start(HTTPStatus.CONFLICT)
            await self.doors.mail(self.person.email, DECLINED)
            step.detail = f"409 {problem['title']}; mail: “{DECLINED}”"
        for reason in problem["reasons"]:
            self.stage.note(f"{reason['reason']} ({reason['count']})", reason["remedy"])

    async def _start(self, expected: HTTPStatus) -> dict[str, Any]:
        headers = self.person.authorization
        answer: dict[str, Any] = (
            await self.doors.ask("account", "POST", "/v1/cancellations", expected, headers=headers)
        ).json()
        return answer

    async def confirm(self) -> None:
        """Confirm: from here on it only rolls forward."""
        with self.stage.step("confirmed with the password") as step:
            self.cancellation.confirmed_at = datetime.now(UTC)
            path = f"/v1/cancellations/{self.cancellation.reference}/confirm"
            body = {"token": self.cancellation.token, "password": self.person.password}
            answer = (await self.doors.ask("account", "POST", path, HTTPStatus.ACCEPTED, json=body)).json()
            step.detail = f"{answer['state']}: order {answer['order_id']}"

    # 4

    async def watch_the_cascade(self) -> None:
        """Show one line an owner, as its receipt comes in."""
        self.stage.scene("4  The cascade")
        shown: set[str] = set()
        with self.stage.waiting("the order") as waiting:
            while not self.cancellation.order.get("certificate"):
                order = await until("the order", self._order)
                awaited = ", ".join(order["waits_for"]) or "nobody"
                waiting.update(f"awaited: {awaited}")
                self._show_new(order, shown, awaited)
                self.cancellation.order = order
                await asyncio.sleep(CASCADE_POLL_SECONDS)
        ms = self.cancellation.ms_until(order["completed_at"])
        self.stage.note("the order is closed", "the last receipt is in, the certificate is written", ms)

    async def _order(self) -> dict[str, Any] | None:
        path = f"/v1/orders/{self.cancellation.reference}"
        answer = await self.doors.ask("requests", "GET", path, HTTPStatus.OK, HTTPStatus.NOT_FOUND)
        order: dict[str, Any] = answer.json()
        return order if answer.is_success and order["opened_at"] else None

    def _show_new(self, order: dict[str, Any], shown: set[str], awaited: str) -> None:
        if not shown:
            asked = [due["owner"] for due in order["owners"] if due["phase"] == "data"]
            last = [due["owner"] for due in order["owners"] if due["phase"] != "data"]
            self.stage.note("asked", f"{', '.join(asked)}; when they have answered, {', '.join(last)}")
            shown.add("")
        answered = [due for due in order["owners"] if due["answered_at"] and due["owner"] not in shown]
        for due in sorted(answered, key=lambda due: str(due["answered_at"])):
            shown.add(due["owner"])
            ms = self.cancellation.ms_until(due["answered_at"])
            self.stage.note(due["owner"], f"{erased(due)}; then awaited: {awaited}", ms)

    # 5

    async def farewell(self) -> None:
        """Show the last mail."""
        self.stage.scene("5  What stays")
        with self.stage.step("the last mail") as step:
            mail = await self.doors.mail(self.person.email, FAREWELL)
            step.detail = f"to {', '.join(mail.recipients)}: “{mail.subject}”"
        self.last_mail = mail.text
        self.stage.quote(mail.text)
        subjects = [mail.subject for mail in await self.doors.mails(self.person.email)]
        self.stage.note(f"{self.person.name}'s mails", "; ".join(subjects))


def erased(due: dict[str, Any]) -> str:
    """Say what an owner has erased and how much; what it did not hold is left out."""
    items = [f"{item['category']} {item['count']:,}" for item in due["items"] if item["outcome"] == "erased"]
    return ", ".join(items) or "nothing held"


def reading_of(person: Person, binding: UUID, measured_at: datetime, number: int = 0) -> ReadingReported:
    """State what a device has measured."""
    values = {"pm25": number % 35, "co2": person.number}
    return ReadingReported(**_stamp("app", person), binding_id=binding, measured_at=measured_at, values=values)


def _stamp(source: str, person: Person) -> dict[str, Any]:
    return {
        "id": uuid4(),
        "source": source,
        "occurred_at": datetime.now(UTC),
        "correlation_id": uuid4(),
        "account_id": person.account_id,
    }
