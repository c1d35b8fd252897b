"""What was measured, for people as a table and as charts, and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from rich.table import Table

from bench.measure import spread

COLOURS = ("#3b6ea5", "#b8c4ce")
WIDEST = 480
_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


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
    series = dict(zip(values, COLOURS, strict=False))
    most = max(value for named in values.values() for value in named.values())
    drawn, y = [], 50
    for label in dict.fromkeys(label for named in values.values() for label in named):
        for nth, (name, colour) in enumerate(series.items()):
            value = values[name].get(label, 0.0)
            about = {"label": "" if nth else label, "y": y, "colour": colour, "said": _said(value)}
            drawn.append(about | {"width": round(WIDEST * value / most)})
            y += 22
        y += 12
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_templates.get_template("bars.svg").render(title=title, bars=drawn, series=series, height=y + 40))
