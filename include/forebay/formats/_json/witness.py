"""A second witness of JSON lines: what was staged is held against the file's bytes, in ways that do not share the
parser.

Each typed record carries the number and the length that the splitter gave its line: the numbers must be those of all
lines, in order, each once; the strings of each record must be as long in the file that was written as they were when
they were read; and the values of some lines, those at the limits of blocks among them, are read again by `text` and
Python and must be the same.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import numpy as np

from forebay.formats import _staging
from forebay.formats._json.split import Splitter
from forebay.formats._json.text import NotJson, members
from forebay.formats._lines import row_numbers
from forebay.formats._rules import ColumnRules
from forebay.support.sql import parquet, quoted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

NUMBER, SIZE, TEXT = "__number", "__size", "__text"
SAMPLES = 200
"""How many lines are read again, at most."""
SAMPLED = 200_000
"""How many of their values, about."""


def difference(
    connection: duckdb.DuckDBPyConnection, typed: _staging.Typed, split: Splitter, cells: Sequence[_staging.Cell]
) -> str | None:
    """The first difference between the typed records and the lines of the file, in words; None: there is none."""
    return _by_place(typed, split) or _by_length(connection, typed, cells) or _by_value(connection, typed, split, cells)


def _by_place(typed: _staging.Typed, split: Splitter) -> str | None:
    import pyarrow.parquet as pq

    wanted = split.rows - len(split.after)
    if typed.readable != wanted:
        counts = f"{wanted} lines with text were counted, {typed.readable} were read"
    else:
        counts = f"{wanted} lines were counted and read, but not in order"
    first = octets = 0
    with pq.ParquetFile(typed.path) as file:
        for batch in file.iter_batches(columns=[NUMBER, SIZE]):
            numbers = batch.column(0).to_numpy()
            expected = row_numbers(split.after, first, len(numbers))
            if len(at := np.flatnonzero(numbers != expected)):
                return f"{counts}; they part at line {int(expected[at[0]])}"
            first += len(numbers)
            octets += int(batch.column(1).to_numpy().sum())
    if typed.readable != wanted:
        return f"{counts}; they part at line {int(row_numbers(split.after, first, 1)[0])}"
    return None if octets == split.handed else f"{split.handed} bytes were counted, {octets} were read"


def _by_length(
    connection: duckdb.DuckDBPyConnection, typed: _staging.Typed, cells: Sequence[_staging.Cell]
) -> str | None:
    texts = [cell.name for cell in cells if cell.type.kind == "string"]
    if not texts:
        return None
    if len(texts) > _staging.WIDE:
        return _by_length_of_many(typed, texts)
    lengths = " + ".join(f"coalesce(strlen({quoted(name)}), 0)" for name in texts)
    asked = (
        f"SELECT count(*), min({NUMBER}) FROM {parquet(typed.path)} WHERE {_staging.REASON} IS NULL AND {TEXT} "
        f"<> {lengths}"
    )
    [(count, first)] = connection.execute(asked).fetchall()
    return f"the strings of {count} lines are not as long as they were; the first is line {first}" if count else None


def _by_length_of_many(typed: _staging.Typed, texts: Sequence[str]) -> str | None:
    import pyarrow.compute as pc

    count, first = 0, None
    for batch in _batches(typed, [*texts, NUMBER, TEXT, _staging.REASON]):
        octets = np.zeros(len(batch), np.int64)
        for name in texts:
            octets += pc.fill_null(pc.binary_length(batch[name]), 0).to_numpy(zero_copy_only=False)
        wrong = batch[NUMBER].to_numpy()[
            (octets != batch[TEXT].to_numpy()) & batch[_staging.REASON].is_null().to_numpy(zero_copy_only=False)
        ]
        count, first = count + len(wrong), first or (int(wrong[0]) if len(wrong) else None)
    return f"the strings of {count} lines are not as long as they were; the first is line {first}" if count else None


def _batches(typed: _staging.Typed, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Those columns of many, some records at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(typed.path, pre_buffer=False, buffer_size=1 << 14) as file:
        yield from file.iter_batches(max(1, (1 << 20) // len(names)), columns=list(names))


def _values(
    connection: duckdb.DuckDBPyConnection, typed: _staging.Typed, names: Sequence[str], rows: Sequence[int]
) -> Iterator[tuple[Any, ...]]:
    """Number and values of those records that are rows."""
    if len(names) <= _staging.WIDE:
        asked = f"SELECT {', '.join([NUMBER, *map(quoted, names)])} FROM {parquet(typed.path)}"
        yield from connection.execute(
            f"{asked} WHERE {NUMBER} IN ({', '.join(map(str, rows))}) AND {_staging.REASON} IS NULL"
        ).fetchall()
        return
    import pyarrow as pa
    import pyarrow.compute as pc

    for batch in _batches(typed, [NUMBER, *names, _staging.REASON]):
        chosen = batch.filter(
            pc.and_(pc.is_in(batch[NUMBER], pa.array(rows, pa.int64())), batch[_staging.REASON].is_null())
        )
        yield from zip(*(column.to_pylist() for column in chosen.columns[:-1]), strict=True)


def _by_value(
    connection: duckdb.DuckDBPyConnection, typed: _staging.Typed, split: Splitter, cells: Sequence[_staging.Cell]
) -> str | None:
    plain = [cell for cell in cells if cell.type.kind in _SAME]
    chosen = split.sample(max(1, min(SAMPLES, SAMPLED // max(1, len(cells)))))
    if not chosen or not plain:
        return None
    for number, *values in _values(connection, typed, [cell.name for cell in plain], list(chosen)):
        try:
            own = dict(members(chosen[number], not_numbers=True))
        except NotJson:
            return f"line {number} is no JSON and was read"
        for cell, held in zip(plain, values, strict=True):
            token = _ruled(own.get(cell.name, "null"), cell.rules)
            if not _SAME[cell.type.kind](token, held):
                return f"column `{cell.name}` of line {number} is not what the line says"
    return None


def _ruled(token: str, rules: ColumnRules) -> str:
    """The token as the column's rules want it: a string without blanks around it, and null for a null word."""
    text = json.loads(token) if token[0] == '"' else token
    text = text.strip(" \t") if rules.trim else text
    if text in (rules.null_values or ()):
        return "null"
    return json.dumps(text) if token[0] == '"' else token


def _text(token: str, held: Any) -> bool:
    return held is None if token == "null" else held == (json.loads(token) if token[0] == '"' else token)


def _number(token: str, held: Any) -> bool:
    if token == "null" or held is None:
        return (token == "null") == (held is None)
    try:
        return Decimal(token.strip('"')) == Decimal(held)
    except InvalidOperation:
        return True  # written as the column's settings allow: thousands, another point


def _float(token: str, held: Any) -> bool:
    if token == "null" or held is None:
        return (token == "null") == (held is None)
    try:
        return math.isnan(held) or float(token.strip('"')) == held
    except ValueError:
        return True


def _moment(kind: type[date | datetime | time]) -> Any:
    def same(token: str, held: Any) -> bool:
        if token == "null" or held is None:
            return (token == "null") == (held is None)
        try:
            return bool(kind.fromisoformat(json.loads(token)) == held)
        except (ValueError, TypeError):
            return True  # written in the format of the column

    return same


_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "decimal")
_SAME: Mapping[str, Any] = (
    dict.fromkeys(_INTEGERS, _number)
    | {"string": _text, "float64": _float}
    | {"date": _moment(date), "time": _moment(time), "timestamp": _moment(datetime)}
)
"""Whether a value is what its token says, by kind of type."""
