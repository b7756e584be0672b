"""Column types in DuckDB's and Arrow's words, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forebay.config.types import Type, parse
from forebay.model import OPEN, Column

if TYPE_CHECKING:
    import pyarrow as pa

_DUCKDB = {
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "uint8": "UTINYINT",
    "uint16": "USMALLINT",
    "uint32": "UINTEGER",
    "uint64": "UBIGINT",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "string": "VARCHAR",
    "bool": "BOOLEAN",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamp[tz]": "TIMESTAMP WITH TIME ZONE",
    "binary": "BLOB",
}


def known(column: Column) -> Type | None:
    """The type that a column is expected to have; None: it is inferred from the file."""
    return None if column.type == OPEN else parse(column.type)


def to_duckdb(type_: Type) -> str:
    """The DuckDB type that holds every value of ours."""
    return f"DECIMAL({type_.precision},{type_.scale})" if type_.kind == "decimal" else _DUCKDB[type_.kind]


def to_arrow(type_: Type) -> pa.DataType:
    """The Arrow type that `rows.parquet` holds the column in."""
    import pyarrow as pa

    if type_.kind == "decimal":
        return pa.decimal128(type_.precision, type_.scale)
    named = {
        "date": pa.date32(),
        "time": pa.time64("us"),
        "timestamp": pa.timestamp("us"),
        "timestamp[tz]": pa.timestamp("us", tz="UTC"),
        "bool": pa.bool_(),
        "binary": pa.binary(),
        "string": pa.string(),
        "float32": pa.float32(),
        "float64": pa.float64(),
    }
    return named.get(type_.kind) or pa.type_for_alias(type_.kind)
