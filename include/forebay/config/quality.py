"""The section `quality` of a pipeline file, and `notify`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from forebay.config.units import Duration, Limit, Share
from forebay.contracts import Settings
from forebay.model import Severity

SUITE_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"


class Budget(Settings):
    """How much of a file may be wrong."""

    quarantined_over: Share | None = None
    """Share of the file's rows that may be quarantined."""
    quarantined_count: int | None = Field(default=None, ge=0)
    """How many of the file's rows may be quarantined."""
    rules: dict[str, Limit] = {}
    """Limits of single row rules, by the expectation's type or by a column (then of each rule on it): a share of the
    file's rows (`1%`), or a count (`100`) of failing rows, whatever their severity."""


class BlockWhen(Budget):
    """When the file as a whole is held back."""

    quarantined_over: Share | None = None
    """Share of the file's rows that may be quarantined. Without it: half of them, once ten are. A file whose rows are
    all quarantined is held back whatever is set here or left out, unless `100%` says that it may pass."""
    any_table_rule: Severity | None = Severity.CRITICAL
    """Severity from which a failed table rule blocks."""


class HistoryRule(Settings):
    """One number of a file that is held against what it was in earlier nights."""

    metric: Literal["row_count", "null_share", "distinct_count", "mean", "drift"]
    """What is measured: over all rows of the file, or over a column's values among the rows that could be read.
    `drift`: how far the distribution of the column's values (numbers, texts or bools) lies from that of the earlier
    nights, as a Jensen-Shannon distance between 0 and 1."""
    column: str | None = None
    """The column; `row_count` has none."""
    tolerance: str = Field(default="3 sigma", pattern=r"^\s*[0-9]+(\.[0-9]+)?\s*(sigma|%)\s*$")
    """How far from the usual: so many standard deviations around the mean (`3 sigma`; never less than 1 % of it), or a
    share of the median (`50%`). Of `drift`: beyond the distances that the earlier nights have from one another; never
    within 0.05 or what chance allows."""
    severity: Severity = Severity.WARNING
    """How bad a value outside is; from `block_when.any_table_rule` on it holds the file back."""

    @model_validator(mode="after")
    def _has_its_column(self) -> HistoryRule:
        if (self.column is None) != (self.metric == "row_count"):
            raise ValueError(
                f"metric `{self.metric}`: " + ("it has no `column`" if self.column else "name the `column`")
            )
        return self


class History(Settings):
    """Rules that learn their bounds from the pipeline's own past: from the nights before, of published files of the
    same name (digits apart)."""

    nights: int = Field(default=14, ge=1)
    """How many earlier nights count, the latest first."""
    min_nights: int = Field(default=5, ge=2)
    """Before so many nights are known a rule gives no verdict, and says so."""
    rules: tuple[HistoryRule, ...] = ()
    """What is compared."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> History:
        if self.min_nights > self.nights:
            raise ValueError(
                f"`min_nights` {self.min_nights} is more than `nights` {self.nights}: no rule would ever speak"
            )
        return self


class Steward(Settings):
    """Who is asked when a file is held back."""

    on: Literal["block", "never"] = "block"
    """`block`: ask when a file is held back. `never`: it is rejected at once."""
    timeout: Duration = Field(default="4h", validate_default=True)
    """How long the question stands."""
    default: Literal["reject", "publish"] = "reject"
    """What happens when nobody answers in time."""
    users: tuple[str, ...] = ()
    """Airflow users who may answer; empty means anyone with the permission."""


class NotifySection(Settings):
    """One way to tell people of a file or a run that needs a look. The notifier's own settings stand beside
    `type`."""

    type: str
    """A plug-in of `notifiers/`."""
    on: tuple[Literal["waiting", "rejected", "over_budget", "failed", "run_failed"], ...] = ("waiting", "rejected")
    """What is told. `waiting`: held back until a person decides. `rejected`: held back for good (`steward.on: never`).
    `over_budget`: published, beyond `warn_when`. `failed`: it cannot be read. `run_failed`: the run, as a whole or
    for one of its files."""
    options: dict[str, Any] = {}
    """The notifier's own settings."""


class Quality(Settings):
    """The check of the whole file before its first record is visible."""

    suite: str | None = Field(default=None, pattern=SUITE_NAME)
    """`include/expectations/NAME.json`, Great Expectations' own suite JSON."""
    quarantine: Severity | Literal["never"] = Severity.CRITICAL
    """Rows failing a rule of this severity (or worse) are quarantined."""
    block_when: BlockWhen = BlockWhen()
    """When the file as a whole is held back."""
    warn_when: Budget = Budget()
    """What is said beside the decision, in index, reports and log, and holds nothing back."""
    history: History = History()
    """Rules that learn from earlier nights."""
    notify: tuple[NotifySection, ...] = ()
    """Who is told of a file or a run that needs a look, with or without Airflow. A notifier that fails is logged, and
    the run goes on."""
    redact: tuple[str, ...] = ()
    """Columns whose values are shown nowhere: not in results, Data Docs, reports, index, lineage, logs, nor in the
    reasons of quarantined rows. Only records themselves have them: those of the topics, the work folder, and `forebay
    quarantine export --repair`."""
    steward: Steward = Steward()
    """Who decides then."""
