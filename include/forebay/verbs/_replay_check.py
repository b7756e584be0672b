"""Repaired rows under the suite: beside the rows of their file that were published, so that rules about rows among
others mean what they meant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.encoding.rows import ROW
from forebay.model import Stage, Verdict
from forebay.quality import suite as suites
from forebay.quality.suite import Suite
from forebay.support.sql import OFFLINE, literal, parquet
from forebay.verbs.context import Context

if TYPE_CHECKING:
    import duckdb


def judged(
    ctx: Context, stage: Stage, origin: Stage | None, aside: Path | None, folder: Path
) -> tuple[Verdict | None, str | None]:
    """What the suite's row rules say of the rows of `stage`; None without a suite. Table rules judged the file when it
    came, and are not asked.

    `origin` is the stage that the rows were set aside from, `aside` the list of those rows: the others were published,
    and are looked at beside the repaired ones. Without it the repaired rows are judged among themselves, and the second
    value says so.
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
