"""A rule that could not be answered at night is told by day, with its line; one that can is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forebay.model import Column
from forebay.quality import trial
from forebay.quality.check import check
from tests.quality.made import rule, stage_of, suite_of

TYPES = [
    "int64",
    "string",
    "timestamp",
    "date",
    "float64",
    "decimal(2,2)",
    "bool",
    "timestamp[tz]",
    "time",
    "binary",
    "uint8",
]
COLUMNS = tuple(Column(name.split("(")[0], name) for name in TYPES)


def when(column: str, operator: str, parameter: Any) -> dict[str, Any]:
    return {"type": "comparison", "column": {"name": column}, "operator": operator, "parameter": parameter}


WRONG = [
    (rule("unexpected_rows_expectation", unexpected_rows_query="select nope from {batch}"), 'column "nope" not found'),
    (
        rule("unexpected_rows_expectation", unexpected_rows_query="selec * from {batch}"),
        "syntax error at or near",
    ),  # `selec` or `*`: of its two queries either comes first
    (
        rule("expect_column_values_to_be_in_set", column="date", value_set=["2026-13-45"]),
        "date field value out of range",
    ),
    (
        rule("expect_column_values_to_be_unique", column="string", row_condition=when("date", ">", "nope")),
        "invalid date field format",
    ),
    (rule("expect_column_max_to_be_between", column="string", max_value=5), "not supported between instances"),
]
RIGHT = [
    rule("expect_column_values_to_be_between", column="timestamp", min_value="2026-01-05T00:00:00"),
    rule("expect_column_values_to_be_between", column="decimal", min_value=-1),
    rule("expect_column_values_to_be_in_set", column="date", value_set=["2026-01-05"]),
    rule(
        "expect_column_kl_divergence_to_be_less_than",
        column="string",
        threshold=1,
        partition_object={"values": ["x"], "weights": [1]},
    ),
    rule("expect_column_values_to_not_be_outliers", column="float64"),
    rule("expect_column_stdev_to_be_between", column="int64", min_value=3),
    rule(
        "unexpected_rows_expectation",
        unexpected_rows_query='select * from {batch} where "timestamp[tz]" > now() or octet_length("binary") > 9',
    ),
]


def test_each_rule_that_cannot_be_answered_is_named_with_its_line(tmp_path: Path) -> None:
    suite = suite_of([RIGHT[0], *(given for given, _ in WRONG), *RIGHT[1:]], tmp_path)
    found = trial.faults(suite, COLUMNS)
    assert [fault.line for fault in found] == [suite.expectations[at].line for at in range(1, 1 + len(WRONG))]
    for fault, (given, words) in zip(found, WRONG, strict=True):
        assert fault.message.startswith(f"reading `{given['type']}`: it cannot be answered: ")
        assert words in fault.message


def test_two_rows_of_every_type_can_be_made(tmp_path: Path) -> None:
    stage = trial.made(COLUMNS, tmp_path)
    assert pq.read_table(stage.rows).num_rows == 2


@pytest.mark.parametrize("rows", [[], [None, None]])
def test_a_rule_on_the_whole_of_no_values_fails_and_stops_nothing(tmp_path: Path, rows: list[None]) -> None:
    """Great Expectations divides by the number of values."""
    divided = rule(
        "expect_column_kl_divergence_to_be_less_than",
        column="t",
        threshold=1,
        partition_object={"values": ["x"], "weights": [1]},
    )
    suite = suite_of([divided, rule("expect_column_values_to_be_unique", column="t")], tmp_path)
    table = pa.table({"t": pa.array(rows, pa.string())})
    verdict = check(stage_of(table, tmp_path), suite, tmp_path / "verdict", run_name="r", docs=tmp_path / "docs")
    assert [(r.success, r.observed) for r in verdict.results] == [(False, None), (True, None)]
