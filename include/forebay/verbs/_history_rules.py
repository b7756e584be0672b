"""A file held against its pipeline's past, as the index has it."""

from __future__ import annotations

from forebay.config.quality import HistoryRule
from forebay.index import queries
from forebay.model import FileRun, RuleResult, Stage
from forebay.quality import drift, history_rules
from forebay.verbs.context import Context


def compare_with_history(ctx: Context, file: FileRun, stage: Stage) -> tuple[RuleResult, ...]:
    """What the rules of `quality.history` say. Only days before the file's own count, so that running a night again, or
    an earlier one, asks the same past."""
    return tuple(_result(ctx, file, stage, rule) for rule in ctx.pipeline.quality.history.rules)


def _result(ctx: Context, file: FileRun, stage: Stage, rule: HistoryRule) -> RuleResult:
    history, day = ctx.pipeline.quality.history, file.window.day.isoformat()
    url, name = ctx.project.index, ctx.pipeline.pipeline
    if rule.metric == "drift" and rule.column:
        kept = queries.sketches(url, name, day, rule.column)
        nights = history_rules.samples(kept, file.file.name, history.nights, drift.Sketch.of)
        return history_rules.judge_drift(
            rule.column, rule.tolerance, rule.severity, drift.sketch(stage, rule.column), nights, history.min_nights
        )
    if rule.metric == "row_count":
        samples = queries.counted(url, name, day)
    else:
        samples = queries.measured(url, name, day, history_rules.PREFIX + rule.metric, rule.column or "")
    days = history_rules.samples(samples, file.file.name, history.nights)
    observed = history_rules.measure(stage, rule.metric, rule.column)
    return history_rules.judge(
        rule.metric, rule.column, rule.tolerance, rule.severity, observed, days, history.min_nights
    )
