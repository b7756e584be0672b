"""A suite is read without Great Expectations, and its faults are named with their line and the way out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from forebay.errors import ConfigError, SettingsError
from forebay.model import Column, Severity
from forebay.quality import suite as suites
from forebay.quality.imports import great_expectations
from tests.quality.made import rule, suite_of

COLUMNS = (Column("id", "int64"), Column("name", "string"), Column("amount", "float64"), Column("day", "date"))


def faults(rules: list[Any], folder: Path) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        suite_of(rules, folder)
    return [fault.message for fault in caught.value.faults]


def misfits(found: dict[str, Any], folder: Path) -> list[str]:
    return [fault.message for fault in suites.check(suite_of([found], folder), COLUMNS)]


def test_a_suite_that_great_expectations_wrote_loads_unchanged(tmp_path: Path) -> None:
    gx = great_expectations()
    from great_expectations.expectations.row_conditions import Column as Named

    gx.get_context(mode="ephemeral")
    expectations = gx.expectations
    written = gx.ExpectationSuite(
        name="theirs",
        expectations=[
            expectations.ExpectColumnValuesToNotBeNull(
                column="id", row_condition=(Named("amount") > 5) & (Named("name") == "x"), notes="why"
            ),
            expectations.ExpectColumnValuesToBeBetween(
                column="amount", min_value=0, severity="warning", meta={"team": "a"}
            ),
        ],
    )
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(written.to_json_dict()))
    suite = suites.load(path)
    assert [(r.type, r.severity, r.notes, r.meta) for r in suite.expectations] == [
        ("expect_column_values_to_not_be_null", Severity.CRITICAL, "why", {}),
        ("expect_column_values_to_be_between", Severity.WARNING, "", {"team": "a"}),
    ]
    assert suites.check(suite, COLUMNS) == ()


def test_a_rule_without_a_severity_is_critical(tmp_path: Path) -> None:
    suite = suite_of([{"type": "expect_column_to_exist", "kwargs": {"column": "id"}}], tmp_path)
    assert suite.expectations[0].severity is Severity.CRITICAL


def test_the_hash_is_of_the_meaning(tmp_path: Path) -> None:
    first = suite_of([rule("expect_column_values_to_be_unique", column="id")], tmp_path)
    path = tmp_path / "made.json"
    path.write_text(json.dumps(json.loads(path.read_text()), sort_keys=True, indent=7))
    assert suites.load(path).hash == first.hash
    assert suite_of([rule("expect_column_values_to_be_unique", column="name")], tmp_path).hash != first.hash


def test_faults_name_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(
        '{"name": "s",\n "expectations": [\n  {"type": "expect_column_to_exist", "kwargs": {"column": '
        '"id"}},\n\n  {"type": "expect_nothing"}]}'
    )
    with pytest.raises(SettingsError) as caught:
        suites.load(path)
    assert [(fault.path, fault.line) for fault in caught.value.faults] == [(str(path), 5)]


def test_no_json_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text('{"name": "s",\n "expectations": [,]}')
    with pytest.raises(SettingsError, match=r"s\.json:2: reading the suite: it is not JSON"):
        suites.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        suites.load(tmp_path / "none.json")


@pytest.mark.parametrize("data", [[], {"name": "s"}, {"expectations": {}}, 5])
def test_what_is_no_suite_is_refused(data: Any, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps(data))
    with pytest.raises(SettingsError, match="no JSON object with a list `expectations`"):
        suites.load(path)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (rule("expect_column_values_to_be_uniqe", column="id"), "did you mean `expect_column_values_to_be_unique`?"),
        (
            rule("expect_column_to_exist", "criticl", column="id"),
            "there is no severity `criticl` (did you mean `critical`?)",
        ),
        (
            rule("expect_column_values_to_be_between", column="id", min_valu=1, max_value=2),
            "unknown argument `min_valu` (did you mean `min_value`?)",
        ),
        (
            rule("expect_column_values_to_be_between", column="id", min_value=3, max_value=2),
            "`min_value` 3 is greater than `max_value` 2",
        ),
        (rule("expect_column_values_to_be_between", column="id"), "neither `min_value` nor `max_value` is given"),
        (
            rule("expect_column_values_to_match_json_schema", column="t", json_schema={"type": "objekt"}),
            "`json_schema` is no JSON schema: 'objekt'",
        ),
        (
            rule("expect_column_values_to_match_json_schema", column="t", json_schema=[1]),
            "`json_schema` is no JSON schema (write an object)",
        ),
        (rule("expect_column_values_to_be_in_set", column="id"), "argument `value_set` is missing"),
        (rule("expect_column_values_to_be_in_set", column="id", value_set="x"), "`value_set` is no list"),
        (rule("expect_column_values_to_match_regex", column="name", regex="("), "is no regular expression of Python"),
        (
            rule("expect_column_values_to_match_strftime_format", column="name", strftime_format="%Q"),
            "is no format that Python can parse",
        ),
        (
            rule("expect_column_values_to_be_unique", column="id", mostly=95),
            "`mostly` is `95`, no share between 0 and 1",
        ),
        (
            rule("expect_column_values_to_be_unique", column="id", result_format="COMPLETE"),
            "`result_format` does not belong into a suite",
        ),
        (
            rule("expect_column_values_to_be_unique", column="id", row_condition="id > 5"),
            "`id > 5` is no typed condition (write one like",
        ),
        (rule("expect_column_max_to_be_between", column="id", max_value={"$PARAMETER": "x"}), "is a suite parameter"),
        (rule("expect_table_row_count_to_equal_other_table", other_table_name="x"), "forebay cannot answer it"),
        ({"expectation_type": "expect_column_to_exist", "kwargs": {}}, "unknown key `expectation_type`"),
        ("expect_column_to_exist", "it is no JSON object with `type` and `kwargs`"),
    ],
)
def test_faults_say_what_is_wrong_and_the_way_out(given: Any, words: str, tmp_path: Path) -> None:
    assert any(words in message for message in faults([given], tmp_path))


def test_all_faults_come_together(tmp_path: Path) -> None:
    assert len(faults([rule("a"), rule("expect_column_values_to_be_in_set"), rule("b", "c")], tmp_path)) == 5


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (rule("expect_column_values_to_be_unique", column="nam"), "there is no column `nam` (did you mean `name`?"),
        (rule("expect_compound_columns_to_be_unique", column_list=["id", "x"]), "there is no column `x`"),
        (
            rule(
                "expect_column_values_to_be_unique",
                column="id",
                row_condition={"type": "nullity", "column": {"name": "y"}, "is_null": True},
            ),
            "there is no column `y`",
        ),
        (
            rule("expect_column_values_to_match_regex", column="amount", regex="1"),
            "column `amount` is `float64`, and a pattern judges text",
        ),
        (
            rule("expect_column_values_to_match_strftime_format", column="day", strftime_format="%Y"),
            "and the rule judges text",
        ),
        (rule("expect_column_mean_to_be_between", column="name", min_value=1), "and the rule judges numbers"),
        (rule("expect_column_values_to_be_between", column="name", min_value=1), "and bounds are numbers or times"),
        (
            rule("expect_column_pair_values_to_be_equal", column_A="id", column_B="name"),
            "the columns cannot be compared",
        ),
        (
            rule("expect_column_values_to_be_of_type", column="id", type_="int64"),
            "`int64` is no type of this engine (did you mean `INT`?)",
        ),
    ],
)
def test_what_does_not_fit_the_columns_is_named(given: dict[str, Any], words: str, tmp_path: Path) -> None:
    [message] = misfits(given, tmp_path)
    assert words in message


def test_a_rule_that_asks_for_a_column_may_name_any(tmp_path: Path) -> None:
    assert misfits(rule("expect_column_to_exist", column="nowhere"), tmp_path) == []


def test_reading_a_suite_does_not_import_great_expectations() -> None:
    code = (
        "import sys; from forebay.quality import suite, check, docs; from forebay.verbs import gate; "
        "print('great_expectations' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
