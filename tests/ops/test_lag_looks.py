"""What `adieu lag` makes of look after look: told by a broker that is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import typer

from ops.lag import peek, verbs
from ops.lag.ages import Place
from ops.lag.broker import Broker, Reading
from ops.lag.watch import EXPECTED, Watch
from ops.lag.words import Sample, Word
from shared.messaging.kafka import Kafka

KAFKA = Kafka("127.0.0.1:1")
READING = Reading("device.account.accounts.v1", Place("account.accounts.v1", 0))
END = 10


@dataclass
class Clock:
    """Goes on only where somebody sleeps."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Told(Broker):
    """Says in each look how far the group has read, and takes its time for it."""

    def __init__(self, clock: Clock, positions: Iterable[int], takes: float = 0.0) -> None:
        self._clock = clock
        self._positions = iter(positions)
        self._takes = takes

    def groups(self) -> list[str]:
        return [READING.group]

    def retention(self, topics: Iterable[str]) -> dict[str, float | None]:
        return dict.fromkeys(topics)

    def look(self, groups: Sequence[str], expected: Iterable[Reading] = ()) -> dict[Reading, Sample]:
        assert (list(groups), expected) == ([READING.group], EXPECTED)
        sample = Sample(self._clock.now, 0, END, next(self._positions))
        self._clock.sleep(self._takes)
        return {READING: sample}


class Blind:
    """Sees nothing of what waits."""

    def types(self, _: Mapping[Reading, Sample]) -> dict[Reading, Mapping[str, int]]:
        return {}

    def close(self) -> None:
        pass


class Lag:
    """The command, told of a broker; gives its exit code."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._directory = directory
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", KAFKA.servers)

    def __call__(self, positions: Iterable[int], takes: float = 0.0, **options: Any) -> int:  # noqa: ANN401
        clock = Clock()
        self._monkeypatch.setattr(verbs, "time", clock)
        self._monkeypatch.setattr(verbs, "Broker", lambda _: Told(clock, positions, takes))
        self._monkeypatch.setattr(verbs, "Peek", lambda _: Blind())
        with pytest.raises(typer.Exit) as exit_:
            verbs.lag(directory=self._directory, **options)
        return exit_.value.exit_code


@pytest.fixture
def lag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lag:
    return Lag(tmp_path, monkeypatch)


@pytest.mark.parametrize(("window", "takes"), [(5.0, 6.0), (1.0, 0.1), (0.1, 0.05), (0.1, 6.0)])
def test_who_stands_still_has_stalled_however_short_the_window_and_slow_the_look(
    lag: Lag, window: float, takes: float
) -> None:
    assert lag(repeat(4), takes, window=window) == Word.STALLED.value


def test_three_looks_make_the_word_however_far_they_lie_apart() -> None:
    clock = Clock()
    watch = Watch(Told(clock, [0, 3, 5, 5, 5], takes=60.0), seconds=5.0)
    words = [line.word for _ in range(5) for line in watch.look()]
    assert words == [Word.GROWING, Word.DRAINING, Word.DRAINING, Word.DRAINING, Word.STALLED]


class Silent:
    """A consumer that is given nothing, and waits for it as long as it may."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def assign(self, places: Any) -> None:  # noqa: ANN401
        pass

    def unassign(self) -> None:
        pass

    def consume(self, _: int, timeout: float) -> list[Any]:
        self._clock.sleep(timeout)
        return []


def test_what_cannot_be_read_is_waited_for_once_however_many_groups_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(peek, "time", clock)
    monkeypatch.setattr(peek, "Consumer", lambda _: Silent(clock))
    waiting = {READING._replace(group=f"{name}.account.accounts.v1"): Sample(0, 0, END, 0) for name in "abc"}
    assert peek.Peek(KAFKA).types(waiting) == {}
    assert clock.now == peek.PEEK_SECONDS
