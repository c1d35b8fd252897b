"""What `adieu lag` makes of look after look, and how it shows them: told by a broker that is none."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

from ops.lag import peek, verbs
from ops.lag.ages import Place
from ops.lag.broker import Broker, Reading
from ops.lag.screen import page
from ops.lag.watch import EXPECTED, Line, Watch
from ops.lag.words import Sample, Word
from shared.messaging.kafka import Kafka

KAFKA = Kafka("127.0.0.1:1")
READING = Reading("device.account.accounts.v1", Place("account.accounts.v1", 0))
END = 10
LONGEST = max(EXPECTED, key=lambda reading: len(reading.group) + len(reading.place.topic))


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
        monkeypatch.setenv("FORCE_COLOR", "")  # with "1", what is printed is for a screen

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


def read_until_interrupted(*positions: int) -> Iterator[int]:
    yield from positions
    raise KeyboardInterrupt


@pytest.mark.parametrize("screen", ["", "1"])
def test_to_a_program_each_look_is_a_line_of_json_and_nothing_else_is_said(
    lag: Lag, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, screen: str
) -> None:
    monkeypatch.setenv("FORCE_COLOR", screen)
    code = lag(read_until_interrupted(4, 5, 6), watch=True, as_facts=True)
    looks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [[line["committed"] for line in look] for look in looks] == [[4], [5], [6]]
    assert code == Word.DRAINING.value


def test_into_a_file_each_look_is_shown_once(lag: Lag, capsys: pytest.CaptureFixture[str]) -> None:
    lag(read_until_interrupted(4, 5, 6), watch=True)
    said = [line for line in capsys.readouterr().out.splitlines() if "messages" in line]
    assert said == [f"{waits} messages on account.accounts.v1 wait for device" for waits in (6, 5, 4)]


def test_on_a_screen_the_looks_take_each_others_place(
    lag: Lag, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    lag(read_until_interrupted(4, 5, 6), watch=True)
    said = capsys.readouterr().out
    assert said.startswith("\x1b[?1049h")
    assert said.rstrip().endswith("\x1b[?1049l")
    assert "4 messages" in said


def row(group: str, place: Place, width: int) -> str:
    """Print a line with many records and the longest word."""
    many = 1_234_567
    line = Line(group, *place, 0, many, 2 * many, many, 90.0, 1_234.5, 1_234.5, None, 0.123, Word.NO_CONSUMER)
    console = Console(width=width, file=StringIO())
    with console.capture() as shown:
        console.print(page([line], width))
    return shown.get().splitlines()[-1]


@pytest.mark.parametrize("width", [60, 80, 132, verbs.WIDTH_OF_A_FILE])
def test_word_and_lag_are_whole_on_a_narrow_screen_and_only_names_are_cut(width: int) -> None:
    group, topic, *rest = row(*LONGEST, width).split()

    assert rest[-2:] == ["no", "consumer"]
    assert "1,234,567" in rest
    assert not any("…" in cell for cell in rest)
    for cell, name in ((group, LONGEST.group), (topic, LONGEST.place.topic)):
        assert name.startswith(cell.removesuffix("…"))


def test_the_name_of_a_group_is_shown_as_it_is() -> None:
    assert row("[/red]", LONGEST.place, 80).startswith("[/red] ")
