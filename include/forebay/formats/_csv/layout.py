"""What is known of a CSV file before its first row is read: its columns, and which of them are staged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.errors import CorruptFileError
from forebay.formats import _names, _staging
from forebay.formats._csv import head as csv_head
from forebay.formats._csv.dialect import Dialect
from forebay.formats._csv.parts import Part
from forebay.model import Column, Drift

if TYPE_CHECKING:
    from forebay.formats._csv.settings import CsvSettings


@dataclass(frozen=True, slots=True)
class Layout:
    """`names` are the file's columns, `wanted` the staged ones, each with its place among them (-1: it is missing).

    `part` is where the records are. `skip` as in `csv_head.Head`.
    """

    names: tuple[str, ...]
    wanted: tuple[tuple[str, int], ...]
    part: Part
    dialect: Dialect
    skip: int
    drift: Drift = Drift()  # noqa: RUF009 a frozen value
    notes: tuple[str, ...] = ()


def layout(
    config: CsvSettings, path: Path, columns: tuple[Column, ...] | None, uri: str, may_lack: bool = False
) -> Layout:
    """Read the header and match it with the declared columns.

    Raises `CorruptFileError` if the header cannot be read, or lacks a declared column, or has names that cannot be
    staged.
    """
    top = csv_head.head(path, config, uri)
    end = csv_head.footer(path, top.begin, config.footer_lines, top.dialect.end)
    part, skip = Part(path, top.begin, end), -1 if config.footer_lines else top.skip
    drift = Drift()
    if top.names is None:
        if columns is not None:
            names = tuple(column.name for column in columns)
        else:
            names = tuple(
                f"column{i + 1}"
                for i in range(csv_head.first_width(path, top.begin, top.dialect, config.max_record_bytes))
            )
        wanted = tuple((name, i) for i, name in enumerate(names))
    else:
        names = top.names
        if not names:
            raise CorruptFileError(
                f"reading the header of `{uri}`: the file is empty, it has not even a header (ask for it again)",
                uri=uri,
            )
        if columns is None:
            _check_all(names, uri)
            wanted = tuple((name, i) for i, name in enumerate(names))
        else:
            wanted, drift = _matched(names, columns, uri, may_lack)
    _check_wanted(config, wanted, uri)
    return Layout(names, wanted, part, top.dialect, skip, drift, (*top.notes, *_skipped(config)))


def _skipped(config: CsvSettings) -> list[str]:
    counts = {
        "before the header": config.preamble_lines,
        "behind the header": config.extra_header_lines,
        "at the end": config.footer_lines,
    }
    skipped = [f"{lines} {where}" for where, lines in counts.items() if lines]
    return [f"lines skipped, as the settings say: {', '.join(skipped)}"] if skipped else []


def _matched(
    names: Sequence[str], columns: Sequence[Column], uri: str, may_lack: bool
) -> tuple[tuple[tuple[str, int], ...], Drift]:
    known = set(names)
    missing = tuple(column.name for column in columns if column.name not in known) if may_lack else ()
    present = [column for column in columns if not may_lack or column.name in known]
    where = dict(zip((column.name for column in present), _names.positions(names, present, uri), strict=True))
    wanted = tuple((column.name, where.get(column.name, -1)) for column in columns)
    return wanted, Drift(tuple(_names.unknown(names, columns)), missing)


def _check_all(names: Sequence[str], uri: str) -> None:
    counts = Counter(names)
    for name in names:
        if not name or counts[name] > 1:
            what = f"column `{name}` is there twice" if name else "a column has no name"
            raise CorruptFileError(f"reading the header of `{uri}`: {what} (declare the columns to be read)", uri=uri)


def _check_wanted(config: CsvSettings, wanted: Sequence[tuple[str, int]], uri: str) -> None:
    names = dict(wanted)
    _staging.check_names(list(names), uri)
    stray = [name for name in config.columns if name not in names]
    if stray:
        raise CorruptFileError(
            f"reading `{uri}`: format.columns has rules for `{stray[0]}`, which is no column of it (ask for it again "
            "with that column, or take its rules out)",
            uri=uri,
        )
