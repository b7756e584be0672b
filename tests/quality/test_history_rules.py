"""Rules that learn from earlier nights: what is measured, which nights count, and where the bounds lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forebay.model import Column, Severity, Stage
from forebay.quality import history_rules


def stage(folder: Path, values: list[Any], kind: str = "float64") -> Stage:
    path = folder / "rows.parquet"
    arrow = {"float64": pa.float64(), "string": pa.string(), "int64": pa.int64()}[kind]
    pq.write_table(
        pa.table({"__row": pa.array(range(1, len(values) + 1), pa.int64()), 'a "b': pa.array(values, arrow)}), path
    )
    return Stage("ab" * 32, path, path, (Column('a "b', kind),), len(values) + 2, 2, 0)


@pytest.mark.parametrize(
    ("metric", "values", "kind", "expected"),
    [
        ("row_count", [1.0, None], "float64", 4),
        ("null_share", [1.0, None, None, 2.0], "float64", 0.5),
        ("null_share", [], "float64", None),
        ("distinct_count", ["x", "y", "x", None], "string", 2),
        ("mean", [1.0, 3.0, None, float("nan")], "float64", 2),
        ("mean", [None], "int64", None),
        ("mean", ["1"], "string", None),
    ],
)
def test_a_number_of_a_stage(tmp_path: Path, metric: str, values: list[Any], kind: str, expected: float | None) -> None:
    assert (
        history_rules.measure(stage(tmp_path, values, kind), metric, None if metric == "row_count" else 'a "b')
        == expected
    )


def test_nights_count_by_day_and_name_with_the_last_word_of_each_file() -> None:
    found = [
        {"ds": "2026-01-03", "name": "EWR-2026-01-03.csv", "observed": "30"},
        {"ds": "2026-01-03", "name": "EWR-2026-01-03.csv", "observed": "29"},  # an earlier run of the same file
        {"ds": "2026-01-03", "name": "JFK-2026-01-03.csv", "observed": "99"},
        {"ds": "2026-01-02", "name": "EWR-2026-01-02.csv", "observed": "20"},
        {"ds": "2026-01-01", "name": "EWR-2026-01-01.csv", "observed": "10"},
    ]
    assert history_rules.samples(found, "EWR-2026-01-04.csv", 2) == {"2026-01-03": [30.0], "2026-01-02": [20.0]}


@pytest.mark.parametrize(
    ("values", "tolerance", "expected"),
    [
        ([90, 100, 110], "50%", (50, 150)),
        ([1, 100, 100], "10 %", (90, 110)),  # the median: one strange night moves nothing
        ([90, 100, 110], "2 sigma", (80, 120)),
        ([100, 100, 100], "3 sigma", (97, 103)),  # a constant history: 1 % is one sigma
        ([0, 0], "3 sigma", (0, 0)),
    ],
)
def test_bounds(values: list[float], tolerance: str, expected: tuple[float, float]) -> None:
    assert history_rules.bounds(values, tolerance) == pytest.approx(expected)


def judged(observed: float | None, nights: int) -> Any:
    days = {f"2026-01-{n + 1:02}": [100.0 + n] for n in range(nights)}
    return history_rules.judge("row_count", None, "10%", Severity.CRITICAL, observed, days, 5)


def test_before_enough_nights_are_known_there_is_no_verdict_and_it_says_so() -> None:
    cold = judged(5, 4)
    assert (cold.success, cold.kind, json.loads(cold.expected)["verdict"]) == (
        True,
        "table",
        "none: 4 of 5 nights are known",
    )
    assert "nothing to measure" in judged(None, 9).expected


@pytest.mark.parametrize(
    ("observed", "success"), [(102, True), (91.9, True), (91.7, False), (112.2, True), (112.3, False)]
)
def test_with_enough_nights_a_value_outside_fails_and_the_bounds_are_kept(observed: float, success: bool) -> None:
    result = judged(observed, 5)
    assert (result.success, result.rule, result.observed) == (success, "history_row_count", f"{observed:.12g}")
    told = json.loads(result.expected)
    assert (told["min_value"], told["max_value"], told["nights"]) == (pytest.approx(91.8), pytest.approx(112.2), 5)
