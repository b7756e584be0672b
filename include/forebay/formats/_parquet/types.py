"""What a column of a Parquet file is to forebay, decided by the file's own schema, and as what it may be declared
(docs/values.md has the table).

The schema is pyarrow's reading of the footer: Parquet's logical types, and the Arrow schema that Arrow's writers leave
beside them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forebay.config.types import Type
from forebay.errors import CorruptFileError
from forebay.formats import _names, _staging
from forebay.formats._row_column import NAME as ROW
from forebay.formats._types import known as expected_type
from forebay.model import Column

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

STRING, BINARY = Type("string"), Type("binary")
DIGITS = 38
"""Digits of the longest decimal that a stage holds."""
_RESERVED = {ROW, *_staging.OWN}
_WITHOUT = "declare the columns to be read, without it"
_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


@dataclass(frozen=True, slots=True)
class Reading:
    """How one column is read: `found` is its Arrow type in the file, `logical` the Parquet logical type's name, `type`
    what it becomes."""

    name: str
    stored: pa.DataType
    logical: str
    type: Type
    notes: tuple[str, ...] = ()
    missing: bool = False
    """The file has no such column: it is null."""


def readings(file: pq.ParquetFile, declared: Sequence[Column] | None, may_lack: bool, uri: str) -> list[Reading]:
    """How each column to be read is read, in the order of the schema. Raises `CorruptFileError`, with the way out, for
    what cannot be."""
    schema = file.schema_arrow
    names = schema.names
    known = set(names)
    _names.positions(names, [column for column in declared or () if column.name in known or not may_lack], uri)
    _check_names([column.name for column in declared] if declared is not None else names, uri)
    logical = _logical(file.schema)
    if declared is None:
        chosen = [_undeclared(field.name, field.type, logical.get(field.name, ("", False)), uri) for field in schema]
    else:
        chosen = [_expected(schema, known, column, logical.get(column.name, ("", False)), uri) for column in declared]
    if not [reading for reading in chosen if not reading.missing]:
        raise CorruptFileError(
            f"reading `{uri}`: it has none of the columns to be read (declare columns that it has)", uri=uri
        )
    return chosen


def _expected(schema: pa.Schema, known: Set[str], column: Column, logical: tuple[str, bool], uri: str) -> Reading:
    import pyarrow as pa

    wanted = expected_type(column)
    if column.name not in known:
        return Reading(column.name, pa.null(), "", wanted or STRING, missing=True)
    stored = schema.field(column.name).type
    return (
        _declared(column.name, stored, logical, wanted, uri)
        if wanted
        else _undeclared(column.name, stored, logical, uri)
    )


def _check_names(names: Sequence[str], uri: str) -> None:
    """Raise `CorruptFileError` for names that a stage cannot hold side by side. pandas' `__index_level_0__` is a name
    like any other."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.lower(), name)
        at = f"reading `{uri}`: column `{name}`"
        if not name or "\0" in name:
            raise CorruptFileError(f"{at} has no name that a record can have ({_WITHOUT})", uri=uri)
        if name.lower() in _RESERVED:
            raise CorruptFileError(f"{at} has a name that is forebay's own ({_WITHOUT})", uri=uri)
        if other != name:
            raise CorruptFileError(
                f"{at} and `{other}` differ in case only (declare the columns to be read, with one of them)", uri=uri
            )
    if len(seen) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise CorruptFileError(f"reading `{uri}`: column `{twice}` is there twice ({_WITHOUT})", uri=uri)


def _logical(schema: pq.ParquetSchema) -> dict[str, tuple[str, bool]]:
    """Name of the logical type of each flat column, and whether it is a time of day in UTC."""
    columns = (schema.column(n) for n in range(len(schema)))
    flat = [column for column in columns if column.max_repetition_level == 0 and column.path == column.name]
    return {
        column.name: (_word(column), column.logical_type.type == "TIME" and _in_utc(column.logical_type.to_json()))
        for column in flat
    }


def _word(column: pq.ColumnSchema) -> str:
    return "INTERVAL" if column.converted_type == "INTERVAL" else str(column.logical_type.type)


def _in_utc(logical: str) -> bool:
    return bool(json.loads(logical)["isAdjustedToUTC"])


def _undeclared(name: str, stored: pa.DataType, logical: tuple[str, bool], uri: str) -> Reading:
    type_ = own(stored, logical[0])
    if type_ is None:
        raise CorruptFileError(
            f"reading `{uri}`: column `{name}` is {_said(stored, logical[0])} ({_way_out(stored, logical[0])})",
            uri=uri,
            columns=(name,),
        )
    return Reading(name, stored, logical[0], type_, _notes(name, stored, logical, type_))


def _declared(name: str, stored: pa.DataType, logical: tuple[str, bool], wanted: Type, uri: str) -> Reading:
    type_ = own(stored, logical[0])
    if not readable(stored, logical[0], wanted):
        instead = f"declare it `{type_}`, or leave it out of the schema" if type_ else _way_out(stored, logical[0])
        raise CorruptFileError(
            f"reading `{uri}`: column `{name}` is {_said(stored, logical[0])}, declared is {wanted} ({instead})",
            uri=uri,
            columns=(name,),
        )
    return Reading(name, stored, logical[0], wanted, _notes(name, stored, logical, wanted))


def plain(stored: pa.DataType) -> pa.DataType:
    """The type below a dictionary or an extension."""
    import pyarrow as pa
    import pyarrow.types as t

    while t.is_dictionary(stored) or isinstance(stored, pa.BaseExtensionType):
        stored = stored.value_type if t.is_dictionary(stored) else stored.storage_type
    return stored


def is_uuid(stored: pa.DataType, logical: str) -> bool:
    import pyarrow.types as t

    return logical == "UUID" and t.is_fixed_size_binary(plain(stored))


def own(stored: pa.DataType, logical: str = "") -> Type | None:
    """The type of ours that holds the column's values, or None if there is none."""
    import pyarrow.types as t

    found_plain = plain(stored)
    if is_uuid(stored, logical):
        return STRING
    if logical == "INTERVAL":
        return None
    if logical == "ENUM" or t.is_null(found_plain):
        return STRING
    if t.is_decimal(found_plain):
        return _decimal(found_plain.precision, found_plain.scale)
    if t.is_timestamp(found_plain):
        return Type("timestamp[tz]" if found_plain.tz else "timestamp")
    named = _named()
    return Type(named[found_plain.id]) if found_plain.id in named else None


def _named() -> Mapping[int, str]:
    import pyarrow as pa

    numbers = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    ids = {pa.type_for_alias(name).id: name for name in numbers}
    ids |= {pa.bool_().id: "bool", pa.float16().id: "float32", pa.float32().id: "float32", pa.float64().id: "float64"}
    ids |= {pa.date32().id: "date", pa.date64().id: "date", pa.time32("s").id: "time", pa.time64("us").id: "time"}
    ids |= {arrow.id: "string" for arrow in (pa.string(), pa.large_string(), pa.string_view())}
    return ids | {arrow.id: "binary" for arrow in (pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(1))}


def _decimal(precision: int, scale: int) -> Type | None:
    """A decimal of up to 38 digits; of a longer one, the rows that fit in them."""
    if scale < 0:
        precision, scale = precision - scale, 0
    return Type("decimal", min(max(precision, scale), DIGITS), scale) if scale <= DIGITS else None


def readable(stored: pa.DataType, logical: str, wanted: Type) -> bool:
    """Whether a value of the column can be the same value in the type `wanted`. Of binary fractions, whole numbers may
    be: pandas makes floats of a column of integers with nulls."""
    import pyarrow.types as t

    type_, found_plain = own(stored, logical), plain(stored)
    if t.is_null(found_plain):
        return True
    if t.is_duration(found_plain):
        return wanted.is_integer
    if logical in {"INTERVAL", "UUID"} and wanted == BINARY:
        return True
    if _is_long(found_plain) and wanted == STRING:
        return True
    if type_ is None:
        return _is_long(found_plain) and wanted.kind == "decimal"
    if type_ == STRING:
        return not is_uuid(stored, logical) or wanted == STRING
    if type_.is_integer or type_.kind == "decimal":
        return wanted.is_integer or wanted.is_float or wanted.kind == "decimal"
    if type_.is_float:
        return wanted.is_float or (wanted.is_integer and not t.is_float16(found_plain))
    return type_.kind == wanted.kind


def _is_long(stored: pa.DataType) -> bool:
    import pyarrow.types as t

    return bool(t.is_decimal(stored)) and (
        stored.precision > DIGITS or stored.scale > DIGITS or stored.precision - stored.scale > DIGITS
    )


def _said(stored: pa.DataType, logical: str) -> str:
    type_ = own(stored, logical)
    return "interval" if logical == "INTERVAL" else str(stored if type_ is None or _is_long(plain(stored)) else type_)


def _way_out(stored: pa.DataType, logical: str) -> str:
    import pyarrow.types as t

    stored = plain(stored)
    if logical == "INTERVAL":
        return f"{_WITHOUT}, or declare it `binary` to have its 12 bytes"
    if t.is_duration(stored):
        return f"{_WITHOUT}, or declare it `int64` to have its number of {_UNITS[stored.unit]}"
    return f"declare it `string` to have its digits as text, or {_WITHOUT}" if t.is_decimal(stored) else _WITHOUT


def _notes(name: str, stored: pa.DataType, logical: tuple[str, bool], type_: Type) -> tuple[str, ...]:
    """What a reader of the records should know of the column."""
    import pyarrow as pa
    import pyarrow.types as t

    notes, found_plain = [], plain(stored)
    if logical[1]:
        notes.append(f"column `{name}` is a time of day in UTC")
    if t.is_duration(found_plain):
        notes.append(f"column `{name}` is {stored}: read as its number of {_UNITS[found_plain.unit]}")
    if _is_long(found_plain) and type_.kind == "decimal":
        notes.append(
            f"column `{name}` is {stored}: rows with more digits than {type_} has are quarantined "
            "(declared as `string`, its digits are text)"
        )
    if (
        isinstance(stored, pa.BaseExtensionType)
        and not is_uuid(stored, logical[0])
        and not isinstance(stored, pa.JsonType)
    ):
        notes.append(f"column `{name}` is {stored}: read as its storage, {stored.storage_type}")
    if t.is_null(found_plain):
        notes.append(f"column `{name}` has no type and no values")
    return tuple(notes)
