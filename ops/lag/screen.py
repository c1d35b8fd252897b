"""How lag is shown: a table, what it means in sentences, and JSON for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ops.lag.watch import Line
from ops.lag.words import Word

COLOURS = {
    Word.CAUGHT_UP: "green",
    Word.DRAINING: "cyan",
    Word.GROWING: "yellow",
    Word.REWOUND: "magenta",
    Word.STALLED: "red",
    Word.NO_CONSUMER: "red",
    Word.LOSING: "bold red",
}
NAMES = ("group", "topic")
COLUMNS = (
    *NAMES,
    "no.",
    "committed",
    "end",
    "lag",
    "for",
    "in/s",
    "out/s",
    "done in",
    "retention",
    "",
)
DISPENSABLE = ("committed", "end", "in/s", "out/s", "retention", "done in", "for")
"""Columns that are left out where a screen is too narrow, the first one first."""
GAP = 2
SEEN_OF_A_NAME = 20
"""Before less than so much of a name is seen, columns are left out."""
CALLED = {
    "AccountCancelled": ("cancellation", "cancellations"),
    "ErasureOrdered": ("order", "orders"),
    "DataErased": ("receipt", "receipts"),
    "DeviceBound": ("binding", "bindings"),
    "SessionEnded": ("ended session", "ended sessions"),
    "ReadingReported": ("reading", "readings"),
}
"""What people call a fact of this type, one and many; of any other it is said by the type."""
MINUTE, HOUR, DAY = 60, 3600, 86400


def worst(lines: Iterable[Line]) -> Word:
    """Find the worst word of all."""
    return max((line.word for line in lines), key=lambda word: word.value)


def page(lines: Sequence[Line], width: int) -> RenderableType:
    """Say what it means, and below it the table, the worst first; names are cut where the width asks for it."""
    worst_first = sorted(
        lines, key=lambda line: (-line.word.value, -line.lag, line.group, line.topic, line.partition)
    )
    rows = [dict(zip(COLUMNS, _row(line), strict=True)) for line in worst_first]
    columns = _fitting(rows, width)
    table = Table(box=None, pad_edge=False)
    for column in columns:
        # Only what may be wrapped is made narrower; a name has no blank to be wrapped at, so that it is cut.
        table.add_column(column, justify="left" if column in (*NAMES, "") else "right", no_wrap=column not in NAMES)
    for row in rows:
        table.add_row(*(row[column] for column in columns))
    return Group(*(Text(sentence) for sentence in [*sentences(lines), ""]), table)


def _fitting(rows: Sequence[Mapping[str, str | Text]], width: int) -> list[str]:
    widths = {column: max(map(len, [column, *(row[column] for row in rows)])) for column in COLUMNS}
    widths |= {name: min(widths[name], SEEN_OF_A_NAME) for name in NAMES}
    for column in DISPENSABLE:
        if sum(widths.values()) + GAP * (len(widths) - 1) <= width:
            break
        del widths[column]
    return list(widths)


def _row(line: Line) -> list[str | Text]:
    return [
        Text(line.group),  # anybody names a group: it may look like markup
        line.topic,
        str(line.partition),
        "-" if line.committed is None else f"{line.committed:,}",
        f"{line.end:,}",
        f"{line.lag:,}",
        "?" if line.seconds is None else _span(line.seconds),
        f"{line.rate_in:,.1f}",
        f"{line.rate_out:,.1f}",
        "never" if line.catch_up is None else _span(line.catch_up),
        "-" if line.used is None else f"{line.used:.1%}",
        Text(str(line.word), style=COLOURS[line.word]),
    ]


def sentences(lines: Iterable[Line]) -> list[str]:
    """Say what waits for whom and since when, the oldest first: one sentence a group and topic."""
    waiting: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        if line.lag:
            waiting.setdefault((line.group, line.topic), []).append(line)
    said = sorted(waiting.values(), key=lambda those: -max(line.seconds or 0 for line in those))
    return [_sentence(those) for those in said] or ["Nothing waits for anybody."]


def _sentence(lines: Sequence[Line]) -> str:
    count = sum(line.lag for line in lines)
    known = [line.seconds for line in lines if line.seconds is not None]
    since = ""
    if known:
        since = f", the oldest for {_span(max(known))}" if count > 1 else f", for {_span(max(known))}"
    return f"{_what(lines, count)} {'waits' if count == 1 else 'wait'} for {lines[0].reader}{since}"


def _what(lines: Sequence[Line], count: int) -> str:
    """Say what waits; where not all of it was looked at, or a publisher does not tell, only on which topic."""
    types: Counter[str] = Counter()
    for line in lines:
        types.update(line.types)
    if types[""] or types.total() != count:
        return f"{count:,} {'message' if count == 1 else 'messages'} on {lines[0].topic}"
    named = [f"{each:,} {_called(name, each)}" for name, each in types.most_common()]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def _called(name: str, count: int) -> str:
    one, many = CALLED.get(name, (name, name))
    return one if count == 1 else many


def _span(seconds: float) -> str:
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / HOUR:.0f} h" if seconds < 2 * DAY else f"{seconds / DAY:.0f} d"


def as_json(lines: Iterable[Line]) -> list[dict[str, Any]]:
    """Say the same to a program."""
    return [{**vars(line), "types": dict(line.types), "word": str(line.word)} for line in lines]
