"""Arrow columns in another type, value by value: the same value, or null. Nothing is rounded, cut, wrapped or guessed.

Arrow's own safe casts refuse a whole column for one value, and its unsafe ones change values in silence: so each cast
here is made of the values that are known to fit, or is compared with what it came from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
_DAY = 86_400_000_000
_LONG = 76  # digits of decimal256
# DuckDB's timestamps and dates: the numbers around these mean infinity (duckdb.org/docs/sql/data_types/timestamp)
_TIMES = -9_223_372_022_400_000_000, 2**63 - 2
_DAYS = -2_147_483_646, 2**31 - 2
_DIGITS = {32: 24, 64: 53}  # bits of a float's significand (IEEE 754), by its width


def exact(values: pa.Array, to: pa.DataType) -> pa.Array:
    """The values in the type `to`, null where it has no such value. Kinds that never meet raise
    `pa.ArrowNotImplementedError`."""
    import pyarrow as pa
    import pyarrow.types as t

    stored = values.type
    if t.is_null(stored):
        return pa.nulls(len(values), to)
    if t.is_timestamp(to):
        return within(_microseconds(values.view(pa.int64()), stored.unit), *_TIMES).view(to)
    if t.is_time(to):
        ticks = values.view(pa.int32()).cast(pa.int64()) if stored.bit_width == 32 else values.view(pa.int64())
        return within(_microseconds(ticks, stored.unit), 0, _DAY - 1).view(to)
    if t.is_date(to):
        days = values.view(pa.int32()) if t.is_date32(stored) else _divided(values.view(pa.int64()), _DAY // 1000)
        return within(days, *_DAYS).cast(pa.int32()).view(to)
    if stored == to:
        return values
    if t.is_integer(stored):
        return _of_integers(values, to)
    if t.is_decimal(stored):
        return _of_decimals(values, to)
    return _of_floats(values, to) if t.is_floating(stored) else values.cast(to)


def within(values: pa.Array, low: int, high: int) -> pa.Array:
    """Numbers, null where they are not between these. Most columns have none such: then nothing is copied."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ends = pc.min_max(values)
    if not ends["min"].is_valid or (low <= ends["min"].as_py() and ends["max"].as_py() <= high):
        return values
    least, most = _range(values.type)
    inside = pc.and_(
        pc.greater_equal(values, pa.scalar(max(low, least), values.type)),
        pc.less_equal(values, pa.scalar(min(high, most), values.type)),
    )
    return _only(values, inside)


def _range(stored: pa.DataType) -> tuple[int, int]:
    """The ends of an integer type."""
    signed = str(stored).startswith("int")
    return (-(2 ** (stored.bit_width - 1)), 2 ** (stored.bit_width - 1) - 1) if signed else (0, 2**stored.bit_width - 1)


def _only(values: pa.Array, which: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(which, values, pa.scalar(None, values.type))


def _same(values: pa.Array, mine: pa.Array, other: pa.Array) -> pa.Array:
    """`values`, null where `one` and `other` differ."""
    import pyarrow.compute as pc

    same = pc.equal(mine, other)
    return values if pc.all(same).as_py() is not False else _only(values, same)


def _microseconds(ticks: pa.Array, unit: str) -> pa.Array:
    import pyarrow.compute as pc

    if unit == "ns":
        return _divided(ticks, 1000)
    factor = _MICROSECONDS[unit]
    return ticks if factor == 1 else pc.multiply(within(ticks, -(2**63 // factor), 2**63 // factor - 1), factor)


def _divided(values: pa.Array, by: int) -> pa.Array:
    """Integers divided, null where something is left."""
    import pyarrow.compute as pc

    divided = pc.divide(values, by)
    return _same(divided, pc.multiply(divided, by), values)


def _of_integers(values: pa.Array, to: pa.DataType) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    if t.is_integer(to):
        return within(values, *_range(to)).cast(to)
    if t.is_decimal(to):
        most = 10 ** (to.precision - to.scale) - 1
        return within(values, -most, most).cast(pa.decimal256(20, 0)).cast(pa.decimal256(_LONG, to.scale)).cast(to)
    floats = values.cast(to, safe=False)
    end = float(_range(values.type)[1] + 1)
    inside = _only(floats, pc.less(floats.cast(pa.float64()), end))  # the cast back of a greater one is undefined
    return _same(inside, inside.cast(values.type, safe=False), values)


def _of_decimals(values: pa.Array, to: pa.DataType) -> pa.Array:
    """Decimals and integers. To floats, decimals go by their text, as all numbers that are written in digits."""
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_integer(to):
        whole = _of_decimals(values, pa.decimal128(20, 0))
        least, most = _range(to)
        return _between(whole, least, most).cast(to)
    stored = values.type
    wide = values.cast(pa.decimal256(max(stored.precision, 1), stored.scale))
    most = 10 ** (to.precision - to.scale) - 1
    fitting = _below(wide, most + 1)
    scaled = fitting.cast(pa.decimal256(_LONG, to.scale), safe=False)
    back = scaled.cast(pa.decimal256(_LONG, stored.scale), safe=False) if to.scale < stored.scale else None
    same = scaled if back is None else _same(scaled, back, fitting.cast(pa.decimal256(_LONG, stored.scale)))
    return same.cast(to)


def _below(values: pa.Array, end: int) -> pa.Array:
    """Decimals, null where they are not between `-end` and `end`, both left out."""
    import pyarrow.compute as pc

    limit = _scalar(end, values.type)
    if limit is None:
        return values
    inside = pc.and_(pc.less(values, limit), pc.greater(values, pc.negate(limit)))
    return values if pc.all(inside).as_py() is not False else _only(values, inside)


def _between(values: pa.Array, low: int, high: int) -> pa.Array:
    import pyarrow.compute as pc

    inside = pc.and_(
        pc.greater_equal(values, _scalar(low, values.type)), pc.less_equal(values, _scalar(high, values.type))
    )
    return values if pc.all(inside).as_py() is not False else _only(values, inside)


def _scalar(number: int, like: pa.DataType) -> Any:
    """The whole number as a scalar of that decimal type, or None where it has too many digits for it."""
    from decimal import Decimal

    import pyarrow as pa

    return pa.scalar(Decimal(number), like) if len(str(abs(number))) <= like.precision - like.scale else None


def _of_floats(values: pa.Array, to: pa.DataType) -> pa.Array:
    import pyarrow.compute as pc
    import pyarrow.types as t

    if t.is_integer(to):
        return _whole(values, to)
    cast = values.cast(to, safe=False)
    if to.bit_width > values.type.bit_width:
        return cast
    same = pc.or_(pc.equal(cast.cast(values.type), values), pc.is_nan(values))
    return cast if pc.all(same).as_py() is not False else _only(cast, same)


def _whole(values: pa.Array, to: pa.DataType) -> pa.Array:
    """Floats as integers. From two to the number of digits on, neighbouring integers are one float: there, nobody knows
    which it was."""
    import pyarrow as pa
    import pyarrow.compute as pc

    least, most = _range(to)
    end = 2 ** _DIGITS[values.type.bit_width] - 1
    low, high = (pa.scalar(float(number), values.type) for number in (max(-end, least), min(end, most)))
    inside = _only(values, pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high)))
    integers = inside.cast(to, safe=False)
    return _same(integers, integers.cast(values.type), inside)
