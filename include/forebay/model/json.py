"""Values as plain dicts, to cross processes and to be kept."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

JsonDict = dict[str, Any]


class Json:
    """`to_json` and `from_json` for the frozen dataclasses below: enums by value, datetimes in ISO 8601, paths as
    text."""

    def to_json(self) -> JsonDict:
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, data: JsonDict) -> Self:
        """The value that `to_json` wrote; keys it does not know are an error (`TypeError`), missing ones take their
        default."""
        hints = _hints(cls)  # type: ignore[arg-type]
        return cls(**{name: _typed(hints[name], value) if name in hints else value for name, value in data.items()})


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """Resolving them takes half a millisecond."""
    return typing.get_type_hints(cls)


def _plain(value: Any) -> Any:
    match value:
        case Json():
            return value.to_json()
        case StrEnum():
            return value.value
        case datetime() | date():
            return value.isoformat()
        case Path():
            return str(value)
        case tuple() | list():
            return [_plain(item) for item in value]
        case dict():
            return {key: _plain(item) for key, item in value.items()}
    return value


def _typed(hint: Any, value: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        return None if value is None else _typed(next(a for a in args if a is not type(None)), value)
    if origin is tuple:
        return tuple(_typed(args[0], item) for item in value)
    if origin is dict:
        return {key: _typed(args[1], item) for key, item in value.items()}
    if not isinstance(hint, type):
        return value
    if issubclass(hint, Json):
        return hint.from_json(value)
    if issubclass(hint, datetime | date):
        return hint.fromisoformat(value)
    if issubclass(hint, StrEnum | Path):
        return hint(value)
    return value
