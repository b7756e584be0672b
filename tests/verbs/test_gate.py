"""The gate decides by severity, budget and drift, and says why; a person's answer is part of the record."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from forebay.config.pipeline import Pipeline
from forebay.errors import ConfigError
from forebay.model import (
    Answer,
    Counts,
    Decision,
    Drift,
    FileRun,
    Retyped,
    RuleResult,
    Severity,
    Stage,
    Status,
    Verdict,
)
from forebay.verbs.gate import answer, gate
from tests.support.nouns import file_run

HERE = Path()


def pipeline(drift: dict[str, str] | None = None, **quality: Any) -> Pipeline:
    return Pipeline.model_validate(
        {
            "pipeline": "flights",
            "owner": "ops",
            "source": {"type": "local", "path": "a/*.csv"},
            "format": {"type": "csv"},
            "schema": {"columns": {"id": "int64"}, "on_drift": drift or {}},
            "quality": {"suite": "flights", **quality},
            "record": {"key": "id"},
            "topic": {"name": "flights"},
        }
    )


def stage(rows: int = 1000, rejected: int = 0, drift: Drift = Drift()) -> Stage:  # noqa: B008
    return Stage("ab" * 32, HERE, HERE, (), rows, rejected, 0, drift=drift)


def row_rule(success: bool = False, severity: Severity = Severity.CRITICAL) -> RuleResult:
    return RuleResult("expect_column_values_to_not_be_null", ("id",), severity, "row", success, 3, 1000)


def table_rule(success: bool = False, severity: Severity = Severity.CRITICAL) -> RuleResult:
    expected = '{"min_value": 5}'
    return RuleResult(
        "expect_table_row_count_to_be_between", (), severity, "table", success, observed="2", expected=expected
    )


def verdict(*results: RuleResult) -> Verdict:
    return Verdict("ab" * 32, "flights", "h", results)


def inspected() -> FileRun:
    return file_run(status=Status.INSPECTED, rows_in=1000, quarantined=3, published=0, outputs=(), quarantine=())


def decided(made: Pipeline, *results: RuleResult, of: Stage | None = None, quarantined: int = 3) -> FileRun:
    return gate(made, inspected(), of or stage(), verdict(*results), quarantined)


def said(file: FileRun) -> str:
    """Why it was decided so."""
    return file.answer.reason if file.answer else ""


def test_a_file_whose_failing_rows_are_set_aside_is_published() -> None:
    file = decided(pipeline(), row_rule(), table_rule(success=True))
    words = (
        "1 of 2 rules of suite `flights` passed, 3 of 1000 rows are quarantined (critical "
        "expect_column_values_to_not_be_null(id): 3 of 1000 rows)"
    )
    assert (file.status, file.answer) == (Status.INSPECTED, Answer(Decision.PUBLISH, "gate", words))
    assert file.answer is not None and file.answer.of_the_gate
    assert file.reason == "never seen before"


def test_a_file_without_a_suite_is_published() -> None:
    file = gate(pipeline(), inspected(), stage(), None, 0)
    assert file.answer == Answer(Decision.PUBLISH, "gate", "no suite is set")


def test_a_failed_table_rule_asks_the_steward_and_names_rule_value_and_limit() -> None:
    file = decided(pipeline(), table_rule())
    assert (file.decision, file.status) == (Decision.ASK, Status.WAITING)
    assert (
        file.reason
        == 'critical rule expect_table_row_count_to_be_between(table) failed: observed `2`, expected `{"min_value": 5}`'
    )
    assert said(file) == file.reason


@pytest.mark.parametrize(
    ("limit", "severity", "held"),
    [
        ("critical", Severity.WARNING, False),
        ("warning", Severity.WARNING, True),
        ("warning", Severity.CRITICAL, True),
        ("info", Severity.INFO, True),
        ("warning", Severity.INFO, False),
        (None, Severity.CRITICAL, False),
    ],
)
def test_table_rules_block_from_the_severity_that_the_pipeline_names(
    limit: str | None, severity: Severity, held: bool
) -> None:
    file = decided(pipeline(block_when={"any_table_rule": limit}), table_rule(severity=severity))
    assert (file.decision is Decision.ASK) == held


def test_a_failed_row_rule_alone_does_not_block() -> None:
    assert decided(pipeline(block_when={"any_table_rule": "info"}), row_rule()).decision is Decision.PUBLISH


@pytest.mark.parametrize(("quarantined", "held"), [(10, False), (11, True), (0, False)])
def test_the_budget_of_quarantined_rows(quarantined: int, held: bool) -> None:
    file = decided(pipeline(block_when={"quarantined_over": "1%"}), quarantined=quarantined)
    assert (file.decision is Decision.ASK) == held
    if held:
        assert file.reason == "11 of 1000 rows would be quarantined: 1.1 %, the limit is 1 %"


def test_a_budget_of_nothing_blocks_on_one_row() -> None:
    assert decided(pipeline(block_when={"quarantined_over": 0}), quarantined=1).decision is Decision.ASK


@pytest.mark.parametrize(
    ("rows", "aside", "settings", "words"),
    [
        (1, 1, {}, "all of its 1 row would be quarantined"),
        (3, 2, {}, None),
        (1000, 500, {}, None),
        (1000, 501, {}, "501 of 1000 rows would be quarantined: 50.1 %, the limit is 50 %"),
        (18, 9, {}, None),
        (17, 9, {}, None),
        (19, 10, {}, "10 of 19 rows would be quarantined: 52.6 %, the limit is 50 %"),
        (1000, 999, {"quarantined_over": "100%"}, None),
        (1000, 1000, {"quarantined_over": "100%"}, None),
        (1000, 1000, {"quarantined_count": 5000}, "1000 of 1000 rows would be quarantined: 100 %, the limit is 50 %"),
        (4, 4, {"quarantined_count": 5}, "all of its 4 rows would be quarantined"),
        (4, 4, {"quarantined_over": "99%"}, "4 of 4 rows would be quarantined: 100 %, the limit is 99 %"),
        (0, 0, {}, None),
    ],
)
def test_a_file_is_held_back_when_most_of_it_is_set_aside_and_always_when_all_is(
    rows: int, aside: int, settings: dict[str, Any], words: str | None
) -> None:
    held = decided(pipeline(block_when=settings), of=stage(rows=rows), quarantined=aside)
    assert (held.decision is Decision.ASK) == (words is not None)
    assert words is None or held.reason.startswith(words)


def test_an_empty_file_is_within_every_budget() -> None:
    assert (
        decided(pipeline(block_when={"quarantined_over": 0}), of=stage(rows=0), quarantined=0).decision
        is Decision.PUBLISH
    )


RETYPED = Drift(retyped=(Retyped("id", "int64", "string"),))


@pytest.mark.parametrize("policy", ["warn", "block"])
@pytest.mark.parametrize(
    ("kind", "drift", "words"),
    [
        ("added", Drift(added=("extra",)), "new columns, left out: `extra`"),
        ("missing", Drift(missing=("a", "b")), "columns missing, null in every row: `a`, `b`"),
        ("retyped", RETYPED, "columns of another type: `id` is string, not int64"),
    ],
)
def test_a_drifted_schema_holds_the_file_back_or_not_as_the_pipeline_says(
    kind: str, drift: Drift, words: str, policy: str
) -> None:
    file = decided(pipeline({kind: policy}), of=stage(drift=drift))
    assert (file.decision is Decision.ASK) == (policy == "block")
    assert policy == "warn" or file.reason == f"the schema drifted: {words}"


def test_without_a_word_on_drift_new_columns_pass_and_other_types_do_not() -> None:
    assert decided(pipeline(), of=stage(drift=Drift(added=("extra",)))).decision is Decision.PUBLISH
    assert decided(pipeline(), of=stage(drift=RETYPED)).decision is Decision.ASK


def test_all_reasons_are_told() -> None:
    file = decided(pipeline(block_when={"quarantined_over": 0}), table_rule(), table_rule(), quarantined=3)
    assert file.reason.count("failed: observed") == 2
    assert "3 of 1000 rows would be quarantined" in file.reason


def test_without_a_steward_a_blocked_file_is_rejected_whole() -> None:
    file = decided(pipeline(steward={"on": "never"}), table_rule())
    assert (file.decision, file.status) == (Decision.REJECT, Status.REJECTED)
    assert file.counts == Counts(rows_in=1000, rejected=1000)


@pytest.mark.parametrize("decision", [Decision.PUBLISH, Decision.PUBLISH_ALL])
def test_a_person_lets_a_file_pass(decision: Decision) -> None:
    ada = Answer(decision, "ada", "the partner confirmed it", datetime(2026, 1, 5, tzinfo=UTC))
    file = answer(decided(pipeline(), table_rule()), ada)
    assert (file.answer, file.status) == (ada, Status.INSPECTED)


def test_a_person_rejects_a_file() -> None:
    ada = Answer(Decision.REJECT, "ada", "cut off")
    file = answer(decided(pipeline(), table_rule()), ada)
    assert (file.answer, file.status, file.counts.rejected) == (ada, Status.REJECTED, 1000)


@pytest.mark.parametrize(
    ("decision", "who", "reason", "words"),
    [
        (Decision.PUBLISH, "ada", " ", "give a name and a reason"),
        (Decision.PUBLISH, "", "why", "give a name and a reason"),
        (Decision.ASK, "ada", "why", "is no answer"),
    ],
)
def test_an_answer_without_a_name_or_reason_is_none(decision: Decision, who: str, reason: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        answer(decided(pipeline(), table_rule()), Answer(decision, who, reason))
    whole = Answer(Decision.PUBLISH, who or "bo", reason.strip() or "why")
    assert answer(decided(pipeline(), table_rule()), whole).decision is Decision.PUBLISH


def test_only_a_waiting_file_can_be_answered() -> None:
    with pytest.raises(ConfigError, match="it waits for nobody"):
        answer(decided(pipeline()), Answer(Decision.PUBLISH, "ada", "why"))


def test_a_count_of_quarantined_rows_is_a_budget_too() -> None:
    assert decided(pipeline(block_when={"quarantined_count": 3}), row_rule()).decision is Decision.PUBLISH
    held = decided(pipeline(block_when={"quarantined_count": 2}), row_rule())
    assert held.answer == Answer(Decision.ASK, "gate", "3 of 1000 rows would be quarantined, the limit is 2")


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"expect_column_values_to_not_be_null": 2}, "2 rows"),
        ({"id": "0.2%"}, "0.2 %"),
        ({"id": "1%", "expect_column_values_to_not_be_null": 0}, "0 rows"),
    ],
)
@pytest.mark.parametrize("severity", list(Severity))
def test_a_rule_has_a_limit_of_its_own_whatever_its_severity(
    rules: dict[str, Any], told: str, severity: Severity
) -> None:
    held = decided(pipeline(block_when={"rules": rules}), row_rule(severity=severity))
    assert held.decision is Decision.ASK
    assert (
        said(held)
        == f"{severity} rule expect_column_values_to_not_be_null(id) fails on 3 of 1000 rows, its limit is {told}"
    )


def test_limits_that_are_kept_hold_nothing_back() -> None:
    rules = {"expect_column_values_to_not_be_null": 3, "id": "0.3%", "other": 0}
    assert decided(pipeline(block_when={"rules": rules}), row_rule()).decision is Decision.PUBLISH


def test_what_exceeds_the_budget_of_warnings_is_published_and_said() -> None:
    file = decided(pipeline(warn_when={"quarantined_over": "0.1%", "rules": {"id": 1}}), row_rule())
    assert file.decision is Decision.PUBLISH
    assert "WARNING: 3 of 1000 rows would be quarantined: 0.3 %, the limit is 0.1 %; critical rule" in said(file)
    assert file.warnings == 2
    fine = decided(pipeline(warn_when={"quarantined_over": "1%"}), row_rule())
    assert (fine.warnings, "WARNING" in said(fine)) == (0, False)
