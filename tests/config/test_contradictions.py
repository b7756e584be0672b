"""Settings that would be accepted and do nothing, or that contradict one another, are refused by name; the way out that
is named works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from forebay.config.home import Project
from forebay.errors import SettingsError
from tests.keys.trial import BASE, GONE, changed
from tests.support.pipelines import load_file

JSON = {"format": {"type": "json_lines"}}
INFERRED = JSON | {"schema": GONE}
CASES: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "rules of no column": (
        {"format.columns": {"nam": {"trim": True}}},
        "did you mean `name`?",
        {"format.columns": {"name": {"trim": True}}},
    ),
    "optional, no column": (JSON | {"format.optional": ["dey"]}, "did you mean `day`?", {"format.optional": ["day"]}),
    "optional, none declared": (
        INFERRED | {"format.optional": ["x"]},
        "declare them under `schema.columns`",
        {"schema.columns": {"id": "int64", "x": "date"}},
    ),
    "rules of inferred JSON": (
        INFERRED | {"format.columns": {"x": {"thousands": "'"}}},
        "declare the column under `schema.columns`",
        {"schema.columns": {"id": "int64", "x": "int64"}},
    ),
    "misfits of declared columns": ({"schema.misfits": "1%"}, "leave it out", {"schema.misfits": GONE}),
    "end before start": (
        {"schedule.start": "2026-02-01", "schedule.end": "2026-01-01"},
        "set a later day",
        {"schedule.end": "2026-02-01"},
    ),
    "connection of a folder": ({"source.connection": "x"}, "leave it out", {"source.connection": GONE}),
    "a key twice": (
        {"record.key": ["id", "name", "id"]},
        "column `id` is there twice (leave one)",
        {"record.key": ["id", "name"]},
    ),
    "nulls in quotes, no quotes": (
        {"format.quote": None, "format.quoted_nulls": True},
        "leave it out",
        {"format.quoted_nulls": GONE},
    ),
    "one line, no quotes": (
        {"format.quote": None, "format.multiline": False},
        "leave it out",
        {"format.multiline": GONE},
    ),
    "unclosed quotes, no quotes": (
        {"format.quote": None, "format.max_unclosed_quotes": 3},
        "leave it out",
        {"format.max_unclosed_quotes": GONE},
    ),
    "lines behind no header": (
        {"format.header": False, "format.extra_header_lines": 2},
        "use `preamble_lines`",
        {"format.extra_header_lines": GONE, "format.preamble_lines": 2},
    ),
    "both points": (
        {"format.columns": {"amount": {"thousands": "."}}},
        "write another for one of them",
        {"format.columns": {"amount": {"thousands": ","}}},
    ),
    "true and false": (
        {"schema.columns.x": "bool", "format.columns": {"x": {"true_values": ["y"], "false_values": ["y"]}}},
        "leave it out of one",
        {"format.columns": {"x": {"true_values": ["y"], "false_values": ["n"]}}},
    ),
    "no word for true": (
        {"schema.columns.x": "bool", "format.columns": {"x": {"true_values": []}}},
        "it is empty",
        {"format.columns": GONE},
    ),
}
"""The settings, the words of the way out, and the settings that follow it."""
IDLE = {
    "format": "%d",
    "true_values": ["y"],
    "false_values": ["n"],
    "loose_numbers": True,
    "decimal_point": ",",
    "thousands": "'",
    "allow_nan": True,
}
FOR = {
    "format": ["date", "time", "timestamp"],
    "true_values": ["bool"],
    "false_values": ["bool"],
    "allow_nan": ["float32", "float64"],
}
NUMBERS = ["int8", "uint64", "float64", "decimal(9,2)"]
TYPES = ["string", "bool", "date", "time", "timestamp", "timestamp[tz]", "binary", "float32", *NUMBERS]


def faults(project: Project, write: Callable[..., Path], document: dict[str, Any]) -> str:
    path = write(yaml.safe_dump(document))
    try:
        load_file(path, project)
    except SettingsError as error:
        return "\n".join(str(fault) for fault in error.faults)
    return ""


@pytest.mark.parametrize("name", CASES)
def test_what_would_do_nothing_is_refused_and_the_way_out_works(
    name: str, project: Project, write: Callable[..., Path]
) -> None:
    settings, way_out, followed = CASES[name]
    document = changed(BASE, settings)
    told = faults(project, write, document)
    key = next(reversed(settings)).split(".")[-1]
    assert way_out in told and key in told and len(told.splitlines()) == 1
    assert faults(project, write, changed(document, followed)) == ""


@pytest.mark.parametrize("rule", IDLE)
def test_a_rule_that_does_not_touch_its_columns_type_is_refused(
    rule: str, project: Project, write: Callable[..., Path]
) -> None:
    for type_ in TYPES:
        document = changed(BASE, {"schema.columns.x": type_, "format.columns": {"x": {rule: IDLE[rule]}}})
        told = faults(project, write, document)
        fits = type_ in FOR.get(rule, [*NUMBERS, "float32"])
        assert (told == "") == fits, (type_, told)
        assert fits or "leave it out, or declare the column so" in told
