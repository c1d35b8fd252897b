"""What notifier decides, without any engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.notifier.commands import Address, Kind, Outcome, RememberContact
from services.notifier.domain import (
    LONGEST_PAUSE,
    Patience,
    Queued,
    Step,
    decide_delivery,
    decide_step,
    is_sendable,
    newest_contacts,
    next_attempt,
)
from shared.languages import language_for

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
ANNA = Address("anna@people.example", "en")
PATIENCE = Patience(contact=timedelta(hours=1), mail=timedelta(hours=24), attempts=40)
ACCOUNT = UUID(int=1)


def message(
    *,
    waited: timedelta = timedelta(),
    to: Address | None = ANNA,
    **fields: Any,  # noqa: ANN401 - columns
) -> Queued:
    usual: dict[str, Any] = {
        "id": 1,
        "account_id": ACCOUNT,
        "kind": Kind.CANCELLATION_POSSIBLE,
        "parameters": {},
        "order_id": None,
        "queued_at": NOW - waited,
        "attempts": 0,
        "address": to,
    }
    return Queued(**usual | fields)


def code_expiring(at: datetime) -> Queued:
    return message(kind=Kind.CONFIRMATION_CODE, parameters={"code": "1", "expires_at": at.isoformat()})


def test_a_message_goes_to_its_address() -> None:
    assert decide_delivery(message(), NOW, PATIENCE) == ANNA


def test_a_message_waits_for_its_contact_but_not_for_ever() -> None:
    young, old = (message(waited=timedelta(minutes=m), to=None) for m in (59, 60))
    assert decide_delivery(young, NOW, PATIENCE) is Outcome.DEFERRED
    assert decide_delivery(old, NOW, PATIENCE) is Outcome.UNDELIVERABLE


def test_a_message_is_not_tried_for_longer_than_the_patience() -> None:
    assert decide_delivery(message(waited=timedelta(hours=23)), NOW, PATIENCE) == ANNA
    assert decide_delivery(message(waited=timedelta(hours=24)), NOW, PATIENCE) is Outcome.UNDELIVERABLE


def test_an_expired_code_is_not_sent() -> None:
    assert decide_delivery(code_expiring(NOW), NOW, PATIENCE) is Outcome.EXPIRED
    assert decide_delivery(code_expiring(NOW + timedelta(seconds=1)), NOW, PATIENCE) == ANNA


@pytest.mark.parametrize(
    "email",
    [
        "anna@people.example\r\nBcc: all@people.example",
        "anna@people.example\n",
        "anna@people.example> SIZE=1",
        "anna@people.example,eve@people.example",
        "anna\u2028@people.example",
        "@people.example",
        "anna",
        "",
    ],
)
def test_what_could_end_a_header_or_a_command_is_no_address(email: str) -> None:
    assert not is_sendable(email)
    assert decide_delivery(message(to=Address(email, "en")), NOW, PATIENCE) is Outcome.UNDELIVERABLE


@pytest.mark.parametrize("email", ["anna@people.example", "a.n+x'y@people.example", "安娜@例子.example"])
def test_an_ordinary_address_can_be_sent_to(email: str) -> None:
    assert is_sendable(email)


def test_pauses_grow_up_to_a_bound() -> None:
    pauses = [next_attempt(attempts, NOW) - NOW for attempts in range(12)]
    assert pauses[:3] == [timedelta(seconds=1), timedelta(seconds=2), timedelta(seconds=4)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == next_attempt(10_000, NOW) - NOW == LONGEST_PAUSE


def test_only_the_last_message_has_the_person_erased_told_or_not() -> None:
    last = message(order_id=uuid4())
    assert decide_step(message(), Outcome.DELIVERED) is Step.FORGET
    assert decide_step(message(), Outcome.UNDELIVERABLE) is Step.FORGET
    assert decide_step(message(), Outcome.EXPIRED) is Step.FORGET
    assert decide_step(last, Outcome.DEFERRED) is Step.RETRY
    assert decide_step(last, Outcome.DELIVERED) is Step.ERASE
    assert decide_step(last, Outcome.UNDELIVERABLE) is Step.ERASE_UNTOLD


def test_that_the_cancellation_was_received_is_remembered_once_it_went_out_or_never_will() -> None:
    received = message(kind=Kind.CANCELLATION_RECEIVED)
    assert decide_step(received, Outcome.DEFERRED) is Step.RETRY
    assert decide_step(received, Outcome.DELIVERED) is Step.REMEMBER
    assert decide_step(received, Outcome.UNDELIVERABLE) is Step.REMEMBER


def test_the_newest_contact_counts_in_any_order() -> None:
    one, two, three = (RememberContact(account_id=ACCOUNT, version=version, address=ANNA) for version in (1, 2, 3))
    other = RememberContact(account_id=UUID(int=2), version=1, address=ANNA)
    assert newest_contacts([two, other, three, one]) == [three, other]


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("zh", "zh-Hans"),
        ("zh-CN", "zh-Hans"),
        ("ZH-hant-TW", "zh-Hans"),
        ("en-GB", "en"),
        ("de", "de"),
        ("de-CH", "de"),
        ("fr", "en"),
        ("zha", "en"),
        ("", "en"),
    ],
)
def test_chinese_and_german_are_written_to_who_reads_them_and_english_to_all_others(tag: str, language: str) -> None:
    assert language_for(tag) == language
