"""What every serializer must do; a plug-in's test inherits `SerializerContract` and supplies `make_serializer` and
`decode`."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pydantic import ValidationError

from forebay.contracts import Serializer, causes
from forebay.model import Column
from forebay.support.sql import OFFLINE

NEW_YORK = "America/New_York"
EVERY_TYPE = pa.table(
    {
        "int": pa.array([1, -(2**63), 2**63 - 1, None], pa.int64()),
        "small": pa.array([-128, 127, 0, None], pa.int8()),
        "unsigned": pa.array([0, 2**64 - 1, 5, None], pa.uint64()),
        "float": pa.array([0.1, -1e300, 5e-324, None], pa.float64()),
        "single": pa.array([0.1, -1e30, 1.5, None], pa.float32()),
        "money": pa.array([Decimal("1.10"), Decimal("-0.05"), Decimal("99999999.99"), None], pa.decimal128(10, 2)),
        "share": pa.array([Decimal("0.05"), Decimal("-0.05"), Decimal("0.00"), None], pa.decimal128(2, 2)),
        "text": pa.array(["", 'quote " back \\ slash \n \x00 \x1f \x7f', "\u2028 😀 ü null", None]),
        "flag": pa.array([True, False, True, None]),
        "day": pa.array([dt.date(1, 1, 1), dt.date(2026, 1, 5), dt.date(9999, 12, 31), None]),
        "clock": pa.array([dt.time(0), dt.time(23, 59, 59, 999999), dt.time(10, 0, 0, 500000), None], pa.time64("us")),
        "at": pa.array(
            [dt.datetime(2026, 1, 5, 10, 0, 0, 500000), dt.datetime(1, 1, 1), dt.datetime(1969, 7, 20, 20, 17), None]
        ),
        "instant": pa.array([dt.datetime(2026, 1, 5, 15, tzinfo=dt.UTC)] * 3 + [None], pa.timestamp("us", NEW_YORK)),
        "bytes": pa.array([b"", b"\x00\xff", b"abc", None], pa.binary()),
    }
)


def columns_of(table: pa.Table) -> tuple[Column, ...]:
    return tuple(Column(field.name, str(field.type)) for field in table.schema)


def by_sql(serializer: Serializer[Any], table: pa.Table) -> tuple[list[bytes | None], list[Any]] | None:
    """Values and causes by the serializer's expressions, if it has them."""
    identifiers = [f"x{n}" for n in range(table.num_columns)]
    sql = serializer.sql(table.schema, identifiers)
    if sql is None:
        return None
    with duckdb.connect(config=OFFLINE) as con:
        con.register("t", table.rename_columns(identifiers))
        result = con.sql(f"select {sql.value} as v, {sql.causes} as r from t").to_arrow_table()
    return result["v"].cast("binary").to_pylist(), result["r"].cast(causes.arrow()).to_pylist()


class SerializerContract:
    """One value per row, in order; the same rows give the same bytes, however they are cut and whoever asks."""

    def make_serializer(self, columns: tuple[Column, ...], **options: Any) -> Serializer[Any]:
        raise NotImplementedError

    def decode(self, value: bytes) -> dict[str, Any]:
        """A value as a dict of plain Python values, without the code under test."""
        raise NotImplementedError

    def refused(self) -> pa.Table:
        """Two rows, the second of which cannot be encoded, for the value of its column `odd`."""
        raise NotImplementedError

    def test_one_value_per_row_in_order(self) -> None:
        table = pa.table({"n": pa.array(range(300_000), pa.int64())})
        values = self.make_serializer(columns_of(table)).encode(table).values
        assert len(values) == 300_000
        assert [self.decode(values[n].as_py())["n"] for n in (0, 1, 122_879, 122_880, 299_999)] == [
            0,
            1,
            122_879,
            122_880,
            299_999,
        ]

    def test_types_of_the_answer(self) -> None:
        encoded = self.make_serializer(columns_of(EVERY_TYPE)).encode(EVERY_TYPE)
        assert (encoded.values.type, encoded.causes.type) == (pa.binary(), causes.arrow())
        assert encoded.causes.null_count == len(EVERY_TYPE)
        assert encoded.values.null_count == 0

    def test_deterministic(self) -> None:
        serializer = self.make_serializer(columns_of(EVERY_TYPE))
        assert serializer.encode(EVERY_TYPE).values.equals(serializer.encode(EVERY_TYPE).values)

    def test_slicing_and_rechunking_change_nothing(self) -> None:
        serializer = self.make_serializer(columns_of(EVERY_TYPE))
        whole = serializer.encode(EVERY_TYPE).values.to_pylist()
        singles = [serializer.encode(EVERY_TYPE.slice(n, 1)).values[0].as_py() for n in range(len(EVERY_TYPE))]
        chunked = pa.concat_tables([EVERY_TYPE.slice(0, 1), EVERY_TYPE.slice(1, 0), EVERY_TYPE.slice(1)])
        assert singles == whole
        assert serializer.encode(chunked).values.to_pylist() == whole

    def test_other_columns_do_not_matter(self) -> None:
        table = EVERY_TYPE.select(["text", "int"])
        serializer = self.make_serializer(columns_of(table))
        assert serializer.encode(EVERY_TYPE).values.equals(serializer.encode(table).values)

    def test_no_rows(self) -> None:
        encoded = self.make_serializer(columns_of(EVERY_TYPE)).encode(EVERY_TYPE.slice(0, 0))
        assert (len(encoded.values), len(encoded.causes)) == (0, 0)

    def test_null_stays_null(self) -> None:
        values = self.make_serializer(columns_of(EVERY_TYPE)).encode(EVERY_TYPE).values
        assert self.decode(values[3].as_py()) == dict.fromkeys(EVERY_TYPE.column_names)

    def test_a_refused_row_has_a_cause_and_no_value(self) -> None:
        table = self.refused()
        encoded = self.make_serializer(columns_of(table)).encode(table)
        assert [v is None for v in encoded.values.to_pylist()] == [False, True]
        assert encoded.causes[0].as_py() is None
        assert [cause["columns"] for cause in encoded.causes[1].as_py()] == [["odd"]]

    def test_shared_between_threads(self) -> None:
        serializer = self.make_serializer(columns_of(EVERY_TYPE))
        whole = serializer.encode(EVERY_TYPE).values
        with ThreadPoolExecutor(4) as pool:
            assert all(encoded.values.equals(whole) for encoded in pool.map(serializer.encode, [EVERY_TYPE] * 12))

    def test_expressions_give_the_same_bytes(self) -> None:
        for table in (EVERY_TYPE, self.refused()):
            serializer = self.make_serializer(columns_of(table))
            encoded = serializer.encode(table)
            answer = by_sql(serializer, table)
            assert answer in (None, (encoded.values.to_pylist(), encoded.causes.to_pylist()))

    def test_settings_are_strict(self) -> None:
        with pytest.raises(ValidationError, match="no_such_setting"):
            self.make_serializer((), no_such_setting=1)

    def test_content_type_is_said(self) -> None:
        assert "/" in self.make_serializer(()).content_type
