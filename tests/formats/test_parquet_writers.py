"""However a Parquet file was written, and by whom: nothing differs from pyarrow's reading."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forebay.errors import CorruptFileError
from forebay.testing.formats import rejects
from tests.formats.parquet_files import file_of, plain, read

COUNT = 3_000


def many() -> pa.Table:
    """Columns of every kind that no option changes, with nulls and repeated values."""
    r = np.random.default_rng(7)
    holes = pa.array(r.random(COUNT) < 0.1)
    columns = {
        "i8": pa.array(r.integers(-128, 128, COUNT), pa.int8()),
        "u32": pa.array(r.integers(0, 2**32, COUNT), pa.uint32()),
        "u64": pa.array(r.integers(0, 2**64, COUNT, np.uint64)),
        "i64": pa.array(np.cumsum(r.integers(0, 9, COUNT))),
        "f32": pa.array(r.random(COUNT).astype(np.float32)),
        "f64": pa.array(r.normal(size=COUNT)),
        "b": pa.array(r.random(COUNT) < 0.5),
        "dec": pa.array(r.integers(-(10**8), 10**8, COUNT)).cast(pa.decimal128(19, 0)).cast(pa.decimal128(30, 4)),
        "day": pa.array(r.integers(-(10**5), 10**5, COUNT), pa.int32()).view(pa.date32()),
        "us": pa.array(r.integers(-(10**15), 10**15, COUNT)).view(pa.timestamp("us")),
        "word": pa.array([f"w{n}" for n in r.integers(0, 20, COUNT)]),
        "text": pa.array([f"é {n}" for n in r.integers(0, 10**9, COUNT)]),
        "bytes": pa.array([r.bytes(n) for n in r.integers(0, 9, COUNT)]),
        "fixed": pa.array([r.bytes(4) for _ in range(COUNT)], pa.binary(4)),
    }
    return pa.table(
        {name: pa.compute.if_else(holes, pa.scalar(None, c.type), c) for name, c in columns.items()}
        | {"whole": pa.array(range(COUNT))}
    )


WAYS: list[dict[str, Any]] = [
    *(
        {"version": v, "data_page_version": p, "compression": c}
        for v, p, c in itertools.product(("1.0", "2.4", "2.6"), ("1.0", "2.0"), ("none", "snappy", "zstd"))
    ),
    *({"compression": c} for c in ("gzip", "brotli", "lz4")),
    {"use_dictionary": True, "dictionary_pagesize_limit": 64},
    {
        "use_dictionary": False,
        "column_encoding": {
            "i64": "DELTA_BINARY_PACKED",
            "text": "DELTA_BYTE_ARRAY",
            "word": "DELTA_LENGTH_BYTE_ARRAY",
            "f64": "BYTE_STREAM_SPLIT",
        },
    },
    {"write_page_checksum": True, "write_page_index": True, "data_page_size": 100, "row_group_size": 77},
    {"write_statistics": False, "store_schema": False},
    {"store_decimal_as_integer": True, "row_group_size": 1},
    {"use_deprecated_int96_timestamps": True},
    {"coerce_timestamps": "ms", "allow_truncated_timestamps": True},
]


def same_as_pyarrow(data: bytes, folder: Path) -> None:
    """Judged by pyarrow's own reading of the whole file at once: every row is there or quarantined, in order, with
    equal values."""
    judge = pq.read_table(io.BytesIO(data))
    stage = read(data, folder)
    found, aside = pq.read_table(stage.rows), {reject["__row"] for reject in rejects(stage)}
    kept = [n for n in range(len(judge)) if n + 1 not in aside]
    assert found["__row"].to_pylist() == [n + 1 for n in kept]
    for column in stage.columns:
        expected = judge[column.name].take(pa.array(kept, pa.int64()))
        if isinstance(expected.type, pa.UuidType):
            assert found[column.name].to_pylist() == [str(value) for value in expected.to_pylist()]
            continue
        assert plain(found[column.name]) == plain(expected.cast(found[column.name].type)), column


@pytest.mark.parametrize("options", WAYS, ids=[",".join(map(str, way.values())) for way in WAYS])
def test_however_it_is_written_nothing_differs_from_pyarrow(tmp_path: Path, options: dict[str, Any]) -> None:
    same_as_pyarrow(
        file_of(many() if options.get("row_group_size") != 1 else many().slice(0, 200), **options), tmp_path
    )


@pytest.mark.parametrize(
    "options",
    [
        "",
        ", PARQUET_VERSION v2, COMPRESSION uncompressed",
        ", COMPRESSION lz4_raw",
        ", ROW_GROUP_SIZE 2048, COMPRESSION zstd",
    ],
)
def test_files_of_duckdb_do_not_differ_from_pyarrow(tmp_path: Path, options: str) -> None:
    with duckdb.connect() as con:
        con.register(
            "rows", many().drop_columns(["u32"]) if "v2" in options else many()
        )  # pyarrow cannot read DuckDB's deltas of those
        con.execute(
            "copy (select *, (i64 % 3)::varchar::enum('0', '1', '2') as e, uuid() as u, "
            f"i64::uhugeint as h from rows) to '{tmp_path}/a.parquet' (format parquet{options})"
        )
    same_as_pyarrow((tmp_path / "a.parquet").read_bytes(), tmp_path / "stage")


def test_what_pyarrow_cannot_read_is_refused(tmp_path: Path) -> None:
    with duckdb.connect() as con:
        con.register("rows", many())
        con.execute(f"copy (select u32 from rows) to '{tmp_path}/a.parquet' (format parquet, PARQUET_VERSION v2)")
    with pytest.raises(CorruptFileError, match="Unexpected end of stream"):
        read((tmp_path / "a.parquet").read_bytes(), tmp_path / "stage")


def test_files_of_polars_do_not_differ_from_pyarrow(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    polars.from_arrow(many()).write_parquet(tmp_path / "a.parquet", row_group_size=500)
    same_as_pyarrow((tmp_path / "a.parquet").read_bytes(), tmp_path / "stage")
