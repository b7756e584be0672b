"""Drift: the same distribution passes, a shifted one fails, and the numbers are the formula's."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.model import Column, RuleResult, Severity, Stage
from forebay.quality import drift, history_rules
from forebay.quality.drift import Sketch

ROWS = 800
NIGHTS = 8


def staged(folder: Path, values: list[Any], kind: pa.DataType, name: str = 'a "b') -> Stage:
    path = folder / "rows.parquet"
    pq.write_table(
        pa.table({"__row": pa.array(range(1, len(values) + 1), pa.int64()), name: pa.array(values, kind)}), path
    )
    types = {
        pa.string(): "string",
        pa.bool_(): "bool",
        pa.float64(): "float64",
        pa.int64(): "int64",
        pa.date32(): "date",
    }
    return Stage("ab" * 32, path, path, (Column(name, types.get(kind, "decimal(9,2)")),), len(values), 0, 0)


def numbers(values: list[float], empty: int = 0) -> Sketch:
    """What the stage's sketch of these numbers would be."""
    ordered = sorted(values)
    at = [ordered[max(0, math.ceil(len(ordered) * place / 100) - 1)] for place in range(101)]
    return Sketch(len(values) + empty, empty, {}, tuple(at))


def words(values: list[str]) -> Sketch:
    return Sketch(len(values), 0, {name: values.count(name) for name in set(values)})


def judged(seen: Sketch | None, nights: list[Sketch], tolerance: str = "3 sigma", least: int = 5) -> RuleResult:
    days = {f"2026-01-{n + 1:02}": [night] for n, night in enumerate(nights)}
    return history_rules.judge_drift("c", tolerance, Severity.WARNING, seen, days, least)


# ---------------------------------------------------------------- sketches


def test_the_sketch_of_numbers_leaves_out_what_is_none(tmp_path: Path) -> None:
    values = [float(n) for n in range(101)] + [None, float("nan"), float("inf")]
    found = drift.sketch(staged(tmp_path, values, pa.float64()), 'a "b')
    assert found is not None
    assert (found.rows, found.empty, found.quantiles[0], found.quantiles[50], found.quantiles[100]) == (
        104,
        3,
        0,
        50,
        100,
    )
    assert Sketch.of(found.text()) == found


def test_the_sketch_of_texts_keeps_the_most_frequent(tmp_path: Path) -> None:
    values = [f"v{n}" for n in range(300)] + ["v7"] * 5 + ["x" * 999] * 3 + [None] * 2
    found = drift.sketch(staged(tmp_path, values, pa.string()), 'a "b')
    assert found is not None
    assert (found.rows, found.empty, len(found.top), list(found.top.items())[:2]) == (
        310,
        2,
        200,
        [("v7", 6), ("x" * 80, 3)],
    )
    assert Sketch.of(found.text()) == found


@pytest.mark.parametrize(("values", "kind"), [([], pa.string()), ([1], pa.date32())])
def test_where_there_is_nothing_to_compare_there_is_no_sketch(
    tmp_path: Path, values: list[Any], kind: pa.DataType
) -> None:
    assert drift.sketch(staged(tmp_path, values, kind), 'a "b') is None


def test_bools_and_decimals_have_one(tmp_path: Path) -> None:
    assert drift.sketch(staged(tmp_path, [True, False, True], pa.bool_()), 'a "b') == Sketch(
        3, 0, {"true": 2, "false": 1}
    )
    found = drift.sketch(staged(tmp_path, [1, 2, 3], pa.decimal128(9, 2)), 'a "b')
    assert found is not None
    assert found.quantiles[-1] == 3


# ---------------------------------------------------------------- the formula


def test_the_distance_is_scipys(tmp_path: Path) -> None:
    from scipy.spatial.distance import jensenshannon

    chance = Random(3)
    for _ in range(20):
        p, q = ([chance.random() * (chance.random() > 0.3) for _ in range(6)] for _ in range(2))
        p, q = ([x / (sum(s) or 1) for x in s] for s in (p, q))
        if sum(p) and sum(q):
            assert drift.jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, base=2), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=50), st.lists(st.integers(-5, 5), min_size=1, max_size=50))
def test_it_is_a_distance(one: list[int], other: list[int]) -> None:
    a, b = ([str(v) for v in values] for values in (one, other))
    assert drift.distance(words(a), [words(a)]) == 0
    assert drift.distance(words(a), [words(b)]) == pytest.approx(drift.distance(words(b), [words(a)]))
    assert 0 <= drift.distance(words(a), [words(b)]) <= 1
    assert (drift.distance(words(a), [words(b)]) == 1) == (not set(a) & set(b))


def test_shares_of_numbers_are_those_of_their_bins() -> None:
    past = numbers([float(n) for n in range(1000)])
    p, q, names = drift.shares(numbers([float(n) for n in range(500)], empty=500), [past])
    assert (len(p), len(q), len(names)) == (21, 21, 21)
    assert sum(p) == pytest.approx(1)
    assert p[-1] == 0.5
    assert q == pytest.approx([0.05] * 20 + [0], abs=0.012)
    assert sum(p[10:20]) == pytest.approx(0, abs=0.012)


def test_a_number_that_is_always_the_same_has_no_distance_from_itself() -> None:
    same = numbers([7.0] * 50)
    assert drift.distance(same, [same, same]) == 0
    assert drift.distance(numbers([8.0] * 50), [same, same]) == 1


def test_texts_and_numbers_that_follow_each_other_are_no_error() -> None:
    assert judged(words(["a"] * 9), [numbers([1.0] * 9)] * 6).success
    assert "nights are known" in judged(words(["a"] * 9), [numbers([1.0] * 9)] * 6).expected


# ---------------------------------------------------------------- the verdict


def drawn(chance: Random, kind: str, shift: float) -> Sketch:
    """A night's sample: numbers whose mean moves by so many standard deviations, or texts of which so large a share
    moves to another."""
    if kind == "numbers":
        return numbers([chance.gauss(shift, 1) for _ in range(ROWS)])
    return words([chance.choices("ABCD", [0.5 - shift / 2, 0.3, 0.15, 0.05 + shift / 2])[0] for _ in range(ROWS)])


@settings(max_examples=60, deadline=None, derandomize=True)  # 99.9 % of chance is not all of it
@given(st.integers(0, 10_000), st.sampled_from(["numbers", "texts"]), st.sampled_from(["3 sigma", "100%"]))
def test_the_same_distribution_passes_and_a_shifted_one_fails(seed: int, kind: str, tolerance: str) -> None:
    chance = Random(seed)
    nights = [drawn(chance, kind, 0) for _ in range(NIGHTS)]
    same, other = judged(drawn(chance, kind, 0), nights, tolerance), judged(drawn(chance, kind, 0.8), nights, tolerance)
    assert same.success, (same.observed, same.expected)
    assert not other.success, (other.observed, other.expected)
    told = json.loads(other.expected)
    assert float(other.observed or 0) > told["max_value"] >= drift.LEAST
    assert "→" in told["moved"]


def test_chance_alone_stays_below_the_bound_for_it() -> None:
    chance = Random(11)
    past = [drawn(chance, "texts", 0) for _ in range(3)]
    seen = [drawn(chance, "texts", 0) for _ in range(300)]
    above = sum(drift.distance(one, past) > drift.noise(one, past) for one in seen)
    assert above <= 3
    assert (
        max(drift.distance(one, past) for one in seen) > drift.noise(seen[0], past) / 3
    )  # and the bound is not just huge


def test_nights_that_differ_anyway_allow_more() -> None:
    chance = Random(5)
    restless = [drawn(chance, "texts", 0.5 * (night % 2)) for night in range(NIGHTS)]
    calm = [drawn(chance, "texts", 0) for _ in range(NIGHTS)]
    one = drawn(chance, "texts", 0.5)
    assert judged(one, restless).success
    assert not judged(one, calm).success


def test_before_enough_nights_are_known_there_is_no_verdict_but_a_sketch() -> None:
    seen = words(["a"] * 20)
    cold = judged(seen, [words(["b"] * 20)] * 4)
    assert (cold.success, cold.observed, json.loads(cold.expected)["verdict"]) == (
        True,
        None,
        "none: 4 of 5 nights are known",
    )
    assert Sketch.of(cold.sketch) == seen
    assert "nothing to measure" in judged(None, [seen] * 9).expected
