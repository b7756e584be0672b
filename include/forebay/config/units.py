"""Quantities as people write them: `60s`, `4h`, `128MiB`, `1%`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_SECONDS: dict[str, float] = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES: dict[str, float] = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}


def _quantity(value: Any, units: dict[str, float], example: str) -> float:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(value))
    if isinstance(value, bool) or not match or match[2] not in units:
        raise ValueError(f"`{value}` is not a quantity like `{example}` (units: {', '.join(u for u in units if u)})")
    return float(match[1]) * units[match[2]]


def _duration(value: Any) -> Any:
    return value if isinstance(value, timedelta) else timedelta(seconds=_quantity(value, _SECONDS, "60s"))


def size(value: Any) -> int:
    """Bytes of `128MiB`. Raises `ValueError` for what is no such quantity."""
    return int(_quantity(value, _BYTES, "128MiB"))


def _share(value: Any) -> Any:
    if isinstance(value, str) and value.strip().endswith("%"):
        value = float(value.strip()[:-1]) / 100
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"`{value}` is not a share like `1%` or `0.01`")
    return float(value)


def _limit(value: Any) -> Any:
    """A whole number is a count, all else a share."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    try:
        return _share(value)
    except ValueError:
        raise ValueError(f"`{value}` is neither a share like `1%` or `0.01` nor a count like `100`") from None


def _as_text(schema_example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": ["string", "number"], "examples": [schema_example]})


Duration = Annotated[
    timedelta, BeforeValidator(_duration), PlainSerializer(lambda d: f"{d.total_seconds():.15g}s"), _as_text("60s")
]
Size = Annotated[int, BeforeValidator(size), _as_text("128MiB")]
Share = Annotated[float, BeforeValidator(_share), _as_text("1%")]
Limit = Annotated[int | float, BeforeValidator(_limit), _as_text("1%")]
"""How many rows: a count (int) or a share of all (float)."""
