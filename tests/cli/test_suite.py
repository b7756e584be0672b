"""`forebay suite propose` and `forebay suite test`: what a sample shows, and what a suite says of a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.project import Answer

Call = Callable[..., Answer]
Write = Callable[..., Path]

PIPELINE = """\
pipeline: orders
owner: shop
source: {type: local, path: "drops/*.csv"}
format: {type: csv}
schema: {columns: {id: int64, state: string, code: string, amount: "decimal(10,2)", note: string}}
record: {key: id}
topic: {name: orders}
"""
HEAD = "id,state,code,amount,note\n"
SAMPLE = HEAD + "".join(
    f"{n},{'open' if n % 2 else 'done'},X{n:03},{n}.50,{'' if n == 7 else f'n{n}'}\n" for n in range(1, 41)
)


@pytest.fixture
def sample(root: Path, pipeline: Write) -> Path:
    pipeline(PIPELINE)
    path = root / "sample.csv"
    path.write_text(SAMPLE)
    return path


def test_a_proposal_has_a_reason_for_each_rule_and_holds_for_its_sample(
    forebay: Call, pipeline: Write, sample: Path, root: Path
) -> None:
    to = root / "include/expectations/orders.json"
    answer = forebay("suite", "propose", str(sample), "--pipeline", "orders", "--to", str(to), "--json")
    assert answer.code == 0, answer.err
    rules = json.loads(to.read_text())["expectations"]
    assert all(rule["notes"] and "\n" not in rule["notes"] for rule in rules)
    found = {(rule["type"].removeprefix("expect_"), rule["kwargs"].get("column"), rule["severity"]) for rule in rules}
    assert found == {
        ("table_row_count_to_be_between", None, "warning"),
        ("column_values_to_not_be_null", "id", "critical"),
        ("column_values_to_be_unique", "id", "warning"),
        ("column_values_to_be_between", "id", "warning"),
        ("column_values_to_not_be_null", "state", "warning"),
        ("column_values_to_be_in_set", "state", "warning"),
        ("column_values_to_not_be_null", "code", "warning"),
        ("column_values_to_be_unique", "code", "warning"),
        ("column_value_lengths_to_equal", "code", "warning"),
        ("column_values_to_not_be_null", "amount", "warning"),
        ("column_values_to_be_between", "amount", "warning"),
        ("column_values_to_not_be_null", "note", "info"),
        ("column_values_to_be_unique", "note", "warning"),
    }
    pipeline(PIPELINE + "quality: {suite: orders}\n")
    assert forebay("check").code == 0
    tried = forebay("suite", "test", "orders", str(sample), "--json")
    assert (tried.code, tried.json["success"], tried.json["failing"]) == (0, True, 1)
    again = forebay("suite", "propose", str(sample), "--pipeline", "orders", "--to", str(to))
    assert (again.code, "there already" in again.err) == (2, True)


def test_of_a_large_file_a_sample_is_read_and_that_is_said(forebay: Call, pipeline: Write, root: Path) -> None:
    pipeline(PIPELINE)
    path = root / "large.csv"
    path.write_text(HEAD + "".join(f"{n},open,X{n % 1000:03},{n}.50,\n" for n in range(1, 50_000)) + "not,a,row\n")
    answer = forebay("suite", "propose", str(path), "--pipeline", "orders", "--sample", "20kB")
    assert answer.code == 0, answer.err
    meta = answer.json["meta"]
    assert (meta["sample"], meta["unreadable"], meta["reviewed"]) == ("its beginning", 0, False) and 500 < meta[
        "rows"
    ] < 2000
    assert "expect_table_row_count_to_be_between" not in {rule["type"] for rule in answer.json["expectations"]}
    assert f"large.csv: {meta['rows']:,} rows, the first 20kB of it" in " ".join(answer.err.split())
    whole = forebay("suite", "propose", str(path), "--pipeline", "orders")
    assert (whole.json["meta"]["rows"], whole.json["meta"]["unreadable"]) == (49_999, 1)
    assert "1 row could not be read" in " ".join(whole.err.split())
    assert forebay("suite", "propose", str(path), "--pipeline", "orders", "--sample", "much").code == 2


def test_failing_rows_are_shown_with_their_rules_and_values(forebay: Call, pipeline: Write, root: Path) -> None:
    rule = {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "amount", "min_value": 2},
        "severity": "critical",
    }
    (root / "include/expectations/orders.json").write_text(json.dumps({"name": "orders", "expectations": [rule]}))
    pipeline(PIPELINE + "quality: {suite: orders}\n")
    path = root / "a.csv"
    path.write_text(HEAD + "1,a,b,5.00,\n2,a,b,1.00,[red]x\n3,a,b,none,\n")
    answer = forebay("suite", "test", "orders", str(path), "--json")
    assert (answer.code, answer.json["rows_in"], answer.json["unreadable"], answer.json["failing"]) == (3, 3, 1, 1)
    [row] = answer.json["rows"]
    assert (row["row"], row["rules"], row["values"]["amount"], row["values"]["note"]) == (2, [0], "1.00", "[red]x")
    assert "[red]x" in forebay("suite", "test", "orders", str(path)).out
    assert not list((root / ".forebay").rglob("*.parquet"))


def test_a_pipeline_without_a_suite_says_so(forebay: Call, sample: Path) -> None:
    answer = forebay("suite", "test", "orders", str(sample))
    assert (answer.code, "it has none" in answer.err) == (2, True)


def test_what_great_expectations_refuses_is_a_fault_by_day_and_is_asked_once(
    forebay: Call, pipeline: Write, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root / "include/expectations/orders.json"
    rule = {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "state", "value_set": ["a"], "mostly": 1}}
    pipeline(PIPELINE + "quality: {suite: orders}\n")
    refused = {"type": "expect_column_value_lengths_to_equal", "kwargs": {"column": "state", "value": "three"}}
    path.write_text(json.dumps({"name": "orders", "expectations": [rule, refused]}))
    answer = forebay("check")
    assert (answer.code, "expect_column_value_lengths_to_equal" in answer.out) == (2, True), answer.out
    path.write_text(json.dumps({"name": "orders", "expectations": [rule]}))
    assert forebay("check").code == 0

    from forebay.quality import check as checking

    monkeypatch.setattr(checking, "faults_of", lambda _: pytest.fail("it was asked again"))
    assert forebay("check").code == 0


def test_a_limit_for_a_rule_that_the_suite_lacks_is_a_fault(forebay: Call, pipeline: Write, root: Path) -> None:
    rule = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "id"}}
    (root / "include/expectations/orders.json").write_text(json.dumps({"name": "orders", "expectations": [rule]}))
    pipeline(PIPELINE + "quality: {suite: orders, block_when: {rules: {idd: 1%, id: 5}}}\n")
    answer = forebay("check")
    assert (answer.code, "no row rule `idd`" in answer.out, "did you mean `id`?" in answer.out) == (2, True, True)


def test_a_limit_for_a_rule_that_no_row_fails_is_a_fault(forebay: Call, pipeline: Write, root: Path) -> None:
    rules = [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "id"}},
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}},
        {"type": "expect_column_max_to_be_between", "kwargs": {"column": "amount", "min_value": 1}},
        {"type": "expect_column_max_to_be_between", "kwargs": {"column": "id", "min_value": 1}},
    ]
    (root / "include/expectations/orders.json").write_text(json.dumps({"name": "orders", "expectations": rules}))
    limits = "{expect_table_row_count_to_be_between: 5, amount: 1%, id: 5}"
    path = pipeline(PIPELINE + f"quality: {{suite: orders, warn_when: {{rules: {limits}}}}}\n")
    answer = forebay("check", "--json")
    line = 1 + next(n for n, text in enumerate(path.read_text().splitlines()) if text.startswith("quality:"))
    told = [
        (fault["line"], fault["message"].split("`")[3]) for file in answer.json["files"] for fault in file["faults"]
    ]
    assert (answer.code, told) == (2, [(line, "expect_table_row_count_to_be_between"), (line, "amount")]), answer.out


def test_a_suite_written_by_great_expectations_own_api_loads_unchanged(tmp_path: Path) -> None:
    from forebay.quality import suite as suites
    from forebay.quality.imports import great_expectations

    gx = great_expectations()
    context = gx.get_context(mode="ephemeral")
    made = context.suites.add(gx.ExpectationSuite(name="nightly", meta={"owner": "ops"}, notes="by hand"))
    made.add_expectation(
        gx.expectations.ExpectColumnValuesToNotBeNull(column="id", mostly=0.9, severity="warning", notes="why")
    )
    made.add_expectation(gx.expectations.ExpectColumnValuesToBeBetween(column="amount", min_value=0, strict_min=True))
    made.add_expectation(
        gx.expectations.ExpectTableRowCountToBeBetween(min_value=1, max_value=10, meta={"ticket": "Q-1"})
    )
    made.save()
    path = tmp_path / "nightly.json"
    path.write_text(json.dumps(made.to_json_dict()))
    loaded = suites.load(path)
    assert [(rule.type, rule.severity.value, rule.notes) for rule in loaded.expectations] == [
        ("expect_column_values_to_not_be_null", "warning", "why"),
        ("expect_column_values_to_be_between", "critical", ""),
        ("expect_table_row_count_to_be_between", "critical", ""),
    ]
