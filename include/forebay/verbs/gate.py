"""gate: publish, ask a person, or reject: a pure function of what inspection found and what the pipeline allows."""

from __future__ import annotations

from collections.abc import Iterator

from forebay.config.pipeline import OnDrift, Pipeline
from forebay.config.quality import BlockWhen, Budget
from forebay.errors import ConfigError
from forebay.model import GATE, Answer, Counts, Decision, Drift, FileRun, RuleResult, Severity, Stage, Status, Verdict
from forebay.support.words import counted, shown, some

HALF = 0.5
"""The share of a file's rows that may be quarantined where the pipeline says none."""
FEW = 10
"""So many rows must be quarantined before that share counts: of three rows two may be bad."""

_WORST_FIRST = list(Severity)
_NAMED = 20  # columns that are named in words


def gate(pipeline: Pipeline, file: FileRun, stage: Stage, verdict: Verdict | None, quarantined: int) -> FileRun:
    """The file with a decision and its reason; `quarantined` is how many of its rows would be quarantined.

    A file is held back when a failed table rule, the share or count of quarantined rows (by default more than half, and
    always all of them), a rule's own limit or a drifted schema says so: then a person is asked (`WAITING`), or, with
    `steward.on: never`, it is rejected. All other files are published, without the quarantined rows.
    """
    held = [
        *_table_rules(pipeline.quality.block_when, verdict),
        *_set_aside(pipeline.quality.block_when, stage.rows_in, quarantined),
        *_rule_limits(pipeline.quality.block_when, stage.rows_in, verdict),
        *_drift(pipeline, stage.drift),
    ]
    if not held:
        warned = list(_warned(pipeline, stage, verdict, quarantined))
        words = _passed(stage, verdict, quarantined) + (f"; WARNING: {'; '.join(warned)}" if warned else "")
        return file.but(answer=Answer(Decision.PUBLISH, GATE, words), warnings=len(warned))
    words = "; ".join(held)
    if pipeline.quality.steward.on == "never":
        return _rejected(file, Answer(Decision.REJECT, GATE, words))
    return file.but(answer=Answer(Decision.ASK, GATE, words), reason=words, status=Status.WAITING)


def answer(file: FileRun, said: Answer) -> FileRun:
    """The file as a person decided: `PUBLISH` what passed, `PUBLISH_ALL`, or `REJECT`.

    Raises `ConfigError` when the file waits for nobody, when no reason is given, or when the answer is none.
    """
    name = file.file.uri
    if file.decision is not Decision.ASK:
        raise ConfigError(f"answering for `{name}`: it waits for nobody (its decision is `{file.decision}`)", uri=name)
    if said.decision is Decision.ASK:
        raise ConfigError(
            f"answering for `{name}`: `{said.decision}` is no answer (publish, publish all or reject)", uri=name
        )
    if not said.by.strip() or not said.reason.strip():
        raise ConfigError(
            f"answering for `{name}`: who decides, and why, is part of the record (give a name and a reason)", uri=name
        )
    if said.decision is Decision.REJECT:
        return _rejected(file, said)
    return file.but(answer=said, status=Status.INSPECTED)


def _rejected(file: FileRun, said: Answer) -> FileRun:
    """All of its rows are rejected, and none is quarantined on its own account."""
    rows = file.counts.rows_in
    return file.but(answer=said, reason=said.reason, status=Status.REJECTED, counts=Counts(rows_in=rows, rejected=rows))


def _table_rules(block_when: BlockWhen, verdict: Verdict | None) -> Iterator[str]:
    if verdict is None or block_when.any_table_rule is None:
        return
    blocking = _WORST_FIRST[: _WORST_FIRST.index(block_when.any_table_rule) + 1]
    for result in verdict.results:
        if result.kind == "table" and not result.success and result.severity in blocking:
            yield f"{result.severity} rule {result.title} failed: {_observation(result)}"


def _observation(result: RuleResult) -> str:
    observed = "nothing" if result.observed is None else f"`{result.observed}`"
    return f"observed {observed}, expected `{result.expected}`"


def _set_aside(block_when: BlockWhen, rows_in: int, quarantined: int) -> Iterator[str]:
    """What the budget says of the quarantined rows; without one, more than half of them; whatever it says, all of them,
    unless it allows just that."""
    over = list(_budget(block_when, rows_in, quarantined))
    if block_when.quarantined_over is None and quarantined >= FEW and quarantined > HALF * rows_in:
        over += _budget(Budget(quarantined_over=HALF), rows_in, quarantined)
    if not over and 0 < rows_in == quarantined and block_when.quarantined_over != 1:
        over.append(
            f"all of its {counted(rows_in, 'row')} would be quarantined (`block_when: {{quarantined_over: "
            f"100%}}` lets such a file pass)"
        )
    yield from over


def _budget(budget: Budget, rows_in: int, quarantined: int) -> Iterator[str]:
    limit, count = budget.quarantined_over, budget.quarantined_count
    if limit is not None and quarantined > limit * rows_in:
        yield (
            f"{quarantined} of {rows_in} rows would be quarantined: {_percent(quarantined / rows_in)}, "
            f"the limit is {_percent(limit)}"
        )
    if count is not None and quarantined > count:
        yield f"{quarantined} of {rows_in} rows would be quarantined, the limit is {count}"


def _rule_limits(budget: Budget, rows_in: int, verdict: Verdict | None) -> Iterator[str]:
    """Row rules that fail on more rows than their own limit, by type or column, allows; the first that is exceeded is
    told."""
    for result in verdict.results if verdict else ():
        limits = [budget.rules[name] for name in (result.rule, *result.columns) if name in budget.rules]
        over = next(
            (limit for limit in limits if result.kind == "row" and _over(result.unexpected or 0, rows_in, limit)), None
        )
        if over is not None:
            words = counted(over, "row") if isinstance(over, int) else _percent(over)
            yield (
                f"{result.severity} rule {result.title} fails on {result.unexpected} of {rows_in} rows, "
                f"its limit is {words}"
            )


def _over(count: int, rows_in: int, limit: float) -> bool:
    return count > (limit if isinstance(limit, int) else limit * rows_in)


def _warned(pipeline: Pipeline, stage: Stage, verdict: Verdict | None, quarantined: int) -> Iterator[str]:
    """What exceeds `warn_when`."""
    budget = pipeline.quality.warn_when
    yield from _budget(budget, stage.rows_in, quarantined)
    yield from _rule_limits(budget, stage.rows_in, verdict)


def _percent(share: float) -> str:
    """A share with the digits that tell it from its neighbours: 0.5 %, 12.3 %, 0.0001 %."""
    return f"{share * 100:.3g} %"


def on_drift(pipeline: Pipeline) -> OnDrift:
    """What the pipeline does when a file's columns are others."""
    return pipeline.schema_.on_drift if pipeline.schema_ else OnDrift()


def _drift(pipeline: Pipeline, drift: Drift) -> Iterator[str]:
    """The kinds of drift that the pipeline does not let pass."""
    policy, declared = on_drift(pipeline), bool(pipeline.schema_ and pipeline.schema_.columns)
    way_out = (
        ""
        if declared
        else " (pinned by what was published before: to go on with other columns, declare them under `schema.columns`)"
    )
    blocking = [words for kind, words in drift_words(drift).items() if getattr(policy, kind) == "block"]
    yield from (f"the schema drifted: {words}{way_out}" for words in blocking)


def drift_words(drift: Drift) -> dict[str, str]:
    """What drifted, in words, by the name of its setting."""
    words = {}
    if drift.added:
        words["added"] = f"new columns, left out: {_named(drift.added)}"
    if drift.missing:
        words["missing"] = f"columns missing, null in every row: {_named(drift.missing)}"
    if drift.retyped:
        changes = [f"`{shown(column.name)}` is {column.new}, not {column.old}" for column in drift.retyped]
        words["retyped"] = f"columns of another type: {some(changes, _NAMED)}"
    return words


def _named(names: tuple[str, ...]) -> str:
    return some([f"`{shown(name)}`" for name in names], _NAMED)


def _passed(stage: Stage, verdict: Verdict | None, quarantined: int) -> str:
    aside = f", {quarantined} of {stage.rows_in} rows are quarantined" if quarantined else ""
    if verdict is None:
        return f"no suite is set{aside}"
    failed = [result for result in verdict.results if not result.success]
    failures = some([f"{result.severity} {result.title}: {_failure(result)}" for result in failed], 5, "; ")
    whose = f"rules of suite `{verdict.suite}`" if verdict.suite else "rules that learn"
    rules = f"{len(verdict.results) - len(failed)} of {len(verdict.results)} {whose} passed"
    return f"{rules}{aside}" + (f" ({failures})" if failed else "")


def _failure(result: RuleResult) -> str:
    return f"{result.unexpected} of {result.checked} rows" if result.kind == "row" else _observation(result)
