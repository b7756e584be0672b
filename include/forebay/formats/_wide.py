"""Wide files: the time and memory of a DuckDB statement grow faster than its columns, so columns alike are one long
column to it.

What `_staging.select` is to a file of some hundred columns this is to one of thousands: the same SQL types the same
texts, but once for each kind of column (type and rules), over batches of records that a reader gives as Arrow. What is
written is the same file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forebay.contracts import causes
from forebay.formats import _staging
from forebay.formats._sink import Sink
from forebay.formats._staging import COLUMNS, LINE, OCTETS, PRINT, RAW, REASON, REST, SEPARATOR, Cell, Typed
from forebay.formats._types import to_arrow

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records: what each holds for every cell, as text, and the columns besides by the names of
    `_staging.Besides`.

    `sides` may have LINE, REST and RAW (text), and numbers that are kept; `wrong` says why a record as a whole is none.
    """

    texts: Sequence[pa.Array]
    rows: int
    sides: Mapping[str, pa.Array]
    wrong: pa.Array | None = None


@dataclass(frozen=True, slots=True)
class _Kind:
    """Cells that the same SQL types, by their places."""

    cell: Cell
    places: list[int] = field(default_factory=list)


def copy(
    connection: duckdb.DuckDBPyConnection,
    batches: Iterable[Batch],
    cells: Sequence[Cell],
    sides: Sequence[str],
    folder: Path,
    lengths: str | None = None,
) -> Typed:
    """Write what `_staging.copy` would. `sides` are the names of the batches' columns besides, `lengths` that of one
    with the bytes of the strings."""
    path, kinds = folder / "typed.parquet", _kinds(cells)
    readable = bad = 0
    with Sink(path, _schema(cells, sides, lengths)) as sink:
        for batch in batches:
            rows = _typed(connection, batch, cells, kinds, sink.schema, lengths)
            readable, bad = readable + batch.rows, bad + batch.rows - rows.column(REASON).null_count
            sink.write(rows)
    return Typed(path, readable, bad)


def _schema(cells: Sequence[Cell], sides: Sequence[str], lengths: str | None) -> pa.Schema:
    import pyarrow as pa

    texts = [REASON, COLUMNS, *(name for name in sides if name in {RAW, REST})]
    numbers = [name for name in sides if name not in {RAW, REST, LINE}] + ([lengths] if lengths else [])
    prints = {OCTETS: pa.int64(), PRINT: pa.uint32()} if LINE in sides else {}
    helpers = dict.fromkeys(texts, pa.string()) | prints | dict.fromkeys(numbers, pa.int64())
    return pa.schema([*((cell.name, to_arrow(cell.type)) for cell in cells), *helpers.items()])


def _kinds(cells: Sequence[Cell]) -> list[_Kind]:
    kinds: dict[tuple[object, ...], _Kind] = {}
    for place, cell in enumerate(cells):
        alike = (cell.type, cell.text("c"), cell.value("t"), cell.fault("t", "n"), cell.null_words, cell.whole)
        kinds.setdefault(alike, _Kind(cell)).places.append(place)
    return list(kinds.values())


def _typed(
    connection: duckdb.DuckDBPyConnection,
    batch: Batch,
    cells: Sequence[Cell],
    kinds: Sequence[_Kind],
    schema: pa.Schema,
    lengths: str | None,
) -> pa.RecordBatch:
    import pyarrow as pa

    values: dict[int, pa.Array] = {}
    faults = _Faults(batch)
    octets = np.zeros(batch.rows, np.int64)
    for kind in kinds:
        long = pa.concat_arrays([batch.texts[place] for place in kind.places])
        values_of, bad = _cast(connection, kind.cell, long)
        values |= {place: values_of.slice(n * batch.rows, batch.rows) for n, place in enumerate(kind.places)}
        if bad is not None and len(bad):
            faults.add(connection, kind, cells, long, bad)
        if lengths and kind.cell.type.kind == "string":
            octets += _octets(values_of, batch.rows)
    columns = {REASON: faults.reasons(), COLUMNS: faults.columns([cell.name for cell in cells])}
    columns |= {name: side for name, side in batch.sides.items() if name != LINE}
    if RAW in columns:
        columns[RAW] = _where(columns[REASON].is_valid(), columns[RAW])
    if LINE in batch.sides:
        columns |= _printed(connection, batch.sides[LINE])
    if lengths:
        columns[lengths] = pa.array(octets)
    helpers = [columns[name] for name in schema.names[len(cells) :]]
    return pa.record_batch([*(values[place] for place in range(len(cells))), *helpers], schema=schema)


def _cast(connection: duckdb.DuckDBPyConnection, cell: Cell, long: pa.Array) -> tuple[pa.Array, np.ndarray | None]:
    """The values of a long column, and the places of those that are bad."""
    import pyarrow as pa

    if cell.whole and cell.text("c") == cell.value("c") == "c":
        return long, None
    bad = "false" if cell.whole else _staging.bad("t", "v", cell.null_words)
    held = f"SELECT {cell.text('c')} AS t FROM long"
    sql = f"SELECT v, {bad} AS bad FROM (SELECT t, {cell.value('t')} AS v FROM ({held}))"
    connection.register("long", pa.table({"c": long}))
    table = connection.sql(sql).to_arrow_table()
    connection.unregister("long")
    type_ = to_arrow(cell.type)
    values = table["v"].cast(type_).combine_chunks() if len(table) else pa.nulls(0, type_)
    return values, np.flatnonzero(table["bad"].to_numpy()) if len(table) else None


class _Faults:
    """Why records of a batch are no rows, and in which columns."""

    def __init__(self, batch: Batch) -> None:
        import pyarrow as pa

        self._rows = batch.rows
        wrong = np.flatnonzero(batch.wrong.is_valid()) if batch.wrong is not None else np.empty(0, np.int64)
        self._row, self._place = [wrong], [np.full(len(wrong), -1)]
        whole = batch.wrong.drop_null().to_pylist() if batch.wrong is not None else []
        self._told = [pa.array(map(causes.written_whole, whole), pa.string())]

    def add(
        self, connection: duckdb.DuckDBPyConnection, kind: _Kind, cells: Sequence[Cell], long: pa.Array, bad: np.ndarray
    ) -> None:
        """`bad` are places in the long column of that kind."""
        import pyarrow as pa

        places = np.array(kind.places)[bad // self._rows]
        names = pa.array([cells[place].name for place in places.tolist()], pa.string())
        connection.register("long", pa.table({"c": long.take(pa.array(bad)), "n": names}))
        faults = connection.sql(
            f"SELECT {kind.cell.fault('t', 'n')} AS told FROM (SELECT {kind.cell.text('c')} AS t, n FROM long)"
        )
        self._told.append(faults.to_arrow_table()["told"].combine_chunks().cast(pa.string()))
        connection.unregister("long")
        self._row.append(bad % self._rows)
        self._place.append(places)

    def reasons(self) -> pa.Array:
        """All causes of each record in the order of its columns, as JSON, null where it has none."""
        import pyarrow as pa
        import pyarrow.compute as pc

        return pc.binary_join_element_wise("[", self._joined(pa.concat_arrays(self._told), ","), "]", "")

    def columns(self, names: Sequence[str]) -> pa.Array:
        """The names of its columns that are bad: none, where it is no record at all."""
        import pyarrow as pa

        places = np.concatenate(self._place).tolist()
        return self._joined(
            pa.array([names[place] if place >= 0 else None for place in places], pa.string()), SEPARATOR
        )

    def _joined(self, texts: pa.Array, sign: str) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        row, place = np.concatenate(self._row), np.concatenate(self._place)
        texts = texts.take(pa.array(np.lexsort((place, row))))
        counts = np.bincount(row, minlength=self._rows)
        kept = np.concatenate(([0], np.cumsum(texts.is_valid().to_numpy(zero_copy_only=False))))  # nulls are left out
        ends = kept[np.concatenate(([0], np.cumsum(counts)))]
        lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), texts.drop_null())
        return _where(pa.array(counts > 0), pc.binary_join(lists, sign))


def _where(which: pa.Array, values: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(which, values, pa.scalar(None, values.type))


def _octets(strings: pa.Array, rows: int) -> np.ndarray:
    """The bytes of each record's strings, of columns that lie one behind the other."""
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.binary_length(strings), 0).to_numpy(zero_copy_only=False)
    return lengths.reshape(-1, rows).sum(axis=0, dtype=np.int64)


def _printed(connection: duckdb.DuckDBPyConnection, lines: pa.Array) -> dict[str, pa.Array]:
    import pyarrow as pa

    connection.register("long", pa.table({"c": lines}))
    sql = f"SELECT CAST(strlen(c) AS BIGINT) AS {OCTETS}, {_staging.print_of('c')} AS {PRINT} FROM long"
    table = connection.sql(sql).to_arrow_table()
    connection.unregister("long")
    return {name: table[name].combine_chunks() for name in (OCTETS, PRINT)}
