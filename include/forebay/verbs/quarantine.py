"""Quarantined rows: what the stored lists hold, row by row, for people and for export."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forebay.config.home import Project
from forebay.contracts.causes import sentences
from forebay.encoding.quarantine_rows import stored
from forebay.encoding.work import Work
from forebay.errors import ConfigError
from forebay.index import queries
from forebay.model import Cause, Decision, FileRun
from forebay.quality.redact import MARK
from forebay.support.sql import OFFLINE
from forebay.verbs.context import Context
from forebay.verbs.inspect import work_of
from forebay.verbs.repair import numbers_of

if TYPE_CHECKING:
    import pyarrow as pa


def files_with(project: Project, pipeline: str | None, name: str | None = None, limit: int = 50) -> list[FileRun]:
    """Files that have quarantined rows, newest first, each content once."""
    latest: dict[tuple[str, str | None, int], FileRun] = {}
    for file in queries.files(project.index, pipeline, name=name, limit=10_000):
        if file.counts.quarantined and file.fingerprint:
            latest.setdefault((file.pipeline, file.fingerprint, file.generation), file)
    return list(latest.values())[:limit]


def replays(project: Project, file: FileRun) -> list[FileRun]:
    """The replays of a file's quarantined rows, as the index has them, oldest first."""
    same = [
        replay
        for replay in queries.replays(project.index, file.pipeline, file.file.uri)
        if replay.replay
        and (replay.replay.fingerprint, replay.replay.generation) == (file.fingerprint, file.generation)
    ]
    return sorted(same, key=lambda replay: replay.run_id)


def rows_of(replays: list[FileRun]) -> set[int]:
    """The row numbers that replays have published, as the origin counts them."""
    return {row for file in replays if file.replay for row in numbers_of(file.replay.rows)}


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
    were quarantined by.

    A list of earlier settings may show what is redacted now: then it is not taken. Raises as `listed`.
    """
    work, decision = work_of(ctx, file.fingerprint or "", file.pins), _decision(file)
    earlier = work.with_list(decision, file.counts.quarantined)
    listed = None if ctx.pipeline.quality.redact else earlier
    if listed is None and not work.quarantine(decision).exists():
        why = "is of other settings or another version, and may show what `quality.redact` hides"
        raise ConfigError(
            f"showing quarantined rows of `{file.file.uri}`: their list "
            f"{why if earlier else 'is not on this machine, or the pipeline has changed since'}"
            f" (they are on topic `{ctx.pipeline.quarantine_topic}`, offsets in: "
            f"forebay trace {shlex.quote(file.file.name)})"
        )
    return listed or work


def _decision(file: FileRun) -> Decision:
    return file.decision if file.decision is Decision.PUBLISH_ALL else Decision.PUBLISH


_POINTER = "'/' || replace(replace(c, '~', '~0'), '/', '~1')"
_NUMBER = "-?[0-9][-+.0-9eE]*"
_PAIR = rf"""("(?:[^"\\]|\\.)*":)(?:("(?:[^"\\]|\\.)*")|({_NUMBER})|(true|false|null))"""
_MARKED = rf"""regexp_replace(decode(raw), '{_PAIR}', '\1\2\4' || chr(1) || '\3' || chr(2), 'g')"""
_AS_TEXT = rf"""replace(replace(replace({_MARKED}, chr(1) || chr(2), ''), chr(1), '"\u0001'), chr(2), '"')"""
"""A row's JSON, its numbers as marked texts: DuckDB makes doubles of them, `500.0` of `500.00`."""


def _bare(sql: str) -> str:
    """The marked texts as the numbers that they were."""
    return rf"""regexp_replace({sql}, '"\\u0001({_NUMBER})"', '\1', 'g')"""


_VALUE = _bare(f"json_extract({_AS_TEXT}, {_POINTER})::varchar")
_READ = f"list_transform(columns, lambda c: c || ': ' || coalesce(left({_VALUE}, 200), 'null'))"
_UNREAD = (
    """list_transform(list_filter(causes, lambda c: c.value is not null), lambda c: c.columns[1] || ': ' || c.value)"""
)
_OBSERVED = f"""coalesce(array_to_string(case step when 'schema' then {_UNREAD} when 'decode' then [] when 'parse' then [] else try({_READ}) end, ', '), '')"""  # noqa: E501


def _hidden(path: Path, redact: tuple[str, ...]) -> str:
    """The list, with `raw` as a person may see it: a row's JSON without the values of redacted columns, and nothing of
    a row that could not be read."""
    if not redact:
        return stored(path)
    patch = json.dumps(dict.fromkeys(redact, MARK), ensure_ascii=False).replace("'", "''")
    mark = "'[redacted: ' || octet_length(raw) || ' bytes]'"
    patched = _bare(f"json_merge_patch({_AS_TEXT}::json, '{patch}'::json)::varchar")
    json_of = f"coalesce(try({patched}), {mark})"
    shown = f"case when step in ('expectation', 'key', 'encode', 'size') then {json_of} else {mark} end"
    return f"(select * replace (encode({shown}) as raw) from {stored(path)})"


def rows(path: Path, limit: int | None = None, first: int = 1, redact: tuple[str, ...] = ()) -> pa.Table:
    """The rows of a list from row number `first` on, all but `row` and `causes` text: step, columns, rule, reason,
    observed, raw (what is not UTF-8 as `\\xNN`), causes (list<struct>, see `Cause`).

    Values of the columns `redact` are not shown, nor the raw text of rows that could not be read, if there are such
    columns. `observed` is what stood in the columns that the reason is about (`flight: 0, dest: "x"`): of a row that
    could be read as JSON, else as it was written.
    """
    import duckdb

    with duckdb.connect(config=OFFLINE) as con:
        con.execute("set threads = 1")
        query = con.sql(
            rf"""select __row as row, step, array_to_string(columns, ', ') as columns, rule, reason, {_OBSERVED} as observed,
            coalesce(try(decode(raw)), raw::varchar) as raw, causes
            from {_hidden(path, redact)} where __row >= $first order by __row limit $limit""",  # noqa: E501
            params={"first": first, "limit": 2**62 if limit is None else limit},
        )
        return query.to_arrow_table()


def count(path: Path) -> int:
    """How many rows a list holds."""
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)


def by_reason(path: Path) -> list[dict[str, Any]]:
    """What quarantined rows, the most rows first: `step`, `why`, `rows`, `first_row`.

    A row that fails several rules counts with each of them. Rows that could not be read, or be encoded, are told by
    their columns, with the first row's causes.
    """
    import duckdb

    with duckdb.connect(config=OFFLINE) as con:
        con.execute("set threads = 1")
        broken = con.execute(
            f"""select step, c.rule, count(*), min(__row) from (select __row, step, unnest(causes) as c from {stored(path)})
            where c.rule != '' group by 1, 2"""  # noqa: E501
        ).fetchall()
        others = con.execute(
            f"""select step, count(*), min(__row), arg_min(causes, __row) from {stored(path)}
            where len(list_filter(causes, lambda c: c.rule != '')) = 0 group by step, columns"""
        ).fetchall()
    lines = [_Reason(step, rule, rows, first) for step, rule, rows, first in broken]
    lines += [_Reason(step, _such_as(causes, rows), rows, first) for step, rows, first, causes in others]
    return [asdict(line) for line in sorted(lines, key=lambda line: (-line.rows, line.first_row, line.why))[:50]]


@dataclass(frozen=True, slots=True)
class _Reason:
    step: str
    why: str
    rows: int
    first_row: int


def _such_as(causes: list[dict[str, Any]], rows: int) -> str:
    words = "; ".join(sentences(map(Cause.from_json, causes)))
    return words if rows == 1 else f"such as {words}"


def said(row: dict[str, Any]) -> tuple[str, ...]:
    """The causes of a row of `rows`, each in words."""
    return sentences(map(Cause.from_json, row["causes"]))
