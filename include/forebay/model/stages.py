"""A file's rows as typed columns, and those that could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from forebay.model.json import Json


@dataclass(frozen=True, slots=True)
class Column(Json):
    """A column of a stage: `type` is one of the Arrow names of the pipeline reference (`int64`, `decimal(10,2)`,
    `timestamp[tz]` …). Of a pinned column it may be `OPEN`."""

    name: str
    type: str


OPEN = "null"
"""The type of a pinned column that had no value in any file so far: the first file with one gives it its type."""


@dataclass(frozen=True, slots=True)
class Retyped(Json):
    """A column whose values are not of the expected type: `old` was expected, `new` is what the file has."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Drift(Json):
    """How a file's columns differ from the expected (declared or pinned) ones, by name.

    `added` are left out of the stage. `missing` are null in every row. The rows whose values do not fit a `retyped`
    column are rejects.
    """

    added: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    retyped: tuple[Retyped, ...] = ()


@dataclass(frozen=True, slots=True)
class Cause(Json):
    """One reason for which a row is quarantined.

    `rule` is a failing rule's title, and `detail` its settings as JSON then; else `rule` is empty, and `detail` says
    what is wrong, without a word of the file. `value` is what stood in the one column of `columns` (its beginning),
    None where there is none or where it may not be shown.
    """

    rule: str = ""
    columns: tuple[str, ...] = ()
    detail: str = ""
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Stage(Json):
    """A file's rows as typed columns.

    `rows` (Parquet): the typed columns in file order, and `__row` (int64), the 1-based physical record number. Only
    rows that could be read are in it. `rejects` (Parquet): `__row` int64, `step` (decode|parse|schema), `columns`
    list<string>, `causes` list<struct> (the fields of `Cause`), `raw` binary: one line for every row that could not be
    read. `rows_in == rows_read + rows_rejected`. `raw_bytes` is the decompressed size. `pins` are the pinned columns
    that it was read with, `open` names those that nobody declared and no row has a value of.
    """

    fingerprint: str
    rows: Path
    rejects: Path
    columns: tuple[Column, ...]
    rows_in: int
    rows_rejected: int
    raw_bytes: int
    inferred: bool = False
    notes: tuple[str, ...] = ()
    drift: Drift = Drift()
    pins: tuple[Column, ...] = ()
    open: tuple[str, ...] = ()

    @property
    def rows_read(self) -> int:
        return self.rows_in - self.rows_rejected
