"""docs/parquet.md, row by row: what a column of each type becomes, judged by pyarrow's own reading of the file."""

from __future__ import annotations

import io
import json
import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forebay.errors import CorruptFileError
from forebay.formats._thrift import I32, STRUCT, Reader, Writer
from forebay.model import Column
from forebay.testing.formats import rejects, rows
from tests.formats.parquet_files import file_of, plain, read

PAGE = Path(__file__).parents[2] / "docs" / "parquet.md"
UTC = "UTC"
LONG = Decimal("9" * 20 + ".01")


def relabelled(data: bytes, label: int) -> bytes:
    """The file with another logical type for its only column, as writers other than Arrow's have it, and without the
    Arrow schema."""
    size = int.from_bytes(data[-8:-4], "little")
    footer = Reader(data[-8 - size : -8]).struct()
    column = footer[2][1].values[1]
    column.pop(10, None)
    column[6] = (I32, {4: 4, 12: 21}[label])  # converted types ENUM, INTERVAL
    if label == 4:
        column[10] = (STRUCT, {4: (STRUCT, {})})
    footer.pop(5, None)
    new = Writer().struct(footer)
    return data[: -8 - size] + new + len(new).to_bytes(4, "little") + b"PAR1"


def utc_times() -> bytes:
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, pa.schema({"a": pa.time64("us")}), write_time_adjusted_to_utc=True) as writer:
        writer.write_table(pa.table({"a": pa.array([1, None, 2], pa.time64("us"))}))
    return sink.getvalue()


def raw(octets: list[bytes | None]) -> pa.Array:
    """Text of any bytes: no writer of Arrow's would make it of Python's."""
    held = pa.array(octets, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(held), held.buffers())


def one(values: Any, **options: Any) -> bytes:
    return file_of({"a": values}, **options)


def ticks(numbers: list[int | None], type_: pa.DataType) -> pa.Array:
    return pa.array(numbers, pa.int32() if type_.bit_width == 32 else pa.int64()).view(type_)


ONE, TWO = b"\x01" * 16, b"\xab" * 16
UUID = "01010101-0101-0101-0101-010101010101"
# words of the page → (file of a column `a`, its type here, its values where they are not pyarrow's, quarantined rows)
CASES: list[tuple[str, bytes, str, list[Any] | None, list[int]]] = [
    ("bool", one(pa.array([True, None, False])), "bool", None, []),
    *(
        (f"int{n}", one(pa.array([-(2 ** (n - 1)), None, 2 ** (n - 1) - 1], f"int{n}")), f"int{n}", None, [])
        for n in (8, 16, 32, 64)
    ),
    *((f"uint{n}", one(pa.array([0, None, 2**n - 1], f"uint{n}")), f"uint{n}", None, []) for n in (8, 16, 32, 64)),
    ("float", one(pa.array([0.1, -0.0, float("inf")], "float32")), "float32", None, []),
    ("double", one(pa.array([0.1, 5e-324, None])), "float64", None, []),
    ("halffloat", one(pa.array(np.array([0.1, 65504.0], np.float16))), "float32", None, []),
    (
        "decimal of up to 38",
        one(pa.array([Decimal("1.10"), None, Decimal("-9.99")], pa.decimal128(38, 2))),
        "decimal(38,2)",
        None,
        [],
    ),
    ("decimal of up to 38", one(pa.array([Decimal("0.05")], pa.decimal32(2, 2))), "decimal(2,2)", None, []),
    (
        "decimal of up to 38",
        one(pa.array([Decimal("1.05")], pa.decimal256(20, 2)), store_decimal_as_integer=True),
        "decimal(20,2)",
        None,
        [],
    ),
    (
        "decimal of more than 38 digits",
        one(pa.array([LONG, Decimal(10) ** 36, None], pa.decimal256(39, 2))),
        "decimal(38,2)",
        None,
        [2],
    ),
    ("date", one(pa.array([date(1, 1, 1), None, date(9999, 12, 31)])), "date", None, []),
    ("date", one(ticks([0, 2**31 - 1, -(2**31)], pa.date32())), "date", [date(1970, 1, 1)], [2, 3]),
    ("date", one(pa.array([86_400_000], pa.int64()).view(pa.date64())), "date", None, []),
    ("time in", one(ticks([1, None, 86_400_000, -1], pa.time32("ms"))), "time", [1_000, None], [3, 4]),
    ("time in", one(ticks([1, 86_399_999_999, 86_400_000_000], pa.time64("us"))), "time", [1, 86_399_999_999], [3]),
    ("time in nanoseconds", one(ticks([1_000, 1_001, None], pa.time64("ns"))), "time", [1, None], [2]),
    ("time in UTC", utc_times(), "time", [1, None, 2], []),
    (
        "timestamp in seconds",
        one(ticks([-1, 0, 2**40], pa.timestamp("s"))),
        "timestamp",
        [-1_000_000, 0, 2**40 * 1_000_000],
        [],
    ),
    ("timestamp in", one(ticks([1, 2**62, None], pa.timestamp("ms"))), "timestamp", [1_000, None], [2]),
    ("timestamp in", one(ticks([1, 2**63 - 1, -(2**63)], pa.timestamp("us"))), "timestamp", [1], [2, 3]),
    (
        "timestamp in nanoseconds, INT96",
        one(ticks([1_000, -1_000, 1, -1], pa.timestamp("ns"))),
        "timestamp",
        [1, -1],
        [3, 4],
    ),
    (
        "timestamp in nanoseconds, INT96",
        one(ticks([1_000, 1_001, None], pa.timestamp("ns")), use_deprecated_int96_timestamps=True),
        "timestamp",
        [1, None],
        [2],
    ),
    (
        "timestamp with a zone",
        one(ticks([1_000, 1_001, None], pa.timestamp("ns", UTC))),
        "timestamp[tz]",
        [1, None],
        [2],
    ),
    ("timestamp with a zone", one(ticks([1], pa.timestamp("ms", "Europe/Berlin"))), "timestamp[tz]", [1_000], []),
    *(
        ("string", one(pa.array(["é\0", None, ""], type_)), "string", None, [])
        for type_ in (pa.string(), pa.large_string(), pa.string_view())
    ),
    ("string", one(raw([b"a", b"\xff", None, b"b"])), "string", ["a", None, "b"], [2]),
    ("ENUM", relabelled(one(pa.array(["a", "b"])), 4), "string", ["a", "b"], []),
    ("JSON", one(pa.array(['{"a": 1.10}', None], pa.json_(pa.string()))), "string", None, []),
    ("UUID", one(pa.array([ONE, None, TWO], pa.uuid())), "string", [UUID, None, UUID.replace("01", "ab")], []),
    *(
        ("binary", one(pa.array([b"\xff\0", None, b"xy"], type_)), "binary", None, [])
        for type_ in (pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(2))
    ),
    ("dictionary", one(pa.array(["a", None, "a"]).dictionary_encode()), "string", None, []),
    ("dictionary", one(pa.array([ONE, None]).dictionary_encode()), "binary", None, []),
    ("null", one(pa.nulls(2)), "string", None, []),
    ("other extension types", one(pa.array([1, None], pa.int8()).cast(pa.bool8())), "int8", [1, None], []),
]
REFUSED: list[tuple[str, bytes, str, list[Any]]] = [  # words, file, the type of the way out, what it gives
    (
        "decimal of more than 38 digits behind the point",
        one(pa.array([Decimal("1." + "1" * 40)], pa.decimal256(50, 40))),
        "string",
        ["1." + "1" * 40],
    ),
    ("duration", one(pa.array([7, None], pa.duration("s"))), "int64", [7, None]),
    ("INTERVAL", relabelled(one(pa.array([b"\x01" * 12], pa.binary(12))), 12), "binary", [b"\x01" * 12]),
    *(("lists, structs, maps", one(pa.array([value])), "", []) for value in ([1], {"b": 1})),
]


def test_every_row_of_the_page_has_its_case_and_every_case_its_row() -> None:
    table = PAGE.read_text(encoding="utf-8").split("## Without `schema`")[1].split("## With")[0]
    first = [re.sub(r"`", "", line.split("|")[1]).strip() for line in table.splitlines() if line.startswith("| ")][1:]
    words = [case[0] for case in CASES] + [case[0] for case in REFUSED]
    numbers = "int8 … int64, uint8 … uint64"
    assert [row for row in first if row != numbers and not any(row.startswith(word) for word in words)] == []
    assert [w for w in words if not re.fullmatch(r"u?int\d+", w) and not any(row.startswith(w) for row in first)] == []


@pytest.mark.parametrize(
    ("word", "data", "type_", "values", "aside"), CASES, ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)]
)
def test_a_type_is_read_as_the_page_says(
    tmp_path: Path, word: str, data: bytes, type_: str, values: list[Any] | None, aside: list[int]
) -> None:
    judge = pq.read_table(io.BytesIO(data))["a"]
    stage = read(data, tmp_path)
    assert stage.columns == (Column("a", type_),)
    assert [reject["__row"] for reject in rejects(stage)] == aside
    if values is None:
        values = [v for n, v in enumerate(judge.to_pylist(), 1) if n not in aside]
    found = pq.read_table(stage.rows)
    assert plain(found["a"]) == [repr(v) if isinstance(v, float) else v for v in values]
    assert found["__row"].to_pylist() == [n for n in range(1, len(judge) + 1) if n not in aside]
    assert stage.rows_in == len(judge) and stage.rows_rejected == len(aside)
    for reject in rejects(stage):
        assert (
            reject["columns"] == ["a"]
            and reject["reason"].startswith("column `a`: `")
            and reject["raw"].startswith(b'{"a":')
        )
    with duckdb.connect() as con:  # whoever reads the stage sees the same
        assert len(con.sql(f"select a::varchar from '{stage.rows}'").fetchall()) == len(found)
    declared = read(data, tmp_path / "declared", a=type_)
    assert pq.read_table(declared.rows).equals(found) and declared.rows_rejected == stage.rows_rejected


@pytest.mark.parametrize(("word", "data", "type_", "values"), REFUSED, ids=[case[0] for case in REFUSED])
def test_what_is_refused_names_a_way_out_that_works(
    tmp_path: Path, word: str, data: bytes, type_: str, values: list[Any]
) -> None:
    with pytest.raises(CorruptFileError) as refused:
        read(data, tmp_path)
    assert "declare the columns to be read, without it" in refused.value.message
    both = pq.read_table(io.BytesIO(data)).append_column(
        "b", pa.array(range(pq.read_metadata(io.BytesIO(data)).num_rows))
    )
    assert [row["b"] for row in rows(read(file_of(both), tmp_path / "without", b="int64"))] == both["b"].to_pylist()
    if type_:
        assert f"`{type_}`" in refused.value.message
        assert plain(pq.read_table(read(data, tmp_path / "with", a=type_).rows)["a"]) == values


DECLARED = [
    (pa.array([1, 300, None], pa.int64()), "uint8", [1, None], [2]),
    (pa.array([2**63, 1], pa.uint64()), "int64", [1], [1]),
    (pa.array([1, 2**53 + 1]), "float64", ["1.0"], [2]),
    (pa.array([7, 1000]), "decimal(3,0)", [Decimal(7)], [2]),
    (pa.array([7, 10]), "decimal(3,2)", [Decimal(7)], [2]),
    (pa.array([Decimal("1.00"), Decimal("1.10")]), "int8", [1], [2]),
    (pa.array([Decimal("1.10"), Decimal("1.11")]), "decimal(2,1)", [Decimal("1.1")], [2]),
    (pa.array([Decimal("0.1"), Decimal("0.1000000000000000000001")], pa.decimal128(38, 22)), "float64", ["0.1"], [2]),
    (pa.array([0.5, 0.1, float("nan")]), "float32", ["0.5", "nan"], [2]),
    (pa.array([LONG, Decimal("-0.5")], pa.decimal256(39, 2)), "string", ["9" * 20 + ".01", "-0.50"], []),
    (pa.array([LONG, Decimal(10) ** 36], pa.decimal256(39, 2)), "decimal(38,2)", [LONG], [2]),
    (pa.array([ONE], pa.uuid()), "binary", [ONE], []),
    (pa.array(["7", "07", "x", None]), "int64", [7, None], [2, 3]),
    (pa.array(["2026-01-05T10:00:00Z"]).dictionary_encode(), "timestamp[tz]", [1767607200000000], []),
    (pa.nulls(1), "date", [None], []),
    (pa.array([300, 1], pa.duration("s")), "int8", [1], [1]),
    (pa.array([1001.0, None, -7.0, 1.5, float("nan"), float("inf")]), "int64", [1001, None, -7], [4, 5, 6]),
    (pa.array([2.0**53 - 1, 2.0**53, -(2.0**53), -(2.0**63)]), "int64", [2**53 - 1], [2, 3, 4]),
    (pa.array([2.0**24 - 1, 2.0**24], pa.float32()), "int64", [2**24 - 1], [2]),
    (pa.array([-1.0, 0.0, 255.0, 256.0]), "uint8", [0, 255], [1, 4]),
]


@pytest.mark.parametrize(("held", "type_", "values", "aside"), DECLARED)
def test_a_declared_type_takes_the_values_that_are_the_same_in_it(
    tmp_path: Path, held: pa.Array, type_: str, values: list[Any], aside: list[int]
) -> None:
    stage = read(one(held), tmp_path, a=type_)
    assert plain(pq.read_table(stage.rows)["a"]) == values
    assert [reject["__row"] for reject in rejects(stage)] == aside
    assert all(f"is not {type_}" in reject["reason"] for reject in rejects(stage))


def test_ids_that_pandas_made_floats_for_a_null_are_the_ids_that_they_were(tmp_path: Path) -> None:
    ids = [1001, None, 2**53 - 1, *range(3_000)]
    data = file_of(pa.table({"a": pa.array([None if i is None else float(i) for i in ids])}))
    stage = read(data, tmp_path, a="int64")
    assert pq.read_table(stage.rows)["a"].to_pylist() == ids and not stage.rows_rejected
    assert read(data, tmp_path / "undeclared").columns == (Column("a", "float64"),)


def test_control_a_fraction_that_was_rounded_to_an_integer_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forebay.formats._exact._whole", lambda values, to: pa.compute.round(values).cast(to))
    with pytest.raises(CorruptFileError, match="two readers differ in column `a`"):
        read(one(pa.array([1.0, 2.6, 4.0])), tmp_path, a="int64")


def test_a_row_is_set_aside_beside_a_decimal_of_256_bits_however_few_its_digits(tmp_path: Path) -> None:
    data = file_of(
        {
            "a": pa.array([Decimal("1.05"), Decimal("-2.50")], pa.decimal256(20, 2)),
            "b": ticks([1_000, 1_001], pa.timestamp("ns")),
        }
    )
    [reject] = rejects(read(data, tmp_path))
    assert (reject["__row"], json.loads(reject["raw"])["a"]) == (2, "-2.50")


OTHERS = [
    (pa.array([1.5]), "string"),
    (pa.array(np.array([1.0], np.float16)), "int64"),
    (pa.array([1]), "string"),
    (pa.array([True]), "int64"),
    (pa.array([0.1]), "decimal(10,2)"),
    (pa.array([1], pa.timestamp("us")), "timestamp[tz]"),
    (pa.array([1], pa.timestamp("ns", UTC)), "timestamp"),
    (pa.array([1], pa.time64("ns")), "string"),
    (pa.array([b"x"]), "string"),
    (pa.array([date(2026, 1, 5)]), "timestamp"),
    (pa.array([ONE], pa.uuid()), "int64"),
    (pa.array([1], pa.duration("s")), "time"),
]


@pytest.mark.parametrize(("held", "type_"), OTHERS)
def test_another_kind_is_refused_and_the_type_that_is_named_works(tmp_path: Path, held: pa.Array, type_: str) -> None:
    with pytest.raises(CorruptFileError, match=r"column `a` is .*, declared is") as refused:
        read(one(held), tmp_path, a=type_)
    named = re.search(r"declare it `([^`]+)`", refused.value.message)
    assert named and read(one(held), tmp_path / "named", a=named[1]).rows_in == 1


def test_names_that_differ_in_case_only_are_read_by_the_schema(tmp_path: Path) -> None:
    data = file_of({"column": [1], "COLUMN": [2]})
    with pytest.raises(CorruptFileError, match="`COLUMN` and `column` differ in case only"):
        read(data, tmp_path)
    assert rows(read(data, tmp_path / "x", COLUMN="int64")) == [{"COLUMN": 2, "__row": 1}]


@pytest.mark.parametrize("names", [["a", "a"], ["", "b"], ["__row", "b"], ["x\0y", "b"]])
def test_names_that_no_stage_can_have_fail_their_file_alone(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(CorruptFileError, match="declare the columns to be read"):
        read(
            file_of(pa.Table.from_arrays([pa.array([1]), pa.array([2])], [*names]).append_column("c", pa.array([3]))),
            tmp_path,
        )


def test_the_index_of_pandas_is_a_column_and_dots_are_no_path(tmp_path: Path) -> None:
    table = pa.Table.from_arrays(
        [pa.array([4]), pa.array([5]), pa.array([{"b": 6}])], ["__index_level_0__", "a.b", "a"]
    )
    assert rows(read(file_of(table.select([0, 1])), tmp_path)) == [{"__index_level_0__": 4, "a.b": 5, "__row": 1}]
    assert rows(read(file_of(table), tmp_path / "x", **{"a.b": "int64"})) == [{"a.b": 5, "__row": 1}]


def test_a_page_that_fails_its_checksum_refuses_the_file(tmp_path: Path) -> None:
    data = one(pa.array(range(1_000)), use_dictionary=False, compression="none", write_page_checksum=True)
    read(data, tmp_path)
    at = data.index((500).to_bytes(8, "little"))
    with pytest.raises(CorruptFileError, match="CRC"):
        read(data[:at] + b"\xff" + data[at + 1 :], tmp_path / "x")
