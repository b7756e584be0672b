"""What the rules say of a stage, and what is decided of its file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from forebay.model.json import Json


class Severity(StrEnum):
    """Great Expectations' severities, the worst first."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Decision(StrEnum):
    """What the gate, or the steward, says of one file."""

    PUBLISH = "publish"
    PUBLISH_ALL = "publish all"  # quarantine nothing for quality reasons; unreadable rows stay quarantined
    ASK = "ask the steward"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class RuleResult(Json):
    """One expectation's answer. `unexpected` counts failing rows (None for table rules); `kind` is `row` or `table`."""

    rule: str  # the expectation's type, snake case, e.g. expect_column_values_to_not_be_null
    columns: tuple[str, ...]
    severity: Severity
    kind: str
    success: bool
    unexpected: int | None = None
    checked: int | None = None
    observed: str | None = None
    expected: str = ""  # kwargs as JSON text
    sample: tuple[str, ...] = ()  # a few unexpected values as text
    sketch: str = ""  # a column's distribution, for the nights to come (quality/drift.py)

    @property
    def title(self) -> str:
        where = ", ".join(self.columns) or "table"
        return f"{self.rule}({where})"


@dataclass(frozen=True, slots=True)
class Verdict(Json):
    """The suite's answer on a whole stage.

    `failing` (Parquet): `__row` int64 and `rules` list<int32>, positions into `results`: one line per row that fails at
    least one row rule, in row order. None when the pipeline has no suite. `result` is GX's checkpoint result as JSON,
    `docs` the Data Docs page.
    """

    fingerprint: str
    suite: str | None
    suite_hash: str
    results: tuple[RuleResult, ...] = ()
    failing: Path | None = None
    result: Path | None = None
    docs: Path | None = None

    @property
    def success(self) -> bool:
        return all(r.success for r in self.results)

    def failed(self, severity: Severity, kind: str | None = None) -> tuple[RuleResult, ...]:
        """The failed rules of one severity (and kind)."""
        return tuple(r for r in self.results if not r.success and r.severity == severity and kind in {None, r.kind})
