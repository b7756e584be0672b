"""SQL text for DuckDB: names, strings, and the one way in which forebay reads a Parquet file of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | Path) -> str:
    """An SQL string literal. Text with NUL must not get here: it ends a statement."""
    return "'" + str(value).replace("'", "''") + "'"


def literals(values: Iterable[str]) -> str:
    """Literals with commas between."""
    return ", ".join(literal(value) for value in values)


def parquet(path: Path | str, **options: str) -> str:
    """The table function that reads exactly this Parquet file, with these DuckDB options besides.

    A path means nothing but a place: a folder `id=7` above it is no column (DuckDB's `hive_partitioning` is on by default and replaces the
    file's own column `id`), and `*`, `?` and `[` in a folder's name are no pattern.
    """
    more = "".join(f", {name} = {value}" for name, value in options.items())
    return f"read_parquet({literal(as_pattern(path))}, hive_partitioning = false{more})"


def as_pattern(path: Path | str) -> str:
    """The glob pattern that only this path matches, for functions of DuckDB that take patterns."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))
