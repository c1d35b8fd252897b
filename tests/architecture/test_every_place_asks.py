"""Every place that collects, uses or discloses asks for consent or says here why not; a planted one is found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import pytest
from fastapi import APIRouter

from services.account import commands as account
from services.account.commands import WithdrawConsent
from services.account.domain.consents import STOPS
from services.device.commands import DeviceAction, EraseBeyond, EraseReadings, RecordReading
from services.notifier.commands import QueueMessage, RecordDelivery, RememberContact
from services.requests import commands as requests
from shared.changes import Correct
from shared.commands import (
    Command,
    ContinueCategories,
    ContinueErasure,
    ContinueExport,
    CountData,
    EraseAccount,
    EraseCategories,
    ExportAccount,
    KeepToConsent,
    Lock,
    Needs,
)
from shared.contracts.account import POLICY
from shared.contracts.base import AccountEvent, Event, reader, type_name
from shared.contracts.catalogue import FACTS, facts_on
from shared.contracts.topics import ACCOUNTS
from shared.messaging.consumer import Subscription
from shared.sessions import AskingStill, ForgetSession
from tests.account.test_profile import picture
from tests.builders import ANNA, NOON
from tests.commands import CODE, SERIAL
from tests.consents import withdrawn
from tests.doors import PASSWORD, Door, door_of, slug_of
from tests.openapi.test_actors import ROUTES, Route, ask, furnished
from tests.openapi.test_fuzz import HASH
from tests.rooms import SERVICES, OpenRoom, Room
from tests.test_every_handler import CASES, Case, arrive, with_scene_set

EXAMPLES = Path(__file__).parent / "published"
A_RIGHT = "a right of the person, which hangs on no consent"
SAFE = "keeps the account safe, or lets its person in"
LEAVING = "to leave is always possible"
OWED = "what is owed does not hang on consent"
AN_ERASURE = "erases, or proves that"

GOES_ON: Mapping[type[Command], str] = {
    EraseAccount: AN_ERASURE,
    ContinueErasure: AN_ERASURE,
    EraseCategories: AN_ERASURE,
    ContinueCategories: AN_ERASURE,
    CountData: A_RIGHT,
    ExportAccount: A_RIGHT,
    ContinueExport: A_RIGHT,
    Correct: A_RIGHT,
    KeepToConsent: "is the ledger itself",
    account.WithdrawConsent: "is the ledger itself",
    account.GiveConsent: "is the ledger itself",
    account.AgreeToPolicy: "is how one agrees again",
    account.TellOwner: "tells notifier, which asks",
    account.OpenSession: SAFE,
    account.RefreshSession: SAFE,
    account.EndSession: SAFE,
    account.EndSessions: SAFE,
    account.ProveSecondFactor: SAFE,
    account.RequestPasswordReset: SAFE,
    account.ResetPassword: SAFE,
    account.UndoEmailChange: SAFE,
    account.AddInstallment: OWED,
    account.SettleInstallment: OWED,
    account.DropHeldPayments: OWED,
    account.TellPossible: LEAVING,
    account.StartCancellation: LEAVING,
    account.ContinueCancellation: LEAVING,
    account.SpendTry: LEAVING,
    account.ScheduleCancellation: LEAVING,
    account.KeepAccount: LEAVING,
    account.CancelAccount: LEAVING,
    EraseReadings: AN_ERASURE,
    EraseBeyond: AN_ERASURE,
    ForgetSession: SAFE,
    requests.TakeReceipt: AN_ERASURE,
    requests.Remind: AN_ERASURE,
    requests.AdmitOwner: "is about no person",
    requests.ReleaseOwner: "is about no person",
    requests.OnRequest: A_RIGHT,
    RememberContact: "the contact that owed messages go to",
    RecordDelivery: "what became of a message that asked",
}
"""Commands, with all that are made of them, that need no consent."""
ASKS_ITSELF: Mapping[type[Command], str] = {
    DeviceAction: "its handler asks, to tell a topic: tests/device/test_consents.py",
    RecordReading: "its statement asks the bindings that it locks: tests/device/test_consents.py",
    QueueMessage: "its handler asks for what is not owed: tests/notifier/test_consents.py",
}

REMAINING: Mapping[str, str] = {
    "account GET /v1/sessions": "to see",
    "account GET /v1/log-ins": "to see",
    "account DELETE /v1/sessions/current": "to log out",
    "account DELETE /v1/sessions/others": "to log out",
    "account DELETE /v1/sessions/{session_id}": "to log out",
    "account DELETE /v1/sessions": "to log out",
    "account GET /v1/account": "to see",
    "account GET /v1/account/avatar": "to see",
    "account GET /v1/account/agreements": "to see",
    "account POST /v1/account/agreements": "to agree again",
    "account GET /v1/account/consents": "to see",
    "account POST /v1/account/consents": "to agree again",
    "account POST /v1/account/consents/withdrawals": "to withdraw more",
    "account POST /v1/account/consents/withdrawals/policy": "to withdraw, again",
    "account POST /v1/cancellations": "to cancel",
    "account POST /v1/cancellations/{reference}/keep": "to cancel, or not",
    "device GET /v1/devices": "to see",
    "device GET /v1/devices/{binding_id}": "to see",
    "device GET /v1/devices/{binding_id}/readings.csv": "to export",
    "device GET /v1/devices/{binding_id}/readings.ndjson": "to export",
    "requests GET /v1/feedback": "to see",
    "requests GET /v1/feedback/{feedback_id}": "to see",
    "requests GET /v1/feedback/{feedback_id}/pictures/{number}": "to see",
    "requests POST /v1/requests": A_RIGHT,
    "requests GET /v1/requests": A_RIGHT,
    "requests GET /v1/requests/{reference}/said": A_RIGHT,
    "requests POST /v1/requests/{reference}/answer": A_RIGHT,
    "requests POST /v1/requests/{reference}/fee": A_RIGHT,
    "requests GET /v1/packages": "to export",
    "requests GET /v1/packages/{request_id}": "to export",
    "requests POST /v1/packages/{request_id}/arrived": "to export",
    "notifier GET /v1/notices": "to see",
}
"""What a person who has withdrawn the whole policy can still do; every other route is closed, also a new one."""
COLLECTING: Mapping[str, dict[str, Any]] = {
    "account PATCH /v1/account": {"json": {"nickname": "Ann"}},
    "account PUT /v1/account/avatar": {"content": picture("PNG")},
    "account POST /v1/account/email": {"json": {"email": "ann@mail.example", "password": PASSWORD}},
    "account POST /v1/account/email/{change_id}/confirm": {"json": {"code": CODE}},
    "device POST /v1/devices": {"json": {"serial": SERIAL, "pairing_code": "4711"}},
    "device PATCH /v1/devices/{binding_id}": {"json": {"name": "Bedroom"}},
    "requests POST /v1/feedback": {"json": None, "data": {"text": "Too loud"}},
}
"""Routes that collect, with what each would take."""
USING = {"device GET /v1/devices/{binding_id}/readings", "device GET /v1/readings/latest"}

SAID_OPENLY: Mapping[str, str] = {
    "reference": "a random secret that was made for it",
    "references": "random secrets that were made for it",
    "owners": "names of services",
    "categories": "names of categories",
    "choosable": "names of categories",
    "category": "the name of a category",
    "ground": "a slug of the owner's",
    "public_key": "a key that was made for one request",
    "SenderMatched.region": "a code of ISO 3166, for the law that counts",
    "SenderMatched.sender": "a keyed digest",
}
"""Free text on topics that anybody may read, and why it says nothing about anybody."""


# Commands


def reason_for(command: type[Command], reasons: Mapping[type[Command], str]) -> str | None:
    return next((reasons[each] for each in command.__mro__ if each in reasons), None)


def unasked(commands: Iterable[type[Command]]) -> list[str]:
    """Name the commands that nobody asks about consent, and that give no reason."""
    found = []
    for command in commands:
        asked = command.needs is not Needs.NOTHING and command.lock is not Lock.NONE
        if not asked and not reason_for(command, GOES_ON) and not reason_for(command, ASKS_ITSELF):
            found.append(command.__name__)
    return found


def test_every_command_asks_or_says_why_not() -> None:
    for service in SERVICES:
        assert unasked(import_module(f"services.{service}.handlers").handlers) == [], service


def test_a_command_that_does_not_ask_is_found() -> None:
    class KeepWeather(Command):
        needs = Needs.NOTHING

    class KeepMoods(Command):
        needs = Needs.COLLECTION
        lock = Lock.NONE

    class KeepSteps(Command):
        """Says nothing: it is barred."""

    assert unasked([KeepWeather, KeepMoods, KeepSteps]) == ["KeepWeather", "KeepMoods"]


WITHDRAWN_AT = NOON + timedelta(seconds=1)
AFTER = NOON + timedelta(seconds=2)
"""Within what clocks may be off: nothing else refuses it."""


def afterwards(case: Case) -> Command | Event:
    """Have a fact be of a time after the withdrawal, as it names one."""
    if isinstance(case.when, Command):
        return case.when
    times: dict[str, Any] = {
        name: AFTER for name in ("occurred_at", "measured_at") if name in type(case.when).model_fields
    }
    return case.when.model_copy(update=times)


async def withdraw_all(room: Room) -> None:
    """Have Anna withdraw the whole policy, as this service comes to know of it."""
    room.clock.now = AFTER
    if room.service == "account":
        await room.does(WithdrawConsent(account_id=ANNA.account_id, scopes=(POLICY,)))
    else:
        await room.hears(withdrawn(ANNA, POLICY, at=WITHDRAWN_AT))


ANOTHER_TEST = (QueueMessage, account.Register, account.ConfirmRegistration)
"""What its case says is owed; and before there is an account nothing can be withdrawn."""
ASKING = [each for each in CASES if not reason_for(each.handler, GOES_ON) and each.handler not in ANOTHER_TEST]


@pytest.mark.parametrize("case", ASKING, ids=str)
async def test_what_asks_does_nothing_while_the_policy_is_withdrawn(room: OpenRoom, case: Case) -> None:
    ready = await with_scene_set(room, case)
    await withdraw_all(ready)
    before = await ready.state("inbox", "positions")

    await arrive(ready, afterwards(case))

    assert await ready.state("inbox", "positions") == before


# Topics


def taken_in(subscriptions: Iterable[Subscription]) -> Iterator[tuple[type[Event], Command | None]]:
    """Read the first published example of every fact of every personal topic, and say what a service does with it."""
    for subscription in subscriptions:
        for fact in facts_on(subscription.topic) if subscription.topic.personal else ():
            example = (EXAMPLES / f"{type_name(fact)}.json").read_bytes()
            yield fact, subscription.command_for(reader(*FACTS)(example))


@pytest.mark.parametrize("service", SERVICES)
def test_every_personal_topic_is_taken_in_by_commands_that_ask_or_say_why_not(service: str) -> None:
    subscriptions = import_module(f"services.{service}.consumers").SUBSCRIPTIONS
    made = [command for _, command in taken_in(subscriptions)]

    assert all(made)
    assert unasked(type(command) for command in made if command) == []


# Routes


@dataclass
class Withdrawn:
    """A service of which Anna has withdrawn something."""

    door: Door

    async def refusing(self, routes: Iterable[Route]) -> set[str]:
        """Name the routes that answer Anna that consent is withdrawn."""
        found = set()
        for route in routes:
            answer = await ask(self.door, route, self.door.token_of(ANNA), **COLLECTING.get(str(route), {}))
            if answer.status_code == HTTPStatus.FORBIDDEN and slug_of(answer) == "consent-withdrawn":
                found.add(str(route))
        return found


OpenWithdrawn = Any


@pytest.fixture
async def withdrawing(room: OpenRoom) -> AsyncIterator[OpenWithdrawn]:
    """Open services of which Anna, who has one of everything, has withdrawn these scopes."""
    async with AsyncExitStack() as opened:

        async def open_one(service: str, *scopes: str) -> Withdrawn:
            ready = await furnished(room, service)
            ready.clock.now = AFTER
            if service == "account":
                await ready.run("UPDATE accounts SET password_hash = :hash", hash=HASH)
                await ready.does(WithdrawConsent(account_id=ANNA.account_id, scopes=scopes))
            else:
                await ready.hears(withdrawn(ANNA, *scopes, at=WITHDRAWN_AT))
            return Withdrawn(await opened.enter_async_context(door_of(ready)))

        yield open_one


def of(service: str) -> list[Route]:
    """List the routes of a service that ask which person it is. To log out, and to withdraw more, come last."""
    persons = (route for route in ROUTES if not route.path.startswith("/v1/staff"))
    mine = [route for route in persons if route.service == service and route.guarded]
    return sorted(mine, key=lambda route: ("withdrawals" in route.path, route.method == "DELETE", str(route)))


def test_every_route_that_is_named_here_is_there() -> None:
    assert {*REMAINING, *COLLECTING, *USING} <= {str(route) for route in ROUTES}


@pytest.mark.parametrize("service", SERVICES)
async def test_without_the_policy_one_can_see_export_cancel_or_agree_again_and_nothing_else(
    withdrawing: OpenWithdrawn, service: str
) -> None:
    closed = {str(route) for route in of(service)} - REMAINING.keys()
    # Each by itself: to agree again opens all of them.
    refusing: set[str] = set()
    for route in of(service):
        if str(route) in closed:
            refusing |= await (await withdrawing(service, POLICY)).refusing([route])

    assert refusing == closed
    for route in of(service):
        if str(route) in REMAINING:
            assert await (await withdrawing(service, POLICY)).refusing([route]) == set(), route


async def test_a_route_that_stays_open_without_a_word_is_found(withdrawing: OpenWithdrawn) -> None:
    opened: Withdrawn = await withdrawing("device", POLICY)
    planted = APIRouter()

    @planted.get("/v1/moods")
    async def moods(_: AskingStill) -> str:
        return "good"

    opened.door.app.include_router(planted)
    route = Route("device", "GET", "/v1/moods", frozenset({"people"}))

    assert str(route) not in REMAINING
    assert await opened.refusing([route]) == set()


@pytest.mark.parametrize("service", SERVICES)
async def test_every_route_that_collects_is_closed_where_collection_is_withdrawn(
    withdrawing: OpenWithdrawn, service: str
) -> None:
    opened: Withdrawn = await withdrawing(service, f"collection:{service}")

    assert await opened.refusing(of(service)) == {name for name in COLLECTING if name.startswith(service)}


@pytest.mark.parametrize("service", SERVICES)
async def test_every_route_that_uses_is_closed_where_use_is_withdrawn(
    withdrawing: OpenWithdrawn, service: str
) -> None:
    opened: Withdrawn = await withdrawing(service, f"use:{service}")

    assert await opened.refusing(of(service)) == {name for name in USING if name.startswith(service)}


def test_where_something_asks_the_person_is_told_what_stops() -> None:
    asking = {f"collection:{name.partition(' ')[0]}" for name in COLLECTING}
    asking |= {f"use:{name.partition(' ')[0]}" for name in USING} | {"use:notifier"}

    assert set(STOPS) == asking


# Disclosure: what anybody may read says nothing about anybody


def free_text(schema: Mapping[str, Any], name: str = "", whole: Mapping[str, Any] | None = None) -> Iterator[str]:
    """Name the fields of a schema that can hold any text."""
    whole = whole or schema
    if "$ref" in schema:
        yield from free_text(whole["$defs"][schema["$ref"].rpartition("/")[2]], name, whole)
    if schema.get("type") == "string" and not {"format", "pattern", "enum", "const"} & schema.keys():
        yield name
    for field, inner in schema.get("properties", {}).items():
        yield from free_text(inner, field, whole)
    for inner in (schema.get("items"), schema.get("additionalProperties"), *schema.get("anyOf", ())):
        if isinstance(inner, Mapping):
            yield from free_text(inner, name, whole)


def disclosing(facts: Iterable[type[Event]]) -> list[str]:
    """Name fields of facts that anybody may read and that could say something about a person."""
    return [
        f"{type_name(fact)}.{field}"
        for fact in facts
        if not fact.topic.personal
        for field in free_text(fact.model_json_schema())
        if field not in SAID_OPENLY and f"{type_name(fact)}.{field}" not in SAID_OPENLY
    ]


def test_what_anybody_may_read_says_nothing_about_a_person() -> None:
    assert disclosing(FACTS) == []


def test_a_fact_that_discloses_something_is_found() -> None:
    class NicknameChanged(AccountEvent):
        topic = ACCOUNTS
        type: Literal["NicknameChanged"] = "NicknameChanged"
        nicknames: tuple[str, ...]

    assert disclosing([NicknameChanged]) == ["NicknameChanged.nicknames"]
