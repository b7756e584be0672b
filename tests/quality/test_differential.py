"""Every row rule gives the same failing rows, to the row, as Great Expectations' own pandas engine, and every rule on
the whole the same answer."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from forebay.model import Verdict
from forebay.quality.check import check
from forebay.quality.imports import great_expectations, quietly
from tests.quality.differential import ALL, RULES, WHOLE_RULES, table
from tests.quality.made import failing_rows, rule, stage_of, suite_of


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    folder = tmp_path_factory.mktemp("differential")
    return check(stage_of(table(), folder), suite_of(ALL, folder), folder / "verdict", run_name="differential")


@pytest.fixture(scope="module")
def oracle() -> list[Any]:
    """Great Expectations' results on its pandas engine, in the rules' order."""
    gx = great_expectations()
    frame = table().to_pandas()
    frame.index = range(1, len(frame) + 1)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("pandas").add_dataframe_asset("frame")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    with quietly():
        suite = context.suites.add(gx.ExpectationSuite(name="oracle", expectations=[dict(r) for r in ALL]))
        found = {
            r.expectation_config.id: r
            for r in batch.validate(suite, result_format={"result_format": "COMPLETE"}).results
        }
    return [found[expectation.id] for expectation in suite.expectations]


@pytest.mark.parametrize(
    "place", range(len(RULES)), ids=[f"{i}-{r['type'].removeprefix('expect_')}" for i, r in enumerate(RULES)]
)
def test_the_failing_rows_are_those_of_pandas(place: int, verdict: Verdict, oracle: list[Any]) -> None:
    own, theirs = verdict.results[place], oracle[place]
    assert not theirs.exception_info.get("raised_exception", False), theirs.exception_info
    assert "unexpected_count" in theirs.result, theirs
    assert failing_rows(verdict)[place] == set(theirs.result.get("unexpected_index_list", []))
    assert own.unexpected == theirs.result["unexpected_count"]
    assert own.success == theirs.success


@pytest.mark.parametrize(
    "place",
    range(len(WHOLE_RULES)),
    ids=[f"{i}-{r['type'].removeprefix('expect_')}" for i, r in enumerate(WHOLE_RULES)],
)
def test_a_rule_on_the_whole_answers_as_on_pandas(place: int, verdict: Verdict, oracle: list[Any]) -> None:
    own, theirs = verdict.results[len(RULES) + place], oracle[len(RULES) + place]
    assert not theirs.exception_info.get("raised_exception", False), theirs.exception_info
    assert own.success == theirs.success
    seen = theirs.result.get("observed_value")
    if isinstance(seen, int | float):  # numpy's floats are
        assert float(own.observed or "nan") == pytest.approx(float(seen))


def test_sets_of_decimals_and_days_are_compared_by_value(tmp_path: Path) -> None:
    """Pandas compares a Decimal with a float, and a date with a text, so that nothing is ever in such a set; JSON has
    no other way to write one."""
    rules = [
        rule("expect_column_values_to_be_in_set", column="price", value_set=[1.1, 2]),
        rule("expect_column_values_to_be_in_set", column="day", value_set=["2024-01-01"]),
    ]
    found = failing_rows(
        check(stage_of(table(), tmp_path), suite_of(rules, tmp_path), tmp_path / "verdict", run_name="sets")
    )
    data = table().select(["price", "day"]).to_pylist()
    assert found[0] == {n for n, row in enumerate(data, 1) if row["price"] == Decimal("-0.01")}
    assert found[1] == {n for n, row in enumerate(data, 1) if row["day"] == date(2024, 2, 29)}
