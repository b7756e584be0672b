"""SQL text for DuckDB: names, strings, and the one way in which forebay reads a Parquet file of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

OFFLINE: dict[str, bool | str | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
    "async_threads": 0,
}
"""DuckDB's settings for every connection of ours: nothing is fetched, no extension is loaded, no name in SQL means a
Python variable, and no thread writes a file beside its query: when a `COPY` to Parquet fails, DuckDB 2.0.0 waits for
that thread, which waits for it (one in some fifty on a busy machine, for ever)."""


NO_ROOM = "Out of Memory", "could not allocate", "No space left"
"""Of what DuckDB says, the words that mean: it may use no more memory, or found no more disk to spill to."""


def no_room(words: str) -> bool:
    """Whether that is what an error of DuckDB says."""
    return any(sign in words for sign in NO_ROOM)


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

    A path means nothing but a place: a folder `id=7` above it is no column (DuckDB's `hive_partitioning` is on by
    default and replaces the file's own column `id`), and `*`, `?` and `[` in a folder's name are no pattern.
    """
    more = "".join(f", {name} = {value}" for name, value in options.items())
    return f"read_parquet({literal(as_pattern(path))}, hive_partitioning = false{more})"


def fenced(paths: Iterable[Path]) -> str:
    """Statements after which a connection reads and writes these files (and spills) and no other, whatever SQL comes,
    and cannot be told otherwise.

    Foreign SQL may run behind it. `copy … to` needs `use_tmp_file false` there: DuckDB would write beside a file that
    is there already.
    """
    allowed = literals(name for path in paths for name in sorted({str(path), as_pattern(path)}))
    return f"set allowed_paths = [{allowed}]; set enable_external_access = false; set lock_configuration = true"


def as_pattern(path: Path | str) -> str:
    """The glob pattern that only this path matches, for functions of DuckDB that take patterns."""
    return re.sub(r"([*?\[])", r"[\1]", str(path))
