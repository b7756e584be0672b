"""Parquet files made by hand, and what is read of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from forebay.formats.parquet import Parquet
from forebay.model import Column, Stage
from forebay.testing.formats import staged


def file_of(table: pa.Table | dict[str, Any], **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), sink, **options)
    return sink.getvalue()


def read(data: bytes, folder: Path, **types: str) -> Stage:
    return staged(
        Parquet(Parquet.Config()), data, tuple(Column(name, type_) for name, type_ in types.items()) or None, folder
    )


def plain(values: pa.ChunkedArray) -> list[Any]:
    """Comparable values: times as their ticks, floats bit by bit."""
    t = pa.types
    if t.is_timestamp(values.type) or t.is_time(values.type):
        return (
            list(values.cast(pa.int64()).to_pylist())
            if values.type.bit_width == 64
            else list(values.cast(pa.int32()).to_pylist())
        )
    return [repr(v) if isinstance(v, float) else v for v in values.to_pylist()]
