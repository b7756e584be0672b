"""What is known of a CSV file before its first row is read: its columns, and which of them are staged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forebay.errors import ConfigError, CorruptFileError
from forebay.formats import _header, _staging
from forebay.formats._csv_scan import Scan
from forebay.formats._text import Text
from forebay.model import Column, Drift

if TYPE_CHECKING:
    from forebay.formats.csv import CsvSettings


@dataclass(frozen=True, slots=True)
class Layout:
    """`names` are the file's columns, `wanted` the staged ones, each with its place among them (-1: it is missing).

    `above` is how many physical lines come before the first record, `header` how many of those count (`_lines`).
    """

    names: tuple[str, ...]
    scan: Scan
    wanted: tuple[tuple[str, int], ...]
    above: int = 0
    header: int = 0
    drift: Drift = Drift()  # noqa: RUF009 a frozen value


def layout(config: CsvSettings, text: Text, columns: tuple[Column, ...] | None, uri: str, may_lack: bool = False) -> Layout:
    """Read the header and match it with the declared columns.

    Raises `CorruptFileError` if the header cannot be read, or lacks a declared column; `ConfigError` for names that cannot be staged.
    """
    first = _header.first_record(text.path, config.delimiter, config.quote, config.escape, uri)
    if not config.header:
        return _without_header(config, text, columns, first, uri)
    if first is None:
        raise CorruptFileError(f"reading the header of `{uri}`: the file is empty, it has not even a header (ask for it again)", uri=uri)
    if columns is None:
        _check_all(first.names, uri)
        wanted = tuple((name, i) for i, name in enumerate(first.names))
        drift = Drift()
    else:
        wanted, drift = _matched(first.names, columns, uri, may_lack)
    _check_wanted(config, wanted, uri)
    scan = _scan(config, text, len(first.names), first.skipped)
    header = first.skipped + first.lines if scan.width == 1 else first.filled
    return Layout(first.names, scan, wanted, first.skipped + first.lines, header, drift)


def _without_header(config: CsvSettings, text: Text, columns: tuple[Column, ...] | None, first: _header.Header | None, uri: str) -> Layout:
    if columns is not None:
        names = tuple(column.name for column in columns)
    else:
        names = tuple(f"column{i + 1}" for i in range(len(first.names) if first else 1))
    wanted = tuple((name, i) for i, name in enumerate(names))
    _check_wanted(config, wanted, uri)
    return Layout(names, _scan(config, text, len(names), 0), wanted)


def _matched(names: Sequence[str], columns: Sequence[Column], uri: str, may_lack: bool) -> tuple[tuple[tuple[str, int], ...], Drift]:
    missing = tuple(column.name for column in columns if column.name not in names) if may_lack else ()
    present = [column for column in columns if column.name not in missing]
    where = dict(zip((column.name for column in present), _header.positions(names, present, uri), strict=True))
    wanted = tuple((column.name, where.get(column.name, -1)) for column in columns)
    return wanted, Drift(tuple(_header.unknown(names, columns)), missing)


def _check_all(names: Sequence[str], uri: str) -> None:
    for name in names:
        if not name or names.count(name) > 1:
            what = f"column `{name}` is there twice" if name else "a column has no name"
            raise CorruptFileError(f"reading the header of `{uri}`: {what} (declare the columns to be read)", uri=uri)


def _check_wanted(config: CsvSettings, wanted: Sequence[tuple[str, int]], uri: str) -> None:
    names = [name for name, _ in wanted]
    _staging.check_names(names, uri)
    stray = [name for name in config.columns if name not in names]
    if stray:
        raise ConfigError(f"reading `{uri}`: format.columns has rules for `{stray[0]}`, which is no column of it", uri=uri)


def _scan(config: CsvSettings, text: Text, width: int, skip: int) -> Scan:
    return Scan(
        text.path,
        width,
        config.delimiter,
        config.quote,
        config.escape,
        config.header,
        skip,
        config.null_values,
        config.quoted_nulls,
        config.max_record_bytes,
    )
