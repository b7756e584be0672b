"""A suite tried by day on two made-up rows, so that a rule which cannot be answered (a query's slip, a bound of another
type) is told before the night."""

from __future__ import annotations

import re
import tempfile
from dataclasses import replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from forebay.errors import ConfigError, Fault
from forebay.model import Column, Stage
from forebay.quality import check
from forebay.quality.imports import great_expectations
from forebay.quality.suite import Suite


def faults(suite: Suite, columns: tuple[Column, ...]) -> tuple[Fault, ...]:
    """The rules that cannot be answered for columns of these types, each with its line and why."""
    with tempfile.TemporaryDirectory(prefix="forebay-trial-") as folder:
        raised = _raised(made(columns, Path(folder)), suite, Path(folder))
    return tuple(
        Fault(
            str(suite.path),
            rule.line,
            f"reading `{rule.type}`: it cannot be answered: {words} (change the rule or the column's type)",
        )
        for rule, words in zip(suite.expectations, raised, strict=True)
        if words
    )


def _raised(stage: Stage, suite: Suite, folder: Path) -> list[str | None]:
    """Why each rule cannot be answered. What several rules are asked together is asked of each alone when it fails, so
    that the rule is known."""
    try:
        return check.raised_by(great_expectations(), stage, suite, folder)
    except ConfigError as error:
        if len(suite.expectations) == 1:
            return [error.message]
    return [
        words for rule in suite.expectations for words in _raised(stage, replace(suite, expectations=(rule,)), folder)
    ]


def made(columns: tuple[Column, ...], folder: Path) -> Stage:
    """A stage of these columns with two rows that differ: constants of rules are only compared where there is something
    to compare with."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / "rows.parquet"
    values = {column.name: _two(column.type) for column in columns}
    pq.write_table(pa.table({**values, "__row": pa.array([1, 2], pa.int64())}), path)
    return Stage("0" * 64, path, path, columns, 2, 0, 0)


def _two(name: str) -> Any:
    """Two values of a type."""
    import pyarrow as pa

    if match := re.fullmatch(r"decimal\((\d+), *(\d+)\)", name):
        precision, scale = int(match[1]), int(match[2])
        return pa.array([Decimal(0), Decimal(1).scaleb(-scale)], pa.decimal128(precision, scale))
    day = datetime(1970, 1, 1)
    own = {
        "string": (["a", "b"], pa.string()),
        "binary": ([b"a", b"b"], pa.binary()),
        "bool": ([False, True], pa.bool_()),
        "date": ([day.date(), day.date() + timedelta(1)], pa.date32()),
        "time": ([time(0), time(1)], pa.time64("us")),
        "timestamp": ([day, day + timedelta(1)], pa.timestamp("us")),
        "timestamp[tz]": ([day, day + timedelta(1)], pa.timestamp("us", "UTC")),
    }
    values, kind = own.get(name) or ([0, 1], pa.type_for_alias(name))
    return pa.array(values, kind)
