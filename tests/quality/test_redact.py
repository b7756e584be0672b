"""A redacted column's values are in nothing that the check writes or says; its counts and failing rows are as they
were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from forebay.errors import CorruptFileError
from forebay.model import Verdict
from forebay.quality import catalogue, redact
from forebay.quality.check import check
from forebay.quality.rules import Rule
from tests.quality.made import failing_rows, rule, stage_of, suite_of

SECRET = "ZZ-SECRET'4929\"1337"
TABLE = pa.table(
    {
        "id": pa.array([1, 2, 3], pa.int64()),
        "t": [SECRET, "OK", SECRET],
        "n": pa.array([918273645, None, 918273645], pa.int64()),
    }
)
RULES = [
    rule("expect_column_values_to_match_regex", column="t", regex="^OK"),
    rule("expect_column_values_to_be_unique", column="t"),
    rule("expect_column_values_to_not_be_null", column="n"),
    rule("expect_column_pair_values_to_be_equal", column_A="id", column_B="n"),
    rule("expect_compound_columns_to_be_unique", column_list=["t", "n"]),
    rule("expect_column_distinct_values_to_equal_set", column="t", value_set=["OK"]),
    rule("expect_column_most_common_value_to_be_in_set", column="t", value_set=["OK"]),
    rule("expect_column_max_to_be_between", column="n", max_value=1),
    rule("expect_column_mean_to_be_between", column="n", max_value=1),
    rule(
        "expect_column_quantile_values_to_be_between",
        column="n",
        quantile_ranges={"quantiles": [0.5], "value_ranges": [[0, 1]]},
    ),
    rule(
        "expect_column_kl_divergence_to_be_less_than",
        column="t",
        threshold=0.1,
        partition_object={"values": ["OK"], "weights": [1]},
    ),
    rule("expect_column_unique_value_count_to_be_between", column="t", min_value=3),
    rule("unexpected_rows_expectation", unexpected_rows_query="select t as shown, n + 0 as m from {batch}"),
]


def judged(folder: Path, **options: Any) -> tuple[Verdict, str]:
    """The verdict, and everything that was written or said."""
    folder.mkdir()
    docs = folder / "docs"
    verdict = check(
        stage_of(TABLE, folder), suite_of(RULES, folder), folder / "verdict", run_name="r", docs=docs, **options
    )
    assert verdict.result is not None
    assert verdict.docs is not None
    return verdict, json.dumps(verdict.to_json()) + verdict.result.read_text() + verdict.docs.read_text()


def leaks(text: str) -> list[str]:
    return [sign for sign in ("SECRET", "4929", "918273645", "918,273,645", "9.18") if sign in text]


def test_nothing_shows_a_redacted_value_and_all_else_stays(tmp_path: Path) -> None:
    plain, told = judged(tmp_path / "plain")
    hidden, said = judged(tmp_path / "hidden", redact=("t", "n"))
    assert leaks(told)  # the control: without redaction they are there
    assert leaks(said) == []
    assert redact.MARK in said
    assert failing_rows(hidden) == failing_rows(plain)
    counted = [(r.success, r.unexpected, r.checked) for r in hidden.results]
    assert counted == [(r.success, r.unexpected, r.checked) for r in plain.results]
    assert (hidden.results[2].sample, hidden.results[11].observed) == (plain.results[2].sample, "2")
    assert hidden.results[0].sample == (redact.MARK, redact.MARK)
    assert hidden.results[3].sample == (f'[1, "{redact.MARK}"]', "[2, null]", f'[3, "{redact.MARK}"]')


def test_another_column_is_shown(tmp_path: Path) -> None:
    _, said = judged(tmp_path / "one", redact=("n",))
    assert leaks(said) == ["SECRET", "4929"]


def test_an_error_does_not_quote_the_value(tmp_path: Path) -> None:
    broken = rule("unexpected_rows_expectation", unexpected_rows_query="select * from {batch} where t::integer = 1")
    suite, stage = suite_of([broken], tmp_path), stage_of(TABLE, tmp_path)
    with pytest.raises(CorruptFileError, match="SECRET"):
        check(stage, suite, tmp_path / "a", run_name="r")
    with pytest.raises(CorruptFileError, match="cannot be answered") as caught:
        check(stage, suite, tmp_path / "b", run_name="r", redact=("t",))
    assert leaks(str(caught.value)) == []


@pytest.mark.parametrize(
    "kind", [e.type for e in catalogue.entries().values() if e.kind == "table" and "column" in e.arguments]
)
def test_every_rule_about_the_whole_of_a_column_hides_what_it_observed(kind: str) -> None:
    found = {
        "observed_value": {"quantiles": [0.5], "values": [5]},
        "details": {"value_counts": [SECRET]},
        "element_count": 3,
    }
    kept = redact.result(Rule(kind, {"column": "t"}), found, ("t",))
    assert kept["element_count"] == 3
    assert "details" not in kept
    assert kept["observed_value"] == (found["observed_value"] if kind in redact.TELL_NO_VALUE else redact.MARK)
    assert redact.result(Rule(kind, {"column": "t"}), found, ("n",)) == found
