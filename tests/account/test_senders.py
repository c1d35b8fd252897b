"""Whose address has written: the account's that has it now, or nobody's, and never one's that is only alike."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import cast

import pytest

from services.account.commands import ChangeEmail, Register, RequestEmailChange
from services.account.domain.addresses import as_kept, sender_digest
from shared.commands import Command
from shared.contracts.account import SenderMatched
from shared.contracts.base import reader
from shared.contracts.requests import SenderAsked
from shared.contracts.topics import ACCOUNTS
from tests.builders import ANNA, BEN, NEXT_MONTH, SOON, Person, fact, named
from tests.commands import cancelled_by_request, registered
from tests.rooms import OpenRoom, Room

NOBODY = Person("a request")
"""Whose id a request has while nobody knows whose it is."""


def asked(address: str, **more: object) -> SenderAsked:
    return fact(SenderAsked, NOBODY, request_id=NOBODY.account_id, address=address, **more)


async def answers(room: Room) -> list[SenderMatched]:
    events = [
        reader(SenderMatched)(row["body"]) for row in await room.rows("outbox") if row["topic"] == ACCOUNTS.name
    ]
    return [event for event in events if isinstance(event, SenderMatched)]


async def answer_to(room: Room, address: str) -> SenderMatched:
    await room.hears(asked(address))
    return (await answers(room))[-1]


def with_address(person: Person, email: str) -> list[Command]:
    """Make an account with an address of its own."""
    register, confirm = registered(person)
    return [replace(cast("Register", register), email=email), confirm]


@pytest.fixture
async def account(room: OpenRoom) -> Room:
    """Account's room, in which Anna and Ben have accounts."""
    opened = await room("account")
    await opened.does(*registered(ANNA))
    await opened.does(*registered(BEN))
    return opened


@pytest.mark.parametrize("address", ["anna@mail.example", "Anna@mail.example", "anna@MAIL.Example"])
async def test_an_address_matches_the_account_that_has_it(account: Room, address: str) -> None:
    found = await answer_to(account, address)

    assert (found.account_id, found.matched, found.region) == (ANNA.account_id, True, "DE-BE")
    assert found.request_id == NOBODY.account_id


@pytest.mark.parametrize(
    "address",
    [
        "anna@people.example",
        "аnna@mail.example",  # noqa: RUF001 - a Cyrillic letter
        "ａnna@mail.example",  # noqa: RUF001 - a wide letter
        "anna@maıl.example",  # noqa: RUF001 - an i without its dot
        "ann\u0430@mail.example",
        "anna+x@mail.example",
        "an.na@mail.example",
        "anna@mail.example.evil.example",
        '"anna"@mail.example',
        '"anna "@mail.example',
        "anna@[192.0.2.1]",
        "anna@@mail.example",
        "eve@evil.example, anna@mail.example",
        "Anna <anna@mail.example>",
        "anna",
        "",
        "%",
    ],
)
async def test_what_is_only_alike_matches_nobody(account: Room, address: str) -> None:
    found = await answer_to(account, address)

    assert (found.account_id, found.matched, found.region) == (NOBODY.account_id, False, None)


async def test_a_sign_that_would_become_the_same_letter_is_another_mailbox(room: OpenRoom) -> None:
    account = await room("account")
    await account.does(*registered(Person("kate")))

    assert (await answer_to(account, "kate@mail.example")).matched
    assert not (await answer_to(account, "\u212aate@mail.example")).matched  # the sign of a kelvin


async def test_a_domain_of_any_script_matches_however_it_is_written(room: OpenRoom) -> None:
    account = await room("account")
    await account.does(*with_address(ANNA, "anna@bücher.example"))

    assert (await answer_to(account, "anna@xn--bcher-kva.example")).matched
    assert (await answer_to(account, "anna@Bücher.example")).matched


async def test_of_successive_accounts_the_one_that_is_there_now_is_matched(account: Room) -> None:
    first = await answer_to(account, ANNA.email)
    await account.does(cancelled_by_request(ANNA))
    between = await answer_to(account, ANNA.email)
    again = Person("anna again")
    await account.does(*with_address(again, ANNA.email))
    second = await answer_to(account, ANNA.email)

    assert [found.matched for found in (first, between, second)] == [True, False, True]
    assert second.account_id == again.account_id
    assert first.sender == between.sender == second.sender


async def test_an_address_that_the_account_had_before_is_not_its_own_any_more(account: Room) -> None:
    change = named("change")
    whose = {"account_id": ANNA.account_id, "change_id": change, "code_digest": "right"}
    await account.does(RequestEmailChange(**whose, email="anni@mail.example", code="1", expires_at=SOON))  # type: ignore[arg-type]
    await account.does(ChangeEmail(**whose, undo_token="undo", undo_digest="undo", undo_until=NEXT_MONTH))  # type: ignore[arg-type]

    assert not (await answer_to(account, ANNA.email)).matched
    assert (await answer_to(account, "anni@mail.example")).account_id == ANNA.account_id


async def test_who_has_only_asked_for_an_account_is_nobody(room: OpenRoom) -> None:
    account = await room("account")
    await account.does(registered(ANNA)[0])

    assert not (await answer_to(account, ANNA.email)).matched


async def test_many_that_come_at_once_are_answered_each_for_itself(account: Room) -> None:
    await account.hears_at_once(*(asked(each) for each in (ANNA.email, "eve@evil.example", BEN.email, ANNA.email)))

    found = [event.account_id for event in await answers(account)]
    assert found == [ANNA.account_id, NOBODY.account_id, BEN.account_id, ANNA.account_id]


async def test_the_answer_names_no_address_and_its_digest_needs_the_key(account: Room) -> None:
    found = await answer_to(account, ANNA.email)

    assert "mail.example" not in json.dumps(found.model_dump(mode="json"))
    assert found.sender == sender_digest(b"the sender key of the tests", "ANNA@mail.example")
    assert found.sender != sender_digest(b"another key", ANNA.email)


async def test_it_is_told_whether_somebody_writes_for_another(account: Room) -> None:
    await account.hears(asked(ANNA.email, on_behalf=True))

    assert [event.on_behalf for event in await answers(account)] == [True]


async def test_nothing_of_an_address_is_kept(account: Room) -> None:
    before = await account.state("outbox", "inbox", "positions")
    await account.hears(asked("eve@evil.example"))

    assert await account.state("outbox", "inbox", "positions") == before


def test_what_cannot_be_an_address_is_no_address() -> None:
    for wrong in ("", "@", "anna@", "@mail.example", "a" * 400 + "@mail.example", "anna@mail.example\n", "\x00"):
        assert as_kept(wrong) is None
