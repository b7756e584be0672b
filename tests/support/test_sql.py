"""SQL text: a path is only a place."""

from pathlib import Path

import duckdb
import pytest

from forebay.support.sql import OFFLINE, literal, parquet


@pytest.mark.parametrize("folder", ["id=7", "env=prod", "a*b", "a?b", "a[1]b", "it's"])
def test_a_path_means_nothing_but_a_place(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "rows.parquet"
    path.parent.mkdir()
    with duckdb.connect() as con:
        con.execute(f"copy (select 1 as id, 'x' as env) to {literal(path)} (format parquet)")
        found = con.sql(f"select * from {parquet(path)}")
        assert (found.columns, found.fetchall()) == (["id", "env"], [(1, "x")])
        assert con.sql(f"select file_row_number from {parquet(path, file_row_number='true')}").fetchall() == [(0,)]


def test_no_thread_writes_beside_its_query() -> None:
    """When a `COPY` to Parquet fails, DuckDB 2.0.0 waits for that thread, which may wait for it, for ever."""
    with duckdb.connect(config=OFFLINE) as con:
        assert con.execute("select current_setting('async_threads')").fetchone() == (0,)


def test_nobody_reads_parquet_by_another_way() -> None:
    engine = Path(__file__).parents[2] / "include" / "forebay"
    others = [p for p in engine.rglob("*.py") if "read_parquet(" in p.read_text("utf-8") and p.name != "sql.py"]
    assert others == []
