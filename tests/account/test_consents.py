"""The ledger of consent: seen with its consequences, taken back, given again, by both doors."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from services.account.commands import GiveConsent, WithdrawConsent
from services.account.domain.consents import SCOPES, STOPS
from shared.contracts.account import POLICY, Purpose, Scope
from shared.contracts.requests import WithdrawalOrdered
from tests.account.test_profile import picture
from tests.builders import A_MINUTE, ANNA, BEN, NOON, fact, named
from tests.commands import cancelled_by_request, registered
from tests.doors import PASSWORD, Door, Tokens, slug_of
from tests.doors import POLICY as POLICY_VERSION
from tests.races import overlap
from tests.rooms import OpenRoom

READINGS = {"purpose": "collection", "service": "device"}
ANNAS = "anna@mail.example"
HOUR = timedelta(hours=1)


async def logged_in(door: Door) -> Tokens:
    await door.sign_up(ANNAS)
    return await door.log_in(ANNAS)


async def ledger(door: Door, anna: Tokens) -> dict[str, Any]:
    """See the ledger, its scopes by name."""
    answer = await door.ask("GET", "/account/consents", by=anna)
    assert answer.status_code == HTTPStatus.OK, answer.text
    seen: dict[str, Any] = answer.json()
    return {"policy": seen["policy"], **{f"{s['purpose']}:{s['service']}": s for s in seen["scopes"]}}


async def withdraw(door: Door, anna: Tokens, *scopes: dict[str, str]) -> dict[str, Any]:
    answer = await door.ask("POST", "/account/consents/withdrawals", by=anna, json={"scopes": scopes})
    assert answer.status_code == HTTPStatus.OK, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def told(door: Door) -> list[tuple[str, list[str], bool]]:
    """List what was announced about consent: what, in which scopes, and whether the whole policy."""
    return [
        (each["type"], [f"{s['purpose']}:{s['service']}" for s in each["scopes"]], each["whole_policy"])
        for each in await door.room.announced()
        if each["type"].startswith("Consent")
    ]


async def test_one_sees_what_one_has_agreed_to_and_first_of_all_what_would_stop(door: Door) -> None:
    seen = await ledger(door, await logged_in(door))

    assert set(seen) == {"policy", *SCOPES}
    assert {f"{purpose}:{service}" for purpose in Purpose for service in ("account", "device")} < set(seen)
    assert all(each["given"] and each["periods"] == [] for each in seen.values())
    assert seen["collection:device"]["stops"] == ["readings-not-taken-in", "devices-not-added", "devices-not-renamed"]
    assert seen["disclosure:device"]["stops"] == []
    assert {slug for stops in STOPS.values() for slug in stops} < set(seen["policy"]["stops"])


async def test_consent_is_withdrawn_by_purpose_and_service_and_nothing_else_with_it(door: Door) -> None:
    anna = await logged_in(door)
    answer = await withdraw(door, anna, READINGS)

    seen = await ledger(door, anna)
    assert [name for name, each in seen.items() if not each["given"]] == ["collection:device"]
    assert answer["withdrawn_at"] == seen["collection:device"]["periods"][0]["since"]
    assert await told(door) == [("ConsentWithdrawn", ["collection:device"], False)]
    (event,) = await door.mailed("ConsentWithdrawn")
    assert (event["reference"], event["request_id"]) == (answer["reference"], None)


async def test_the_whole_policy_is_withdrawn_at_one_tap(door: Door) -> None:
    anna = await logged_in(door)
    answer = await door.ask("POST", "/account/consents/withdrawals/policy", by=anna)

    assert answer.status_code == HTTPStatus.OK, answer.text
    assert await told(door) == [("ConsentWithdrawn", [], True)]
    assert [name for name, each in (await ledger(door, anna)).items() if not each["given"]] == ["policy"]


async def test_what_is_withdrawn_already_is_answered_with_the_same_reference_and_told_once(door: Door) -> None:
    anna = await logged_in(door)
    first = await withdraw(door, anna, READINGS)
    door.room.clock.now += A_MINUTE
    again = await withdraw(door, anna, READINGS)

    assert again == first
    assert len(await told(door)) == 1


async def test_a_further_scope_is_withdrawn_from_now_on_and_the_first_one_from_before(door: Door) -> None:
    anna = await logged_in(door)
    first = await withdraw(door, anna, READINGS)
    door.room.clock.now += A_MINUTE
    both = await withdraw(door, anna, READINGS, {"purpose": "use", "service": "device"})

    assert both["withdrawn_at"] > first["withdrawn_at"]
    assert both["reference"] != first["reference"]
    assert [scopes for _, scopes, _ in await told(door)] == [["collection:device"], ["use:device"]]


async def test_agreeing_again_opens_a_new_period_and_the_old_one_stays_closed(door: Door) -> None:
    anna = await logged_in(door)
    await withdraw(door, anna, READINGS)
    door.room.clock.now += A_MINUTE
    answer = await door.ask("POST", "/account/consents", by=anna, json={"scopes": [READINGS]})

    assert answer.status_code == HTTPStatus.OK, answer.text
    seen = (await ledger(door, anna))["collection:device"]
    (closed, opened) = seen["periods"]
    assert seen["given"]
    assert (closed["given"], closed["until"]) == (False, opened["since"])
    assert (opened["given"], opened["until"]) == (True, None)
    assert closed["since"] < closed["until"]
    assert [what for what, _, _ in await told(door)] == ["ConsentWithdrawn", "ConsentGiven"]


async def test_who_agrees_to_what_was_never_withdrawn_opens_nothing(door: Door) -> None:
    anna = await logged_in(door)
    await door.ask("POST", "/account/consents", by=anna, json={"scopes": [READINGS]})

    assert await told(door) == []
    assert await door.room.rows("consent_periods") == []


async def test_who_agrees_to_the_policy_again_has_a_new_period_of_it(door: Door) -> None:
    anna = await logged_in(door)
    await withdraw(door, anna, READINGS)
    await door.ask("POST", "/account/consents/withdrawals/policy", by=anna)
    answer = await door.ask("POST", "/account/agreements", by=anna, json={"policy_version": POLICY_VERSION})

    assert answer.status_code == HTTPStatus.CREATED, answer.text
    # What was withdrawn apart stays so.
    assert [name for name, each in (await ledger(door, anna)).items() if not each["given"]] == ["collection:device"]
    assert (await told(door))[-1] == ("ConsentGiven", [], True)


async def test_a_scope_that_does_not_exist_is_refused(door: Door) -> None:
    anna = await logged_in(door)
    for scope in ({"purpose": "collection", "service": "weather"}, {"purpose": "sale", "service": "device"}):
        for path in ("/account/consents/withdrawals", "/account/consents"):
            answer = await door.ask("POST", path, by=anna, json={"scopes": [scope]})
            assert slug_of(answer) == "invalid-request"

    assert await told(door) == []


async def test_nobody_is_ever_told_to_wait_with_a_withdrawal(door: Door) -> None:
    anna = await logged_in(door)
    for _ in range(21):
        door.room.clock.now += timedelta(seconds=1)
        await withdraw(door, anna, READINGS)
        last = await door.ask("POST", "/account/consents", by=anna, json={"scopes": [READINGS]})

    assert slug_of(last) == "too-many-tries"
    assert (await withdraw(door, anna, READINGS))["reference"]


# The other door


ORDERED = fact(
    WithdrawalOrdered,
    ANNA,
    occurred_at=NOON - HOUR,
    request_id=named("request"),
    scopes=(Scope(purpose=Purpose.COLLECTION, service="device"),),
)


async def test_a_request_is_carried_out_as_of_the_time_of_the_wish(room: OpenRoom) -> None:
    account = await room("account")
    await account.does(*registered(ANNA))
    await account.hears(ORDERED)

    (period,) = await account.rows("consent_periods")
    assert (period["scope"], period["since"], period["given"]) == ("collection:device", NOON - HOUR, False)
    event = (await account.announced())[-1]
    assert (event["type"], event["request_id"]) == ("ConsentWithdrawn", str(named("request")))
    assert event["occurred_at"] == "2026-11-02T11:00:00Z"


async def test_what_was_agreed_to_after_the_wish_stays_so(room: OpenRoom) -> None:
    account = await room("account")
    await account.does(*registered(ANNA))
    scopes = ("collection:device",)
    account.clock.now = NOON - 2 * HOUR
    await account.does(WithdrawConsent(account_id=ANNA.account_id, scopes=scopes))
    account.clock.now = NOON
    await account.does(GiveConsent(account_id=ANNA.account_id, scopes=scopes))
    await account.hears(ORDERED)

    periods = [(row["since"], row["until"], row["given"]) for row in await account.rows("consent_periods")]
    assert periods == [
        (NOON - 2 * HOUR, NOON - HOUR, False),
        (NOON - HOUR, NOON, False),
        (NOON, None, True),
    ]


async def test_a_request_for_what_is_withdrawn_already_is_answered_all_the_same(room: OpenRoom) -> None:
    account = await room("account")
    await account.does(*registered(ANNA), WithdrawConsent(account_id=ANNA.account_id, scopes=("collection:device",)))
    account.clock.now += HOUR
    await account.hears(ORDERED.model_copy(update={"occurred_at": NOON + HOUR}))

    assert [each["request_id"] for each in await account.announced() if each["type"] == "ConsentWithdrawn"] == [
        None,
        str(named("request")),
    ]


async def test_a_request_for_what_nobody_here_has_is_answered_all_the_same(room: OpenRoom) -> None:
    account = await room("account")
    await account.does(*registered(ANNA))
    await account.hears(ORDERED.model_copy(update={"scopes": (Scope(purpose=Purpose.USE, service="diary"),)}))

    assert await account.rows("consent_periods") == []
    assert (await account.announced())[-1]["request_id"] == str(named("request"))


async def test_a_wish_from_the_future_counts_from_now_on(room: OpenRoom) -> None:
    account = await room("account")
    await account.does(*registered(ANNA))
    await account.hears(ORDERED.model_copy(update={"occurred_at": NOON + 24 * HOUR}))

    assert [row["since"] for row in await account.rows("consent_periods")] == [NOON]


# Races, and the end


async def test_of_a_withdrawal_and_an_agreement_at_once_the_last_to_be_answered_counts(room: OpenRoom) -> None:
    account = await room("account")
    scopes = ("collection:device",)
    withdrawal = WithdrawConsent(account_id=ANNA.account_id, scopes=scopes)
    await account.does(*registered(ANNA), withdrawal, GiveConsent(account_id=ANNA.account_id, scopes=scopes))
    # The withdrawal waits for the other one, which has a later clock.
    account.clock.now += HOUR
    again = [account.does(withdrawal), account.does(GiveConsent(account_id=ANNA.account_id, scopes=scopes))]
    await overlap(account.engine, "INSERT INTO consent_periods", *again)

    periods = await account.rows("consent_periods")
    assert [row["given"] for row in periods] == [False, True, False, True]
    assert [row["until"] for row in periods] == [*(row["since"] for row in periods[1:]), None]


async def test_many_taps_at_once_are_one_withdrawal(door: Door) -> None:
    anna = await logged_in(door)
    answers = await asyncio.gather(*(withdraw(door, anna, READINGS) for _ in range(8)))

    assert len({each["reference"] for each in answers}) == 1
    assert len(await told(door)) == 1


async def test_the_ledger_goes_with_the_account_and_the_receipt_counts_it(room: OpenRoom) -> None:
    account = await room("account")
    for person in (ANNA, BEN):
        await account.does(
            *registered(person), WithdrawConsent(account_id=person.account_id, scopes=(POLICY, "use:device"))
        )
    await account.does(cancelled_by_request(ANNA))

    assert {row["account_id"] for row in await account.rows("consent_periods")} == {BEN.account_id}
    (receipt,) = [each for each in await account.announced() if each["type"] == "DataErased"]
    assert {"category": "consent", "outcome": "erased", "count": 2, "ground": None, "until": None} in receipt["items"]


async def test_under_withdrawn_collection_the_profile_stays_as_it_is_but_can_be_cleared_of_the_avatar(
    door: Door,
) -> None:
    anna = await logged_in(door)
    await withdraw(door, anna, {"purpose": "collection", "service": "account"})

    answers = [
        await door.ask("PATCH", "/account", by=anna, json={"nickname": "Ann"}),
        await door.ask("PUT", "/account/avatar", by=anna, content=picture("PNG")),
        await door.ask("POST", "/account/email", by=anna, json={"email": "a@mail.example", "password": PASSWORD}),
    ]
    cleared = await door.ask("DELETE", "/account/avatar", by=anna)

    assert [slug_of(each) for each in answers] == ["consent-withdrawn"] * 3
    assert cleared.status_code == HTTPStatus.NO_CONTENT, cleared.text
