"""Every expectation of Great Expectations: written by its own API, saved by its own file context, loaded unchanged and
answered; or refused by day, by name.

The examples are those of Great Expectations' own documentation, which stand in the docstrings of its expectations with
their data and what comes out.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from forebay.errors import SettingsError
from forebay.model import Column
from forebay.quality import catalogue
from forebay.quality import suite as suites
from forebay.quality.check import check, faults_of
from forebay.quality.imports import great_expectations, quietly
from tests.quality.made import rule, stage_of, suite_of

Example = tuple[str, bool]
"""A call as the documentation writes it, and whether it should pass."""

DATA = pa.table({"test": ["2026-01-05", "2026-01-06"], "test2": [1, 2], "json": ['{"a": 1}', "[]"]})
OWN: dict[str, list[Example]] = {
    "expect_column_to_exist": [
        ('ExpectColumnToExist(column="test", column_index=0)', True),
        ('ExpectColumnToExist(column="gone")', False),
    ],
    "expect_column_values_to_be_dateutil_parseable": [
        ('ExpectColumnValuesToBeDateutilParseable(column="test")', True),
        ('ExpectColumnValuesToBeDateutilParseable(column="json")', False),
    ],
    "expect_column_values_to_be_decreasing": [('ExpectColumnValuesToBeDecreasing(column="test2")', False)],
    "expect_column_values_to_be_increasing": [
        ('ExpectColumnValuesToBeIncreasing(column="test2", strictly=True)', True)
    ],
    "expect_column_values_to_be_json_parseable": [
        ('ExpectColumnValuesToBeJsonParseable(column="json")', True),
        ('ExpectColumnValuesToBeJsonParseable(column="test")', False),
    ],
    "expect_column_values_to_match_json_schema": [
        ('ExpectColumnValuesToMatchJsonSchema(column="json", json_schema={"type": "object"})', False),
        ('ExpectColumnValuesToMatchJsonSchema(column="json", json_schema={"type": ["object", "array"]})', True),
    ],
    "expect_column_quantile_values_to_be_between": [
        (
            'ExpectColumnQuantileValuesToBeBetween(column="test2", quantile_ranges={"quantiles": [0, 1], '
            '"value_ranges": [[1, 1], [2, 2]]})',
            True,
        )
    ],
    "unexpected_rows_expectation": [
        ('UnexpectedRowsExpectation(unexpected_rows_query="SELECT * FROM {batch} WHERE test2 > 2")', True),
        (
            'UnexpectedRowsExpectation(unexpected_rows_query="SELECT test2, count(*) FROM {batch} GROUP BY 1 HAVING '
            'count(*) = 1")',
            False,
        ),
    ],
}
"""Expectations whose documentation has no example that can be taken as it is."""
OF_OTHERS = {
    "expect_column_type_to_be": "types of SQLite",
    "expect_column_values_to_be_in_type_list": "types of Snowflake",
    "expect_column_values_to_be_of_type": "types of Snowflake",
    "expect_column_values_to_match_like_pattern": "character classes of SQL Server",
    "expect_column_values_to_match_like_pattern_list": "character classes of SQL Server",
    "expect_column_values_to_not_match_like_pattern": "character classes of SQL Server",
    "expect_column_values_to_not_match_like_pattern_list": "character classes of SQL Server",
}
"""Examples for another engine, with our own in their place."""
IN_THEIR_PLACE: dict[str, list[Example]] = {
    "expect_column_type_to_be": [
        ('ExpectColumnTypeToBe(column="test2", type_="BIGINT")', True),
        ('ExpectColumnTypeToBe(column="test", type_="BIGINT")', False),
    ],
    "expect_column_values_to_be_in_type_list": [
        ('ExpectColumnValuesToBeInTypeList(column="test2", type_list=["BIGINT", "DOUBLE"])', True),
        ('ExpectColumnValuesToBeInTypeList(column="test", type_list=["BIGINT", "DOUBLE"])', False),
    ],
    "expect_column_values_to_be_of_type": [
        ('ExpectColumnValuesToBeOfType(column="test2", type_="BIGINT")', True),
        ('ExpectColumnValuesToBeOfType(column="test", type_="DOUBLE")', False),
    ],
    "expect_column_values_to_match_like_pattern": [
        ('ExpectColumnValuesToMatchLikePattern(column="test", like_pattern="2026-%")', True)
    ],
    "expect_column_values_to_match_like_pattern_list": [
        (
            'ExpectColumnValuesToMatchLikePatternList(column="test", like_pattern_list=["2026%", "%05"], '
            'match_on="all")',
            False,
        )
    ],
    "expect_column_values_to_not_match_like_pattern": [
        ('ExpectColumnValuesToNotMatchLikePattern(column="test", like_pattern="%05")', False)
    ],
    "expect_column_values_to_not_match_like_pattern_list": [
        ('ExpectColumnValuesToNotMatchLikePatternList(column="test", like_pattern_list=["a%", "b%"])', True)
    ],
}
SLIPS = {
    (
        'ExpectColumnMedianToBeBetween(column="test2", min_value=1, max_value=3, strict_min=True, strict_max=True)'
    ): "the minimum is meant",
    "value_pairs_set=[(1,2) (4,1)]": "a comma is missing",
}
"""Calls of the documentation that are not what they should be; they are left out."""


def documented(kind: str) -> tuple[pa.Table, list[Example]] | None:
    """Data and examples from an expectation's docstring, None where there are none."""
    great_expectations()
    from great_expectations.expectations.registry import get_expectation_impl

    text = get_expectation_impl(kind).__doc__ or ""
    data = re.search(r"Example Data:\n(.*?)Code Examples:", text, re.DOTALL)
    cases = re.findall(r"(Passing|Failing) Case[^\n]*\n\s*Input:\n(.*?)\n\s*Output:", text, re.DOTALL)
    examples = [(" ".join(call.split()), word == "Passing") for word, call in cases if not _slip(call)]
    table = _table(data[1]) if data else None
    return (table, examples) if table is not None and examples else None


def _slip(call: str) -> bool:
    return any("".join(slip.split()) in "".join(call.split()) for slip in SLIPS)


def _table(text: str) -> pa.Table | None:
    lines = [
        re.findall(r'"[^"]*"|\S+', line)
        for line in text.splitlines()
        if line.strip() and not line.strip().startswith("A SQLite")
    ]
    header, rows = lines[0], [line[1:] for line in lines[1:]]
    if any(len(row) != len(header) for row in rows):
        return None
    return pa.table({name: [_value(row[at]) for row in rows] for at, name in enumerate(header)})


def _value(text: str) -> Any:
    if text in {"NaN", "None", "null"}:
        return None
    if text in {"True", "False"}:
        return text == "True"
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text.strip('"')


def examples_of(kind: str) -> tuple[pa.Table, list[Example]]:
    if kind in OF_OTHERS or kind in OWN:
        return DATA, IN_THEIR_PLACE.get(kind) or OWN[kind]
    found = documented(kind)
    assert found, f"{kind}: its documentation has no example any more (write one here)"
    return found


ANSWERED = sorted(catalogue.entries().keys() - catalogue.REFUSED.keys())


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All suites, each made by Great Expectations' API and saved by its file context."""
    gx = great_expectations()
    root = tmp_path_factory.mktemp("project")
    with quietly():
        context = gx.get_context(mode="file", project_root_dir=root)
        for kind in ANSWERED:
            _, examples = examples_of(kind)
            made = [eval(call, vars(gx.expectations)) for call, _ in examples]
            context.suites.add(gx.ExpectationSuite(name=kind, expectations=made))
    return root / "gx" / "expectations"


@pytest.mark.parametrize("kind", ANSWERED)
def test_a_suite_that_great_expectations_saved_is_answered_as_its_documentation_says(
    kind: str, written: Path, tmp_path: Path
) -> None:
    table, examples = examples_of(kind)
    suite = suites.load(written / f"{kind}.json")
    assert len(suite.expectations) == len(examples)
    assert kind in {one.type for one in suite.expectations}
    assert faults_of(suite) == ()
    verdict = check(stage_of(table, tmp_path), suite, tmp_path / "verdict", run_name="r")
    assert [result.success for result in verdict.results] == [success for _, success in examples], examples


@pytest.mark.parametrize("kind", sorted(catalogue.REFUSED))
def test_the_others_are_refused_by_name_when_the_suite_is_read(kind: str, tmp_path: Path) -> None:
    needed = dict.fromkeys(catalogue.entries()[kind].required, "x")
    with pytest.raises(SettingsError, match=rf"reading `{kind}`: forebay cannot answer it: .+ \(take the rule out\)"):
        suite_of([rule(kind, **needed)], tmp_path)


def test_the_lists_here_name_expectations_that_there_are() -> None:
    assert {*OWN, *OF_OTHERS} <= set(ANSWERED)
    assert OF_OTHERS.keys() == IN_THEIR_PLACE.keys()
    assert {name for name in OWN if documented(name)} == set()
    from great_expectations.expectations.registry import get_expectation_impl

    texts = ["".join((get_expectation_impl(kind).__doc__ or "").split()) for kind in ANSWERED]
    assert [
        slip for slip in SLIPS if not any("".join(slip.split()) in text for text in texts)
    ] == []  # mended: take them out


def test_conditions_survive_great_expectations_own_file(tmp_path: Path) -> None:
    gx = great_expectations()
    from great_expectations.expectations.row_conditions import Column as Named

    both = (Named("test2") > 1) & Named("test").is_not_null()
    with quietly():
        context = gx.get_context(mode="file", project_root_dir=tmp_path)
        rules = [
            gx.expectations.ExpectColumnValuesToBeInSet(
                column="test", value_set=["2026-01-06"], row_condition=both, severity="warning"
            ),
            gx.expectations.ExpectColumnValuesToNotBeNull(
                column="test", row_condition=(Named("test2") < 0) | Named("json").is_null()
            ),
        ]
        context.suites.add(gx.ExpectationSuite(name="theirs", expectations=rules, notes="reviewed", meta={"team": "a"}))
    path = tmp_path / "gx" / "expectations" / "theirs.json"
    before = path.read_bytes()
    suite = suites.load(path)
    assert path.read_bytes() == before
    assert suites.check(suite, (Column("test", "string"), Column("test2", "int64"), Column("json", "string"))) == ()
    verdict = check(stage_of(DATA, tmp_path), suite, tmp_path / "verdict", run_name="r")
    assert [(r.success, r.checked) for r in verdict.results] == [(True, 1), (True, 0)]
    assert json.loads(before)["meta"]["team"] == "a"
