"""The table of transitions rules the states, whatever is tried; and what time brings comes in time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.requests.domain.cases import (
    CLOCK_STANDS,
    CODE_TRIES,
    ENDS,
    LONGEST_PAUSE,
    NOT_NOW,
    TIME_OUT,
    TRANSITIONS,
    Request,
    State,
    Step,
    accepted_at_once,
    decide_ask,
    decide_code,
    decide_extend,
    decide_pause,
    decide_quote,
    decide_refuse,
    look_at,
    received,
    same_wish,
    stepped,
    time_step,
)
from services.requests.law import BY_REGION, LAWS, POLICY, law_of
from shared.commands import Refusal
from shared.contracts.requests import Channel, Ground, Kind
from tests.builders import ANNA, NOON, named

DAY = timedelta(days=1)
STRICT = replace(
    POLICY,
    name="strict",
    answer_within=15 * DAY,
    extension=timedelta(),
    grounds=frozenset({Ground.REPETITIVE}),
    fee_allowed=False,
)
laws = st.sampled_from([POLICY, STRICT])
steps = st.lists(st.tuples(st.sampled_from([*Step]), st.integers(0, 40)), max_size=25)


def wish(kind: Kind | None = Kind.ACCESS, **changes: Any) -> Request:  # noqa: ANN401 - fields
    request = Request(
        request_id=named("request"),
        account_id=ANNA.account_id,
        kind=kind,
        channel=Channel.APP,
        state=State.UNVERIFIED,
        law=POLICY.name,
        scope={},
        received_at=NOON,
        due_at=NOON,
    )
    return replace(request, **changes)


def known(kind: Kind | None = Kind.ACCESS, **changes: Any) -> Request:  # noqa: ANN401 - fields
    return received(wish(kind, **changes), POLICY, known=True)


def unknown(kind: Kind | None = Kind.ACCESS, **changes: Any) -> Request:  # noqa: ANN401 - fields
    return received(wish(kind, **changes), POLICY, known=False)


def moved(request: Request, *taken: tuple[Step, int]) -> list[tuple[Request, datetime]]:
    """Try one step after the other, each so many days later; a refused one changes nothing."""
    seen, now = [(request, NOON)], NOON
    for step, days in taken:
        now += days * DAY
        after = stepped(request, step, now)
        request = request if isinstance(after, Refusal) else after
        seen.append((request, now))
    return seen


@pytest.mark.parametrize(("state", "step"), list(product(State, Step)), ids="-".join)
def test_a_step_is_taken_if_and_only_if_the_table_has_it(state: State, step: Step) -> None:
    after = stepped(replace(known(), state=state), step, NOON)

    if (state, step) in TRANSITIONS:
        assert isinstance(after, Request)
        assert after.state is TRANSITIONS[state, step]
    else:
        assert after is NOT_NOW


@given(known_at_first=st.booleans(), taken=steps)
def test_whatever_is_tried_a_request_that_has_ended_stays_as_it_is(
    known_at_first: bool,  # noqa: FBT001 - drawn
    taken: list[tuple[Step, int]],
) -> None:
    seen = moved(known() if known_at_first else unknown(), *taken)
    ends = [request for request, _ in seen if request.ended]

    assert all(request == ends[0] for request in ends)
    assert all((request.ended_at is not None) == request.ended == (request.state in ENDS) for request, _ in seen)
    assert all(request.how == request.state for request in ends)


@given(choices=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 40)), max_size=12))
def test_the_time_to_answer_grows_by_what_the_person_or_a_pause_has_taken_and_by_nothing_else(
    choices: list[tuple[int, int]],
) -> None:
    request, now, stood = known(), NOON, timedelta()
    for choice, days in choices:
        stood += days * DAY if request.state in CLOCK_STANDS else timedelta()
        now += days * DAY
        going_on = [
            step for (state, step), after in TRANSITIONS.items() if state is request.state and after not in ENDS
        ]
        if going_on:
            after = stepped(request, going_on[choice % len(going_on)], now)
            assert isinstance(after, Request)
            request = after
        assert (request.stopped_at is not None) == (request.state in CLOCK_STANDS)
    stands_still = now - request.stopped_at if request.stopped_at else timedelta()

    assert request.due_at - NOON == POLICY.answer_within + stood - stands_still


@given(law=laws, taken=steps)
def test_every_request_ends_or_time_brings_it_something(law: object, taken: list[tuple[Step, int]]) -> None:
    assert isinstance(law, type(POLICY))
    for request, _ in moved(received(wish(law=law.name), law, known=False), *taken):
        waits = request.state in TIME_OUT
        assert not waits or request.ends_at is None or look_at(request, law) <= request.ends_at


@pytest.mark.parametrize("state", [state for state in State if state not in ENDS])
def test_from_every_state_an_end_can_be_reached(state: State) -> None:
    reached = {state}
    while new := {after for (before, _), after in TRANSITIONS.items() if before in reached} - reached:
        reached |= new
    usual = ENDS - {State.ACCOUNT_CANCELLED}

    assert reached & usual


@pytest.mark.parametrize("state", sorted(CLOCK_STANDS | {State.UNVERIFIED}))
def test_every_state_that_waits_has_an_end(state: State) -> None:
    assert (state, TIME_OUT[state]) in TRANSITIONS


# Identity


def test_three_wrong_codes_are_looked_at_and_after_them_not_even_the_right_one() -> None:
    request = unknown()
    for _ in range(CODE_TRIES):
        request, refusal = decide_code(request, NOON, right=False)
        assert refusal is not None
        assert refusal.slug == "code-wrong"
    request, refusal = decide_code(request, NOON, right=True)

    assert refusal is not None
    assert refusal.slug == "tries-spent"
    assert request.state is State.UNVERIFIED


def test_an_unverified_wish_neither_joins_nor_blocks_a_known_one() -> None:
    unverified, real = unknown(request_id=named("eve")), known(request_id=named("anna"))

    assert same_wish(real, (unverified, real)) is None
    assert same_wish(replace(unverified, state=State.OPEN), (real, unverified)) == real


@pytest.mark.parametrize("kind", [*Kind, None])
def test_nothing_is_accepted_at_once_while_nobody_knows_who_asks(kind: Kind | None) -> None:
    request = replace(unknown(kind, scope={"fields": ["nickname"]}), state=State.OPEN)

    assert not accepted_at_once(request, POLICY, NOON, None)


def test_a_law_may_need_no_check_for_a_kind() -> None:
    lenient = replace(POLICY, check_needed=frozenset({Kind.ACCESS}))
    request = replace(unknown(Kind.WITHDRAWAL, scope={"whole_policy": True}), state=State.OPEN)

    assert accepted_at_once(request, lenient, NOON, None)


# The law


@pytest.mark.parametrize("ground", Ground)
def test_it_is_refused_only_on_a_ground_that_the_law_allows(ground: Ground) -> None:
    refused = decide_refuse(known(Kind.DELETION), ground, STRICT, NOON)

    if ground in STRICT.grounds:
        assert isinstance(refused, Request)
        assert (refused.state, refused.ground) == (State.REFUSED, ground)
    else:
        assert refused == Refusal("ground-not-allowed")


def test_it_is_extended_once_in_time_and_where_the_law_allows_it() -> None:
    request = known(Kind.DELETION)
    extended = decide_extend(request, POLICY, NOON + 29 * DAY)
    assert isinstance(extended, Request)

    assert extended.due_at == NOON + 60 * DAY
    assert decide_extend(extended, POLICY, NOON + 31 * DAY) == Refusal("extended-already")
    assert decide_extend(request, POLICY, NOON + 30 * DAY) == Refusal("too-late-to-extend")
    assert decide_extend(request, STRICT, NOON) == Refusal("extension-not-allowed")


def test_a_fee_is_asked_only_where_the_law_allows_it_for_a_record_that_is_not_the_first() -> None:
    lately = NOON - DAY

    assert isinstance(decide_quote(known(), POLICY, NOON, lately), Request)
    assert decide_quote(known(), POLICY, NOON, None) == Refusal("first-record-is-free")
    assert decide_quote(known(Kind.DELETION), POLICY, NOON, lately) == Refusal("first-record-is-free")
    assert decide_quote(known(), STRICT, NOON, lately) == Refusal("fee-not-allowed")
    assert decide_quote(known(fee_paid=True), POLICY, NOON, lately) == Refusal("fee-not-allowed")


def test_a_pause_has_a_bound() -> None:
    paused = decide_pause(known(), NOON + 400 * DAY, NOON)

    assert isinstance(paused, Request)
    assert paused.ends_at == NOON + LONGEST_PAUSE


def test_the_policy_is_the_floor_wherever_no_other_law_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (POLICY.answer_within, POLICY.extension, POLICY.grounds) == (30 * DAY, 30 * DAY, frozenset(Ground))
    assert {law_of(region) for region in (None, "DE", "US-CA", "nowhere")} == {POLICY}

    monkeypatch.setitem(LAWS, STRICT.name, STRICT)
    monkeypatch.setitem(BY_REGION, "DE", STRICT.name)
    assert law_of("DE-BE") is STRICT


# What time brings


@given(law=laws)
def test_while_nobody_decides_staff_are_warned_escalated_and_the_person_is_told_before_the_date(law: object) -> None:
    assert isinstance(law, type(POLICY))
    request = received(wish(Kind.DELETION, law=law.name), law, known=True)
    brought: list[tuple[Step, timedelta]] = []
    while (now := look_at(request, law)) <= request.due_at:
        step = time_step(request, law, now)
        assert step is not None
        brought.append((step, request.due_at - now))
        changes = {Step.WARN: {"alarm": 1}, Step.ESCALATE: {"alarm": 2}}.get(step, {})
        after = decide_extend(request, law, now) if step is Step.EXTEND else stepped(request, step, now, **changes)
        assert isinstance(after, Request)
        request = after

    once = [Step.WARN, Step.ESCALATE]
    assert [step for step, _ in brought] == ([*once, Step.EXTEND, *once] if law.extension else once)
    assert all(left > timedelta() for _, left in brought)


def test_who_does_not_show_who_they_are_is_reminded_and_then_it_ends() -> None:
    request = unknown()
    reminded_at, ends_at = NOON + 7.5 * DAY, NOON + 15 * DAY

    assert time_step(request, POLICY, reminded_at - timedelta(seconds=1)) is None
    assert time_step(request, POLICY, reminded_at) is Step.REMIND
    assert time_step(replace(request, reminded=True), POLICY, ends_at - timedelta(seconds=1)) is None
    assert time_step(replace(request, reminded=True), POLICY, ends_at) is Step.EXPIRE
    assert time_step(request, POLICY, ends_at) is Step.EXPIRE


def test_a_question_that_is_not_answered_does_not_wait_for_ever() -> None:
    asked = decide_ask(known(Kind.DELETION), NOON)
    assert isinstance(asked, Request)

    assert time_step(asked, POLICY, NOON + 29 * DAY) is None
    assert time_step(asked, POLICY, NOON + 30 * DAY) is Step.RESUME


def test_nothing_comes_to_what_has_ended() -> None:
    ended = decide_refuse(known(Kind.DELETION), Ground.REPETITIVE, POLICY, NOON)
    assert isinstance(ended, Request)

    assert time_step(ended, POLICY, NOON + 999 * DAY) is None
