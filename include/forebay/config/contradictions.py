"""Settings that are right alone and say nothing, or two things, together: each is refused by its name, for it would be
accepted and do nothing.

Each check reads the raw document, as those of `checks` do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from forebay.config.hints import Found
from forebay.config.yaml_lines import Document, Path, reading
from forebay.support.words import way_out

NUMBERS = ("int", "uint", "float", "decimal")
APPLIES: dict[str, tuple[str, ...]] = {
    "format": ("date", "time"),
    "true_values": ("bool",),
    "false_values": ("bool",),
    "loose_numbers": NUMBERS,
    "decimal_point": NUMBERS,
    "thousands": NUMBERS,
    "allow_nan": ("float",),
}
"""Rules of single columns, and how the types begin that they are for; `trim` and `null_values` are for all."""
OF_A_STRING = frozenset({"format", "true_values", "false_values", "loose_numbers", "decimal_point", "thousands"})
"""Rules that make something else of a string."""


def all_faults(document: Document) -> list[Found]:
    """What contradicts what, with the way out."""
    return [
        *_column_rules(document),
        *_optional(document),
        *_misfits(document),
        *_days(document),
        *_connection(document),
        *_key(document),
    ]


def _column_rules(document: Document) -> Iterator[Found]:
    """Rules for columns that nobody declares, or whose type they do not touch."""
    declared = declared_columns(document)
    for name, rules in _mapping(document, "format", "columns").items():
        place: Path = ("format", "columns", name)
        if declared and name not in declared:
            yield not_declared(place, str(name), declared)
            continue
        for rule in rules if isinstance(rules, dict) else ():
            if fault := _idle(rule, declared.get(name), document):
                yield (*place, rule), f"{reading((*place, rule))}: {fault}"


def _idle(rule: str, type_: Any, document: Document) -> str | None:
    """Why the rule would do nothing."""
    if type_ is None and rule in OF_A_STRING and document.at("format", "type") == "json_lines":
        return "what a string of JSON means is not inferred (declare the column under `schema.columns`)"
    kinds = APPLIES.get(rule)
    if (
        kinds
        and isinstance(type_, str)
        and (not type_.startswith(kinds) or (rule == "format" and type_ == "timestamp[tz]"))
    ):
        return (
            f"it is for columns of {' or '.join(_said(kinds))}, and this one is `{type_}` (leave it out, "
            "or declare the column so)"
        )
    return None


def _said(kinds: tuple[str, ...]) -> list[str]:
    return (
        ["numbers"]
        if kinds == NUMBERS
        else ["`date`, `time` and `timestamp`"]
        if "date" in kinds
        else [f"`{kind}`" for kind in kinds]
    )


def _optional(document: Document) -> Iterator[Found]:
    names, declared = document.at("format", "optional"), declared_columns(document)
    for index, name in enumerate(names if isinstance(names, list) else ()):
        place: Path = ("format", "optional", index)
        if not declared:
            yield (
                place,
                f"{reading(place)}: no columns are declared that could be optional (declare them under "
                "`schema.columns`, or leave it out)",
            )
        elif isinstance(name, str) and name not in declared:
            yield not_declared(place, name, declared)


def _misfits(document: Document) -> Iterator[Found]:
    place: Path = ("schema", "misfits")
    if document.at(*place) is not None and declared_columns(document):
        yield (
            place,
            f"{reading(place)}: the types are declared, and a value of another one quarantines its row (leave it out)",
        )


def _days(document: Document) -> Iterator[Found]:
    place: Path = ("schedule", "end")
    start, end = document.at("schedule", "start"), document.at(*place)
    if isinstance(start, str) and isinstance(end, str) and end < start:
        yield (
            place,
            f"{reading(place)}: `{end}` is before `schedule.start`, `{start}`, "
            "and no run would ever start (set a later day)",
        )


def _connection(document: Document) -> Iterator[Found]:
    place: Path = ("source", "connection")
    if document.at(*place) is not None and document.at("source", "type") == "local":
        yield (
            place,
            f"{reading(place)}: a local folder needs none: what the process may read, forebay may read (leave it out)",
        )


def _key(document: Document) -> Iterator[Found]:
    names = document.at("record", "key")
    for index, name in enumerate(names if isinstance(names, list) else ()):
        if name in names[:index]:
            place: Path = ("record", "key", index)
            yield place, f"{reading(place)}: column `{name}` is there twice (leave one)"


def declared_columns(document: Document) -> dict[str, Any]:
    """`schema.columns`, as they are written."""
    return _mapping(document, "schema", "columns")


def not_declared(place: Path, name: str, declared: dict[str, Any]) -> Found:
    """The fault of a column that is named at that place and is none of those declared."""
    return (
        place,
        f"{reading(place)}: column `{name}` is not among `schema.columns` ({way_out(name, list(declared))})",
    )


def _mapping(document: Document, *place: str) -> dict[str, Any]:
    section = document.at(*place)
    return section if isinstance(section, dict) else {}
