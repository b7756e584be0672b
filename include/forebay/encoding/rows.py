"""A stage's rows as DuckDB sees them: the Parquet file under names of our own, with expressions for key, value and
time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forebay import registry
from forebay.config.pipeline import RecordSection
from forebay.contracts import Partitioner, Serializer, SqlEncoding
from forebay.errors import CorruptFileError, FatalError
from forebay.model import Column, Stage
from forebay.serializers import text
from forebay.serializers.json import Json, JsonConfig
from forebay.support.sql import OFFLINE, no_room, parquet

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

ROW = "__row"
WIDE = 500
"""From more columns on, rows are read by pyarrow and encoded some columns at a time: DuckDB's memory and time grow
faster than the columns of a statement."""
_WIDE_CELLS = 1 << 21


@dataclass(frozen=True, slots=True)
class Limits:
    """What the work may use: DuckDB's memory in bytes, its threads, and a folder to spill to (None: it does not
    spill)."""

    memory: int = 1 << 29
    threads: int = 2
    spill: Path | None = None

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB of its own with these limits; the caller closes it."""
        import duckdb

        spill = {"temp_directory": str(self.spill)} if self.spill else {}
        bounds: dict[str, Any] = {"memory_limit": f"{self.memory}B", "threads": self.threads, **spill}
        connection = duckdb.connect(config=OFFLINE | bounds)
        connection.execute("SET enable_progress_bar = false")  # it draws into standard output, where `--json` answers
        return connection


@contextmanager
def in_its_room(stage: Stage) -> Iterator[None]:
    """Work on a stage's rows. Raises `FatalError` with the way out where DuckDB may use no more memory, or finds no
    more disk to spill to."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        if not no_room(words := str(error).strip().split("\n", 1)[0]):
            raise
        raise FatalError(
            f"encoding rows of file `{stage.fingerprint[:16]}`: {words} (raise FOREBAY_MEMORY, "
            "512MiB where it is not set, "
            "or give the home's disk more room)"
        ) from error


@dataclass(frozen=True)
class StagedRows:
    """`rows.parquet` with columns by position (`c0`, `c1` …): no name of a file's column can then mean something to
    SQL."""

    stage: Stage
    record: RecordSection

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns; those of which the file's footer says that they hold no nulls are not nullable."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.stage.rows) as file:
            return pa.schema(
                [field.with_nullable(_nulls(file.metadata, n)) for n, field in enumerate(file.schema_arrow)]
            )

    @cached_property
    def identifiers(self) -> tuple[str, ...]:
        return tuple(f"c{n}" for n in range(len(self.schema)))

    @property
    def source(self) -> str:
        """The FROM clause."""
        return f"{parquet(self.stage.rows)} as t({', '.join(self.identifiers)})"

    @property
    def row(self) -> str:
        return self.identifier(ROW)

    def identifier(self, column: str) -> str:
        """The SQL name of a column. Raises `CorruptFileError` when the stage has none of that name."""
        at = self.schema.get_field_index(column)
        if at < 0:
            known = ", ".join(f"`{c.name}`" for c in self.stage.columns)
            raise CorruptFileError(
                f"encoding rows: there is no column `{column}` in the file (columns: {known}; "
                "deliver it with that column, or correct `record`"
                " of the pipeline)",
                column=column,
            )
        return self.identifiers[at]

    def type(self, column: str) -> pa.DataType:
        """The Arrow type of a column. Raises as `identifier`."""
        self.identifier(column)
        return self.schema.field(column).type

    @cached_property
    def serializer(self) -> Serializer[Any]:
        """The record's value: all columns in stage order."""
        plugin = registry.find("serializers", self.record.value.type)
        return plugin(plugin.Config(**self.record.value.options), self.stage.columns)

    @cached_property
    def partitioner(self) -> Partitioner[Any]:
        plugin = registry.find("partitioners", self.record.partitioner.type)
        return plugin(plugin.Config(**self.record.partitioner.options))

    @property
    def wide(self) -> bool:
        return len(self.schema) > WIDE

    def between(self, first: int, last: int) -> pa.Table:
        """The rows with these numbers, in order, under their names."""
        import pyarrow as pa
        import pyarrow.compute as pc

        batches = [
            batch.filter(pc.and_(pc.greater_equal(batch[ROW], first), pc.less_equal(batch[ROW], last)))
            for batch in self._batches(first, last)
        ]
        table = pa.Table.from_batches(batches) if batches else self.schema.empty_table()
        return table.cast(self.schema)

    def _batches(self, first: int = 1, last: int = 1 << 62) -> Iterator[pa.RecordBatch]:
        """The stage some rows at a time; of its row groups, those that may have these row numbers."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.stage.rows, pre_buffer=False, buffer_size=1 << 14) as file:
            groups = [n for n in range(file.num_row_groups) if _may_have(file.metadata.row_group(n), first, last)]
            yield from file.iter_batches(max(1, _WIDE_CELLS // len(self.schema)), row_groups=groups)

    def besides(self, table: pa.Table) -> pa.Table:
        """Of a table of rows, the columns that key and time are made of, and the row's number, under their SQL
        names."""
        names = dict.fromkeys([*self.record.key, *([self.record.timestamp] if self.record.timestamp else []), ROW])
        return table.select(list(names)).rename_columns([self.identifier(name) for name in names])

    def sizes(self, con: duckdb.DuckDBPyConnection) -> str:
        """A FROM clause of all rows' `__row` and `octets`, the bytes of their text and binary."""
        if not self.wide:
            return f"(select {self.row} as __row, {self.octets()} as octets from {self.source})"
        import pyarrow as pa

        tables = [pa.table({ROW: batch[ROW], "octets": _octets(batch)}) for batch in self._batches()]
        con.register(
            "row_sizes",
            pa.concat_tables(tables)
            if tables
            else pa.table({ROW: pa.array([], pa.int64()), "octets": pa.array([], pa.int64())}),
        )
        return "row_sizes"

    @cached_property
    def value(self) -> SqlEncoding | None:
        """The value as SQL; None where it is made by `serializer.encode` from rows in memory."""
        if self.wide:
            return None
        return self.serializer.sql(self.schema, self.identifiers)

    def json(self, names: Sequence[str]) -> str:
        """A JSON object of some columns that refuses nothing: for keys, and to show rows that are quarantined."""
        columns = tuple(Column(name, str(self.type(name))) for name in names)
        return Json(JsonConfig(nan="string"), columns).object(self.schema, self.identifiers)

    @cached_property
    def key(self) -> str:
        """One column: its text. Several: a compact JSON object of them, in the order of `record.key`."""
        if len(self.record.key) > 1:
            return self.json(self.record.key)
        name = self.record.key[0]
        return text(self.identifier(name), self.type(name))

    @cached_property
    def timestamp(self) -> str | None:
        """Milliseconds since the epoch of `record.timestamp`; null, the time of publishing, where the value is null.
        Raises `CorruptFileError` if the column is neither date nor timestamp."""
        import pyarrow.types as t

        if (name := self.record.timestamp) is None:
            return None
        identifier, arrow = self.identifier(name), self.type(name)
        if not (t.is_date(arrow) or t.is_timestamp(arrow)):
            raise CorruptFileError(
                f"reading `record.timestamp`: column `{name}` is `{arrow}` in the file (declare it under `schema`, "
                "or name a date or timestamp column)",
                column=name,
            )
        return f"epoch_ms({identifier})"

    def octets(self, columns: Sequence[str] | None = None) -> str:
        """Bytes of text and binary in the columns (default: all) of one row."""
        import pyarrow.types as t

        names = self.schema.names if columns is None else columns
        fields = [(self.identifier(name), self.type(name)) for name in names]
        sizes = [
            f"coalesce({'strlen' if t.is_string(arrow) or t.is_large_string(arrow) else 'octet_length'}({identifier}), 0)"  # noqa: E501
            for identifier, arrow in fields
            if t.is_string(arrow) or t.is_large_string(arrow) or t.is_binary(arrow) or t.is_large_binary(arrow)
        ]
        return " + ".join(sizes) or "0"

    def most_octets(self) -> str:
        """An upper bound of a row's value and key together, in bytes, without encoding it: six for each of text
        (`\\u0000`), 64 for any other value."""
        fixed = sum(64 + 6 * len(name.encode()) for name in (*self.schema.names, *self.record.key)) + 16
        return f"6 * ({self.octets()} + {self.octets(self.record.key)}) + {fixed}"


def _nulls(footer: pq.FileMetaData, column: int) -> bool:
    """Whether a flat Parquet file's column may hold nulls."""
    statistics = (footer.row_group(n).column(column).statistics for n in range(footer.num_row_groups))
    return any(
        statistic is None or not statistic.has_null_count or statistic.null_count > 0 for statistic in statistics
    )


def _may_have(group: pq.RowGroupMetaData, first: int, last: int) -> bool:
    statistics = group.column(group.num_columns - 1).statistics
    return (
        statistics is None or not statistics.has_min_max or (statistics.min_raw <= last and statistics.max_raw >= first)
    )


def _octets(batch: pa.RecordBatch) -> pa.Array:
    """Bytes of text and binary of each row."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    total = np.zeros(len(batch), np.int64)
    for column in batch.columns:
        if t.is_string(column.type) or t.is_binary(column.type):
            total += pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
    return pa.array(total)
