"""How a person leaves, by the public doors of the running system."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from uuid import uuid4

import httpx
from aiokafka import AIOKafkaProducer

from ops.system import System
from tests.people import Person, eventually, mails_by_address, settle_in
from tests.whole_system import places_of, rows


async def _publish(system: System, topic: str, event: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=system.addresses.kafka)
    await producer.start()
    try:
        await producer.send_and_wait(topic, event)
    finally:
        await producer.stop()


async def _mail(person: Person, subject: str) -> None:
    mailbox = person.system.mailbox
    assert mailbox

    async def arrived() -> bool:
        return any(text.startswith(subject) for text in mails_by_address(mailbox).get(person.email, []))

    await eventually(arrived, f"mail: {subject}")


async def test_who_owes_is_declined_with_reason_and_remedy_and_told_when_it_is_possible(
    system: System, ada: Person
) -> None:
    installment = str(uuid4())
    owed = ada.event("InstallmentOwed", "billing", installment_id=installment, lapses_at="2099-01-01T00:00:00Z")
    await _publish(system, "billing.installments.v1", owed)

    async def declined() -> httpx.Response | None:
        answer = await ada.start_to_leave()
        return answer if answer.status_code == HTTPStatus.CONFLICT else None

    problem = (await eventually(declined, "a declined cancellation")).json()
    assert problem["title"] == "cancellation-declined"
    assert [(each["reason"], each["count"]) for each in problem["reasons"]] == [("unpaid-installments", 1)]
    assert "Pay" in problem["reasons"][0]["remedy"]
    await _mail(ada, "Your account cannot be cancelled yet")

    await _publish(
        system, "billing.installments.v1", ada.event("InstallmentPaid", "billing", installment_id=installment)
    )
    await _mail(ada, "Your account can be cancelled now")
    assert (await ada.start_to_leave()).status_code == HTTPStatus.CREATED


async def test_confirming_twice_and_at_the_same_time_is_one_order_also_when_the_account_is_gone(ada: Person) -> None:
    await ada.start_to_leave()

    answers = await asyncio.gather(*(ada.leave() for _ in range(5)))
    await eventually(ada.gone, "a completed order")
    late = await ada.leave()

    assert {answer.status_code for answer in (*answers, late)} == {HTTPStatus.ACCEPTED}
    assert len({answer.json()["order_id"] for answer in (*answers, late)}) == 1
    assert (await ada.order())["order_id"] == late.json()["order_id"]


async def test_every_reference_that_was_given_leads_to_the_one_order(ada: Person) -> None:
    await ada.start_to_leave()
    first = ada.reference
    await ada.start_to_leave()
    await ada.leave()
    await eventually(ada.gone, "a completed order")
    by_second = await ada.order()

    ada.reference = first

    assert (await ada.order())["order_id"] == by_second["order_id"]


async def test_a_wrong_password_cancels_nothing_and_tries_are_counted(ada: Person) -> None:
    await ada.start_to_leave()
    path = f"/cancellations/{ada.reference}/confirm"
    wrong = {"token": ada._token, "password": "not the password at all"}  # noqa: SLF001 - as somebody who guesses

    answers = [await ada.ask("account", "POST", path, json=wrong) for _ in range(5)]
    spent = await ada.leave()

    assert {answer.status_code for answer in answers} == {HTTPStatus.FORBIDDEN}
    assert (spent.status_code, spent.json()["title"]) == (HTTPStatus.CONFLICT, "tries-spent")
    assert (await ada.ask("account", "GET", "/account")).status_code == HTTPStatus.OK


async def test_confirming_without_having_seen_what_will_go_is_refused(ada: Person) -> None:
    started = (await ada.ask("account", "POST", "/cancellations")).json()
    path = f"/cancellations/{started['reference']}/confirm"

    answer = await ada.ask("account", "POST", path, json={"token": started["token"], "password": ada.password})

    assert (answer.status_code, answer.json()["title"]) == (HTTPStatus.CONFLICT, "cancellation-not-continued")


async def test_the_status_names_nobody_it_waits_for_and_has_the_certificate_with_every_residue_dated(
    ada: Person,
) -> None:
    await ada.start_to_leave()
    await ada.leave()
    await eventually(ada.gone, "a completed order")

    order = await ada.order()

    assert order["waits_for"] == []
    assert [due["owner"] for due in order["owners"]] == ["account", "device", "notifier", "requests"]
    erased = {item["category"] for due in order["owners"] for item in due["items"] if item["outcome"] == "erased"}
    assert {"email", "password", "nickname", "avatar", "creation-time", "login-times", "device-data"} <= erased
    assert all(residue["until"] for residue in order["certificate"]["residue"])


async def test_what_arrives_late_brings_nobody_back(system: System, ada: Person, http: httpx.AsyncClient) -> None:
    await ada.start_to_leave()
    await ada.leave()
    await eventually(ada.gone, "a completed order")
    other = Person(system, http)
    assert system.mailbox
    await settle_in([other], system.mailbox)

    reading = {"binding_id": ada.bindings[0], "measured_at": "2026-11-02T12:00:00Z", "values": {f"pm_{ada.mark}": 1}}
    await _publish(system, "app.telemetry.v1", ada.event("ReadingReported", "app", **reading))
    await _publish(system, "app.feedback.v1", ada.event("FeedbackSubmitted", "app", text=f"late {ada.mark}"))
    await _publish(system, "app.feedback.v1", other.event("FeedbackSubmitted", "app", text=f"in time {other.mark}"))

    async def others_has_arrived() -> bool:
        return "requests.feedback" in places_of([other.mark], await rows(system))

    await eventually(others_has_arrived, "the other person's feedback")
    assert set(places_of([ada.mark], await rows(system))) <= {"device.products"}


async def test_a_device_whose_owner_has_left_can_be_bound_by_somebody_else(
    system: System, ada: Person, http: httpx.AsyncClient
) -> None:
    await ada.start_to_leave()
    await ada.leave()
    await eventually(ada.gone, "a completed order")
    next_owner = Person(system, http)
    assert system.mailbox
    await settle_in([next_owner], system.mailbox)

    await next_owner.bind(f"SN-{ada.mark}")

    devices = (await next_owner.ask("device", "GET", "/devices")).json()["items"]
    assert f"SN-{ada.mark}" in [device["serial"] for device in devices]


async def test_a_session_that_was_ended_is_good_nowhere(ada: Person) -> None:
    assert (await ada.ask("account", "DELETE", "/sessions/current")).status_code == HTTPStatus.NO_CONTENT

    assert (await ada.ask("account", "GET", "/account")).status_code == HTTPStatus.UNAUTHORIZED

    async def barred_at_device() -> bool:
        return (await ada.ask("device", "GET", "/devices")).status_code == HTTPStatus.UNAUTHORIZED

    await eventually(barred_at_device, "the end of the session at device")


async def test_a_known_address_gets_the_same_answer_and_no_second_account(system: System, ada: Person) -> None:
    first = ada.account_id

    await ada.register()

    assert ada.account_id != first
    assert system.mailbox
    codes = [
        text for text in mails_by_address(system.mailbox)[ada.email] if text.startswith("Your confirmation code")
    ]
    assert len(codes) == 1
