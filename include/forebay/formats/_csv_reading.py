"""One CSV file on its way to a stage: typed, mended where quotes are not closed, and every record accounted for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forebay.config.types import Type
from forebay.errors import CorruptFileError
from forebay.formats import _csv_scan, _infer, _staging
from forebay.formats._csv_layout import Layout
from forebay.formats._lines import Lines, Multiline
from forebay.formats._rules import STRICT
from forebay.formats._text import Text
from forebay.model import Snapshot, Stage
from forebay.support.sql import literals

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb
    import pyarrow as pa

    from forebay.formats.csv import CsvSettings


@dataclass
class Reading:
    """The state of reading one file: its stage goes `into` one folder, and what is needed meanwhile into another.

    `scan` is the text itself, or its mended copy.
    """

    config: CsvSettings
    connection: duckdb.DuckDBPyConnection
    into: Path
    folder: Path
    text: Text
    layout: Layout
    uri: str
    scan: _csv_scan.Scan = field(init=False)
    mended: _csv_scan.Mended | None = None
    misfits: float = 1.0
    _lines: Lines | None = None
    _turns: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.scan = self.layout.scan

    def stage(self, snapshot: Snapshot, types: Sequence[Type] | None, raw_bytes: int) -> Stage:
        """Read the file as those types, or as the narrowest that fit."""
        cells = self._cells(types if types is not None else self._proposed())
        typed, table = self._parse(cells)
        if types is None and (failing := _staging.failing_columns(self.connection, typed)):
            cells = self._cells(self._widened(cells, failing))
            typed, table = self._parse(cells)
        multiline, notes = self._account(typed, table)
        refused, raw = _staging.Refused(np.empty(0, np.int64)), None
        if table.num_rows or typed.bad:
            lines, found = self.lines, _csv_scan.records(self.lines, table, multiline, self.layout.header)
            self._check(found.count_lines(typed.readable))
            at = self.mended.at if self.mended else set()
            told = _csv_scan.rejects(lines, table, found, self.layout.names, at, self.config.max_record_bytes)
            refused, raw = _staging.Refused(found.readable_before, told), lambda places: lines.raw(*found.lines(places))
        inferred, drift = types is None, self.layout.drift
        if not inferred:
            retyped = _staging.retyped(self.connection, typed, cells, self.misfits, lambda names: self._types(names, None))
            drift = replace(drift, retyped=retyped)
        return _staging.finish(self.connection, self.into, snapshot, cells, typed, refused, raw, raw_bytes, inferred, notes, drift)

    @property
    def lines(self) -> Lines:
        """The lines of the text as it came (mended lines lie where they lay)."""
        if self._lines is None:
            self._lines = Lines.of(self.text.path, self.folder, self.scan.width == 1)
        return self._lines

    def _cells(self, types: Sequence[Type]) -> list[_staging.Cell]:
        return [self._cell(name, at, type_) for (name, at), type_ in zip(self.layout.wanted, types, strict=True)]

    def _cell(self, name: str, at: int, type_: Type) -> _staging.Cell:
        rules = self.config.columns.get(name, STRICT)
        words = (*self.config.null_values, *(rules.null_values or ()))
        if at < 0:
            return _staging.text_cell(name, type_, "NULL::VARCHAR")
        text = f"c{at}"
        if self.config.trim if rules.trim is None else rules.trim:
            text = f"trim({text}, ' ' || chr(9))"
        # DuckDB saw to unquoted words. Quotes make no difference in other columns than strings: there, '' needs no look, as it is no value
        typed = type_.kind != "string"
        if words and (text != f"c{at}" or rules.null_values or (typed and set(words) != {""})):
            return _staging.text_cell(name, type_, f"CASE WHEN {text} IN ({literals(words)}) THEN NULL ELSE {text} END", rules)
        return _staging.text_cell(name, type_, text, rules, words if typed else ())

    def _proposed(self) -> list[Type]:
        """What the first rows look like; columns without a value there are looked at in full."""
        names = [name for name, _ in self.layout.wanted]
        look = dict(zip(names, self._types(names, _infer.LOOK), strict=True))
        blank = [name for name, type_ in look.items() if type_ is None]
        look |= dict(zip(blank, self._types(blank, None), strict=True))
        return [type_ or _infer.STRING for type_ in look.values()]

    def _widened(self, cells: Sequence[_staging.Cell], failing: set[str]) -> list[Type]:
        """The types after all values of the failing columns were looked at."""
        names = [cell.name for cell in cells if cell.name in failing]
        found = dict(zip(names, self._types(names, None), strict=True))
        return [found.get(cell.name) or cell.type for cell in cells]

    def _types(self, names: Sequence[str], limit: int | None) -> list[Type | None]:
        cells = [self._cell(name, at, _infer.ORDER[0]) for name, at in self.layout.wanted if name in names]
        texts = [f"nullif({cell.text}, '')" if "" in cell.null_words else cell.text for cell in cells]
        source = self.scan.source(next(self._turns))
        return _infer.types(self.connection, texts, [self.config.columns.get(cell.name, STRICT) for cell in cells], source, limit)

    def _parse(self, cells: Sequence[_staging.Cell]) -> tuple[_staging.Typed, pa.Table]:
        """The typed rows and the unreadable records, after as many passes as unclosed quotes make necessary."""
        while True:
            turn = next(self._turns)
            left = sorted(set(range(self.scan.width)) - {at for _, at in self.layout.wanted})
            # DuckDB does not look at columns that nobody asks for, and a bad one makes a bad record
            rest = f"concat({', '.join(f'c{i}' for i in left)}) IS NULL" if left else None
            typed = _staging.copy(self.connection, _staging.select(cells, self.scan.source(turn), _staging.Besides(rest=rest)), self.folder)
            table = _csv_scan.refused(self.connection, turn, self.scan.width == 1, self.scan.quote)
            if not table.num_rows:
                return typed, table
            unclosed = _csv_scan.unclosed(table, self.lines, self.mended.at if self.mended else set())
            if not len(unclosed):
                return typed, table
            self.mended = self.mended or _csv_scan.Mended(self.lines, self.folder, self.config.max_unclosed_quotes, self.uri)
            self.mended.blot(unclosed)
            self.scan = replace(self.scan, path=self.mended.path)

    def _account(self, typed: _staging.Typed, table: pa.Table) -> tuple[Multiline, list[str]]:
        """Which records have several lines, as far as that must be known, and notes on lines that are no records."""
        notes = [*self.text.notes]
        refused = int(np.sum(table["lines"].to_numpy())) if table.num_rows else 0
        spare = self.text.lines - self.layout.above - typed.readable - refused
        multiline, inside = Multiline.none(), spare
        if spare > 0 and (self.text.gaps or table.num_rows or typed.bad):
            multiline, inside = _csv_scan.multiline(self.connection, self.scan, self.folder, next(self._turns))
        if spare > inside:
            notes.append(f"empty lines skipped, not counted as rows: {spare - inside}")
        if inside > 0:
            notes.append(f"line ends inside quoted fields: {inside}")
        return multiline, notes

    def _check(self, lines: int) -> None:
        """No reject without its own bytes: if the lines do not add up, nothing that is said of them can be trusted."""
        if lines != len(self.lines.starts):
            found = f"{len(self.lines.starts)} lines with text, but its records have {lines}"
            raise CorruptFileError(f"reading `{self.uri}`: {found} (check format.quote and format.escape)", uri=self.uri)
