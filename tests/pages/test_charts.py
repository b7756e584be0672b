from __future__ import annotations

import pytest

from forebay.pages import charts


def test_a_line_breaks_where_nothing_is_known() -> None:
    assert charts.line([0.0, 0.5, None, 1.0], 30, 10) == "M0.0 10.0h.01L10.0 5.0M30.0 0.0h.01"


@pytest.mark.parametrize("values", [[], [None, None]])
def test_a_line_over_nothing_is_nothing(values: list[float | None]) -> None:
    assert charts.line(values, 30, 10) == ""


def test_a_line_of_zeros_lies_on_the_ground() -> None:
    assert charts.line([0.0, 0.0], 30, 10) == "M0.0 10.0h.01L30.0 10.0"


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ([-5.0, 0.0, None, 5.0], "M0.0 10.0h.01L10.0 5.0M30.0 0.0h.01"),
        ([7.0, 7.0], "M0.0 5.0h.01L30.0 5.0"),
        ([None], ""),
        ([], ""),
    ],
)
def test_a_trend_reaches_from_the_least_to_the_largest(values: list[float | None], path: str) -> None:
    assert charts.trend(values, 30, 10) == path


def test_ticks_stand_where_marks_are() -> None:
    assert charts.ticks([True, False, True], 20, 5) == "M0.0 0v5M20.0 0v5"


def test_bars_stand_on_their_base_and_small_ones_are_seen() -> None:
    low = charts.bars([10, 0, 0.001], 30, 100, 20)
    high = charts.bars([10, 5, 0], 30, 100, 20, base=[10, 0, 0.001])
    assert [bar and (bar.x, bar.y, bar.height) for bar in low] == [(0, 50, 50), None, (20, 99, 1)]
    assert [bar and (bar.y, bar.height) for bar in high] == [(0, 50), (75, 25), None]
