"""Whether a cancellation can be had, and on which confirmation."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from services.account.commands import KeepAccount, ScheduleCancellation, SpendTry
from services.account.domain.cancellations import (
    ALREADY_SCHEDULED,
    MOST_STARTED,
    NOT_CONTINUED,
    NOT_SCHEDULED,
    PASSWORD_TRIES,
    STARTED_TOO_OFTEN,
    TOKEN_INVALID,
    TRIES_SPENT,
    Cancelled,
    Declined,
    Ok,
    Scheduled,
    Started,
    State,
    decide_cancel,
    decide_continue,
    decide_keep,
    decide_schedule,
    decide_start,
    decide_try,
)
from shared.commands import ACCOUNT_CLOSED
from shared.contracts.account import Decline, DeclineReason, Origin
from tests.builders import A_MINUTE, ANNA, NEXT_MONTH, NOON, SOON, named
from tests.commands import (
    REFERENCE,
    TOKEN,
    cancellation_continued,
    cancelled_by_request,
    cancelled_in_app,
)

HASH = "a hash of a password"
STARTED = Started(REFERENCE, TOKEN, SOON, continued=False, tries=0, due_at=None)
CONTINUED = replace(STARTED, continued=True)
SCHEDULED = replace(CONTINUED, due_at=NEXT_MONTH)
TRY = SpendTry(account_id=ANNA.account_id, reference=REFERENCE, token_digest=TOKEN)
SCHEDULE = ScheduleCancellation(
    account_id=ANNA.account_id, reference=REFERENCE, token_digest=TOKEN, due_at=NEXT_MONTH
)
WHEN_DUE = replace(cancelled_in_app(ANNA), token_digest=None)


def state(*started: Started, owed: int = 0, unread: int = 0) -> State:
    installments = {named("owed", number): NEXT_MONTH for number in range(owed)}
    return State(7, HASH, installments, unread, started)


def declined(reason: DeclineReason, count: int) -> Declined:
    return Declined((Decline(reason=reason, count=count),))


UNPAID, UNREAD = DeclineReason.UNPAID_INSTALLMENTS, DeclineReason.PAYMENT_MESSAGE_UNREADABLE


def test_starting_is_possible_unless_something_postpones_it() -> None:
    assert decide_start(state()) == Ok()
    assert decide_start(state(STARTED)) == Ok()
    assert decide_start(state(owed=2)) == declined(UNPAID, 2)
    assert decide_start(state(unread=1)) == declined(UNREAD, 1)
    assert decide_start(state(SCHEDULED)) == ALREADY_SCHEDULED
    assert decide_start(None) == ACCOUNT_CLOSED


def test_a_person_can_hold_so_many_references_and_no_more() -> None:
    assert decide_start(state(*[STARTED] * (MOST_STARTED - 1))) == Ok()
    assert decide_start(state(*[STARTED] * MOST_STARTED)) == STARTED_TOO_OFTEN


def test_every_reason_is_told_at_once() -> None:
    outcome = decide_start(state(owed=1, unread=3))

    assert outcome == Declined((Decline(reason=UNPAID, count=1), Decline(reason=UNREAD, count=3)))


def test_continuing_takes_the_token_within_its_time() -> None:
    command = cancellation_continued(ANNA)

    assert decide_continue(state(STARTED), command, NOON) == Ok()
    assert decide_continue(state(STARTED), replace(command, token_digest="another"), NOON) == TOKEN_INVALID
    assert decide_continue(state(STARTED), command, SOON) == TOKEN_INVALID
    assert decide_continue(None, command, NOON) == TOKEN_INVALID


def test_a_token_continues_only_the_cancellation_that_it_was_given_for() -> None:
    other = replace(STARTED, reference="another", token_digest="another token")
    crossed = replace(cancellation_continued(ANNA), reference=other.reference)

    assert decide_continue(state(STARTED, other), crossed, NOON) == TOKEN_INVALID


def test_what_is_scheduled_is_told_again_by_its_token_at_any_time_and_after_every_try() -> None:
    spent = replace(SCHEDULED, tries=PASSWORD_TRIES)

    for now in (NOON, SOON, NEXT_MONTH):
        assert decide_try(state(spent), TRY, now) == Scheduled(REFERENCE, NEXT_MONTH)
        assert decide_try(state(spent), replace(TRY, token_digest="another"), now) == TOKEN_INVALID


def test_a_password_can_be_tried_so_often_and_only_by_who_has_continued() -> None:
    spent = replace(CONTINUED, tries=PASSWORD_TRIES)

    assert decide_try(state(CONTINUED), TRY, NOON) == HASH
    assert decide_try(state(replace(spent, tries=PASSWORD_TRIES - 1)), TRY, NOON) == HASH
    assert decide_try(state(spent), TRY, NOON) == TRIES_SPENT
    assert decide_try(state(STARTED), TRY, NOON) == NOT_CONTINUED


@pytest.mark.parametrize(
    ("command", "now"),
    [(replace(TRY, token_digest="another"), NOON), (replace(TRY, reference="another"), NOON), (TRY, SOON)],
    ids=["wrong token", "wrong reference", "too late"],
)
def test_no_hash_is_handed_out_without_the_token_of_this_very_cancellation(command: SpendTry, now: datetime) -> None:
    assert decide_try(state(CONTINUED), command, now) == TOKEN_INVALID
    assert decide_try(None, command, now) == TOKEN_INVALID


def test_a_cancellation_in_the_app_takes_all_three_taps() -> None:
    command = cancelled_in_app(ANNA)

    assert decide_cancel(state(CONTINUED), command, NOON) == Cancelled((REFERENCE,), 7)
    assert decide_cancel(state(STARTED), command, NOON) == NOT_CONTINUED
    assert decide_cancel(state(), command, NOON) == TOKEN_INVALID
    assert decide_cancel(state(CONTINUED), command, SOON) == TOKEN_INVALID
    assert decide_cancel(None, command, NOON) == ACCOUNT_CLOSED


def test_what_is_owed_declines_a_cancellation_in_the_app_and_never_a_request() -> None:
    owing = state(CONTINUED, owed=1, unread=1)

    assert isinstance(decide_cancel(owing, cancelled_in_app(ANNA), NOON), Declined)
    assert decide_cancel(owing, cancelled_by_request(ANNA), NOON) == Cancelled((REFERENCE,), 7)


def test_a_cancelled_account_takes_every_reference_along_that_was_given() -> None:
    other = replace(STARTED, reference="another", token_digest="another token")

    assert decide_cancel(state(other, CONTINUED), cancelled_in_app(ANNA), NOON) == Cancelled(
        ("another", REFERENCE), 7
    )


def test_a_scheduled_cancellation_is_carried_out_when_it_is_due_and_not_before() -> None:
    assert decide_cancel(state(SCHEDULED), WHEN_DUE, NEXT_MONTH - A_MINUTE) == NOT_SCHEDULED
    assert decide_cancel(state(SCHEDULED), WHEN_DUE, NEXT_MONTH) == Cancelled((REFERENCE,), 7)
    assert decide_cancel(state(CONTINUED), WHEN_DUE, NEXT_MONTH) == NOT_SCHEDULED
    assert decide_cancel(state(SCHEDULED, owed=1), WHEN_DUE, NEXT_MONTH) == declined(UNPAID, 1)


def test_scheduling_takes_all_three_taps_and_keeps_its_first_date() -> None:
    later = replace(SCHEDULE, due_at=NEXT_MONTH + A_MINUTE)

    assert decide_schedule(state(CONTINUED), SCHEDULE, NOON) == Scheduled(REFERENCE, NEXT_MONTH)
    assert decide_schedule(state(SCHEDULED), later, NOON) == Scheduled(REFERENCE, NEXT_MONTH)
    assert decide_schedule(state(STARTED), SCHEDULE, NOON) == NOT_CONTINUED
    assert decide_schedule(state(CONTINUED), SCHEDULE, SOON) == TOKEN_INVALID
    assert decide_schedule(state(CONTINUED, owed=1), SCHEDULE, NOON) == declined(UNPAID, 1)
    assert decide_schedule(None, SCHEDULE, NOON) == ACCOUNT_CLOSED


def test_keeping_takes_the_reference_of_what_is_scheduled() -> None:
    keep = KeepAccount(account_id=ANNA.account_id, reference=REFERENCE)

    assert decide_keep(state(SCHEDULED), keep) == Ok()
    assert decide_keep(state(SCHEDULED), replace(keep, reference="another")) == NOT_SCHEDULED
    assert decide_keep(state(CONTINUED), keep) == NOT_SCHEDULED
    assert decide_keep(None, keep) == NOT_SCHEDULED


def test_a_request_needs_no_token() -> None:
    assert cancelled_by_request(ANNA).origin is Origin.REQUEST
    assert decide_cancel(state(), cancelled_by_request(ANNA), NOON) == Cancelled((), 7)
