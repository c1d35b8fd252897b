"""The time of a record follows from where records of a time stand, whatever the log is like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from ops.lag.ages import Place, taken_at

NOW = 1_700_000_000_000
FORTNIGHT = 14 * 86_400_000
HALVINGS = 42
"""So often the time since 1970 can be halved, in milliseconds."""


@dataclass
class Record:
    offset: int
    timestamp: int


@dataclass
class Logs:
    """Partitions of a broker: each has its first offset, and when each record was taken; several may share a time."""

    logs: dict[Place, tuple[int, list[int]]]
    asked: int = 0
    gone: set[Place] = field(default_factory=set)

    def first_since(self, times: Mapping[Place, int]) -> dict[Place, Record]:
        """Answer as a broker does."""
        self.asked += 1
        return {place: self._first(place, at) for place, at in times.items() if place not in self.gone}

    def _first(self, place: Place, at: int) -> Record:
        return next((record for record in self.of(place) if record.timestamp >= at), Record(-1, -1))

    def of(self, place: Place) -> list[Record]:
        start, times = self.logs[place]
        return [Record(start + number, at) for number, at in enumerate(times)]


@st.composite
def logs(draw: st.DrawFn, newest: int = NOW) -> Logs:
    """Draw logs of up to three partitions, none of them empty."""
    times = st.lists(st.integers(newest - FORTNIGHT, newest), min_size=1, max_size=20).map(sorted)
    partitions = draw(st.lists(st.tuples(st.integers(0, 1000), times), min_size=1, max_size=3))
    return Logs({Place("topic", number): log for number, log in enumerate(partitions)})


@given(logs())
def test_every_record_of_every_partition_is_told_when_it_was_taken(broker: Logs) -> None:
    taken = {(place, each.offset): each.timestamp for place in broker.logs for each in broker.of(place)}

    assert taken_at(taken, broker.first_since, NOW) == taken


@given(logs())
def test_all_partitions_are_asked_at_once_and_only_so_often_as_time_can_be_halved(broker: Logs) -> None:
    newest = [(place, broker.of(place)[-1].offset) for place in broker.logs]

    assert len(taken_at(newest, broker.first_since, NOW)) == len(newest)
    assert broker.asked <= HALVINGS


@given(logs(NOW + FORTNIGHT))
def test_what_a_clock_ahead_of_ours_has_stamped_was_taken_just_now(broker: Logs) -> None:
    taken = {(place, each.offset): each.timestamp for place in broker.logs for each in broker.of(place)}
    found = taken_at(taken, broker.first_since, NOW)

    assert {record: min(at, NOW - 1) for record, at in found.items()} == {
        record: min(at, NOW - 1) for record, at in taken.items()
    }


@given(logs())
def test_what_is_deleted_or_whose_topic_is_was_taken_at_no_time(broker: Logs) -> None:
    before = {(place, start - 1) for place, (start, _) in broker.logs.items()}
    assert taken_at(before, broker.first_since, NOW) == {}

    broker.gone = {*broker.logs}
    assert taken_at([(place, start) for place, (start, _) in broker.logs.items()], broker.first_since, NOW) == {}


def test_in_an_empty_partition_nothing_was_taken() -> None:
    place = Place("topic", 0)

    assert taken_at([(place, 7)], Logs({place: (7, [])}).first_since, NOW) == {}
