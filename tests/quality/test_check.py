"""check: the verdict on a whole stage, its files, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forebay.errors import ConfigError, CorruptFileError, FatalError, SettingsError
from forebay.model import Severity, Verdict
from forebay.quality import check as checking
from forebay.quality.check import check
from tests.quality.made import failing_rows, rule, stage_of, suite_of

HOSTILE = "a\"b'c%d{e}$f:g?h;--<i>"
NUMBERS = pa.table(
    {
        "id": pa.array([1, 2, 2, None, 5], pa.int64()),
        "name": ["a", "b", None, "d", "e"],
        "x": [0.5, 1.5, 2.5, float("nan"), None],
    }
)


def judged(rules: list[dict[str, Any]], folder: Path, table: pa.Table = NUMBERS, **options: Any) -> Verdict:
    return check(
        stage_of(table, folder),
        suite_of(rules, folder),
        folder / "verdict",
        run_name="made/2013-01-01/a.csv",
        **options,
    )


def test_failing_rows_carry_the_stages_own_row_numbers(tmp_path: Path) -> None:
    stage = stage_of(NUMBERS, tmp_path, rows=[2, 3, 7, 8, 11])
    suite = suite_of(
        [
            rule("expect_column_values_to_be_unique", column="id"),
            rule("expect_column_values_to_not_be_null", column="name"),
        ],
        tmp_path,
    )
    verdict = check(stage, suite, tmp_path / "verdict", run_name="r")
    assert verdict.failing is not None
    found = pq.read_table(verdict.failing)
    assert found.schema.field("__row").type == pa.int64()
    assert found.schema.field("rules").type.value_type == pa.int32()
    assert found.to_pylist() == [{"__row": 3, "rules": [0]}, {"__row": 7, "rules": [0, 1]}]


def test_results_come_in_the_suites_order_with_counts_and_samples(tmp_path: Path) -> None:
    verdict = judged(
        [
            rule("expect_table_row_count_to_be_between", "info", min_value=9),
            rule("expect_column_values_to_be_in_set", "warning", column="name", value_set=["a", "b"]),
            rule("expect_column_max_to_be_between", column="id", max_value=9),
        ],
        tmp_path,
    )
    rows, names, most = verdict.results
    assert (rows.kind, rows.success, rows.observed, rows.severity, rows.unexpected) == (
        "table",
        False,
        "5",
        Severity.INFO,
        None,
    )
    assert (names.kind, names.success, names.unexpected, names.checked, names.sample) == (
        "row",
        False,
        2,
        4,
        ("d", "e"),
    )
    assert (most.success, most.observed, most.expected) == (True, "5", '{"column": "id", "max_value": 9}')
    assert (verdict.suite, verdict.success) == ("made", False)


def test_the_result_is_json_without_nan(tmp_path: Path) -> None:
    table = pa.table({"x": pa.array([float("inf"), 1.0, float("nan")])})
    ranges = {"quantiles": [0.5], "value_ranges": [[None, None]]}
    rules = [
        rule("expect_column_max_to_be_between", column="x", max_value=1),
        rule("expect_column_quantile_values_to_be_between", column="x", quantile_ranges=ranges),
    ]
    verdict = judged(rules, tmp_path, table)
    assert verdict.result is not None

    def refuse(word: str) -> None:
        raise AssertionError(word)

    data = json.loads(verdict.result.read_text(), parse_constant=refuse)
    assert [r["expectation_config"]["type"] for r in data["results"]] == [r["type"] for r in rules]
    assert data["results"][1]["success"] is True


def test_nan_is_null(tmp_path: Path) -> None:
    verdict = judged(
        [
            rule("expect_column_values_to_not_be_null", column="x"),
            rule("expect_column_values_to_be_between", column="x", max_value=9),
        ],
        tmp_path,
    )
    assert failing_rows(verdict) == [{4, 5}, set()]


def test_no_rows_fail_no_row_rule(tmp_path: Path) -> None:
    rules = [
        rule("expect_column_values_to_be_unique", column="id"),
        rule("expect_column_values_to_match_regex", column="name", regex="^a"),
        rule("expect_compound_columns_to_be_unique", column_list=["id", "name"]),
        rule("expect_column_values_to_be_increasing", column="id"),
        rule("expect_table_row_count_to_be_between", min_value=1),
        rule("expect_column_mean_to_be_between", column="id", min_value=1),
    ]
    verdict = judged(rules, tmp_path, NUMBERS.slice(0, 0))
    assert [r.success for r in verdict.results if r.kind == "row"] == [True] * 4
    assert [r.unexpected for r in verdict.results if r.kind == "row"] == [0] * 4
    assert [r.success for r in verdict.results[4:]] == [False, False]
    assert verdict.failing is not None
    assert pq.read_table(verdict.failing).num_rows == 0


def test_a_suite_without_rules_passes(tmp_path: Path) -> None:
    verdict = judged([], tmp_path)
    assert verdict.success
    assert verdict.failing is not None
    assert pq.read_table(verdict.failing).num_rows == 0


def test_names_and_values_that_mean_something_to_sql(tmp_path: Path) -> None:
    values = ["it's", "50%", "a:b", "$1", "\\d", '"', "?", None]
    table = pa.table({HOSTILE: values, "select": values, "at": list(range(8))})
    verdict = judged(
        [
            rule("expect_column_values_to_be_in_set", column=HOSTILE, value_set=["it's", "50%", "a:b", "$1"]),
            rule("expect_column_values_to_match_regex", column=HOSTILE, regex=r"[\\'\"]"),
            rule("expect_column_values_to_match_regex", column="select", regex="^(?!it's|\\$1)"),
            rule("expect_compound_columns_to_be_unique", column_list=[HOSTILE, "select"], ignore_row_if="never"),
            rule("expect_column_values_to_match_like_pattern", column="select", like_pattern="%'%"),
            rule("expect_column_values_to_be_between", column="at", min_value=2),
            rule(
                "expect_column_values_to_not_be_null",
                column=HOSTILE,
                row_condition={
                    "type": "comparison",
                    "column": {"name": "select"},
                    "operator": "!=",
                    "parameter": "50%",
                },
            ),
            rule("unexpected_rows_expectation", unexpected_rows_query="SELECT * FROM {batch} WHERE \"select\" = '?'"),
        ],
        tmp_path,
        table,
    )
    assert failing_rows(verdict) == [{5, 6, 7}, {2, 3, 4, 7}, {1, 4}, set(), {2, 3, 4, 5, 6, 7}, {1, 2}, {8}, set()]
    assert not verdict.results[-1].success


def test_more_rules_than_a_word_has_bits(tmp_path: Path) -> None:
    table = pa.table({"n": pa.array(range(150), pa.int64())})
    verdict = judged(
        [rule("expect_column_values_to_be_between", column="n", min_value=i) for i in range(150)], tmp_path, table
    )
    assert failing_rows(verdict) == [set(range(1, i + 1)) for i in range(150)]


def test_two_rules_on_one_condition_both_mark_its_rows(tmp_path: Path) -> None:
    strict, lax = (rule("expect_column_values_to_not_be_null", column="id", mostly=share) for share in (1.0, 0.5))
    verdict = judged([strict, lax], tmp_path)
    assert failing_rows(verdict) == [{4}, {4}]
    assert [r.success for r in verdict.results] == [False, True]


def test_a_wrong_count_of_failing_rows_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The positive control: a mask that loses one rule's rows must not pass."""
    from forebay.quality.imports import great_expectations

    great_expectations()
    from forebay.quality.masks import Masks

    real = Masks._fails

    def blind(self: Masks, condition: Any, compute: Any, accessor: Any) -> Any:
        import sqlalchemy as sa

        return sa.and_(real(self, condition, compute, accessor), sa.column("id").is_not(None))

    monkeypatch.setattr(Masks, "_fails", blind)
    with pytest.raises(
        FatalError,
        match=r"`expect_column_values_to_not_be_null` on `id`: 0 failing rows were found, great expectations counts 1",
    ):
        judged(
            [
                rule("expect_column_values_to_be_unique", column="id"),
                rule("expect_column_values_to_not_be_null", column="id"),
            ],
            tmp_path,
        )


def test_a_missing_column_is_named_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no column `gone`"):
        judged([rule("expect_column_values_to_be_unique", column="gone")], tmp_path)


def test_a_rule_that_cannot_be_answered_is_named_and_never_passes(tmp_path: Path) -> None:
    broken = rule("unexpected_rows_expectation", unexpected_rows_query="SELECT * FROM {batch} WHERE nothing = 1")
    with pytest.raises(
        CorruptFileError, match=r"line \d+: `unexpected_rows_expectation` on the table cannot be answered: .*nothing"
    ):
        judged([rule("expect_column_values_to_be_unique", column="id"), broken], tmp_path)


def test_a_rule_that_great_expectations_refuses_is_named(tmp_path: Path) -> None:
    odd = rule("expect_column_values_to_be_between", column="id", min_value="soon")
    with pytest.raises(ConfigError, match="great expectations refuses `expect_column_values_to_be_between`"):
        judged([odd], tmp_path)
    [fault] = checking.faults_of(suite_of([odd], tmp_path))
    assert fault.line is not None
    assert "great expectations refuses it: " in fault.message
    assert fault.message.endswith("(correct the arguments that it names)")


def test_little_memory_is_enough(tmp_path: Path) -> None:
    table = pa.table(
        {
            "n": pa.array(range(300_000), pa.int64()),
            "t": pa.array([f"value {i % 290_000:040d}" for i in range(300_000)]),
        }
    )
    rules = [
        rule("expect_column_values_to_be_unique", column="t"),
        rule("expect_compound_columns_to_be_unique", column_list=["n", "t"]),
    ]
    verdict = judged(rules, tmp_path, table, memory_limit=64 << 20)
    assert [r.unexpected for r in verdict.results] == [20_000, 0]
    assert sorted(path.name for path in (tmp_path / "verdict").iterdir()) == ["failing.parquet", "result.json"]


def test_long_values_are_cut(tmp_path: Path) -> None:
    table = pa.table({"t": ["x" * 10_000], "b": pa.array([b"\xff" * 10_000])})
    rules = [
        rule("expect_column_values_to_be_in_set", column="t", value_set=["a"]),
        rule("expect_column_distinct_values_to_be_in_set", column="t", value_set=["a"]),
    ]
    verdict = judged([*rules, rule("expect_column_values_to_be_null", column="b")], tmp_path, table)
    assert verdict.result is not None
    assert len(verdict.result.read_bytes()) < 10_000
    assert all(len(text) <= 400 for r in verdict.results for text in r.sample)


def test_a_text_that_no_reader_survives_fails_its_own_row_alone(tmp_path: Path) -> None:
    table = pa.table({"j": ["{}", "[" * 200_000, "[1]"]})
    rules = [
        rule("expect_column_values_to_be_json_parseable", column="j"),
        rule("expect_column_values_to_match_json_schema", column="j", json_schema={"type": "object"}),
    ]
    assert failing_rows(judged(rules, tmp_path, table)) == [{2}, {2, 3}]


TABLE_RULES = [
    rule("expect_column_distinct_values_to_be_in_set", column="name", value_set=["a", "b", "d", "e"]),
    rule("expect_column_distinct_values_to_contain_set", column="name", value_set=["a"]),
    rule("expect_column_distinct_values_to_equal_set", column="name", value_set=["a", "b", "d", "e"]),
    rule("expect_column_max_to_be_between", column="id", min_value=5, max_value=5),
    rule("expect_column_min_to_be_between", column="id", min_value=1, max_value=1),
    rule("expect_column_mean_to_be_between", column="id", min_value=2.5, max_value=2.5),
    rule("expect_column_median_to_be_between", column="id", min_value=2, max_value=2),
    rule("expect_column_sum_to_be_between", column="id", min_value=10, max_value=10),
    rule("expect_column_stdev_to_be_between", column="id", min_value=1.7, max_value=1.8),
    rule("expect_column_most_common_value_to_be_in_set", column="id", value_set=[2]),
    rule("expect_column_proportion_of_non_null_values_to_be_between", column="id", min_value=0.8, max_value=0.8),
    rule("expect_column_proportion_of_unique_values_to_be_between", column="name", min_value=1, max_value=1),
    rule("expect_column_unique_value_count_to_be_between", column="id", min_value=3, max_value=3),
    rule(
        "expect_column_quantile_values_to_be_between",
        column="id",
        quantile_ranges={"quantiles": [0.5], "value_ranges": [[2, 2]]},
    ),
    rule(
        "expect_column_kl_divergence_to_be_less_than",
        column="name",
        threshold=0.1,
        partition_object={"values": ["a", "b", "d", "e"], "weights": [0.25, 0.25, 0.25, 0.25]},
    ),
    rule("expect_column_to_exist", column="x", column_index=2),
    rule("expect_column_type_to_be", column="id", type_="BIGINT"),
    rule("expect_column_values_to_be_of_type", column="name", type_="VARCHAR"),
    rule("expect_column_values_to_be_in_type_list", column="x", type_list=["DOUBLE", "FLOAT"]),
    rule("expect_table_column_count_to_be_between", min_value=3, max_value=3),
    rule("expect_table_column_count_to_equal", value=3),
    rule("expect_table_columns_to_match_ordered_list", column_list=["id", "name", "x"]),
    rule("expect_table_columns_to_match_set", column_set=["x", "name", "id"]),
    rule("expect_table_row_count_to_be_between", min_value=5, max_value=5),
    rule("expect_table_row_count_to_equal", value=5),
    rule("unexpected_rows_expectation", unexpected_rows_query="SELECT * FROM {batch} WHERE id > 5"),
]


def test_every_table_rule_is_answered(tmp_path: Path) -> None:
    verdict = judged(TABLE_RULES, tmp_path)
    assert [r.title for r in verdict.results if not r.success] == []
    assert {r.kind for r in verdict.results} == {"table"}


def test_text_rules_that_pandas_does_not_know(tmp_path: Path) -> None:
    table = pa.table({"t": ["abc", "xbc", "", None, "a_c"], "j": ['{"a": 1}', "[]", "{", None, '{"a": "x"}']})
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    verdict = judged(
        [
            rule("expect_column_values_to_match_like_pattern", column="t", like_pattern="a%"),
            rule("expect_column_values_to_not_match_like_pattern", column="t", like_pattern="a%"),
            rule("expect_column_values_to_match_like_pattern", column="t", like_pattern="a!_c", escape="!"),
            rule(
                "expect_column_values_to_match_like_pattern_list",
                column="t",
                like_pattern_list=["a%", "%bc"],
                match_on="all",
            ),
            rule("expect_column_values_to_match_like_pattern_list", column="t", like_pattern_list=["a%", "%bc"]),
            rule("expect_column_values_to_not_match_like_pattern_list", column="t", like_pattern_list=["a%", "%bc"]),
            rule("expect_column_values_to_match_json_schema", column="j", json_schema=schema),
        ],
        tmp_path,
        table,
    )
    assert failing_rows(verdict) == [{2, 3}, {1, 5}, {1, 2, 3}, {2, 3, 5}, {3}, {1, 2, 5}, {2, 3, 5}]
