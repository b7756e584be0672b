"""Parquet: already typed columns, taken as the file's own schema says or in the declared type without loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.contracts import Format, Settings, StageWriter
from forebay.errors import CorruptFileError, FatalError
from forebay.formats import _names, _staging
from forebay.formats._duck import connect, scratch
from forebay.formats._parquet import columns as parquet_columns
from forebay.formats._parquet.types import STRING, Reading, own, readings
from forebay.formats._parquet.witness import Stretch, Witness
from forebay.formats._row_column import NAME as ROW
from forebay.formats._sink import Sink
from forebay.formats._types import to_arrow
from forebay.model import Column, Drift, Retyped, Snapshot, Stage

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

STRETCH_ROWS = 1 << 14
"""Rows of the file's row groups that the stage keeps together, at least."""
_BATCH_ROWS = 1 << 13
_BATCH_CELLS = 1 << 20
_BUFFERS = 32 << 20  # bytes of read buffers, for all columns together


class ParquetSettings(Settings):
    """Parquet says itself how it is written."""


class Parquet(Format[ParquetSettings]):
    """Flat Parquet files. A value that the type cannot hold exactly quarantines its row; a column of another kind
    refuses the file."""

    Config = ParquetSettings

    def read(self, snapshot: Snapshot, plain: Path, columns: tuple[Column, ...] | None, into: StageWriter) -> Stage:
        uri = snapshot.file.uri
        with scratch(into) as folder, connect(into, folder, uri) as connection, _opened(plain, uri) as file:
            plan = readings(file, columns, into.tolerance.missing, uri)
            with _Writer(folder, plan) as writer:
                for groups in _stretches(file):
                    for batch in _batches(file, plan, groups, into.threads > 1):
                        writer.write(batch, connection)
                    writer.end(groups)
            rows, rejects = folder / "rows.parquet", folder / "rejects.parquet"
            Witness(plain, rows, rejects, plan, uri).judge(writer.stretches, snapshot.fingerprint, connection)
            for path in (rows, rejects):
                path.replace(into.folder / path.name)
            added = tuple(_names.unknown(file.schema_arrow.names, columns)) if columns is not None else ()
        return Stage(
            snapshot.fingerprint,
            into.folder / "rows.parquet",
            into.folder / "rejects.parquet",
            tuple(Column(reading.name, str(reading.type)) for reading in plan),
            rows_in=writer.rows,
            rows_rejected=writer.rejected,
            raw_bytes=plain.stat().st_size,
            inferred=columns is None,
            notes=tuple(note for reading in plan for note in reading.notes),
            drift=Drift(added, tuple(r.name for r in plan if r.missing), writer.retyped(into.tolerance.misfits)),
        )


@contextmanager
def _opened(plain: Path, uri: str) -> Iterator[pq.ParquetFile]:
    """The file, with the checksums of its pages verified where it has any. Raises `CorruptFileError` for what pyarrow
    cannot read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if plain.stat().st_size == 0:
        raise CorruptFileError(f"reading `{uri}`: the file is empty, it has not even a footer", uri=uri)
    try:
        columns = max(1, pq.read_metadata(plain).num_columns)
        buffer = min(1 << 20, max(1 << 12, _BUFFERS // columns))
        with pq.ParquetFile(plain, pre_buffer=False, buffer_size=buffer, page_checksum_verification=True) as file:
            yield file
    except pa.ArrowMemoryError as error:
        raise MemoryError(f"reading `{uri}`: {error}") from error
    except (pa.ArrowException, OSError, EOFError) as error:
        if getattr(error, "errno", None):
            raise FatalError(f"reading `{uri}`: {error} (give the home's disk more room)", uri=uri) from error
        words = str(error).strip().split("\n", 1)[0]
        raise CorruptFileError(
            f"reading `{uri}`: {words} (deliver it again, as flat Parquet that pyarrow can read)", uri=uri
        ) from error


def _stretches(file: pq.ParquetFile) -> Iterator[range]:
    """The row groups one by one, or, where they are small, some of them together."""
    footer, start, rows = file.metadata, 0, 0
    for group in range(footer.num_row_groups):
        rows += footer.row_group(group).num_rows
        if rows >= STRETCH_ROWS or group == footer.num_row_groups - 1:
            yield range(start, group + 1)
            start, rows = group + 1, 0


def _batches(file: pq.ParquetFile, plan: Sequence[Reading], groups: range, threads: bool) -> Iterator[pa.RecordBatch]:
    names = [reading.name for reading in plan if not reading.missing]
    rows = max(1, min(_BATCH_ROWS, _BATCH_CELLS // len(names)))
    return file.iter_batches(rows, row_groups=list(groups), columns=names, use_threads=threads)


class _Writer:
    """Writes `rows.parquet` and `rejects.parquet` of a stage into `folder`, batch by batch."""

    def __init__(self, folder: Path, plan: Sequence[Reading]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.plan = plan
        self.rows = self.rejected = 0
        self.bad, self.fitting = [0] * len(plan), [0] * len(plan)
        self.schema = pa.schema(
            [*(pa.field(r.name, to_arrow(r.type)) for r in plan), pa.field(ROW, pa.int64(), nullable=False)]
        )
        self._good = Sink(folder / "rows.parquet", self.schema)
        self._bad = pq.ParquetWriter(folder / "rejects.parquet", _staging.rejects_schema())
        self.stretches: list[Stretch] = []
        self._told = 0  # quarantined rows of the stretches that have ended

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *exc: object) -> None:
        self._good.close()
        self._bad.close()

    def write(self, batch: pa.RecordBatch, connection: duckdb.DuckDBPyConnection) -> None:
        import numpy as np
        import pyarrow as pa

        typed = parquet_columns.typed(batch, self.plan, connection)
        numbers = pa.array(np.arange(self.rows + 1, self.rows + 1 + len(batch)))
        self.rows += len(batch)
        for place, (had, has) in enumerate(zip(typed.held, typed.values, strict=True)):
            self.bad[place] += has.null_count - had.null_count
            self.fitting[place] += len(has) - has.null_count
        good = pa.record_batch([*typed.values, numbers], schema=self.schema)
        if typed.good is not None:
            aside = parquet_columns.rejects(typed, numbers, connection)
            self._bad.write_table(aside)
            self.rejected += len(aside)
            good = good.filter(typed.good)
        self._good.write(good)

    def end(self, groups: range) -> None:
        """Those row groups of the file are read: what follows begins a row group of its own."""
        self._good.flush()
        last = self.stretches[-1] if self.stretches else Stretch(range(0), range(0), 0, 0, 0)
        first, aside = last.first + last.rows, self.rejected - self._told
        self.stretches.append(
            Stretch(groups, range(last.staged.stop, self._good.groups), first, self.rows - first, aside)
        )
        self._told = self.rejected

    def retyped(self, misfits: float | None) -> tuple[Retyped, ...]:
        """The columns of which no value fits, or more than a share of `misfits` does not."""
        share = 1.0 if misfits is None else misfits
        counts = zip(self.plan, self.bad, self.fitting, strict=True)
        over = [reading for reading, bad, fit in counts if bad and (not fit or bad > share * (bad + fit))]
        return tuple(Retyped(r.name, str(r.type), str(own(r.stored, r.logical) or STRING)) for r in over)
