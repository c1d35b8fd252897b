"""The word for a window of samples follows from how the samples move, whatever their size."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from ops.lag.words import Sample, Word, word_for

DAY = 86_400.0
LONG = 14 * DAY
ANY = st.integers(0, 50)


@st.composite
def windows(
    draw: st.DrawFn,
    *,
    consumed: bool | None = True,
    lag: st.SearchStrategy[int] = ANY,
    come: st.SearchStrategy[int] = ANY,
    read: st.SearchStrategy[int] = ANY,
    looks: int = 1,
) -> list[Sample]:
    """Draw what a log and its reader do: both only go forward, and the reader never passes the end."""
    position = draw(st.integers(0, 1000))
    end = position + draw(lag)
    at, found = 0.0, []
    for seconds, came, taken in draw(st.lists(st.tuples(st.floats(0.5, 30), come, read), min_size=looks, max_size=8)):
        member = draw(st.booleans()) if consumed is None else consumed
        waits = draw(st.floats(0, DAY))
        found.append(Sample(at, 0, end, position, member, waits if end > position else None))
        at, end = at + seconds, end + came
        position = min(position + taken, end)
    return found


def lags(window: list[Sample]) -> list[int]:
    return [sample.lag for sample in window]


@given(windows(consumed=None), st.integers(1, 1000), st.floats(0.01, 100), st.integers(0, 10**9))
def test_only_proportions_count_no_number_of_records_or_seconds(
    window: list[Sample], times: int, slower: float, moved: int
) -> None:
    larger = [
        replace(
            sample,
            at=sample.at * slower,
            start=sample.start * times + moved,
            end=sample.end * times + moved,
            committed=sample.position * times + moved,
            waits=sample.waits and sample.waits * slower,
        )
        for sample in window
    ]
    # The pace is times as many records in so many seconds: what waits is read as soon, for a clock as slow.
    assert word_for(larger, LONG * slower) is word_for(window, LONG)


@given(windows())
def test_who_has_read_all_is_caught_up(window: list[Sample]) -> None:
    last = window[-1]
    assert word_for([*window, replace(last, at=last.at + 1, committed=last.end)], LONG) is Word.CAUGHT_UP


@given(windows())
def test_who_has_read_all_that_waited_and_does_not_fall_behind_is_caught_up_or_draining(window: list[Sample]) -> None:
    assume(window[-1].position >= window[0].end and lags(window)[-1] <= min(lags(window)))
    assert word_for(window, LONG) is Word.CAUGHT_UP


@given(windows())
def test_where_something_waits_throughout_and_nothing_is_read_it_is_stalled(window: list[Sample]) -> None:
    assume(len(window) > 1 and window[0].lag)
    still = [replace(sample, committed=window[0].position) for sample in window]
    assert word_for(still, LONG) is Word.STALLED


@given(windows())
def test_it_is_stalled_only_where_nothing_moved(window: list[Sample]) -> None:
    if word_for(window, LONG) is Word.STALLED:
        assert window[0].position == window[-1].position
        assert all(lags(window))


@given(windows())
def test_what_has_just_come_is_not_stalled(window: list[Sample]) -> None:
    read = replace(window[0], committed=window[0].end)
    come = replace(read, at=1.0, end=read.end + 1)
    assert word_for([read, come], LONG) is Word.GROWING


@given(windows(looks=2, lag=st.integers(80, 100), come=st.integers(0, 4), read=st.integers(5, 10)))
def test_a_lag_that_only_falls_never_grows(window: list[Sample]) -> None:
    assert all(later < earlier for earlier, later in pairwise(lags(window)))
    assert word_for(window, LONG) in (Word.DRAINING, Word.CAUGHT_UP)


@given(windows(looks=2, come=st.integers(11, 50), read=st.integers(0, 10)))
def test_a_lag_that_only_rises_grows_or_has_stalled(window: list[Sample]) -> None:
    assert all(later > earlier for earlier, later in pairwise(lags(window)))
    assert word_for(window, LONG) in (Word.GROWING, Word.STALLED)


@given(windows(consumed=False))
def test_a_partition_that_no_member_has_had_has_no_consumer_even_if_nothing_waits(window: list[Sample]) -> None:
    assert word_for(window, LONG) is Word.NO_CONSUMER


@given(windows(consumed=None))
def test_a_member_that_was_there_a_moment_ago_may_come_back(window: list[Sample]) -> None:
    assume(any(sample.consumed for sample in window))
    assert word_for(window, LONG) is not Word.NO_CONSUMER


@given(windows(consumed=None), st.integers(1, 100))
def test_a_group_that_was_set_back_is_rewound(window: list[Sample], back: int) -> None:
    last = window[-1]
    assume(last.position >= back)
    assert word_for([*window, replace(last, at=last.at + 1, committed=last.position - back)], LONG) is Word.REWOUND


@given(windows(), st.integers(1, 100))
def test_a_group_that_stands_behind_the_end_of_a_new_log_is_rewound(window: list[Sample], behind: int) -> None:
    last = window[-1]
    assert word_for([*window, replace(last, at=last.at + 1, committed=last.end + behind)], LONG) is Word.REWOUND


@given(windows(consumed=None), st.floats(1.0, 10.0))
def test_what_waits_longer_than_the_broker_keeps_it_is_being_lost(window: list[Sample], share: float) -> None:
    last = window[-1]
    assume(last.lag)
    assert word_for([*window[:-1], replace(last, waits=LONG * share)], LONG) is Word.LOSING


@given(windows(consumed=None))
def test_what_was_deleted_before_it_was_read_is_lost(window: list[Sample]) -> None:
    last = window[-1]
    assume(last.lag)
    assert word_for([*window[:-1], replace(last, start=last.position + 1)], LONG) is Word.LOSING


def test_what_its_reader_has_deleted_itself_waits_no_more() -> None:
    """It was killed between the effect and telling the broker: it begins behind what it has deleted."""
    deleted = [Sample(float(at), 50, 50, 40, purged=True) for at in range(3)]
    assert word_for(deleted, LONG) is Word.CAUGHT_UP
    assert word_for([replace(sample, purged=False) for sample in deleted], LONG) is Word.LOSING


def test_a_pace_at_which_the_newest_would_be_deleted_before_it_is_read_loses() -> None:
    slow = [Sample(0, 0, 10_000, 100, waits=1.0), Sample(10, 0, 10_000, 110, waits=11.0)]
    assert word_for(slow, 10_000.0) is Word.DRAINING
    assert word_for(slow, 9_000.0) is Word.LOSING


def test_a_group_that_has_never_read_begins_at_the_first_record_there_is() -> None:
    assert word_for([Sample(0, 40, 50, None), Sample(1, 40, 50, None)], LONG) is Word.STALLED
    assert word_for([Sample(0, 50, 50, None), Sample(1, 50, 50, None)], LONG) is Word.CAUGHT_UP
