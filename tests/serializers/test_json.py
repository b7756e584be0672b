from __future__ import annotations

import base64
import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forebay.contracts import Encoded
from forebay.errors import CorruptFileError
from forebay.model import Column
from forebay.serializers.json import Json, JsonConfig
from forebay.testing.serializers import EVERY_TYPE, SerializerContract, by_sql, columns_of


class Number(str):
    """A JSON number as it was written."""


def parse(value: bytes) -> dict[str, Any]:
    """Strict JSON with numbers as text; `NaN` and duplicate keys are errors."""

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(found)) == len(found)
        return dict(found)

    return json.loads(value, parse_float=Number, parse_int=Number, parse_constant=refuse, object_pairs_hook=pairs)


def encode(table: pa.Table, **options: Any) -> Encoded:
    return Json(JsonConfig(**options), columns_of(table)).encode(table)


def one(column: pa.Array, **options: Any) -> str:
    """The JSON of a single column's first value."""
    value = encode(pa.table({"a": column}), **options).values[0].as_py().decode()
    assert value.startswith('{"a":')
    return value[5:-1]


def iso(moment: dt.datetime | dt.time) -> str:
    """ISO 8601 with as many digits of a second as are not zero."""
    text = moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds")
    return text.rstrip("0") if moment.microsecond else text


def expected(value: Any, arrow: pa.DataType) -> Any:
    """What JSON must hold for a value, by Python alone; numbers as `Number`s where their text is fixed, else as Python
    numbers."""
    match value:
        case None | bool() | str():
            return value
        case bytes():
            return base64.b64encode(value).decode()
        case dt.datetime() if value.tzinfo:
            return iso(value.astimezone(dt.UTC).replace(tzinfo=None)) + "Z"
        case dt.datetime() | dt.time():
            return iso(value)
        case dt.date():
            return value.isoformat()
        case Decimal():
            return Number(f"{value:f}")
        case int():
            return Number(value)
    return np.float32(value) if arrow == pa.float32() else value


def same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, np.float32):
        return isinstance(found, Number) and np.float32(found) == wanted
    if isinstance(wanted, float):
        return (
            isinstance(found, Number)
            and float(found) == wanted
            and math.copysign(1, float(found)) == math.copysign(1, wanted)
        )
    return type(found) is type(wanted) and found == wanted


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    most = 10**precision - 1
    return st.integers(-most, most).map(lambda n: Decimal((0 if n >= 0 else 1, tuple(map(int, str(abs(n)))), -scale)))


MOMENTS = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30))
KINDS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.int8(), st.integers(-128, 127)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float64(), st.floats(allow_nan=False, allow_infinity=False)),
    (pa.float32(), st.floats(width=32, allow_nan=False, allow_infinity=False)),
    (pa.decimal128(10, 2), decimals(10, 2)),
    (pa.decimal128(38, 38), decimals(38, 38)),
    (pa.decimal128(4, 0), decimals(4, 0)),
    (pa.string(), st.text()),
    (pa.bool_(), st.booleans()),
    (pa.date32(), st.dates()),
    (pa.time64("us"), st.times()),
    (pa.timestamp("us"), MOMENTS),
    (pa.timestamp("us", "America/New_York"), MOMENTS.map(lambda m: m.replace(tzinfo=dt.UTC))),
    (pa.binary(), st.binary()),
]


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    names = draw(st.lists(st.text(min_size=1), min_size=1, max_size=5, unique=True))
    rows = draw(st.integers(1, 4))
    arrays = []
    for _ in names:
        arrow, values = draw(st.sampled_from(KINDS))
        arrays.append(pa.array(draw(st.lists(st.none() | values, min_size=rows, max_size=rows)), arrow))
    return pa.table(arrays, names=names)


class TestJson(SerializerContract):
    def make_serializer(self, columns: tuple[Column, ...], **options: Any) -> Json:
        return Json(JsonConfig(**options), columns)

    def decode(self, value: bytes) -> dict[str, Any]:
        return json.loads(value)

    def refused(self) -> pa.Table:
        return pa.table({"n": [1, 2], "odd": [0.5, math.nan]})


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(tables())
def test_any_row_reads_back_by_python_alone(table: pa.Table) -> None:
    encoded = encode(table)
    assert encoded.causes.null_count == len(table)
    for value, row in zip(encoded.values.to_pylist(), table.to_pylist(), strict=True):
        found = parse(value)
        assert list(found) == table.column_names
        for field in table.schema:
            assert same(found[field.name], expected(row[field.name], field.type)), (found[field.name], row[field.name])
    assert by_sql(Json(JsonConfig(), columns_of(table)), table) == (
        encoded.values.to_pylist(),
        encoded.causes.to_pylist(),
    )


def test_golden() -> None:
    table = EVERY_TYPE.slice(0, 1).drop_columns(["float"])
    assert encode(table).values[0].as_py().decode() == (
        '{"int":1,"small":-128,"unsigned":0,"single":0.1,"money":1.10,"share":0.05,"text":"","flag":true,"day":"0001-01-01","clock":"00:00:00",'
        '"at":"2026-01-05T10:00:00.5","instant":"2026-01-05T15:00:00Z","bytes":""}'
    )


@pytest.mark.parametrize(
    ("nan", "wanted"),
    [("null", ["null", "null", "null"]), ("string", ['"NaN"', '"Infinity"', '"-Infinity"'])],
)
@pytest.mark.parametrize("arrow", [pa.float32(), pa.float64()])
def test_nan_by_setting(nan: str, wanted: list[str], arrow: pa.DataType) -> None:
    values = pa.array([math.nan, math.inf, -math.inf], arrow)
    assert [one(values.slice(n, 1), nan=nan) for n in range(3)] == wanted


def test_nan_is_quarantined_by_default_with_every_column_named() -> None:
    encoded = encode(pa.table({"a": [math.nan, 1.0, None], "b": [math.inf, 2.0, math.nan]}))
    assert encoded.values.to_pylist() == [None, b'{"a":1.0,"b":2.0}', None]
    first, second, third = (row and [(c["columns"], c["value"]) for c in row] for row in encoded.causes.to_pylist())
    assert first == [(["a"], "nan"), (["b"], "inf")]
    assert second is None
    assert third == [(["b"], "nan")]


def test_decimals_and_big_integers_as_strings() -> None:
    assert one(pa.array([Decimal("1.10")], pa.decimal128(5, 2)), decimals="string") == '"1.10"'
    assert one(pa.array([2**63 - 1], pa.int64()), big_integers="string") == '"9223372036854775807"'
    assert one(pa.array([None], pa.int64()), big_integers="string") == "null"
    assert one(pa.array([7], pa.int32()), big_integers="string") == "7"


def test_years_beyond_iso_8601_are_refused() -> None:
    far = pa.array(
        [253402300800000000 + n for n in (-1, 0)], pa.int64()
    )  # 9999-12-31T23:59:59.999999 and the microsecond after
    for arrow in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        fits, refused = encode(pa.table({"t": far.cast(arrow)})).causes.to_pylist()
        assert fits is None
        assert ["outside the years 1 to 9999" in cause["detail"] for cause in refused] == [True]
    assert encode(pa.table({"d": pa.array([2932897], pa.int32()).cast(pa.date32())})).values.null_count == 1


def test_names_that_mean_something_to_sql() -> None:
    names = ["a", "A", 'q"uote', "it's", "new\nline", "nul\x00", "\u2028", "😀", "{}", "select", "c0", "\\"]
    table = pa.table([pa.array([n]) for n in range(len(names))], names=names)
    assert json.loads(encode(table).values[0].as_py()) == {name: n for n, name in enumerate(names)}


def test_zones_are_written_in_utc_whatever_the_session() -> None:
    moment = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
    assert one(pa.array([moment], pa.timestamp("us", "Asia/Kolkata"))) == '"2026-07-01T12:00:00Z"'


def test_a_type_without_text_is_refused() -> None:
    with pytest.raises(CorruptFileError, match="list"):
        encode(pa.table({"a": [[1]]}))


@pytest.mark.parametrize(
    "options", [{}, {"decimals": "string", "big_integers": "string"}, {"nan": "string"}, {"nan": "null"}]
)
def test_columns_that_hold_no_nulls_are_written_the_same(options: dict[str, Any]) -> None:
    table = EVERY_TYPE.slice(0, 3)  # the last row is null
    strict = table.cast(pa.schema([field.with_nullable(False) for field in table.schema]))
    found, plain = encode(strict, **options), encode(table, **options)
    assert found.values.to_pylist() == plain.values.to_pylist()
    assert plain.values.null_count == 0
    assert found.causes.to_pylist() == plain.causes.to_pylist()
