"""Adds the row numbers to a Parquet file in place of its helper columns, without rewriting the rest.

DuckDB reads CSV on several threads only as long as nobody asks it for row numbers (`row_number() over ()` halves the
speed), and a second copy of the file to add a column costs a third of the stage. Parquet keeps each column of a row
group apart, so the numbers are appended behind the data and only the footer is written anew
(github.com/apache/parquet-format, parquet.thrift). Columns that are dropped stay in the file as bytes that nobody
points to: they hold nothing when all rows were good.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forebay.formats._thrift import BINARY, I32, I64, LIST, STRUCT, Items, Reader, Struct, Writer

if TYPE_CHECKING:
    import numpy as np

Numbering = Callable[[int, int], "np.ndarray"]
"""The row numbers (int64) of `count` staged rows, from the place `first` (0-based) on."""

NAME = "__row"
_INT64, _PLAIN, _RLE, _REQUIRED, _UNCOMPRESSED = 2, 0, 3, 0, 0


def add_row_column(path: Path, numbering: Numbering, drop: Set[str] = frozenset()) -> None:
    """Append the column `__row` (int64, never null) to every row group of a flat file and leave the columns in `drop`
    out of the footer."""
    with path.open("r+b") as file:
        footer = _read_footer(file)
        _change_schema(footer, drop)
        place = 0
        for group in footer[4][1].values:
            count = group[3][1]
            _change_group(group, _write_chunk(file, numbering(place, count)), drop)
            place += count
        _write_footer(file, footer)


def _read_footer(file: Any) -> Struct:
    """The footer, with the file positioned where it stood: the next bytes overwrite it."""
    file.seek(-8, os.SEEK_END)
    size = struct.unpack("<I", file.read(4))[0]
    file.seek(-8 - size, os.SEEK_END)
    data = file.read(size)
    file.seek(-8 - size, os.SEEK_END)
    return Reader(data).struct()


def _write_footer(file: Any, footer: Struct) -> None:
    data = Writer().struct(footer)
    file.write(data + struct.pack("<I", len(data)) + b"PAR1")
    file.truncate()


def _change_schema(footer: Struct, drop: Set[str]) -> None:
    elements = footer[2][1].values
    root, leaves = elements[0], [e for e in elements[1:] if e[4][1].decode() not in drop]
    leaves.append({1: (I32, _INT64), 3: (I32, _REQUIRED), 4: (BINARY, NAME.encode())})
    root[5] = (I32, len(leaves))
    footer[2][1].values[:] = [root, *leaves]
    if 7 in footer:
        orders = footer[7][1].values
        orders[:] = [{1: (STRUCT, {})} for _ in leaves]


def _change_group(group: Struct, chunk: Struct, drop: Set[str]) -> None:
    columns = group[1][1].values
    columns[:] = [c for c in columns if c[3][1][3][1].values[0].decode() not in drop] + [chunk]
    group[2] = (I64, sum(c[3][1][6][1] for c in columns))
    group[6] = (I64, sum(c[3][1][7][1] for c in columns))


def _write_chunk(file: Any, numbers: np.ndarray) -> Struct:
    """Write one data page of plain int64s at the file's position; its column chunk for the footer."""
    import numpy as np

    values = np.ascontiguousarray(numbers, dtype="<i8").tobytes()
    page: Struct = {1: (I32, len(numbers)), 2: (I32, _PLAIN), 3: (I32, _RLE), 4: (I32, _RLE)}
    header = Writer().struct({1: (I32, 0), 2: (I32, len(values)), 3: (I32, len(values)), 5: (STRUCT, page)})
    at = file.tell()
    file.write(header + values)
    size = len(header) + len(values)
    statistics: Struct = {3: (I64, 0), 5: (BINARY, values[-8:]), 6: (BINARY, values[:8])}
    meta: Struct = {
        1: (I32, _INT64),
        2: (LIST, Items(I32, [_PLAIN, _RLE])),
        3: (LIST, Items(BINARY, [NAME.encode()])),
        4: (I32, _UNCOMPRESSED),
        5: (I64, len(numbers)),
        6: (I64, size),
        7: (I64, size),
        9: (I64, at),
        12: (STRUCT, statistics),
    }
    return {2: (I64, 0), 3: (STRUCT, meta)}
