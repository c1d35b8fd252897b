"""The races that a lock decides: with it all goes well, and without it each goes wrong, which is shown too."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from services.account.commands import AddInstallment
from services.device import repository as device_repository
from services.device.commands import RecordReading
from services.requests.commands import AddFeedback, TakeReceipt
from shared.contracts.account import AccountCancelled, Origin
from shared.contracts.receipts import DataErased
from shared.contracts.topics import FEEDBACK
from tests.builders import ANNA, NEXT_MONTH, NOON, fact, named, raw_record
from tests.commands import (
    KNOW_THE_PRODUCT,
    KNOWN,
    bound,
    cancellation_continued,
    cancellation_started,
    cancelled_by_request,
    cancelled_in_app,
    erased,
    logged_in,
    registered,
)
from tests.races import COMMIT, overlap
from tests.rooms import OpenRoom, Room


async def no_lock(*_: object) -> None:
    """Lock nothing."""


@pytest.fixture(params=[True, False], ids=["with the lock it holds", "without the lock it breaks"])
def locked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Every test here runs twice: the second run proves that the first one could fail."""
    if not request.param:
        monkeypatch.setattr("shared.bus.lock_accounts", no_lock)
    return bool(request.param)


async def account_of_anna(room: OpenRoom) -> Room:
    account = await room("account")
    for command in registered(ANNA):
        await account.does(command)
    await account.run("DELETE FROM outbox")
    return account


async def test_a_device_that_is_bound_while_its_account_is_erased_does_not_stay_bound(
    room: OpenRoom, *, locked: bool
) -> None:
    # Given a known product, and Anna binding it
    device = await room("device")
    await device.run(KNOW_THE_PRODUCT, **KNOWN)

    # When the erasure comes after the bind has seen no closing mark, and before it commits
    await overlap(device.engine, "INSERT INTO bindings", device.does(bound(ANNA)), device.does(erased(ANNA)))

    # Then no binding stays
    assert (await device.held_of(ANNA.account_id) == {}) is locked


async def test_a_session_that_is_opened_while_its_account_is_cancelled_does_not_stay(
    room: OpenRoom, *, locked: bool
) -> None:
    account = await account_of_anna(room)

    await overlap(
        account.engine,
        "INSERT INTO sessions",
        account.does(logged_in(ANNA)),
        account.does(cancelled_by_request(ANNA)),
    )

    assert await account.rows("accounts") == []
    assert (await account.held_of(ANNA.account_id) == {}) is locked


async def test_an_instalment_that_comes_while_the_account_is_cancelled_declines_it(
    room: OpenRoom, *, locked: bool
) -> None:
    # Given a cancellation before its third tap
    account = await account_of_anna(room)
    await account.does(cancellation_started(ANNA), cancellation_continued(ANNA))
    owed = AddInstallment(account_id=ANNA.account_id, installment_id=named("owed"), lapses_at=NEXT_MONTH)

    # When the instalment is added first
    await overlap(
        account.engine,
        "INSERT INTO installments",
        account.does(owed),
        account.does(cancelled_in_app(ANNA)),
    )

    # Then it is seen, and nothing is owed by an account that is gone
    outcome = (await account.types_announced(), len(await account.rows("accounts")))
    assert len(await account.rows("installments")) == 1
    assert (outcome == (["CancellationDeclined"], 1)) is locked


async def test_what_a_change_announces_never_stands_behind_the_cancellation_of_its_account(
    room: OpenRoom, *, locked: bool
) -> None:
    # Given an instalment, so that a cancellation in the app is declined
    account = await account_of_anna(room)
    owed = AddInstallment(account_id=ANNA.account_id, installment_id=named("owed"), lapses_at=NEXT_MONTH)
    await account.does(owed)

    # When a request cancels the account between that decision and its announcement
    await overlap(
        account.engine,
        "UPDATE accounts",
        account.does(cancellation_started(ANNA)),
        account.does(cancelled_by_request(ANNA)),
    )

    # Then the decline stands before the cancellation
    in_order = ["CancellationDeclined", "AccountCancelled", "DataErased"]
    assert (await account.types_announced() == in_order) is locked


async def test_feedback_that_comes_while_its_account_is_erased_does_not_stay(room: OpenRoom, *, locked: bool) -> None:
    requests = await room("requests")
    written = AddFeedback(
        account_id=ANNA.account_id, feedback_id=named("feedback"), text="Too loud", submitted_at=NOON
    )

    await overlap(requests.engine, "INSERT INTO feedback", requests.does(written), requests.does(erased(ANNA)))

    assert (await requests.held_of(ANNA.account_id) == {}) is locked


async def test_a_message_that_is_parked_while_its_account_is_erased_does_not_stay_parked(
    room: OpenRoom, *, locked: bool
) -> None:
    # Given feedback that cannot be read, but names its account
    requests = await room("requests")
    unreadable = raw_record(FEEDBACK, b'{"account_id": "%s"}' % str(ANNA.account_id).encode(), offset=0)

    await overlap(
        requests.engine,
        COMMIT,
        requests.reads(FEEDBACK, unreadable),
        requests.does(erased(ANNA)),
    )

    assert (await requests.held_of(ANNA.account_id) == {}) is locked


async def test_two_last_receipts_at_the_same_time_settle_the_order(room: OpenRoom, *, locked: bool) -> None:
    # Given an order that waits for account and device
    requests = await room("requests")
    cancelled = fact(
        AccountCancelled,
        ANNA,
        order_id=ANNA.order_id,
        origin=Origin.APP,
        references=("ref",),
        contact_version=1,
    )
    own = fact(DataErased, ANNA, source="requests", order_id=ANNA.order_id, items=())
    await requests.hears(cancelled, own)

    # When both answer at once
    await overlap(
        requests.engine, "INSERT INTO orders", requests.does(receipt("account")), requests.does(receipt("device"))
    )

    # Then neither receipt has overwritten the other
    (order,) = await requests.rows("orders")
    assert (order["settled_at"] is not None) is locked


def receipt(owner: str) -> TakeReceipt:
    return TakeReceipt(
        account_id=ANNA.account_id,
        order_id=ANNA.order_id,
        owner=owner,
        items=(),
        supplement=False,
        remark=None,
    )


def take_out_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    statement = device_repository._RECORD  # noqa: SLF001 - what is taken out
    bare = text(str(statement).replace("FOR KEY SHARE", ""))
    monkeypatch.setattr(
        device_repository,
        "_RECORD",
        bare.bindparams(*statement._bindparams.values()),  # noqa: SLF001
    )


@pytest.mark.parametrize("shared", [True, False], ids=["with FOR KEY SHARE", "without it breaks"])
async def test_readings_that_are_stored_while_their_binding_is_erased_do_not_stay(
    room: OpenRoom, monkeypatch: pytest.MonkeyPatch, *, shared: bool
) -> None:
    # Given Anna's bound device. Readings lock no account, but the bindings that they find
    device = await room("device")
    await device.run(KNOW_THE_PRODUCT, **KNOWN)
    await device.does(bound(ANNA))
    (binding,) = await device.rows("bindings")
    if not shared:
        take_out_the_lock(monkeypatch)
    reading = RecordReading(
        account_id=ANNA.account_id,
        binding_id=binding["id"],
        event_id=named("reading"),
        measured_at=NOON,
        values={"pm25": 3.5},
    )

    # When the erasure comes after the reading was stored, and before that is committed
    await overlap(device.engine, COMMIT, device.does(reading), device.does(erased(ANNA)))

    # Then no reading stays
    assert (await device.held_of(ANNA.account_id) == {}) is shared
