"""check: a suite over a whole stage, answered by Great Expectations on embedded DuckDB, with the failing rows of every
row rule."""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forebay.errors import ConfigError, CorruptFileError, FatalError, Fault, SettingsError
from forebay.model import RuleResult, Stage, Verdict
from forebay.quality import redact as redaction
from forebay.quality import suite as suites
from forebay.quality import udf
from forebay.quality.imports import great_expectations, quietly
from forebay.quality.results import TEXT, results, shortened, write_json
from forebay.quality.rules import Rule
from forebay.quality.suite import Suite
from forebay.support import files
from forebay.support.folders import private
from forebay.support.sql import OFFLINE, fenced, no_room, parquet, quoted

if TYPE_CHECKING:
    import duckdb

    from forebay.quality.engine import ForebayDuckEngine

MEMORY = 448 << 20
"""What DuckDB may hold, in bytes: the whole check then stays below 600 MB above its imports, however many rows there
are."""
NOTHING = "division by zero"
"""What Great Expectations raises where a rule on the whole has no values to look at."""
SAMPLES = 20
RESULT_FORMAT = {
    "result_format": "SUMMARY",
    "partial_unexpected_count": SAMPLES,
    "unexpected_index_column_names": ["__row"],
}

_MORE_ROOM = "raise FOREBAY_MEMORY, 512MiB where it is not set, or give the home's disk more room"

_lock = threading.RLock()  # Great Expectations keeps one context per process: concurrent runs read each other's batches


def check(
    stage: Stage,
    suite: Suite,
    into: Path,
    *,
    run_name: str,
    docs: Path | None = None,
    memory_limit: int = MEMORY,
    threads: int = 2,
    historical: tuple[RuleResult, ...] = (),
    redact: Collection[str] = (),
) -> Verdict:
    """Judge every row and the whole of a stage; write `failing.parquet` and `result.json` into `into`, and a Data Docs
    page into `docs`.

    `historical` are results of other rules (history_rules.py), which stand behind the suite's in verdict and page.
    Values of the columns `redact` are in none of these.

    `memory_limit` (bytes) and `threads` bound DuckDB; what does not fit is spilled into `into`. The same stage and
    suite give the same verdict. Raises `SettingsError` when declared columns are missing or of the wrong type for a
    rule, `ConfigError` for one that Great Expectations refuses; `CorruptFileError` when inferred columns do not fit, or
    a rule cannot be answered on this file, naming it; `FatalError` when memory or disk end, or when the failing rows
    found are not as many as Great Expectations counts.
    """
    _refuse_unfit(stage, suite)
    gx = great_expectations()
    private(into)
    with _lock, quietly(), _database(stage, into, memory_limit, threads) as database:
        run = _Run(gx, suite, database, frozenset(redact))
        try:
            result = run.validate(run_name)
            if run.engine.trouble:
                raise _trouble(suite, run.engine.trouble, redact) from (None if redact else run.engine.trouble)
            _refuse_raised(suite, result, redact, stage)
            failing = run.write_failing(into, result)
        finally:
            run.close()
    for rule, answer in zip(suite.expectations, result.results, strict=True):
        answer.result = shortened(redaction.result(rule, answer.result, redact))
    written = write_json(result.to_json_dict(), into / "result.json")
    verdict = Verdict(
        stage.fingerprint, suite.name, suite.hash, (*results(suite, result), *historical), failing, written
    )
    if docs is None:
        return verdict
    with quietly():
        return _documented(verdict, result, stage, docs, run_name)


def _documented(verdict: Verdict, result: Any, stage: Stage, docs: Path, run_name: str) -> Verdict:
    from dataclasses import replace

    from forebay.quality.docs import write_page

    return replace(verdict, docs=write_page(result, verdict, stage, docs, run_name))


class _Run:
    """One run of Great Expectations: an ephemeral context, one data source, one validation. A checkpoint around it
    would only ask four times more whether everything is saved, which is a fifth of a small file's time."""

    def __init__(self, gx: Any, suite: Suite, database: str, redact: frozenset[str]) -> None:
        self.gx = gx
        self.suite = suite
        self.context = _context(gx)
        self.source = self.context.data_sources.add_forebay_duckdb(
            "stage", connection_string=f"forebayduck:///{database}", create_temp_table=False
        )
        self.engine: ForebayDuckEngine = self.source.get_execution_engine()
        self.engine.masks.redact = redact

    def validate(self, run_name: str) -> Any:
        """The suite's result, its rules in the suite's order."""
        gx, context = self.gx, self.context
        asset = self.source.add_table_asset("rows", table_name="rows")
        suite = context.suites.add(
            gx.ExpectationSuite(
                name=self.suite.name, expectations=[_built(self.suite, r) for r in self.suite.expectations]
            )
        )
        batches = asset.add_batch_definition_whole_table("stage")
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(name="stage", data=batches, suite=suite)
        )
        result = definition.run(result_format=RESULT_FORMAT, run_id=gx.RunIdentifier(run_name=run_name))
        order = {expectation.id: place for place, expectation in enumerate(suite.expectations)}
        result.results.sort(key=lambda answer: order[answer.expectation_config.id])
        return result

    def write_failing(self, into: Path, result: Any) -> Path:
        """Write the failing rows, after comparing their number for each rule with Great Expectations' own."""
        places = self._places(result)
        counts = self.engine.masks.counts()
        compare(
            self.suite, result, {place: counts[condition] for condition, listed in places.items() for place in listed}
        )
        path = into / "failing.parquet"
        draft = _failing_draft(into)
        self.engine.masks.write(places, draft)
        return files.put(draft, path)

    def _places(self, result: Any) -> dict[Any, list[int]]:
        """Condition → positions of the rules that it belongs to."""
        places: dict[Any, list[int]] = {}
        for place, rule in enumerate(self.suite.expectations):
            if rule.entry.judges_rows:
                places.setdefault(self._condition(result.results[place]), []).append(place)
        return places

    def _condition(self, result: Any) -> Any:
        """The id under which the engine keeps the condition of a rule."""
        expectation = result.expectation_config.to_domain_obj()
        name = f"{expectation.map_metric}.unexpected_values"
        planned = expectation.get_validation_dependencies(
            self.engine, {"result_format": RESULT_FORMAT}
        ).get_metric_configuration(name)
        return self.engine.masks.condition_of(planned)

    def close(self) -> None:
        """Let go of DuckDB."""
        self.engine.close()
        self.source.get_engine().dispose()


def _context(gx: Any) -> Any:
    """An ephemeral context that keeps no results, draws no progress bars and makes no temporary site."""
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults

    from forebay.quality.engine import NoResults

    defaults = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    config = DataContextConfig(store_backend_defaults=defaults, analytics_enabled=False)
    config.progress_bars = {"globally": False}  # type: ignore[assignment]
    context = gx.get_context(mode="ephemeral", project_config=config)
    context.stores[context.validation_results_store_name] = NoResults(
        store_backend={"class_name": "InMemoryStoreBackend"}
    )
    return context


def faults_of(suite: Suite) -> tuple[Fault, ...]:
    """What Great Expectations itself will not build of a suite that `suite.load` accepts. It is imported for this: some
    seconds."""
    great_expectations()
    with quietly():
        refusals = ((rule, _refused(rule)) for rule in suite.expectations)
        return tuple(
            Fault(
                str(suite.path),
                rule.line,
                f"reading `{rule.type}`: great expectations refuses it: {words} (correct the arguments that it names)",
            )
            for rule, words in refusals
            if words
        )


def _refused(rule: Rule) -> str | None:
    try:
        _expectation(rule)
    except Exception as error:  # pydantic's, or whatever else an expectation's own code raises
        return " ".join(str(error).split())[:TEXT]
    return None


def _built(suite: Suite, rule: Rule) -> Any:
    words = _refused(rule)
    if words:
        raise ConfigError(
            f"checking `{suite.path}` line {rule.line}: great expectations refuses `{rule.type}`: "
            f"{words} (correct the arguments that it names)"
        )
    return _expectation(rule)


def _expectation(rule: Rule) -> Any:
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.expectations.metadata_types import FailureSeverity

    meta = {**rule.meta, **({"notes": rule.notes} if rule.notes else {})}
    return ExpectationConfiguration(
        type=rule.type, kwargs=dict(rule.kwargs), severity=FailureSeverity(rule.severity.value), meta=meta
    ).to_domain_obj()


def compare(suite: Suite, result: Any, counts: dict[int, int]) -> None:
    """Raise `FatalError` unless each row rule has as many failing rows (`counts`, by position) as Great Expectations
    counted."""
    for place, rule in enumerate(suite.expectations):
        if not rule.entry.judges_rows:
            continue
        expected, masked = int(result.results[place].result.get("unexpected_count") or 0), counts.get(place)
        if masked != expected:
            raise FatalError(
                f"checking `{rule.type}` on {_where(rule)}: {masked} failing rows were found, "
                f"great expectations counts {expected} "
                "(this is a fault of forebay: report it with the suite; nothing was published)",
                rule=rule.type,
                suite=str(suite.path),
            )


def _refuse_unfit(stage: Stage, suite: Suite) -> None:
    """Columns that were inferred are the file's own, those that are declared the pipeline's."""
    faults = suites.check(suite, stage.columns)
    if faults and stage.inferred:
        words = "; ".join(f"line {fault.line}: {fault.message}" if fault.line else fault.message for fault in faults)
        raise CorruptFileError(
            f"checking `{suite.path}`: the columns that were inferred do not fit it: "
            f"{words} (or declare them under `schema`)"
        )
    if faults:
        raise SettingsError(faults)


def raised_by(gx: Any, stage: Stage, suite: Suite, into: Path) -> list[str | None]:
    """Why each rule cannot be answered on a stage, None where it can; a stage without rows is no reason."""
    with _lock, quietly(), _database(stage, into, MEMORY, 1) as database:
        run = _Run(gx, suite, database, frozenset())
        try:
            answers = run.validate("trial").results
            if run.engine.trouble:
                raise ConfigError(_first_line(str(run.engine.trouble))) from run.engine.trouble
        finally:
            run.close()
    words = [_raised(answer.exception_info or {}) for answer in answers]
    return [None if text == NOTHING else text for text in words]


def _refuse_raised(suite: Suite, result: Any, redact: Collection[str], stage: Stage) -> None:
    for rule, answer in zip(suite.expectations, result.results, strict=True):
        words = _raised(answer.exception_info or {})
        if words is None:
            continue
        if words == NOTHING and not _has_values(stage, rule):
            answer.success, answer.result, answer.exception_info = False, {}, {"raised_exception": False}
            continue
        kind, way_out = (
            (FatalError, _MORE_ROOM)
            if no_room(words)
            else (CorruptFileError, "change the rule, the column's type or the file")
        )
        words = redaction.words(words, redact)
        raise kind(
            f"checking `{suite.path}` line {rule.line}: `{rule.type}` on {_where(rule)} cannot be answered: "
            f"{words} ({way_out})",
            rule=rule.type,
        )


def _has_values(stage: Stage, rule: Rule) -> bool:
    """Whether a rule's column has any value: Great Expectations divides by their number for some rules on the whole."""
    import duckdb

    names = [quoted(name) for name in rule.columns]
    asked = " and ".join(f"{name} is not null" for name in names) or "true"
    with duckdb.connect(config=OFFLINE) as con:
        return bool(con.execute(f"select exists(select 1 from {parquet(stage.rows)} where {asked})").fetchall()[0][0])


def _trouble(suite: Suite, error: Exception, redact: Collection[str]) -> FatalError:
    words = redaction.words(_first_line(str(error)), redact)
    way_out = _MORE_ROOM if no_room(words) else "this is a fault of forebay: report it with the suite"
    return FatalError(
        f"checking `{suite.path}`: the failing rows cannot be found: {words} ({way_out})", suite=str(suite.path)
    )


def _raised(info: dict[str, Any]) -> str | None:
    entries = [info] if "raised_exception" in info else [value for value in info.values() if isinstance(value, dict)]
    messages = [str(entry.get("exception_message")) for entry in entries if entry.get("raised_exception")]
    return _first_line(messages[0]) if messages else None


def _first_line(message: str) -> str:
    return next((line.strip() for line in message.splitlines() if line.strip()), "no message")[:400]


def _where(rule: Rule) -> str:
    return ", ".join(f"`{name}`" for name in rule.columns) or "the table"


@contextmanager
def _database(stage: Stage, into: Path, memory_limit: int, threads: int) -> Iterator[str]:
    """The name of an in-memory database that has the stage as the view `rows`. A suite's own SQL reaches nothing
    else."""
    import duckdb

    from forebay.quality.engine import DATABASES

    name = f"stage-{uuid.uuid4().hex}"
    spill = into / f".spill-{name}"
    limit = f"{max(memory_limit >> 20, 64)}MiB"
    con = duckdb.connect(config=OFFLINE | {"memory_limit": limit, "threads": threads, "temp_directory": str(spill)})
    DATABASES[name] = con
    try:
        con.execute(f"SET enable_progress_bar = false; create view rows as {_rows(con, stage)}")
        con.execute(fenced([stage.rows, _failing_draft(into)]))
        with udf.registered(con):
            yield name
    finally:
        del DATABASES[name]
        con.close()
        shutil.rmtree(spill, ignore_errors=True)


def _failing_draft(into: Path) -> Path:
    """Where the failing rows are written before they are complete: the only file that the check's database may
    write."""
    return into / f".failing-{os.getpid()}.parquet"


def _rows(con: duckdb.DuckDBPyConnection, stage: Stage) -> str:
    """The stage, with NaN as null: that is what it is to Great Expectations' pandas engine, while SQL ranks it above
    every number."""
    source = parquet(stage.rows)
    floats = [quoted(c.name) for c in stage.columns if c.type in {"float32", "float64"}]
    if not floats:
        return f"select * from {source}"
    with_nan = (
        con.execute(f"select {', '.join(f'bool_or(isnan({name}))' for name in floats)} from {source}").fetchone() or ()
    )
    replaced = [
        f"case when not isnan({name}) then {name} end as {name}"
        for name, has in zip(floats, with_nan, strict=True)
        if has
    ]
    return f"select * {'replace (' + ', '.join(replaced) + ')' if replaced else ''} from {source}"
