"""Looks again and again, and makes of the samples in a window one line for each group and partition."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ops.errors import UserError
from ops.lag.ages import Place
from ops.lag.broker import Broker, Reading
from ops.lag.peek import Peek
from ops.lag.words import Sample, Word, rate, word_for
from shared.contracts.topics import ALL_TOPICS, TOPICS

RETENTION_IS_KNOWN_SECONDS = 15.0
"""How long what the broker says of its topics' settings is believed."""
FEWEST_SAMPLES = 3
"""So many of the last ones are kept however old they are: a look may take longer than the window."""

EXPECTED = tuple(
    Reading(read.group_of(read.reader), Place(topic.name, partition))
    for read in TOPICS
    if read.reader
    for topic in ALL_TOPICS
    if read.covers(topic.name)
    for partition in range(topic.partitions)
)
"""Who has to empty a personal topic: missed also where it has never read, of which the broker knows nothing."""


@dataclass(frozen=True)
class Line:
    """How one group gets on with one partition."""

    group: str
    topic: str
    partition: int
    start: int
    committed: int | None
    end: int
    lag: int
    seconds: float | None
    """Since when the oldest waiting record is with the broker; 0 where nothing waits, None where it is not known."""
    rate_in: float
    rate_out: float
    catch_up: float | None
    """In how many seconds it has caught up at this pace; 0 when it has, None where it never will."""
    used: float | None
    """Which share of the retention the oldest waiting record has used up; None where nothing is ever deleted."""
    word: Word
    types: Mapping[str, int] = field(default_factory=dict)
    """What waits, as far as it was read; "" where a foreign publisher does not say."""

    @property
    def reader(self) -> str:
        """The service whose group it is."""
        return self.group.partition(".")[0]


class Watch:
    """Keeps the samples of the last seconds, one window for each group and partition. Types need a `peek`."""

    def __init__(self, broker: Broker, seconds: float, groups: Sequence[str] = (), peek: Peek | None = None) -> None:
        self._broker = broker
        self._peek = peek
        self._seconds = seconds
        self._groups = groups
        self._windows: dict[Reading, list[Sample]] = {}
        self._retention: dict[str, float | None] = {}
        self._asked_at = -RETENTION_IS_KNOWN_SECONDS

    def look(self) -> list[Line]:
        """Take one more sample of everything; UserError where there is nothing to be seen."""
        samples = self._broker.look(self._watched(), () if self._groups else EXPECTED)
        if not samples:
            raise UserError(self._nothing())
        windows: dict[Reading, list[Sample]] = {}
        for reading, sample in samples.items():
            window = [*self._windows.get(reading, []), sample]
            young = [each for each in window[:-FEWEST_SAMPLES] if each.at >= sample.at - self._seconds]
            windows[reading] = [*young, *window[-FEWEST_SAMPLES:]]
        self._windows = windows  # what is not there any more is forgotten: a topic of that name may come again
        self._learn_retention({reading.place.topic for reading in samples})
        types = self._peek.types(samples) if self._peek else {}
        return [self._line(reading, window, types.get(reading, {})) for reading, window in self._windows.items()]

    def _watched(self) -> Sequence[str]:
        there = self._broker.groups()
        if unknown := sorted(set(self._groups) - set(there)):
            known = f"; there are: {', '.join(there)}" if there else ", or this user may not see it"
            raise UserError(f"there is no group {', '.join(unknown)}{known}")
        return self._groups or there

    def _nothing(self) -> str:
        missing = sorted({topic.name for topic in ALL_TOPICS} - self._broker.topics())
        nothing = "no group reads anything yet, or this user may not see it"
        return f"{nothing}; not there yet: {', '.join(missing)}" if missing else nothing

    def _learn_retention(self, topics: set[str]) -> None:
        now = time.monotonic()
        if now - self._asked_at >= RETENTION_IS_KNOWN_SECONDS or topics - self._retention.keys():
            self._retention = self._broker.retention(topics)
            self._asked_at = now

    def _line(self, reading: Reading, window: Sequence[Sample], types: Mapping[str, int]) -> Line:
        last, topic = window[-1], reading.place.topic
        retention = self._retention.get(topic)
        seconds = last.waits if last.lag else 0.0
        into, out = rate(window, "end"), rate(window, "position")
        return Line(
            *(reading.group, *reading.place),
            start=last.start,
            committed=last.committed,
            end=last.end,
            lag=last.lag,
            seconds=seconds,
            rate_in=into,
            rate_out=out,
            catch_up=_catch_up(last.lag, out - into),
            used=seconds / retention if retention and seconds is not None else None,
            word=word_for(window, retention),
            types=types,
        )


def _catch_up(lag: int, gains: float) -> float | None:
    if not lag:
        return 0.0
    return lag / gains if gains > 0 else None
