"""Which rows are quarantined, and why: `quarantine.parquet`, one line per row, made by SQL in bounded memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.config.pipeline import Pipeline
from forebay.contracts import causes
from forebay.encoding.rows import ROW, Limits, StagedRows, in_its_room
from forebay.model import Cause, Decision, RuleResult, Severity, Stage, Verdict
from forebay.serializers.json import Json, JsonConfig
from forebay.support.folders import private
from forebay.support.sql import literals, parquet

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

FOUND = f"__row bigint, rank int, step varchar, rules int[], causes {causes.SQL}"
"""A row's failing rules lie there as places in the verdict: their causes, which are texts, are made a window at a
time."""
WINDOW_BYTES = 64 << 20
WINDOW_ROWS = 50_000
SUMMED = 1_000
"""Rows that a window takes all or none of, unless they fill one."""
SEVERITIES = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)


MADE_FOR = b"forebay.made_for"
HEADER_ROOM = 1024
"""Bytes of a record that are left to its headers and to Kafka's framing: key and value must fit into the rest."""


def schema() -> pa.Schema:
    """The columns of `quarantine.parquet`, sorted by `__row`.

    `step` is decode, parse, schema (the file's own rejects), expectation, key, encode or size: the first that applied,
    while `causes` (see `Cause`) has all. `rule` (the titles of the failing rules, empty but for `expectation`) and
    `reason` say the same as text, for the headers of quarantine records. `raw` is the record's own bytes, or a typed
    row's JSON.
    """
    import pyarrow as pa

    names = pa.list_(pa.field("element", pa.string()))
    return pa.schema(
        {
            ROW: pa.int64(),
            "step": pa.string(),
            "columns": names,
            "rule": pa.string(),
            "reason": pa.string(),
            "raw": pa.binary(),
            "causes": causes.arrow(),
        }
    )


def compose_quarantine(
    stage: Stage,
    verdict: Verdict | None,
    pipeline: Pipeline,
    decision: Decision,
    into: Path,
    *,
    max_message_bytes: int = 1_000_000,
    header_bytes: int = HEADER_ROOM,
    latest: int | None = None,
    made_for: str = "",
    limits: Limits = Limits(),  # noqa: B008
) -> int:
    """Write `into` (see `schema`) and return how many rows of the file are quarantined.

    These are the stage's rejects; rows failing a rule of severity `quality.quarantine` or worse (none under
    `Decision.PUBLISH_ALL`); rows with a null part of the key; rows that the serializer refuses; rows whose record time
    Kafka cannot say, or that is after `latest` (milliseconds since the epoch); rows whose key, value and `header_bytes`
    exceed `max_message_bytes`. `made_for` names what else decides the list (`is_made_for`). An ordinary file pays one
    query that encodes nothing. The same stage, verdict and settings give the same bytes. Raises as `in_its_room`.
    """
    private(into.parent)
    with (
        in_its_room(stage),
        tempfile.TemporaryDirectory(dir=into.parent, prefix=".spill-") as spill,
        replace(limits, spill=Path(spill)).connect() as con,
    ):
        work = _Work(
            con, StagedRows(stage, pipeline.record), max_message_bytes - header_bytes, pipeline.quality.redact, latest
        )
        con.execute(f"create temp table found ({FOUND})")
        con.register("verdict", _causes_of_rules(verdict.results if verdict else ()))
        if verdict and verdict.failing and decision is not Decision.PUBLISH_ALL:
            work.find_failing(verdict, pipeline.quality.quarantine)
        work.find_unfit()
        return work.write(into, made_for)


def stored(path: Path) -> str:
    """A list as SQL: a table of the columns of `schema`. A list of an earlier version calls the step `stage` and has no
    `causes`: its reason is one, whole."""
    import pyarrow.parquet as pq

    if "causes" in pq.read_schema(path).names:
        return parquet(path)
    cause = causes.made("reason", "columns")
    return f"(select * rename (stage as step), [{cause}] as causes from {parquet(path)})"


def is_made_for(path: Path, made_for: str) -> bool:
    """Whether the list is there, and was made for just that: in a topic that takes smaller records or other times,
    other rows are quarantined."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return (pq.read_metadata(path).metadata or {}).get(MADE_FOR) == made_for.encode()
    except (OSError, pa.ArrowException):  # not there, or not whole
        return False


_NO_VALUE = causes.made(
    "'reading column ' || array_to_string(c.columns, ', ') || ': a value is not of its type (redacted)'", "c.columns"
)
_WITHOUT_VALUES = f"list_transform(causes, lambda c: case when c.value is null then c else {_NO_VALUE} end)"
"""Why a row could not be read where there are redacted columns: nobody knows which value lies where in such a row, so
none is quoted."""
_TITLES = "array_to_string(list_filter(list_transform(causes, lambda c: c.rule), lambda t: t != ''), '; ')"
_WORDS = f"array_to_string(list_transform(causes, lambda c: {causes.sql_sentence('c')}), '; ')"


@dataclass(frozen=True)
class _Work:
    """One composition. `room` is how many bytes key and value of a record may have together. No reason shows a value of
    the columns `redact`. `latest` as in `compose_quarantine`."""

    con: duckdb.DuckDBPyConnection
    rows: StagedRows
    room: int
    redact: tuple[str, ...] = ()
    latest: int | None = None

    def find_failing(self, verdict: Verdict, least: str) -> None:
        """Rows failing row rules of that severity or a worse one."""
        chosen = [n for n, rule in enumerate(verdict.results) if rule.kind == "row" and _severe(rule, least)]
        if not chosen or verdict.failing is None:
            return
        self.con.execute(
            f"""insert into found select __row, 0, 'expectation', rs, null
            from (select __row, list_filter(rules, lambda r: list_contains($chosen, r)) as rs from {parquet(verdict.failing)})
            where len(rs) > 0""",  # noqa: E501
            {"chosen": chosen},
        )

    def find_unfit(self) -> None:
        """Rows without a whole key, that cannot be encoded, or too large."""
        rows = self.rows
        self._find_times()
        if rows.value is not None:
            perhaps = f"{rows.most_octets()} > {self.room}"
            self._mark(rows.source, f"strlen({rows.value.value})", rows.value.causes, perhaps)
            return
        for lo, hi in self._windows(f"select * from {rows.sizes(self.con)}"):
            table = self._rows_between(lo, hi)
            encoded = rows.serializer.encode(table)
            besides = rows.besides(table).append_column("value", encoded.values).append_column("causes", encoded.causes)
            self.con.register("encoded", besides)
            self._mark("encoded", "octet_length(value)", "causes", "true")
            self.con.unregister("encoded")

    def _rows_between(self, first: int, last: int) -> pa.Table:
        rows = self.rows
        if rows.wide:
            return rows.between(first, last)
        result = self.con.sql(
            f"select * from {rows.source} where {rows.row} between {first} and {last}"
        ).to_arrow_table()
        return result.rename_columns(rows.schema.names)

    def _find_times(self) -> None:
        """Rows with a record time that is no moment after 1970-01-01 00:00:00 (0 and less mean the time of publishing
        to a producer), or after `latest`."""
        rows, name = self.rows, self.rows.record.timestamp
        if name is None or rows.timestamp is None:
            return
        place, when = rows.identifier(name), rows.timestamp
        early = "it is not after 1970-01-01 00:00:00 UTC, which no record can say"
        late = (
            "it is further ahead than the topic takes (raise its `message.timestamp.after.max.ms`, "
            "or leave `record.timestamp` out)"
        )
        after = f"{when} > {self.latest}" if self.latest is not None else "false"
        doing = f"making the time of the record: column `{name}`: "
        cause = causes.made(f"$told || case when {after} then $late else $early end", "[$name]")
        self.con.execute(
            f"""insert into found select {rows.row}, 2, 'encode', null, [{cause}]
            from {rows.source} where {place} is not null and ({when} is null or {when} <= 0 or {after})""",
            {"name": name, "told": doing, "late": late, "early": early},
        )

    def _mark(self, source: str, value_octets: str, refused: str, perhaps: str) -> None:
        """One pass. Sizes are only computed (CASE is lazy) of rows that are `perhaps` too large."""
        rows, names = self.rows, self.rows.record.key
        nulls = " || ".join(
            f"case when {rows.identifier(name)} is null then [${n}] else [] end" for n, name in enumerate(names, 1)
        )
        size = f"case when {perhaps} then coalesce({value_octets}, 0) + coalesce(strlen({rows.key}), 0) end"
        hidden = causes.made("'encoding the record: a redacted value of it has no such form'", "c.columns")
        redacted = f"list_has_any(c.columns, [{literals(self.redact)}])"
        shown = (
            f"list_transform({refused}, lambda c: case when {redacted} then {hidden} else c end)"
            if self.redact
            else refused
        )
        any_null = " or ".join(f"{rows.identifier(name)} is null" for name in names)
        self.con.execute(
            f"""create or replace temp table marked as select {rows.row} as __row, {nulls} as nulls, {shown} as refused, {size} as size
            from {source} where {any_null} or ({refused}) is not null or coalesce({size}, 0) > {self.room}""",  # noqa: E501
            list(names),
        )
        too_large = (
            f"format('encoding the record: key and value have {{}} bytes (there is room for {self.room})', size)"
        )
        no_key = causes.made("'making the key: null in ' || array_to_string(nulls, ', ')", "nulls")
        self.con.execute(
            f"""insert into found select __row, 1, 'key', null, [{no_key}] from marked where len(nulls) > 0
            union all select __row, 2, 'encode', null, refused from marked where refused is not null
            union all select __row, 3, 'size', null, [{causes.made(too_large)}] from marked where size > {self.room}"""
        )

    def _settle(self, lo: int, hi: int) -> None:
        """One line per row of the window (table `aside`): the first step that applied, every cause. Causes of one rank
        come in the order of their words: the same rows give the same list."""
        self.con.execute(
            f"""create or replace temp table aside as
            select *, list_sort(list_distinct(flatten(list_transform(causes, lambda c: c.columns)))) as columns
            from (select __row, arg_min(step, rank) as step, flatten(list(causes order by rank, causes)) as causes
            from (select __row, rank, step, coalesce(f.causes, list_transform(rules, lambda r: v.causes[r + 1])) as causes
            from found f cross join verdict v where __row between {lo} and {hi}) group by __row)"""  # noqa: E501
        )

    def write(self, into: Path, made_for: str) -> int:
        """Merge with the stage's rejects, in row order, some tens of MiB at a time."""
        import pyarrow.parquet as pq

        rows, rejects = self.rows, f"{parquet(self.rows.stage.rejects)}"
        sizes = f"""select __row, octets from {rows.sizes(self.con)} where __row in (select __row from found)
            union all select __row, octet_length(raw) from {rejects}"""
        unread = _WITHOUT_VALUES if self.redact else "causes"
        draft, count = into.with_name(f".{into.name}.{os.getpid()}"), 0
        named = {MADE_FOR: made_for.encode()}
        with pq.ParquetWriter(draft, schema().with_metadata(named), compression="zstd") as writer:
            for lo, hi in self._windows(sizes):
                self._settle(lo, hi)
                lines = self.con.sql(
                    f"""select __row, step, columns, {_TITLES} as rule, {_WORDS} as reason, raw, causes from ({self._shown(lo, hi)}
                    union all select __row, step, columns, {unread} as causes, raw from {rejects} where __row between {lo} and {hi}) order by 1"""  # noqa: E501
                ).to_arrow_table()
                writer.write_table(lines.cast(schema()).replace_schema_metadata(named))
                count += len(lines)
        draft.replace(into)
        return count

    def _shown(self, lo: int, hi: int) -> str:
        """A query of the typed rows in the window that are quarantined, with their JSON as `raw`."""
        rows, columns = self.rows, [column.name for column in self.rows.stage.columns]
        if not rows.wide:
            return f"""select a.__row, step, columns, causes, encode({rows.json(columns)}) as raw
                from {rows.source} join aside a on a.__row = {rows.row} where {rows.row} between {lo} and {hi}"""
        import pyarrow as pa
        import pyarrow.compute as pc

        numbers = self.con.sql(f"select __row from aside where __row between {lo} and {hi}").to_arrow_table()["__row"]
        table = rows.between(lo, hi)
        table = table.filter(pc.is_in(table[ROW], numbers.combine_chunks()))
        shown = Json(JsonConfig(nan="string"), rows.stage.columns).show(table)
        self.con.register("shown", pa.table({ROW: table[ROW], "raw": shown}))
        return "select a.__row, step, columns, causes, raw from shown join aside a using (__row)"

    def _windows(self, sizes: str) -> list[tuple[int, int]]:
        """Ranges of rows, first to last, of some `WINDOW_BYTES` and at most `WINDOW_ROWS` listed rows each; `sizes`
        gives `__row` and `octets`.

        Rows are summed up by the thousand first: a running sum over ten million of them takes half a GiB.
        """
        octets = f"octets + {WINDOW_BYTES // WINDOW_ROWS}"
        summed = (
            f"select min(__row), max(__row), sum({octets}) as all_of_it from ({sizes}) group by __row // {SUMMED} "
            "order by 1"
        )
        windows: list[tuple[int, int]] = []
        room = 0
        for first, last, size in self.con.sql(summed).fetchall():
            if size <= room:
                windows[-1] = windows[-1][0], last
                room -= size
            elif size <= WINDOW_BYTES:
                windows.append((first, last))
                room = WINDOW_BYTES - size
            else:
                windows += self._exactly(
                    f"select __row, {octets} as octets from ({sizes}) where __row between {first} and {last}"
                )
                room = 0
        return windows

    def _exactly(self, sizes: str) -> list[tuple[int, int]]:
        so_far = "sum(octets) over (order by __row rows unbounded preceding) - octets"
        return self.con.sql(
            f"""select min(__row), max(__row) from (select __row, ({so_far}) // {WINDOW_BYTES} as part from ({sizes})) group by part order by 1"""  # noqa: E501
        ).fetchall()


def _causes_of_rules(results: Sequence[RuleResult]) -> pa.Table:
    """One row: the cause of each rule of a verdict, in its order."""
    import pyarrow as pa

    each = [Cause(rule.title, rule.columns, rule.expected).to_json() for rule in results]
    return pa.table({"causes": pa.array([each], causes.arrow())})


def _severe(rule: RuleResult, least: str) -> bool:
    return least != "never" and SEVERITIES.index(rule.severity) <= SEVERITIES.index(Severity(least))
