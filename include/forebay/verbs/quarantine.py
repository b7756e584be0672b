"""Rows set aside: what the stored lists hold, row by row, for people and for export."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forebay.config.home import Project
from forebay.encoding.work import Work
from forebay.errors import ConfigError
from forebay.index import queries
from forebay.model import REPLAY, Decision, FileRun
from forebay.quality.redact import MARK
from forebay.support.sql import OFFLINE, parquet
from forebay.verbs._causes import titles
from forebay.verbs.context import Context
from forebay.verbs.inspect import work_of
from forebay.verbs.repair import numbers_of

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


def replays(project: Project, file: FileRun) -> list[FileRun]:
    """The replays of a file's quarantined rows, as the index has them, oldest first."""
    found = queries.files(project.index, file.pipeline, name=REPLAY + file.file.uri, limit=10_000)
    mine = [one for one in found if one.replay and one.file.uri == REPLAY + file.file.uri]
    same = [
        one
        for one in mine
        if one.replay and (one.replay.fingerprint, one.replay.generation) == (file.fingerprint, file.generation)
    ]
    return sorted(same, key=lambda one: one.run_id)


def rows_of(found: list[FileRun]) -> set[int]:
    """The row numbers that replays have published, as the origin counts them."""
    return {row for one in found if one.replay for row in numbers_of(one.replay.rows)}


def replayed(project: Project, file: FileRun) -> int:
    """How many of a file's quarantined rows were repaired and published since, as the index has it."""
    return len(rows_of(replays(project, file)))


def listed(ctx: Context, file: FileRun) -> Path:
    """The stored list of a file's quarantined rows (Parquet).

    Raises `ConfigError` when the work folder is gone; the rows are then still on the quarantine topic.
    """
    return kept(ctx, file).quarantine(_decision(file))


def kept(ctx: Context, file: FileRun) -> Work:
    """The work that has the list of a file's quarantined rows: under the present settings, or under those that they
    were set aside by.

    A list of earlier settings may show what is redacted now: then it is not taken. Raises as `listed`.
    """
    work, decision = work_of(ctx, file.fingerprint or "", file.pins), _decision(file)
    found = None if ctx.pipeline.quality.redact else work.with_list(decision, file.quarantined)
    if found is None and not work.quarantine(decision).exists():
        raise ConfigError(
            f"showing quarantined rows of `{file.file.uri}`: their list is not on this machine, "
            "or the pipeline has changed since"
            f" (they are on topic `{ctx.pipeline.quarantine_topic}`, offsets in: "
            f"forebay trace {shlex.quote(file.file.name)})"
        )
    return found or work


def _decision(file: FileRun) -> Decision:
    return file.decision if file.decision is Decision.PUBLISH_ALL else Decision.PUBLISH


_POINTER = "'/' || replace(replace(c, '~', '~0'), '/', '~1')"
_READ = (
    f"list_transform(columns, lambda c: c || ': ' || coalesce(left(json_extract(decode(raw), {_POINTER})::varchar, "
    "200), 'null'))"
)
_NAMED = r"'(?s)column `(.*?)`: `(.*?)` is not '"  # as formats/_casts.py words it
_UNREAD = f"""list_transform(list_zip(regexp_extract_all(reason, {_NAMED}, 1), regexp_extract_all(reason, {_NAMED}, 2)), lambda p: p[1] || ': ' || p[2])"""  # noqa: E501
_OBSERVED = f"""coalesce(array_to_string(case stage when 'schema' then {_UNREAD} when 'decode' then [] when 'parse' then [] else try({_READ}) end, ', '), '')"""  # noqa: E501


def _hidden(path: Path, redact: tuple[str, ...]) -> str:
    """The list, with `raw` as a person may see it: a row's JSON without the values of redacted columns, and nothing of
    a row that could not be read."""
    if not redact:
        return parquet(path)
    patch = json.dumps(dict.fromkeys(redact, MARK), ensure_ascii=False).replace("'", "''")
    told = "'[redacted: ' || octet_length(raw) || ' bytes]'"
    json_of = f"coalesce(try(json_merge_patch(decode(raw)::json, '{patch}'::json)::varchar), {told})"
    shown = f"case when stage in ('expectation', 'key', 'encode', 'size') then {json_of} else {told} end"
    return f"(select * replace (encode({shown}) as raw) from {parquet(path)})"


def rows(path: Path, limit: int | None = None, first: int = 1, redact: tuple[str, ...] = ()) -> pa.Table:
    """The rows of a list from row number `first` on, all but `row` text: stage, columns, rule, reason, observed, raw
    (what is not UTF-8 as `\\xNN`).

    Values of the columns `redact` are not shown, nor the raw text of rows that could not be read, if there are such
    columns. `observed` is what stood in the columns that the reason is about (`flight: 0, dest: "x"`): of a row that
    could be read as JSON, else as it was written.
    """
    import duckdb

    with duckdb.connect(config=OFFLINE) as con:
        con.execute("set threads = 1")
        query = con.sql(
            rf"""select __row as row, stage, array_to_string(columns, ', ') as columns, rule, reason, {_OBSERVED} as observed,
            coalesce(try(decode(raw)), raw::varchar) as raw
            from {_hidden(path, redact)} where __row >= $first order by __row limit $limit""",  # noqa: E501
            params={"first": first, "limit": 2**62 if limit is None else limit},
        )
        return query.to_arrow_table()


def count(path: Path) -> int:
    """How many rows a list holds."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def by_reason(path: Path) -> list[dict[str, Any]]:
    """What set rows aside, the most rows first: `stage`, `why`, `rows`, `first_row`.

    A row that fails several rules counts with each of them. Rows that could not be read are told by their columns, with
    the first row's reason.
    """
    import duckdb

    with duckdb.connect(config=OFFLINE) as con:
        con.execute("set threads = 1")
        found = con.execute(
            f"""select stage, rule, case when rule = '' then columns end, count(*), min(__row), arg_min(reason, __row)
            from {parquet(path)} group by 1, 2, 3"""
        ).fetchall()
    told: dict[tuple[str, str], dict[str, Any]] = {}
    for stage, rule, _, rows, first, reason in sorted(found, key=lambda one: one[4]):
        for why in titles(rule) if rule else [reason if rows == 1 else f"such as {reason}"]:
            line = told.setdefault((stage, why), {"stage": stage, "why": why, "rows": 0, "first_row": first})
            line["rows"] += rows
    return sorted(told.values(), key=lambda line: (-line["rows"], line["first_row"]))[:50]
