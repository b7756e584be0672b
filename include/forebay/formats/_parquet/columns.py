"""A batch of a Parquet file's rows: each column in its type, the rows that have a value which is none, and what is said
of those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forebay.contracts import causes
from forebay.formats import _casts, _staging
from forebay.formats._exact import exact
from forebay.formats._parquet.types import BINARY, Reading, is_uuid
from forebay.formats._row_column import NAME as ROW
from forebay.formats._rules import STRICT
from forebay.formats._types import to_arrow
from forebay.support.sql import quoted

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pyarrow as pa

SHOWN = 80  # characters of a value in a reason
_TOGETHER = 200  # columns in one statement


@dataclass(frozen=True, slots=True)
class Typed:
    """A batch: `held` as the file has it (dictionaries and extensions undone), `values` in our types, `good` marks rows
    (None: all are)."""

    readings: Sequence[Reading]
    held: list[pa.Array]
    values: list[pa.Array]
    good: pa.Array | None


def typed(batch: pa.RecordBatch, readings: Sequence[Reading], connection: duckdb.DuckDBPyConnection) -> Typed:
    """Every column of the batch in its type."""
    import pyarrow as pa
    import pyarrow.compute as pc

    held = [
        pa.nulls(len(batch)) if r.missing else _undone(batch.column(batch.schema.get_field_index(r.name)), r)
        for r in readings
    ]
    values = _values(held, readings, connection)
    good = None
    for had, has in zip(held, values, strict=True):
        if has.null_count > had.null_count:
            fine = pc.or_(has.is_valid(), had.is_null())
            good = fine if good is None else pc.and_(good, fine)
    return Typed(readings, held, values, good)


def _undone(values: pa.Array, reading: Reading) -> pa.Array:
    """The values without the way in which they are kept: dictionaries, extensions, views, long offsets, halves."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    while isinstance(values, pa.ExtensionArray | pa.DictionaryArray):
        values = values.storage if isinstance(values, pa.ExtensionArray) else values.dictionary_decode()
    stored = values.type
    if is_uuid(reading.stored, reading.logical) and reading.type != BINARY:
        return _hex(values)
    if t.is_large_string(stored) or t.is_string_view(stored):
        return values.cast(pa.string())
    if reading.logical == "ENUM" and not t.is_string(stored):
        return pa.Array.from_buffers(pa.string(), len(values), values.buffers(), offset=values.offset)
    if t.is_large_binary(stored) or t.is_binary_view(stored) or t.is_fixed_size_binary(stored):
        return values.cast(pa.binary())
    if t.is_duration(stored):
        return values.view(pa.int64())
    return pc.cast(values, pa.float32()) if t.is_float16(stored) else values


def _hex(values: pa.Array) -> pa.Array:
    """UUIDs of 16 bytes as they are written (RFC 9562)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    filled = pc.fill_null(values.cast(pa.binary()), bytes(16))
    octets = np.frombuffer(filled.cast(pa.binary(16)).buffers()[1], np.uint8)[: 16 * len(values)].reshape(-1, 16)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    text = np.full((len(values), 36), ord("-"), np.uint8)
    places = [n for n in range(36) if n not in {8, 13, 18, 23}]
    text[:, places[0::2]], text[:, places[1::2]] = digits[octets >> 4], digits[octets & 15]
    written = (
        pa.Array.from_buffers(pa.binary(36), len(values), [None, pa.py_buffer(text.tobytes())])
        .cast(pa.binary())
        .cast(pa.string())
    )
    return pc.if_else(values.is_valid(), written, pa.scalar(None, pa.string()))


def _values(
    held: Sequence[pa.Array], readings: Sequence[Reading], connection: duckdb.DuckDBPyConnection
) -> list[pa.Array]:
    values: list[pa.Array] = []
    texts = []
    for place, (had, reading) in enumerate(zip(held, readings, strict=True)):
        written = _written(had, reading)
        if written is not None:
            texts.append((place, written))
        values.append(had if written is not None else _value(had, reading))
    for start in range(0, len(texts), _TOGETHER):
        part = texts[start : start + _TOGETHER]
        for (place, _), column in zip(part, _of_texts(part, readings, connection), strict=True):
            values[place] = column
    return values


def _written(had: pa.Array, reading: Reading) -> pa.Array | None:
    """The column as text where its values are found by their text: what is text and declared otherwise, and decimals as
    floats."""
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_string(had.type) and reading.type.kind != "string":
        return _valid(had)
    return had.cast(pa.string()) if t.is_decimal(had.type) and reading.type.is_float else None


def _value(had: pa.Array, reading: Reading) -> pa.Array:
    import pyarrow.types as t

    if reading.type.kind == "string" and t.is_string(had.type):
        return _valid(had)
    if reading.type.kind == "string" and t.is_decimal(had.type):
        return had.cast(to_arrow(reading.type))
    return exact(had, to_arrow(reading.type))


def _of_texts(
    texts: Sequence[tuple[int, pa.Array]], readings: Sequence[Reading], connection: duckdb.DuckDBPyConnection
) -> list[pa.Array]:
    import pyarrow as pa

    written = pa.table([array for _, array in texts], names=[f"t{place}" for place, _ in texts])
    casts = [f"{_casts.value(f't{place}', readings[place].type, STRICT)} AS v{place}" for place, _ in texts]
    connection.register("written", written)
    table = connection.sql(f"SELECT {', '.join(casts)} FROM written").to_arrow_table()
    connection.unregister("written")
    types = [to_arrow(readings[place].type) for place, _ in texts]
    return [
        pa.concat_arrays(column.cast(type_).chunks) if len(table) else pa.nulls(0, type_)
        for column, type_ in zip(table.columns, types, strict=True)
    ]


def _valid(text: pa.Array) -> pa.Array:
    """The texts, null where the bytes are not UTF-8: Parquet's writers do not look, nor does its reader."""
    import pyarrow as pa

    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        return pa.array([_decoded(octets) for octets in _octets(text)], pa.string())
    return text


def _octets(text: pa.Array) -> list[bytes | None]:
    import pyarrow as pa

    return list(pa.Array.from_buffers(pa.binary(), len(text), text.buffers(), offset=text.offset).to_pylist())


def _decoded(octets: bytes | None, errors: str = "strict") -> str | None:
    try:
        return None if octets is None else octets.decode("utf-8", errors)
    except UnicodeDecodeError:
        return None


def rejects(batch: Typed, numbers: pa.Array, connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """The batch's rows that are not good, as the stage's `rejects.parquet` has them. `numbers` are the row numbers of
    the whole batch."""
    import pyarrow as pa
    import pyarrow.compute as pc

    which = pc.indices_nonzero(pc.invert(batch.good))
    held = [_presentable(pc.take(had, which)) for had in batch.held]
    faults = _Faults(len(which))
    for reading, whole, has, had in zip(batch.readings, batch.held, batch.values, held, strict=True):
        if has.null_count > whole.null_count:
            faults.add(reading, pc.and_(pc.take(has, which).is_null(), had.is_valid()), had)
    columns = {
        ROW: pc.take(numbers, which),
        "step": pa.array(["schema"] * len(which)),
        "columns": faults.columns(),
        "causes": faults.causes(),
        "raw": _raw(held, batch.readings, connection),
    }
    return pa.table(columns).cast(_staging.rejects_schema())


class _Faults:
    """Which values of `rows` rows are not of their type, column by column."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._row: list[pa.Array] = []
        self._name: list[pa.Array] = []
        self._detail: list[pa.Array] = []
        self._value: list[pa.Array] = []

    def add(self, reading: Reading, bad: pa.BooleanArray, held: pa.Array) -> None:
        """The `bad` ones of a column's values `held`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        places = pc.indices_nonzero(bad)
        self._row.append(places)
        self._name.append(pa.repeat(reading.name, len(places)))
        self._detail.append(pa.repeat(f"is not {_wanted(reading)}", len(places)))
        self._value.append(_shown(held.take(places)))

    def columns(self) -> pa.ListArray:
        """The names of each row's columns."""
        return self._lists(self._ordered(self._name))

    def causes(self) -> pa.ListArray:
        """The causes of each row, in the order of its columns."""
        import numpy as np
        import pyarrow as pa

        names = self._ordered(self._name)
        each = pa.ListArray.from_arrays(pa.array(np.arange(len(names) + 1), pa.int32()), names)
        fields = [pa.repeat("", len(names)), each, self._ordered(self._detail), self._ordered(self._value)]
        return self._lists(pa.StructArray.from_arrays(fields, names=causes.struct().names))

    def _ordered(self, parts: list[pa.Array]) -> pa.Array:
        """The columns' parts, row by row."""
        import numpy as np
        import pyarrow as pa

        return pa.concat_arrays(parts).take(pa.array(np.argsort(self._rows_of(), kind="stable")))

    def _rows_of(self) -> np.ndarray:
        import pyarrow as pa

        return pa.concat_arrays(self._row).to_numpy()

    def _lists(self, values: pa.Array) -> pa.ListArray:
        import numpy as np
        import pyarrow as pa

        ends = np.cumsum(np.bincount(self._rows_of(), minlength=self._rows))
        return pa.ListArray.from_arrays(pa.array(np.concatenate(([0], ends)), pa.int32()), values)


def _presentable(values: pa.Array) -> pa.Array:
    """Values whose text DuckDB writes as they are: what it would cut or cannot hold is text already."""
    import pyarrow as pa
    import pyarrow.types as t

    stored = values.type
    if t.is_string(stored):
        return pa.array([_decoded(octets, "replace") for octets in _octets(values)], pa.string())
    long = t.is_decimal(stored) and (
        t.is_decimal256(stored) or not 0 <= stored.scale <= stored.precision
    )  # DuckDB takes none of 256 bits
    fine = t.is_time(stored) or (t.is_timestamp(stored) and stored.unit == "ns")
    if t.is_timestamp(stored) and not fine:
        return _instants(values)
    return values.cast(pa.string()) if long or fine else values


def _instants(values: pa.Array) -> pa.Array:
    """Timestamps as text where some are beyond what DuckDB has."""
    import pyarrow as pa

    return (
        values
        if exact(values, pa.timestamp("us", values.type.tz)).null_count == values.null_count
        else values.view(pa.int64())
    )


def _shown(values: pa.Array) -> pa.Array:
    """The beginning of each value, as text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = values if pa.types.is_string(values.type) else _text(values)
    long = pc.greater(pc.utf8_length(text), SHOWN)
    return pc.if_else(long, pc.binary_join_element_wise(pc.utf8_slice_codeunits(text, 0, SHOWN), "…", ""), text)


def _text(values: pa.Array) -> pa.Array:
    import pyarrow as pa

    try:
        return values.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # dates and times beyond the years that Arrow writes
        return values.view(pa.int32() if values.type.bit_width == 32 else pa.int64()).cast(pa.string())


def _wanted(reading: Reading) -> str:
    import pyarrow.types as t

    if reading.type.kind == "string":
        return "string in UTF-8"
    return f"{reading.type}{'' if t.is_string(reading.stored) else ' without loss'}"


def _raw(held: Sequence[pa.Array], readings: Sequence[Reading], connection: duckdb.DuckDBPyConnection) -> pa.Array:
    """Each row as a JSON object of what the file holds."""
    import pyarrow as pa

    rows = pa.table(list(held), names=[f"c{n}" for n in range(len(held))])
    connection.register("aside", rows)
    fields = ", ".join(f"{quoted(reading.name)} := c{n}" for n, reading in enumerate(readings) if not reading.missing)
    table = connection.sql(
        f"SELECT encode(CAST(to_json(struct_pack({fields})) AS VARCHAR)) AS raw FROM aside"
    ).to_arrow_table()
    connection.unregister("aside")
    return pa.concat_arrays(table["raw"].cast(pa.binary()).chunks)
