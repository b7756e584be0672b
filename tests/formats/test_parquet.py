"""Parquet: typed values as they are, or widened without loss."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forebay.errors import CorruptFileError
from forebay.formats.parquet import Parquet
from forebay.model import Column, Stage
from forebay.testing.formats import FormatContract, Rows, rejects, rows, sample, staged


def file_of(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def read(data: bytes, folder: Path, **types: str) -> Stage:
    return staged(
        Parquet(Parquet.Config()), data, tuple(Column(name, type_) for name, type_ in types.items()) or None, folder
    )


class TestParquet(FormatContract):
    def make_format(self) -> Parquet:
        return Parquet(Parquet.Config())

    def encode(self, table: Rows) -> bytes:
        types = {
            "id": pa.int64(),
            "name": pa.string(),
            "price": pa.decimal128(12, 2),
            "day": pa.date32(),
            "at": pa.timestamp("us"),
        }
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(table, pa.schema(types)), sink, row_group_size=700)
        return sink.getvalue()

    @pytest.mark.parametrize("keep", [4, 100, -1, -9])
    def test_a_truncated_file_is_corrupt(self, tmp_path: Path, keep: int) -> None:
        with pytest.raises(CorruptFileError, match="file:///in/orders"):
            self.stage(self.encode(sample(3_000))[:keep], tmp_path)


@pytest.mark.parametrize(
    ("values", "type_", "good"),
    [
        (pa.array([1, 300], pa.int64()), "int8", [1]),
        (pa.array([1, 2], pa.int8()), "int64", [1, 2]),
        (pa.array([1, 2**53 + 1]), "float64", [1.0]),
        (pa.array([0.5, 0.1]), "float32", [0.5]),
        (pa.array([1_000, 1_001], pa.timestamp("ns")), "timestamp", [1_000]),
        (pa.array(["1", "x"]), "int64", [1]),
    ],
)
def test_values_are_taken_exactly_or_set_aside(tmp_path: Path, values: pa.Array, type_: str, good: list[Any]) -> None:
    stage = read(file_of(a=values), tmp_path, a=type_)
    found = [row["__row"] for row in rows(stage)]
    assert found == list(range(1, len(good) + 1))
    assert stage.rows_in == 2 and stage.rows_rejected == len(rejects(stage)) == 2 - len(good)


@pytest.mark.parametrize(
    ("values", "type_"),
    [([1], "string"), ([True], "int64"), ([[1]], "string"), ([0.1], "decimal(10,2)")],
)
def test_another_kind_of_column_refuses_the_file(tmp_path: Path, values: list[Any], type_: str) -> None:
    with pytest.raises(CorruptFileError, match=r"column `a` is .*, declared is"):
        read(file_of(a=values), tmp_path, a=type_)


def test_nested_columns_are_named_and_may_be_left_out(tmp_path: Path) -> None:
    data = file_of(a=[1], tags=[["x"]])
    with pytest.raises(CorruptFileError, match=r"column `tags` is list<element: string>"):
        read(data, tmp_path)
    assert rows(read(data, tmp_path / "x", a="int64")) == [{"a": 1, "__row": 1}]


def test_instants_keep_their_zone(tmp_path: Path) -> None:
    stage = read(file_of(t=pa.array([0], pa.timestamp("us", "Europe/Berlin"))), tmp_path)
    assert stage.columns == (Column("t", "timestamp[tz]"),)
    assert pq.read_table(stage.rows)["t"].cast(pa.int64()).to_pylist() == [0]
