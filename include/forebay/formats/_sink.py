"""Arrow batches to the Parquet file of a stage, where Arrow and not DuckDB has the rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS = 65_536
"""Rows of one row group of the stage, at most."""
GROUP_BYTES = 64 << 20


class Sink:
    """A Parquet file that is written row group by row group. `groups` counts those that are written. Use as a context
    manager."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq
        import pyarrow.types as t

        self.schema = schema
        self.groups = 0
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="none",
            use_dictionary=[field.name for field in schema if t.is_string(field.type) or t.is_binary(field.type)],
            dictionary_pagesize_limit=1 << 16,
            store_schema=False,
            store_decimal_as_integer=True,
        )
        self._pending: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None:
            self.flush()
        self.close()

    def close(self) -> None:
        """End the file. What makes no row group yet is left out."""
        self._writer.close()

    def write(self, batch: pa.RecordBatch) -> None:
        """Keep the rows until they make a row group."""
        room = GROUP_ROWS - self._rows
        for part in (batch.slice(0, room), batch.slice(room)):
            if len(part):
                self._pending.append(part)
                self._rows += len(part)
                self._bytes += part.nbytes
            if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
                self.flush()

    def flush(self) -> None:
        """End the row group: what follows begins another."""
        import pyarrow as pa

        if self._pending:
            self._writer.write_table(pa.Table.from_batches(self._pending), row_group_size=GROUP_ROWS)
            self.groups += 1
        self._pending, self._rows, self._bytes = [], 0, 0


def good_rows(typed: Path, rows: Path, names: Sequence[str], reason: str) -> None:
    """Write those columns of the records of a Parquet file in which `reason` is null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(typed, pre_buffer=False, buffer_size=1 << 14) as file:
        schema = pa.schema([file.schema_arrow.field(name) for name in names])
        with Sink(rows, schema) as sink:
            for batch in file.iter_batches(max(1, (1 << 20) // len(names)), columns=[*names, reason]):
                good = batch.filter(batch.column(reason).is_null())
                sink.write(pa.record_batch([good.column(name) for name in names], schema=schema))
