"""One CSV file on its way to a stage: read as it is if it is clean, or the clean part of it, and every record and byte accounted for."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forebay.config.types import Type
from forebay.errors import CorruptFileError
from forebay.formats import _csv_bytes, _csv_look, _infer, _staging, _witness
from forebay.formats._csv_bytes import Found, Part
from forebay.formats._csv_dialect import LF, Dialect
from forebay.formats._csv_layout import Layout
from forebay.formats._csv_rejects import Rejects
from forebay.formats._csv_source import Source
from forebay.formats._csv_split import Splitter
from forebay.formats._csv_third import Third
from forebay.formats._lines import row_numbers
from forebay.formats._rules import STRICT
from forebay.model import Snapshot, Stage
from forebay.support.sql import literal, literals

if TYPE_CHECKING:
    import duckdb

    from forebay.formats.csv import CsvSettings

_CONTROLS = bytes(b for b in (*range(0x1F, 0x0D, -1), 0x0C, 0x0B, *range(8, 0, -1)))


@dataclass(frozen=True, slots=True)
class Rows:
    """The records of a file that are rows, as our own reading has them, and what is known of those that are not."""

    found: Found
    before: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    offsets: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    rejects: Path | None = None


@dataclass
class Reading:
    """The state of reading one file: its stage goes `into` one folder, and what is needed meanwhile into another.

    `source` is the file itself, or the copy of its clean records.
    """

    config: CsvSettings
    connection: duckdb.DuckDBPyConnection
    into: Path
    folder: Path
    layout: Layout
    uri: str
    misfits: float | None
    notes: list[str]
    source: Source | Third = field(init=False)
    dialect: Dialect = field(init=False)

    def __post_init__(self) -> None:
        self.dialect = self.layout.dialect
        self.source = self._source(
            self.layout.part.path, self.dialect.delimiter, self.config.header, max(0, self.layout.skip), self._new_line()
        )

    def stage(self, snapshot: Snapshot, types: Sequence[Type] | None, raw_bytes: int) -> Stage:
        """Read the file as those types, or as the narrowest that fit."""
        rows, cells, typed = self._as_it_is(types) or self._split(types)
        inferred, drift = types is None, self.layout.drift
        if not inferred:
            retyped = _staging.retyped(self.connection, typed, cells, self.misfits, lambda names: self._types(names, None))
            drift = replace(drift, retyped=retyped)
        refused = _staging.Refused(rows.before, rows.rejects)
        notes = [*self.layout.notes, *self.notes, *self._told(rows.found)]
        raw = self._raw(rows.found)
        return _staging.finish(self.connection, self.into, snapshot, cells, typed, refused, raw, raw_bytes, inferred, notes, drift)

    def _told(self, found: Found) -> list[str]:
        notes = [f"empty lines skipped, not counted as rows: {found.gaps}"] if found.gaps else []
        return notes + ([f"line ends inside quoted fields: {found.inner}"] if found.inner else [])

    # ------------------------------------------------------------ two ways

    def _as_it_is(self, types: Sequence[Type] | None) -> tuple[Rows, list[_staging.Cell], _staging.Typed] | None:
        """The file read as it lies there; None if it is not clean, or our reading differs."""
        import duckdb

        if self.layout.skip < 0:
            return None
        new_line = self._new_line()
        with ThreadPoolExecutor(1) as pool:
            looking = pool.submit(self._look)
            try:
                cells, typed = self._typed(types)
            except (duckdb.InvalidInputException, duckdb.NotSupportedError):  # records that are none, or its own limits: we shall see
                looking.result()
                return None
            found = looking.result()
        if found is None or found.returns != (new_line == "\r\n") or self._parted(typed, found) is not None:
            return None
        return Rows(found), cells, typed

    def _split(self, types: Sequence[Type] | None) -> tuple[Rows, list[_staging.Cell], _staging.Typed]:
        """Our own parting of rows from other records, and the rows read from a copy.

        Raises `CorruptFileError` if the copy is read otherwise than by ourselves: on several threads, on one, and where the part in doubt is read by
        Python's csv module.
        """
        import duckdb

        rows, copy = self._parting()
        parted: _witness.Parted | None = None
        third = Third(copy, rows.found, rows.offsets, self.folder, self._by_hand(rows.found))
        for source in (copy, replace(copy, parallel=False)):
            self.source = source
            try:
                cells, typed = self._typed(types)
            except (duckdb.InvalidInputException, duckdb.NotSupportedError):
                if not source.parallel:
                    raise
                continue  # some files it does not read on several threads, and says so only now and then
            parted = self._parted(typed, rows.found)
            if parted is None:
                return rows, cells, typed
        while parted is not None and third.doubt(parted.place):
            self.source = third
            cells, typed = self._typed(types)
            parted = self._parted(typed, rows.found)
        if parted is not None:
            raise self._refused(rows.found, parted)
        self.notes += [self._told_of_doubt(rows.before, *doubt) for doubt in third.doubts]
        return rows, cells, typed

    def _refused(self, found: Found, parted: _witness.Parted) -> CorruptFileError:
        at = int(found.starts[parted.place]) + 1 if parted.place < len(found) else self.layout.part.end
        return CorruptFileError(
            f"reading `{self.uri}`: it has {parted.expected} readable records by its bytes, and {parted.read} by the CSV reader, "
            f"which part at byte {at} (nothing of it is published; report this)",
            uri=self.uri,
        )

    @staticmethod
    def _told_of_doubt(before: np.ndarray, first: int, last: int) -> str:
        a, b = (int(row_numbers(before, place, 1)[0]) for place in (first, last - 1))
        return f"rows {a} to {b} were read by Python's csv module, as two other readings differed there"

    def _look(self) -> Found | None:
        return _csv_look.look(self.layout.part, self.dialect, len(self.layout.names), self.config.max_record_bytes, self.folder, self.uri)

    def _parting(self) -> tuple[Rows, Source]:
        """What is a row and what is not, and the copy of the former."""
        part, dialect = self.layout.part, self.dialect
        if len(dialect.delimiter) > 1 or (dialect.quote is None and dialect.escape) or len(self.layout.names) == 1:
            self.dialect = dialect = replace(dialect, stand_ins=_unused(part, self.uri))
        path = self.folder / "refused.parquet"
        with Rejects(path, self.layout.names, self.config.max_record_bytes, dialect, self.config.encoding) as rejects:
            splitter = Splitter(part, dialect, len(self.layout.names), self.config.max_record_bytes, self.folder, self.uri, rejects.add)
            found, before = splitter.split()
        most = self.config.max_unclosed_quotes
        if most is not None and splitter.unclosed > most:
            raise CorruptFileError(
                f"reading `{self.uri}`: {splitter.unclosed} quotes are opened and never closed, more than {most} "
                "(check format.quote and format.escape, or raise format.max_unclosed_quotes)",
                uri=self.uri,
            )
        if splitter.mixed:
            self.notes.append("line ends are mixed; CR LF outside quotes was read as LF")
        return Rows(found, before, splitter.offsets, path), self._source(splitter.path, splitter.separator, False, 0, "\n")

    # ------------------------------------------------------------ DuckDB

    def _new_line(self) -> str:
        """The kind of the first line end; if others differ the file is not read as it is."""
        with self.layout.part.path.open("rb") as file:
            while line := file.readline(1 << 20):
                if line.endswith(b"\n"):
                    return "\r\n" if line.endswith(b"\r\n") else "\n"
        return "\n"

    def _source(self, path: Path, delimiter: bytes, header: bool, skip: int, new_line: str) -> Source:
        config = self.config
        quote, escape = config.quote, config.escape if config.quote else None
        words, width = config.null_values, len(self.layout.names)
        most = config.max_record_bytes
        return Source(path, width, delimiter.decode(), quote, escape, header, skip, new_line, words, config.quoted_nulls, most)

    def _typed(self, types: Sequence[Type] | None) -> tuple[list[_staging.Cell], _staging.Typed]:
        """All rows of the source, typed as declared or as inferred from it."""
        cells = self._cells(types if types is not None else self._proposed())
        typed = self._copy(cells)
        if types is None and (failing := _staging.failing_columns(self.connection, typed)):
            cells = self._cells(self._widened(cells, failing))
            typed = self._copy(cells)
        return cells, typed

    def _copy(self, cells: Sequence[_staging.Cell]) -> _staging.Typed:
        texts = [self._restored(i) for i in range(self.source.width)]
        line = f"concat({', chr(31), '.join([*texts, literal('')])})"  # of all columns: DuckDB does not look at those that nobody asks for
        return _staging.copy(self.connection, _staging.select(cells, self.source.sql(), _staging.Besides(line=line)), self.folder)

    def _restored(self, at: int) -> str:
        """SQL: the text of a column, with what stands in for delimiters and the like put back."""
        text, dialect = f"c{at}", self.dialect
        for byte, own in zip(dialect.stand_ins, (dialect.delimiter, b"\n", b"\r", dialect.escape or b"", b""), strict=False):
            if (dialect.quote is None and dialect.escape) or (not own and self.source.width == 1):
                text = f"replace({text}, chr({byte}), {_characters(own)})"
        return text

    def _cells(self, types: Sequence[Type]) -> list[_staging.Cell]:
        return [self._cell(name, at, type_) for (name, at), type_ in zip(self.layout.wanted, types, strict=True)]

    def _cell(self, name: str, at: int, type_: Type) -> _staging.Cell:
        rules = self.config.columns.get(name, STRICT)
        words = (*self.config.null_values, *(rules.null_values or ()))
        if at < 0:
            return _staging.text_cell(name, type_, "NULL::VARCHAR")
        text = self._restored(at)
        trimmed = self.config.trim if rules.trim is None else rules.trim
        if trimmed:
            text = f"trim({text}, ' ' || chr(9))"
        # DuckDB saw to unquoted words. Quotes make no difference in other columns than strings: there, '' needs no look, as it is no value
        typed = type_.kind != "string"
        if words and (trimmed or rules.null_values or (typed and set(words) != {""})):
            return _staging.text_cell(name, type_, f"CASE WHEN {text} IN ({literals(words)}) THEN NULL ELSE {text} END", rules)
        return _staging.text_cell(name, type_, text, rules, words if typed else ())

    def _proposed(self) -> list[Type]:
        """What the first rows look like; columns without a value there are looked at in full."""
        names = [name for name, _ in self.layout.wanted]
        most = self.misfits or 0.0
        look = dict(zip(names, self._types(names, _infer.LOOK, most), strict=True))
        blank = [name for name, type_ in look.items() if type_ is None]
        look |= dict(zip(blank, self._types(blank, None, most), strict=True))
        return [type_ or _infer.STRING for type_ in look.values()]

    def _widened(self, cells: Sequence[_staging.Cell], failing: set[str]) -> list[Type]:
        """The types after all values of the failing columns were looked at."""
        names = [cell.name for cell in cells if cell.name in failing]
        found = dict(zip(names, self._types(names, None, self.misfits or 0.0), strict=True))
        return [found.get(cell.name) or cell.type for cell in cells]

    def _types(self, names: Sequence[str], limit: int | None, misfits: float = 0.0) -> list[Type | None]:
        cells = [self._cell(name, at, _infer.ORDER[0]) for name, at in self.layout.wanted if name in names]
        texts = [f"nullif({cell.text}, '')" if "" in cell.null_words else cell.text for cell in cells]
        rules = [self.config.columns.get(cell.name, STRICT) for cell in cells]
        return _infer.types(self.connection, texts, rules, self.source.sql(), limit, misfits)

    # ------------------------------------------------------------ the witness

    def _parted(self, typed: _staging.Typed, found: Found) -> _witness.Parted | None:
        raw = self._raw(found)

        def lines(places: np.ndarray) -> list[list[bytes]]:
            return [[b"".join(cell + b"\x1f" for cell in cells) for cells in self._readings(text)] for text in raw(places)]

        return _witness.parted(self.connection, typed.path, found.octets, self.source.width, lines)

    def _readings(self, text: bytes) -> list[list[bytes]]:
        """What the fields of a record hold, by Python's csv module or, where that does not have the dialect, by our own policy; by both where they may differ."""
        dialect, width = self.dialect, self.source.width
        own = [dialect.text(text, span) for span in self._spans(text)]
        theirs = own
        if dialect.doubled and len(dialect.delimiter) == 1 and dialect.end == LF and not any(dialect.null_words):
            try:
                [cells] = csv.reader(
                    io.StringIO(text.decode(), newline=""), delimiter=dialect.delimiter.decode(), quotechar=self.config.quote, strict=True
                )
                theirs = [cell.encode() for cell in cells][:width]
            except (csv.Error, ValueError):
                pass
        quote = dialect.quote or b""
        blanks = b" " + quote in text or quote + b" " in text  # outside quotes they are no data to us alone
        return [own, theirs] if blanks else [theirs]

    def _spans(self, text: bytes) -> list[tuple[int, int]]:
        record = self.dialect.record(text, 0, len(text) + 1, True)
        return record.fields[: self.source.width] if record and text else [(0, 0)]

    def _by_hand(self, found: Found) -> Callable[[np.ndarray], list[list[str | None]]]:
        """Reads rows as `_readings` does, with nulls as the settings have them."""
        raw, dialect = self._raw(found), self.dialect

        def fields(places: np.ndarray) -> list[list[str | None]]:
            rows = []
            for text in raw(places):
                cells = zip(self._readings(text)[0], self._spans(text), strict=True)
                rows.append([None if dialect.is_null(text, span) else cell.decode() for cell, span in cells])
            return rows

        return fields

    def _raw(self, found: Found) -> Callable[[np.ndarray], list[bytes]]:
        def raw(places: np.ndarray) -> list[bytes]:
            with self.layout.part.path.open("rb") as file:
                spans = zip(found.starts[places].tolist(), found.stops[places].tolist(), strict=True)
                return [os.pread(file.fileno(), stop - start, start) for start, stop in spans]

        return raw


def _unused(part: Part, uri: str) -> bytes:
    """Six control characters that the file does not hold. Raises `CorruptFileError` if it holds too many."""
    left = bytearray(_CONTROLS)
    with part.path.open("rb") as file:
        while block := file.read(_csv_bytes.BLOCK):
            left = bytearray(byte for byte in left if byte not in block)
    if len(left) < 6:
        raise CorruptFileError(f"reading `{uri}`: it holds nearly every control character (a file of text has few)", uri=uri)
    return bytes(left[:6])


def _characters(text: bytes) -> str:
    """SQL: these characters."""
    return "concat(" + ", ".join(f"chr({ord(sign)})" for sign in text.decode()) + ")" if text else literal("")
