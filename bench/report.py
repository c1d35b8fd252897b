"""What was measured, for people as a table and as charts, and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pygal
from pygal.style import CleanStyle
from rich.table import Table

from bench.measure import spread


@dataclass(frozen=True)
class Figure:
    """One thing that was measured, in some rounds, perhaps beside its floor, and what is wanted of it."""

    name: str
    unit: str
    rounds: Sequence[float]
    floor: Sequence[float] = ()
    at_least: float | None = None
    at_most: float | None = None

    @property
    def median(self) -> float:
        return float(spread(self.rounds)["median"])

    @property
    def ratio(self) -> float | None:
        """How many times the floor's figure this is."""
        return self.median / float(spread(self.floor)["median"]) if self.floor else None

    @property
    def holds(self) -> bool | None:
        """Whether the goal is met; none where there is no goal."""
        if self.at_least is not None:
            return self.median >= self.at_least
        return self.median <= self.at_most if self.at_most is not None else None

    @property
    def goal(self) -> str:
        if self.at_least is not None:
            return f"at least {_said(self.at_least)}"
        return f"at most {_said(self.at_most)}" if self.at_most is not None else ""

    def facts(self) -> dict[str, Any]:
        """All of it for a program."""
        told = {key: value for key, value in asdict(self).items() if value not in (None, ())}
        known = {"spread": spread(self.rounds), "ratio": self.ratio, "holds": self.holds}
        return told | {key: value for key, value in known.items() if value is not None}


def table(figures: Sequence[Figure]) -> Table:
    """Show them for people: median, and from least to most."""
    shown = Table("", "median", "least to most", "floor", "of the floor", "goal", "", box=None, pad_edge=False)
    for figure in figures:
        around = spread(figure.rounds)
        shown.add_row(
            f"{figure.name}, {figure.unit}",
            _said(figure.median),
            f"{_said(around['least'])} to {_said(around['most'])}" if around["rounds"] > 1 else "",
            _said(spread(figure.floor)["median"]) if figure.floor else "",
            f"{figure.ratio:.2f}" if figure.ratio is not None else "",
            figure.goal,
            {True: "[green]met[/]", False: "[red]missed[/]", None: ""}[figure.holds],
        )
    return shown


def _said(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.2f}"  # noqa: PLR2004 - three digits say enough


def bars(path: Path, title: str, values: Mapping[str, Mapping[str, float]]) -> None:
    """Draw bars: for each label one of each series."""
    labels = list(dict.fromkeys(label for series in values.values() for label in series))
    chart = pygal.HorizontalBar(
        js=[], title=title, style=CleanStyle, width=760, height=140 + 44 * len(labels), print_values=True
    )
    chart.value_formatter = _said
    chart.x_labels = labels
    for name, series in values.items():
        chart.add(name, [series.get(label) for label in labels])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(chart.render())
