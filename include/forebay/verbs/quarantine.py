"""Rows set aside: what the stored lists hold, row by row, for people and for export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from forebay.config.home import Project
from forebay.errors import ConfigError
from forebay.index import queries
from forebay.model import Decision, FileRun
from forebay.verbs._repair import numbers_of
from forebay.verbs.context import Context
from forebay.verbs.inspect import work_of
from forebay.verbs.replay import SCHEME

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("__row", "stage", "columns", "rule", "reason", "raw")


def files_with(project: Project, pipeline: str | None, name: str | None = None, limit: int = 50) -> list[FileRun]:
    """Files that have quarantined rows, newest first, each content once."""
    found: dict[tuple[str, str | None, int], FileRun] = {}
    for file in queries.files(project.index, pipeline, name=name, limit=10_000):
        if file.quarantined and file.fingerprint:
            found.setdefault((file.pipeline, file.fingerprint, file.generation), file)
    return list(found.values())[:limit]


def replayed(project: Project, file: FileRun) -> int:
    """How many of a file's quarantined rows were repaired and published since, as the index has it."""
    found = queries.files(project.index, file.pipeline, name=SCHEME + file.file.uri, limit=10_000)
    told = [one.replay for one in found if one.replay and one.file.uri == SCHEME + file.file.uri]
    same = [one for one in told if (one.fingerprint, one.generation) == (file.fingerprint, file.generation)]
    return len({row for one in same for row in numbers_of(one.rows)})


def listed(ctx: Context, file: FileRun) -> Path:
    """The stored list of a file's quarantined rows (Parquet).

    Raises `ConfigError` when the work folder is gone; the rows are then still on the quarantine topic.
    """
    work = work_of(ctx, file.fingerprint or "")
    decision = file.decision if file.decision is Decision.PUBLISH_ALL else Decision.PUBLISH
    path = work.quarantine(decision)
    if not path.exists():
        raise ConfigError(
            f"showing quarantined rows of `{file.file.uri}`: their list is not on this machine, or the pipeline has changed since"
            f" (they are on topic `{ctx.pipeline.quarantine_topic}`, offsets in: forebay trace {file.file.name})"
        )
    return path


def rows(path: Path, limit: int | None = None, first: int = 1) -> pa.Table:
    """The rows of a list from row number `first` on: row, stage, columns (text), rule, reason, raw (text; what is not UTF-8 as `\\xNN`)."""
    import duckdb

    with duckdb.connect() as con:
        con.execute("set threads = 1")
        query = con.sql(
            """select __row as row, stage, array_to_string(columns, ', ') as columns, rule, reason,
            coalesce(try(decode(raw)), raw::varchar) as raw
            from read_parquet($path) where __row >= $first order by __row limit $limit""",
            params={"path": str(path), "first": first, "limit": 2**62 if limit is None else limit},
        )
        return query.to_arrow_table()


def count(path: Path) -> int:
    """How many rows a list holds."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def by_reason(path: Path) -> list[dict[str, Any]]:
    """How many rows each rule or reason set aside, the most first, with the first row of each."""
    import duckdb

    with duckdb.connect() as con:
        con.execute("set threads = 1")
        return (
            con.sql(
                """select stage, coalesce(rule, reason) as why, count(*) as rows, min(__row) as first_row
                from read_parquet($path) group by all order by rows desc, why limit 50""",
                params={"path": str(path)},
            )
            .to_arrow_table()
            .to_pylist()
        )
