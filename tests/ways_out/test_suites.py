"""The way out that a fault of a suite names, followed: `forebay check` has nothing more to say, and the suite judges a
file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forebay.errors import ConfigError
from forebay.verbs.check import checked
from forebay.verbs.inspect import inspect
from tests.keys import looks
from tests.keys.trial import ROWS, Trial
from tests.quality.made import rule

Settings = dict[str, Any]
RULE = rule("expect_column_values_to_not_be_null", column="id")
NAME_OR_NULL = {"type": "nullity", "column": {"name": "name"}, "is_null": False}
TYPED = {"type": "comparison", "column": {"name": "id"}, "operator": ">", "parameter": 5}
NUMBERS = {"schema.columns.name": "int64"}
NUMBERED = ROWS.replace(b"ann", b"1").replace(b"bo", b"2").replace(b"cy", b"3")
OTHER_NAME = {"schema.columns": {"id": "int64", "nam": "string", "amount": "decimal(10,2)", "day": "date"}}
UNIQUE = "expect_column_values_to_be_unique"
QUERY = "unexpected_rows_expectation"
JSON_TEXT = "expect_column_values_to_match_json_schema"
PAIR = {"column_A": "id", "column_B": "name"}


def suite(*rules: Any, **more: Any) -> dict[str, Any]:
    return {"name": "s", "expectations": list(rules), **more}


CASES: dict[str, tuple[Any, str, Any, Settings]] = {
    "no suite": (
        [RULE],
        'write `{"name": "…", "expectations": [{"type": "…", "kwargs": {…}}]}`',
        {"name": "s", "expectations": [{"type": "expect_column_to_exist", "kwargs": {"column": "id"}}]},
        {},
    ),
    "no rule": (
        suite("expect_column_to_exist"),
        'write `{"type": "…", "kwargs": {…}}`',
        suite({"type": "expect_column_to_exist", "kwargs": {"column": "id"}}),
        {},
    ),
    "parameters": (
        suite(rule("expect_column_max_to_be_between", column="id", max_value=9), suite_parameters={"most": 9}),
        "write the values into the rules, and take `suite_parameters` out",
        suite(rule("expect_column_max_to_be_between", column="id", max_value=9)),
        {},
    ),
    "parameter": (
        suite(rule("expect_column_max_to_be_between", column="id", max_value={"$PARAMETER": "most"})),
        "write the value",
        suite(rule("expect_column_max_to_be_between", column="id", max_value=9)),
        {},
    ),
    "other table": (
        suite(RULE, rule("expect_table_row_count_to_equal_other_table", other_table_name="x")),
        "take the rule out",
        suite(RULE),
        {},
    ),
    "of run time": (suite(rule(UNIQUE, column="id", result_format="COMPLETE")), "take it out", suite(RULE), {}),
    "missing argument": (
        suite(rule("expect_column_values_to_be_in_set", column="id")),
        "argument `value_set` is missing (write it into `kwargs`)",
        suite(rule("expect_column_values_to_be_in_set", column="id", value_set=[1, 2, 3])),
        {},
    ),
    "unknown argument": (
        suite(rule("expect_column_values_to_be_between", column="id", min_valu=1, max_value=9)),
        "did you mean `min_value`?",
        suite(rule("expect_column_values_to_be_between", column="id", min_value=1, max_value=9)),
        {},
    ),
    "no bounds": (
        suite(rule("expect_column_values_to_be_between", column="id")),
        "neither `min_value` nor `max_value` is given (write one)",
        suite(rule("expect_column_values_to_be_between", column="id", max_value=9)),
        {},
    ),
    "no schema": (
        suite(rule(JSON_TEXT, column="id", json_schema=[1])),
        "write an object",
        suite(rule(JSON_TEXT, column="id", json_schema={"type": "integer"})),
        {"schema.columns.id": "string"},
    ),
    "pandas": (
        suite(rule(UNIQUE, column="id", row_condition="amount > 5", condition_parser="pandas")),
        "take it out, and write a typed `row_condition`",
        suite(rule(UNIQUE, column="id", row_condition=TYPED)),
        {},
    ),
    "condition of pandas": (
        suite(rule(UNIQUE, column="id", row_condition="amount > 5")),
        f"write one like `{json.dumps(TYPED)}`",
        suite(rule(UNIQUE, column="id", row_condition=TYPED)),
        {},
    ),
    "no condition": (
        suite(rule(UNIQUE, column="id", row_condition=[1])),
        f"write one like `{json.dumps(TYPED)}`",
        suite(rule(UNIQUE, column="id", row_condition=NAME_OR_NULL)),
        {},
    ),
    "no question": (
        suite(rule(QUERY, unexpected_rows_query="drop table x")),
        "write one `SELECT … FROM {batch} WHERE …`",
        suite(rule(QUERY, unexpected_rows_query="SELECT * FROM {batch} WHERE id > 9")),
        {},
    ),
    "slip of a query": (
        suite(rule(QUERY, unexpected_rows_query="SELECT * FROM {batch} WHERE idd > 9")),
        "change the rule or the column's type",
        suite(rule(QUERY, unexpected_rows_query="SELECT * FROM {batch} WHERE id > 9")),
        {},
    ),
    "bound of another type": (
        suite(rule("expect_column_max_to_be_between", column="name", max_value=5)),
        "change the rule or the column's type",
        suite(rule("expect_column_max_to_be_between", column="name", max_value=5)),
        NUMBERS,
    ),
    "no column": (
        suite(rule(UNIQUE, column="nam")),
        "did you mean `name`?",
        suite(rule(UNIQUE, column="name")),
        {},
    ),
    "no column, other way": (
        suite(rule(UNIQUE, column="nam")),
        "or change `schema`",
        suite(rule(UNIQUE, column="nam")),
        OTHER_NAME,
    ),
    "two kinds": (
        suite(rule("expect_column_pair_values_to_be_equal", **PAIR)),
        "give them types of one kind",
        suite(rule("expect_column_pair_values_to_be_equal", **PAIR)),
        NUMBERS,
    ),
    "text": (
        suite(rule("expect_column_value_lengths_to_equal", column="day", value=10)),
        "give the column the type `string`",
        suite(rule("expect_column_value_lengths_to_equal", column="day", value=10)),
        {"schema.columns.day": "string"},
    ),
    "bounds of text": (
        suite(rule("expect_column_values_to_be_between", column="name", min_value=1)),
        "give the column such a type, or use a pattern",
        suite(rule("expect_column_values_to_be_between", column="name", min_value=1)),
        NUMBERS,
    ),
    "bounds of text, other way": (
        suite(rule("expect_column_values_to_be_between", column="name", min_value=1)),
        "give the column such a type, or use a pattern",
        suite(rule("expect_column_values_to_match_regex", column="name", regex="[a-z]")),
        {},
    ),
    "number": (
        suite(rule("expect_column_mean_to_be_between", column="name", max_value=10)),
        "give the column a number's type",
        suite(rule("expect_column_mean_to_be_between", column="name", max_value=10)),
        NUMBERS,
    ),
    "refused by Great Expectations": (
        suite(rule("expect_table_row_count_to_equal", value="x")),
        "value is not a valid integer (type=type_error.integer)",
        suite(rule("expect_table_row_count_to_equal", value=3)),
        {},
    ),
}
"""The suite, the words of the way out, and the suite and the settings that follow it."""


def trial(root: Path, given: Any, settings: Settings) -> Trial:
    rows = NUMBERED if settings is NUMBERS else ROWS
    if settings is OTHER_NAME:
        rows = rows.replace(b"name", b"nam")
    return Trial(root, {"quality.suite": "s", **settings}, {"a.csv": rows}, suite=given)


def faults(found: Trial) -> str:
    return "\n".join(fault.message for one in checked(found.project, []) for fault in one.faults)


@pytest.mark.parametrize("name", CASES)
def test_a_suite_judges_a_file_when_its_way_out_is_followed(name: str, tmp_path: Path) -> None:
    given, way_out, followed, settings = CASES[name]
    assert way_out in (told := faults(trial(tmp_path / "a", given, {}))), told
    after = trial(tmp_path / "b", followed, settings)
    assert faults(after) == ""
    assert looks.status(after) == "inspected publish", after.told


@pytest.mark.parametrize("named", ["s", "other"])
def test_a_suite_that_is_gone_is_written_again_or_another_is_named(named: str, tmp_path: Path) -> None:
    gone = trial(tmp_path / "a", suite(RULE), {})
    ctx, run = gone.context, gone.plan().files[0]
    (gone.project.expectations / "s.json").unlink()
    with pytest.raises(ConfigError, match=r"\(write it, or name another in `quality.suite`\)"):
        inspect(ctx, run)
    (gone.project.expectations / f"{named}.json").write_text(json.dumps(suite(RULE)))
    pipeline = gone.project.pipelines / "keys.yaml"
    pipeline.write_text(pipeline.read_text().replace("suite: s", f"suite: {named}"))
    assert looks.status(gone) == "inspected publish"
