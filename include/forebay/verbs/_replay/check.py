"""Which of the edited rows pass now.

They are read by the pipeline's own rules and judged by its suite beside the rows of their file that were published, so
that rules about rows among others mean what they meant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.encoding.quarantine_rows import compose_quarantine
from forebay.encoding.rows import ROW
from forebay.errors import ConfigError
from forebay.kafka.ledger.reader import FileEntry
from forebay.model import Column, Decision, Json, Stage, Verdict
from forebay.quality import suite as suites
from forebay.quality.suite import Suite
from forebay.support.sql import OFFLINE, literal, parquet
from forebay.verbs import quarantine, repair
from forebay.verbs._pins import columns_declared
from forebay.verbs._replay.origin import then
from forebay.verbs.context import Context
from forebay.verbs.inspect import work_left
from forebay.verbs.timestamp_limits import latest

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Still(Json):
    """A row that stays in quarantine, and why."""

    row: int
    columns: tuple[str, ...]
    reason: str


def judge(
    ctx: Context, entry: FileEntry, rows: pa.Table, path: Path, folder: Path
) -> tuple[Stage, tuple[Still, ...], str | None]:
    """The rows that pass as a stage whose `__row` is their place in it (`origin_row` is beside it), and those that do
    not.

    The origin's list is known by how many rows it quarantined, even when the suite has changed since.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    decided = then(entry)
    origin_work = work_left(ctx, entry.fingerprint)
    origin_work = origin_work.with_list(decided, entry.quarantined) or origin_work
    origin = origin_work.stage()
    recorded = tuple(Column(name, kind) for name, kind in entry.completion.columns.items())
    columns = columns_declared(ctx) or recorded or (origin.columns if origin else None)
    if columns is None:
        raise ConfigError(
            f"replaying `{path}`: the pipeline declares no columns, and what was inferred of `{entry.file.uri}` is "
            "not on this machine (declare `schema.columns`)"
        )
    good, bad = repair.typed(ctx, rows, columns, path, folder)
    stage = _stage(entry, columns, good, bad, folder / "edited")
    listed = origin_work.quarantine(decided)
    before = (origin, listed) if listed.exists() else (None, None)
    verdict, note = _verdict(ctx, stage, before[0], before[1], folder)
    aside = folder / "aside.parquet"
    compose_quarantine(
        stage,
        verdict,
        ctx.pipeline,
        Decision.PUBLISH,
        aside,
        max_message_bytes=ctx.record_limit,
        latest=latest(ctx),
        limits=ctx.limits,
    )
    failing = pq.read_table(aside)
    passed = good.filter(pc.invert(pc.is_in(good[ROW], failing[ROW].combine_chunks())))
    places = pa.array(range(1, len(passed) + 1), pa.int64())
    pq.write_table(passed.select([ROW]), folder / "origin_rows.parquet")
    dense = passed.set_column(passed.schema.get_field_index(ROW), passed.schema.field(ROW), places)
    still = tuple(
        Still(line[ROW], tuple(line["columns"]), "; ".join(quarantine.said(line)))
        for line in failing.select([ROW, "columns", "causes"]).to_pylist()
    )
    return _stage(entry, columns, dense, bad.slice(0, 0), folder / "passed"), still, note


def _stage(entry: FileEntry, columns: tuple[Column, ...], rows: pa.Table, rejects: pa.Table, folder: Path) -> Stage:
    import pyarrow.parquet as pq

    folder.mkdir()
    places = folder / "rows.parquet", folder / "rejects.parquet"
    for table, place in zip((rows, rejects), places, strict=True):
        pq.write_table(table, place)
    return Stage(entry.fingerprint, *places, columns, len(rows) + len(rejects), len(rejects), 0)


def _verdict(
    ctx: Context, stage: Stage, origin: Stage | None, aside: Path | None, folder: Path
) -> tuple[Verdict | None, str | None]:
    """What the suite's row rules say of the rows of `stage`; None without a suite. Table rules judged the file when it
    came, and are not asked.

    `origin` is the stage that the rows were quarantined from, `aside` the list of those rows: the others were
    published, and are looked at beside the repaired ones. Without it the repaired rows are judged among themselves, and
    the second value says so.
    """
    suite = _row_rules(ctx)
    if suite is None or not suite.expectations or not stage.rows_read:
        return None, None
    from forebay.quality.check import check

    whole = _beside(stage, origin, aside, folder) if origin and aside and origin.columns == stage.columns else None
    hidden = ctx.pipeline.quality.redact
    verdict = check(
        whole or stage, suite, folder / "verdict", run_name=f"{ctx.pipeline.pipeline}/replay", redact=hidden
    )
    note = (
        None
        if whole
        else "the published rows of the file are not on this machine: rules about rows among others saw the "
        "repaired rows only"
    )
    return _only(verdict, stage, folder), note


def _row_rules(ctx: Context) -> Suite | None:
    name = ctx.pipeline.quality.suite
    if not name:
        return None
    suite = suites.load(ctx.project.expectations / f"{name}.json")
    return replace(suite, expectations=tuple(rule for rule in suite.expectations if rule.entry.judges_rows))


def _beside(stage: Stage, origin: Stage, aside: Path, folder: Path) -> Stage:
    """The repaired rows in their places among the published ones."""
    import duckdb

    path = folder / "beside.parquet"
    with duckdb.connect(config=OFFLINE) as con:
        con.execute("set threads = 2")
        con.execute(
            f"""copy (select * from {parquet(origin.rows)} where {ROW} not in (select {ROW} from {parquet(aside)})
            union all by name select * from {parquet(stage.rows)} order by {ROW}) to {literal(str(path))} (format parquet)"""  # noqa: E501
        )
        count = _count(con, path)
    return replace(stage, rows=path, rows_in=count, rows_rejected=0)


def _count(con: duckdb.DuckDBPyConnection, path: Path) -> int:
    return int(con.sql(f"select count(*) from {parquet(path)}").fetchall()[0][0])


def _only(verdict: Verdict, stage: Stage, folder: Path) -> Verdict:
    """The verdict with the failing rows of `stage` alone."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    failing = pq.read_table(verdict.failing)
    mine = pq.read_table(stage.rows, columns=[ROW])[ROW].combine_chunks()
    path = folder / "failing.parquet"
    pq.write_table(failing.filter(pc.is_in(failing[ROW], mine)), path)
    return replace(verdict, failing=path)
