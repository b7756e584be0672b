"""DuckDB expressions for the text of one value: the same text in a record's key and in its JSON value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.errors import CorruptFileError

if TYPE_CHECKING:
    import pyarrow as pa


def text(identifier: str, arrow: pa.DataType) -> str:
    """A VARCHAR expression of the value's text; null for null.

    Integers, decimals (with the digits of their scale) and booleans as JSON writes them; floats as the shortest text
    that reads back the same; dates, times and timestamps in ISO 8601 with as many digits of a second as are not zero;
    timestamps with a zone in UTC with `Z`; binary in base64. Raises `CorruptFileError` for a type that a stage cannot
    have.
    """
    import pyarrow.types as t

    plain = f"{identifier}::varchar"
    if t.is_string(arrow) or t.is_large_string(arrow) or t.is_string_view(arrow):
        return identifier
    if t.is_decimal(arrow) and arrow.precision == arrow.scale:
        # DuckDB leaves out the zero of 0.05 when no digit may stand before the point
        return f"replace({plain}, '.', '0.')"
    if t.is_timestamp(arrow) and arrow.tz:
        return (
            f"(replace(make_timestamp(epoch_us({identifier}))::varchar, ' ', 'T') || 'Z')"  # free of the session's zone
        )
    if t.is_timestamp(arrow):
        return f"replace({plain}, ' ', 'T')"
    if t.is_binary(arrow) or t.is_large_binary(arrow) or t.is_binary_view(arrow) or t.is_fixed_size_binary(arrow):
        return f"base64({identifier})"
    if (
        t.is_boolean(arrow)
        or t.is_integer(arrow)
        or t.is_decimal(arrow)
        or t.is_floating(arrow)
        or t.is_date(arrow)
        or t.is_time(arrow)
    ):
        return plain
    raise CorruptFileError(
        f"writing a column of type `{arrow}`: it has no text form (a fault in forebay: no reader makes such a column)"
    )
