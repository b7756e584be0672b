"""Row numbers are added to a Parquet file without rewriting it, and every reader sees the same."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from forebay.formats._row_column import add_row_column


@pytest.mark.parametrize(
    "options", ["COMPRESSION uncompressed, PARQUET_VERSION v2", "COMPRESSION lz4", "COMPRESSION zstd"]
)
@pytest.mark.parametrize("count", [0, 1, 10_000])
def test_numbers_replace_the_helper_columns(tmp_path: Path, options: str, count: int) -> None:
    path = tmp_path / "rows.parquet"
    with duckdb.connect() as connection:
        rows = f"SELECT i AS a, CAST(i AS VARCHAR) AS b, CAST(NULL AS VARCHAR) AS helper FROM range({count}) t(i)"
        connection.execute(f"COPY ({rows}) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048, {options})")
        add_row_column(path, lambda first, size: np.arange(first, first + size) * 2 + 1, {"helper"})
        seen = connection.execute(
            f"SELECT count(*), sum(CAST(__row = 2 * a + 1 AND b = CAST(a AS VARCHAR) AS INT)) FROM '{path}'"
        ).fetchall()
        assert seen == [(count, count or None)]
        assert connection.execute(f"SELECT a FROM '{path}' WHERE __row = 9001").fetchall() == (
            [(4500,)] if count > 4500 else []
        )
    table = pq.read_table(path)
    table.validate(full=True)
    assert table.column_names == ["a", "b", "__row"]
    assert table["__row"].to_pylist() == [2 * i + 1 for i in range(count)]
