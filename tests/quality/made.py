"""Stages and suites made for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from forebay.model import Column, Stage, Verdict
from forebay.quality import suite as suites
from forebay.quality.suite import Suite

_NAMES = {
    pa.float64(): "float64",
    pa.float32(): "float32",
    pa.bool_(): "bool",
    pa.date32(): "date",
    pa.large_string(): "string",
}


def type_name(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "timestamp[tz]" if kind.tz else "timestamp"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    return _NAMES.get(kind, str(kind))


def stage_of(table: pa.Table, folder: Path, rows: list[int] | None = None) -> Stage:
    """A stage that holds the table; `rows` are its row numbers, by default 1, 2, 3 …"""
    numbers = pa.array(rows if rows is not None else range(1, table.num_rows + 1), pa.int64())
    path = folder / "rows's.parquet"  # a quote, as any folder's name may have one
    pq.write_table(table.append_column("__row", numbers), path, row_group_size=1000)
    columns = tuple(Column(field.name, type_name(field.type)) for field in table.schema)
    return Stage("ab" * 32, path, path, columns, table.num_rows, 0, 0)


def rule(kind: str, severity: str = "critical", **kwargs: Any) -> dict[str, Any]:
    return {"type": kind, "kwargs": kwargs, "severity": severity}


def suite_of(rules: list[dict[str, Any]], folder: Path, name: str = "made") -> Suite:
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"name": name, "expectations": rules}, indent=2))
    return suites.load(path)


def failing_rows(verdict: Verdict) -> list[set[int]]:
    """The failing row numbers of each rule."""
    assert verdict.failing is not None
    found: list[set[int]] = [set() for _ in verdict.results]
    for line in pq.read_table(verdict.failing).to_pylist():
        for place in line["rules"]:
            found[place].add(line["__row"])
    return found
