"""The names of column types (`int64`, `decimal(10,2)`, `timestamp[tz]` …): their grammar, without any vendor.

Formats map a `Type` to DuckDB and Arrow; the pipeline file is checked against the same grammar.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from forebay.errors import ConfigError
from forebay.support.words import way_out

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float32", "float64")
NAMES = (*INTEGERS, *FLOATS, "decimal(p,s)", "string", "bool", "date", "time", "timestamp", "timestamp[tz]", "binary")
_ALIASES = {
    "int": "int64",
    "integer": "int64",
    "bigint": "int64",
    "smallint": "int16",
    "double": "float64",
    "float": "float64",
    "real": "float32",
    "str": "string",
    "text": "string",
    "varchar": "string",
    "boolean": "bool",
    "datetime": "timestamp",
    "timestamptz": "timestamp[tz]",
    "timestamp(tz)": "timestamp[tz]",
    "numeric": "decimal(p,s)",
    "decimal": "decimal(p,s)",
    "bytes": "binary",
    "blob": "binary",
}


@dataclass(frozen=True, slots=True)
class Type:
    """A column type. `kind` is its name without parameters; `precision` and `scale` are a decimal's."""

    kind: str
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        return f"decimal({self.precision},{self.scale})" if self.kind == "decimal" else self.kind

    @property
    def is_integer(self) -> bool:
        return self.kind in INTEGERS

    @property
    def is_float(self) -> bool:
        return self.kind in FLOATS


def parse(name: str) -> Type:
    """The type of that name. Raises `ConfigError`, saying what may have been meant."""
    fault = problem(name)
    if fault:
        raise ConfigError(f"reading a column type: {fault}", type=name)
    decimal = _decimal(name)
    return Type("decimal", *decimal) if decimal else Type(name)


def problem(name: str) -> str | None:
    """What is wrong with a type's name, with the way out; None if it is known."""
    decimal = _decimal(name)
    if decimal:
        precision, scale = decimal
        if 1 <= precision <= 38 and scale <= precision:
            return None
        return f"`{name}` is out of range (a decimal has 1 to 38 digits, and no more behind the point than in all)"
    if name in NAMES and name != "decimal(p,s)":
        return None
    return f"`{name}` is not a type ({_hint(name)})"


def _decimal(name: str) -> tuple[int, int] | None:
    match = re.fullmatch(r"decimal\((\d{1,4}), ?(\d{1,4})\)", name)
    return (int(match[1]), int(match[2])) if match else None


def _hint(name: str) -> str:
    plain = name.strip().lower()
    return f"did you mean `{_ALIASES[plain]}`?" if plain in _ALIASES else way_out(plain, NAMES)
