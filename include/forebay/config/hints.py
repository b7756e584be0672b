"""Words for what people wrote: each of pydantic's complaints as what was found, and the way out."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from forebay.config.yaml_lines import Document, Path, dotted, reading
from forebay.support.words import meant, way_out

Found = tuple[Path, str]
"""A fault before it has a file and a line: where in the document, and the words."""


def unknown_key(path: Path, known: Sequence[str], elsewhere: dict[str, str] | None = None) -> Found:
    """A key that its section does not have; `elsewhere` maps a key to the place where it belongs."""
    key = str(path[-1])
    hint = way_out(key, known)
    if not meant(key, known) and key in (elsewhere or {}):
        hint = f"did you mean `{(elsewhere or {})[key]}`?"
    return path, f"{reading(path[:-1])}: there is no key `{key}` ({hint})"


def explain(
    error: ValidationError, model: type[BaseModel], document: Document, base: Path = (), known: Sequence[str] = ()
) -> list[Found]:
    """One fault for every place that `error` complains of. `base` is where in the document the model begins; `known`
    are more keys of it."""
    by_place: dict[Path, list[ErrorDetails]] = {}
    for detail in error.errors():
        by_place.setdefault(_place(detail, document, base), []).append(detail)
    return [_words(path, details, model, base, known) for path, details in by_place.items()]


def _place(detail: ErrorDetails, document: Document, base: Path) -> Path:
    """Where the fault lies in the document: pydantic's location without the steps that only name a member of a
    union."""
    path = base
    for step in detail["loc"]:
        if (*path, step) in document.lines or detail["type"] == "missing":
            path = (*path, step)
    return path


def _words(path: Path, details: list[ErrorDetails], model: type[BaseModel], base: Path, known: Sequence[str]) -> Found:
    first = details[0]
    key = str(path[-1]) if path else ""
    match first["type"]:
        case "extra_forbidden":
            names = sorted({*keys(model_at(model, path[len(base) : -1])), *(known if path[:-1] == base else ())})
            return unknown_key(path, names, places(model) if not base else None)
        case "missing":
            return path, f"{reading(path[:-1])}: the required key `{key}` is missing"
        case "literal_error" | "enum":
            expected = [
                word
                for detail in details
                for word in re.findall(r"'([^']*)'", str(detail.get("ctx", {}).get("expected", "")))
            ]
            return (
                path,
                f"{reading(path)}: {shown(first['input'])} is not among its values "
                f"({way_out(str(first['input']), expected)})",
            )
        case "value_error" | "assertion_error":
            return path, f"{reading(path)}: {first['msg'].split(', ', 1)[-1]}"
    return path, f"{reading(path)}: {_mismatch(first)}"


_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "`true` or `false`",
    "dict_type": "a mapping (`key: value`)",
    "model_type": "a mapping (`key: value`)",
    "model_attributes_type": "a mapping (`key: value`)",
    "tuple_type": "a list (`[a, b]`)",
    "list_type": "a list (`[a, b]`)",
}


def _mismatch(detail: ErrorDetails) -> str:
    kind, value, ctx = detail["type"], detail["input"], detail.get("ctx", {})
    if kind in _WANTED:
        return f"{shown(value)} is found where {_WANTED[kind]} is wanted{_trap(kind, value)}"
    match kind:
        case "greater_than_equal":
            return f"{shown(value)} is less than {ctx['ge']}"
        case "less_than_equal":
            return f"{shown(value)} is more than {ctx['le']}"
        case "string_pattern_mismatch":
            return f"{shown(value)} does not match `{ctx['pattern']}`"
        case "too_short" | "string_too_short":
            return "it is empty"
    return f"{shown(value)}: {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _trap(kind: str, value: Any) -> str:
    """The way out of the usual slips of YAML."""
    text = str(value)
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f' (write it in quotes: "{text.lower() if isinstance(value, bool) else text}")'
    if kind == "bool_type" and text.lower() in {"yes", "on", "y", "no", "off", "n"}:
        return f" (write `{'true' if text.lower() in {'yes', 'on', 'y'} else 'false'}`)"
    if kind in {"int_type", "float_type"} and isinstance(value, str) and re.fullmatch(r"[-+]?[\d_]+", value):
        return f" (write `{int(value.replace('_', '') or 0)}`, without quotes, underscores or leading zeros)"
    return ""


def shown(value: Any) -> str:
    """A found value in a message: short, in backticks."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text if len(text) <= 60 else text[:57] + '…'}`"


def keys(model: type[BaseModel] | None) -> list[str]:
    """The keys of a section as they are written in YAML."""
    return [info.alias or name for name, info in model.model_fields.items() if name != "options"] if model else []


def model_at(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel] | None:
    """The model of the section at `path`; a step into a list, or to a name that people chose, stays with the model of
    its items."""
    current: type[BaseModel] | None = model
    named = False
    for step in path:
        if named or isinstance(step, int):
            named = False
            continue
        hint = (
            next((info.annotation for name, info in current.model_fields.items() if step in {name, info.alias}), None)
            if current
            else None
        )
        current, named = _model_in(hint), typing.get_origin(hint) is dict
    return current


def _model_in(hint: Any) -> type[BaseModel] | None:
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return hint
    return next((m for arg in typing.get_args(hint) if (m := _model_in(arg))), None)


def places(model: type[BaseModel]) -> dict[str, str]:
    """Key to the dotted place where it belongs, for all keys below the top; the first place wins."""
    keys_to_places: dict[str, str] = {}
    for place in _walk(model, ()):
        keys_to_places.setdefault(str(place[-1]), dotted(place))
    return keys_to_places


def _walk(model: type[BaseModel], path: Path) -> Iterator[Path]:
    for name, info in model.model_fields.items():
        place = (*path, info.alias or name)
        if name != "options":
            yield place
        if inner := _model_in(info.annotation):
            yield from _walk(inner, place)
