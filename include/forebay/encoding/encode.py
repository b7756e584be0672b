"""Rows of a stage to record bytes: where a file is cut, and the encoded chunks, each a pure function of content and
settings."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from forebay import __version__, registry
from forebay.config.pipeline import FormatSection, Pipeline, Typed
from forebay.contracts import Settings
from forebay.encoding.quarantine_rows import compose_quarantine, stored
from forebay.encoding.rows import ROW, Limits, StagedRows, in_its_room
from forebay.encoding.work import digest
from forebay.errors import FatalError
from forebay.kafka.publish.records import EncodedChunk, Header, Quarantined, Records
from forebay.model import ChunkPlan, Decision, Stage, Verdict
from forebay.support.versions import RECORDS, libraries
from forebay.support.words import counted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["ChunkEncoder", "EncodedChunk", "Limits", "compose_quarantine", "plan_chunks"]

SAMPLE_ROWS = 10_000
SAMPLE_BYTES = 16 << 20
BLOCK_ROWS = 1_000
MOST_BYTES = 1 << 30  # of a chunk: an Arrow array of bytes ends at 2 GiB

PRINT = 6
"""Hexadecimal digits of a parameter's print."""


class QuarantineHeaders(Sequence[tuple[Header, ...]]):
    """The `q_…` headers of a chunk's quarantined rows, made when a row is produced: step, rule (where there is one),
    reason, suite, rowhash.

    Columns `step`, `rule`, `reason` (cut to 1,000 characters), `hash` (sha256 of the whole raw bytes, hex); `suite` is
    `name@hash`.
    """

    def __init__(self, rows: pa.Table, suite: str | None) -> None:
        named = (("q_stage", "step"), ("q_rule", "rule"), ("q_reason", "reason"))  # consumers read `q_stage`
        self.columns = [(header, _one(rows[name], "binary")) for header, name in named]
        self.columns += [("q_rowhash", _one(rows["hash"], "binary"))]
        self.suite: tuple[Header, ...] = (("q_suite", suite.encode()),) if suite else ()

    def __len__(self) -> int:
        return len(self.columns[0][1])

    @overload
    def __getitem__(self, at: int) -> tuple[Header, ...]: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[tuple[Header, ...]]: ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            return [self[n] for n in range(*at.indices(len(self)))]
        texts = [(name, column[at].as_py()) for name, column in self.columns]
        return (*((name, text) for name, text in texts if text), *self.suite)


def plan_chunks(
    stage: Stage,
    verdict: Verdict | None,
    pipeline: Pipeline,
    decision: Decision,
    quarantine: Path,
    *,
    limits: Limits = Limits(),  # noqa: B008
) -> ChunkPlan:
    """Cut a file into chunks of at most `chunk.rows` rows and about `chunk.bytes` bytes of values.

    A row's size is the average of the first 10,000 (or 16 MiB) as encoded, plus what the densest 1,000 rows have more
    of text: so no part of a file that grows wide makes a chunk that does not fit memory. Quarantined rows count where
    they are larger. The plan's hash names all that decides which row is in which record (rule C4). Raises as
    `in_its_room`.
    """
    rows = StagedRows(stage, pipeline.record)
    chunk = pipeline.publish.chunk
    with in_its_room(stage), limits.connect() as con:
        aside = f"(select __row, octet_length(raw) + strlen(reason) as octets from {stored(quarantine)})"
        row_bytes = max(_row_bytes(con, rows), _densest(con, aside))
        per_chunk = max(1, min(chunk.rows, int(min(chunk.bytes, MOST_BYTES) // row_bytes)))
    parameters = _parameters(stage, verdict, pipeline, decision, quarantine, per_chunk)
    prints = {name: digest({name: value})[:PRINT] for name, value in parameters.items()}
    return ChunkPlan(stage.rows_in, per_chunk, digest(parameters), prints)


def _row_bytes(con: duckdb.DuckDBPyConnection, rows: StagedRows) -> float:
    """Bytes of an encoded row in the densest part of the file."""
    import pyarrow.compute as pc

    sizes = rows.sizes(con)
    densest = _densest(con, sizes)
    count = int(max(1, min(SAMPLE_ROWS, SAMPLE_BYTES // max(1, densest))))
    first = _first(con, rows, count)
    if not len(first):
        return 1.0
    encoded = rows.serializer.encode(first)
    average = (pc.sum(pc.binary_length(encoded.values)).as_py() or 0) / len(first)
    text = con.sql(f"select avg(octets) from (select octets from {sizes} limit {len(first)})").fetchall()[0][0]
    return max(1.0, average + max(0.0, densest - text))


def _first(con: duckdb.DuckDBPyConnection, rows: StagedRows, count: int) -> pa.Table:
    if rows.wide:
        numbers = con.sql(f"select __row from {rows.sizes(con)} order by __row limit {count}").fetchall()
        return rows.between(1, numbers[-1][0] if numbers else 0)
    table = con.sql(f"select * from (select * from {rows.source} limit {count}) order by {rows.row}").to_arrow_table()
    return table.rename_columns(rows.schema.names)


def _densest(con: duckdb.DuckDBPyConnection, sizes: str) -> float:
    """Bytes of text per row, where a thousand rows have the most; a row counts with at most 1 MiB, as larger ones are
    quarantined."""
    blocks = f"""select sum(least(octets, 1 << 20)) / {BLOCK_ROWS} as bytes from {sizes} group by (__row - 1) // {BLOCK_ROWS}"""  # noqa: E501
    return con.sql(f"select coalesce(max(bytes), 0)::double from ({blocks})").fetchall()[0][0]


def _parameters(
    stage: Stage, verdict: Verdict | None, pipeline: Pipeline, decision: Decision, quarantine: Path, per_chunk: int
) -> dict[str, Any]:
    record = pipeline.record
    return {
        "forebay": __version__,
        "libraries": libraries(*RECORDS),
        "topic": pipeline.topic.name,
        "headers": record.headers,
        "compression": pipeline.source.compression,
        "format": _settled("formats", pipeline.format),
        "columns": [[column.name, column.type] for column in stage.columns],
        "rows_per_chunk": per_chunk,
        "key": list(record.key),
        "value": _settled("serializers", record.value),
        "timestamp": record.timestamp,
        "partitioner": _settled("partitioners", record.partitioner),
        "partitions": pipeline.topic.partitions,
        "suite": verdict.suite_hash if verdict else None,
        "decision": decision.value,
        "quarantine": str(pipeline.quality.quarantine),
        "quarantined": _rows_hash(quarantine),
    }


def _settled(kind: str, section: FormatSection | Typed) -> dict[str, Any]:
    """A plug-in and all of its settings: a default that is written down is the same plan."""
    config: Settings = registry.find(kind, section.type).Config(**section.options)
    return {"type": section.type, **config.model_dump(mode="json")}


def _rows_hash(quarantine: Path) -> str:
    """sha256 of the quarantined row numbers as little-endian int64."""
    import pyarrow.parquet as pq

    hash_ = hashlib.sha256()
    with pq.ParquetFile(quarantine) as file:
        for batch in file.iter_batches(columns=[ROW]):
            hash_.update(batch.column(0).to_numpy().astype("<i8"))
    return hash_.hexdigest()


class ChunkEncoder:
    """Encodes the chunks of one file, in any order, from any thread; the same chunk has the same bytes in every
    process.

    Use as a context manager, or `close` it. `room` is how many bytes of raw a quarantine record may carry; the rest is
    cut.
    """

    def __init__(
        self,
        stage: Stage,
        verdict: Verdict | None,
        pipeline: Pipeline,
        plan: ChunkPlan,
        quarantine: Path,
        *,
        room: int = 900_000,
        limits: Limits = Limits(),  # noqa: B008
    ) -> None:
        self.rows = StagedRows(stage, pipeline.record)
        self.suite = f"{verdict.suite}@{verdict.suite_hash[:12]}" if verdict and verdict.suite else None
        self.partitions = pipeline.topic.partitions
        self.plan = plan
        self.quarantine = quarantine
        self.room = room
        self._database = limits.connect()

    def __enter__(self) -> ChunkEncoder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._database.close()

    def encode_chunk(self, chunk: int) -> EncodedChunk:
        """Chunk `chunk` (0-based): `records` and `quarantine`, both in row order. Null timestamps mean the time of
        publishing.

        `records.values` is a `pa.ChunkedArray` of binary, the other columns are arrays.

        Raises `ReconcileError` if the rows do not add up, `FatalError` if one cannot be encoded (stage, plan and
        quarantine are not of one making then), or as `in_its_room`.
        """
        first, last = self.plan.bounds(chunk)
        with in_its_room(self.rows.stage), self._database.cursor() as con:
            quarantine = self._quarantined(con, first, last)
            table = self._encoded(con, first, last, quarantine.rows)
        for column in ("value", "key"):
            if table[column].null_count:
                raise FatalError(
                    f"encoding chunk {chunk} of file `{self.rows.stage.fingerprint[:16]}`: "
                    f"{counted(table[column].null_count, 'row')} without a {column}, not "
                    "quarantined (remove the file's work folder, and it is staged again)",
                    chunk=chunk,
                )
        encoded = EncodedChunk(first, last, last - first + 1, self._records(table), quarantine)
        encoded.check(chunk, (first, last))
        return encoded

    def _records(self, encoded: pa.Table) -> Records:
        """The columns as records. Values stay in the pieces that DuckDB made: joining them would copy the whole chunk
        once more."""
        keys, values = _one(encoded["key"], "binary"), encoded["value"].cast("binary")
        times = _one(encoded["timestamp"], "int64") if self.rows.timestamp else None
        return Records(
            values, keys, self.rows.partitioner.assign(keys, self.partitions), _one(encoded["row"], "int64"), times
        )

    def _encoded(self, con: duckdb.DuckDBPyConnection, first: int, last: int, quarantined: pa.Int64Array) -> pa.Table:
        """`value`, `key`, `row`, `timestamp` of the rows that are not quarantined, in row order."""
        rows = self.rows
        if rows.wide:
            return self._encoded_wide(con, first, last, quarantined)
        where, bits = f"{rows.row} between {first} and {last}", []
        if len(quarantined):
            bits = [
                _bits(quarantined, first, last)
            ]  # a filter keeps the file's order and is as fast as a join, which does not
            where += f" and case when {where} then get_bit($1::bit, ({rows.row} - {first})::int) = 0 else false end"
        more = f"{rows.key} as key, {rows.row} as row, {rows.timestamp or 'null::bigint'} as timestamp"
        if rows.value is not None:
            return con.sql(
                f"select {rows.value.value} as value, {more} from {rows.source} where {where}", params=bits
            ).to_arrow_table()
        result = con.sql(f"select {more}, * from {rows.source} where {where}", params=bits).to_arrow_table()
        table = result.select(rows.identifiers).rename_columns(rows.schema.names)
        return result.select(["key", "row", "timestamp"]).append_column("value", rows.serializer.encode(table).values)

    def _encoded_wide(
        self, con: duckdb.DuckDBPyConnection, first: int, last: int, quarantined: pa.Int64Array
    ) -> pa.Table:
        import pyarrow.compute as pc

        rows = self.rows
        table = rows.between(first, last)
        table = table.filter(pc.invert(pc.is_in(table[ROW], quarantined)))
        con.register("chunk", rows.besides(table))
        more = (
            f"select {rows.key} as key, {rows.row} as row, {rows.timestamp or 'null::bigint'} as timestamp from chunk"
        )
        return con.sql(more).to_arrow_table().append_column("value", rows.serializer.encode(table).values)

    def _quarantined(self, con: duckdb.DuckDBPyConnection, first: int, last: int) -> Quarantined:
        rows = con.sql(
            f"""select raw[:{self.room}] as value, __row as row, step, rule, reason[:1000] as reason, sha256(raw) as hash
            from {stored(self.quarantine)} where __row between {first} and {last} order by __row"""  # noqa: E501
        ).to_arrow_table()
        return Quarantined(
            _one(rows["value"], "binary"), _one(rows["row"], "int64"), QuarantineHeaders(rows, self.suite)
        )


def _bits(rows: pa.Int64Array, first: int, last: int) -> str:
    """`0` and `1` for each row number from `first` to `last`: 1 where it is one of `rows`."""
    import numpy as np

    marks = np.full(last - first + 1, ord("0"), np.uint8)
    marks[rows.to_numpy() - first] = ord("1")
    return marks.tobytes().decode("ascii")


def _one(column: pa.ChunkedArray, kind: str) -> pa.Array:
    """A column as one array of that type."""
    return column.cast(kind).combine_chunks()
