"""What a figure says of its rounds, its floor and its goal."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.measure import percentile, spread
from bench.report import Figure, bars


def test_a_figure_tells_median_spread_and_share_of_the_floor() -> None:
    figure = Figure("complete cancellations", "per second", [300, 100, 200], floor=[400, 800, 400])

    assert (figure.median, figure.ratio) == (200, 0.5)
    assert spread(figure.rounds) == {"median": 200, "least": 100, "most": 300, "rounds": 3}


@pytest.mark.parametrize(
    ("figure", "holds"),
    [
        (Figure("rate", "per second", [300], at_least=300), True),
        (Figure("rate", "per second", [299], at_least=300), False),
        (Figure("time", "ms", [45], at_most=45), True),
        (Figure("time", "ms", [46], at_most=45), False),
        (Figure("time", "ms", [46]), None),
    ],
)
def test_a_goal_is_met_or_missed_by_the_median(figure: Figure, holds: bool | None) -> None:  # noqa: FBT001 - the case
    assert figure.holds is holds
    assert figure.facts().get("holds") is holds


def test_a_percentile_is_one_of_the_measured_figures() -> None:
    assert percentile([4, 1, 3, 2], 0.5) == 3
    assert percentile(range(1, 101), 0.95) == 96
    assert percentile([7], 0.95) == 7


def test_charts_load_nothing_from_elsewhere(tmp_path: Path) -> None:
    bars(tmp_path / "charts" / "cost.svg", "cost", {"Adieu": {"account": 1.5}, "the floor": {"account": 0.5}})

    drawn = (tmp_path / "charts" / "cost.svg").read_text()
    assert "account" in drawn
    assert "<script" not in drawn
    assert 'href="http' not in drawn
