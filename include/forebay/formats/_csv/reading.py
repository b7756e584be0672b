"""One CSV file on its way to a stage: read as it is if it is clean, or the clean part of it, and every record and byte
accounted for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forebay.config.types import Type
from forebay.errors import CorruptFileError
from forebay.formats import _infer, _staging, _wide, _witness
from forebay.formats._csv import look as csv_look
from forebay.formats._csv import stand_ins
from forebay.formats._csv import wide as csv_wide
from forebay.formats._csv.by_hand import ByHand
from forebay.formats._csv.dialect import Dialect
from forebay.formats._csv.layout import Layout
from forebay.formats._csv.parts import Found, Part
from forebay.formats._csv.rejects import Rejects
from forebay.formats._csv.source import Source
from forebay.formats._csv.split import Splitter
from forebay.formats._csv.third import Third
from forebay.formats._lines import let_go, row_numbers
from forebay.formats._rules import STRICT
from forebay.model import Snapshot, Stage
from forebay.support.sql import literals

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from forebay.formats._csv.settings import CsvSettings

_TOGETHER = 1 << 20  # numbers of a file's records that are looked at in one go


@dataclass(frozen=True, slots=True)
class Rows:
    """The records of a file that are rows, as our own reading has them, and what is known of those that are not."""

    located: Found
    before: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    offsets: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    rejects: Path | None = None


@dataclass
class Reading:
    """The state of reading one file: its stage goes `into` one folder, and what is needed meanwhile into another.

    `source` is the file itself, or the copy of its clean records; `longest` is the most bytes that one has.
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
    longest: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.dialect = self.layout.dialect
        self.source = self._source(
            self.layout.part.path,
            self.dialect.delimiter,
            self.config.header,
            max(0, self.layout.skip),
            self._new_line(),
        )

    @property
    def wide(self) -> bool:
        """Whether the file is read by pyarrow and typed kind by kind. Pyarrow does not know an escape that is one
        within quotes only."""
        width, dialect = len(self.layout.names), self.layout.dialect
        plain = dialect.quote is None or dialect.escape is None
        return plain and width > 1 and max(width, len(self.layout.wanted)) > _staging.WIDE

    def stage(self, snapshot: Snapshot, types: Sequence[Type | None], raw_bytes: int) -> Stage:
        """Read the staged columns as those types, or, where there is none, as the narrowest that fits."""
        rows, cells, typed = self._as_it_is(types) or self._split(types)
        expected = [cell for cell, type_ in zip(cells, types, strict=True) if type_]
        retyped = _staging.retyped(
            self.connection, typed, expected, self.misfits, lambda names: self._types(names, None)
        )
        drift = replace(self.layout.drift, retyped=retyped)
        refused = _staging.Refused(rows.before, rows.rejects)
        notes = [*self.layout.notes, *self.notes, *self._told(rows.located)]
        raw = self._hand(rows.located).raw
        return _staging.finish(
            self.connection, self.into, snapshot, cells, typed, refused, raw, raw_bytes, False, notes, drift
        )

    def _told(self, located: Found) -> list[str]:
        notes = [f"empty lines skipped, not counted as rows: {located.gaps}"] if located.gaps else []
        inner = f"line ends inside quoted fields: {located.inner} (if fields have none, set `format.multiline: false`)"
        return notes + ([inner] if located.inner else [])

    # ------------------------------------------------------------ two ways

    def _as_it_is(self, types: Sequence[Type | None]) -> tuple[Rows, list[_staging.Cell], _staging.Typed] | None:
        """The file read as it lies there; None if it is not clean, or our reading differs."""
        import duckdb
        import pyarrow as pa

        if self.layout.skip < 0 or self.dialect.foreign or (self.wide and len(self.dialect.delimiter) > 1):
            return None
        new_line = self._new_line()
        with ThreadPoolExecutor(1) as pool:
            looking = pool.submit(self._look)
            if self.wide:
                located = looking.result()
                if located is None:
                    return None
                self.longest = _longest(located)
            try:
                cells, typed = self._typed(types)
            # records that are none, or its own limits: we shall see
            except (duckdb.InvalidInputException, duckdb.NotSupportedError, pa.ArrowInvalid):
                looking.result()
                return None
            located = looking.result()
        if (
            located is None
            or located.returns != (new_line == "\r\n")
            or self._parted(typed, located, cells) is not None
        ):
            return None
        return Rows(located), cells, typed

    def _split(self, types: Sequence[Type | None]) -> tuple[Rows, list[_staging.Cell], _staging.Typed]:
        """Our own parting of rows from other records, and the rows read from a copy.

        Raises `CorruptFileError` if the copy is read otherwise than by ourselves: on several threads, on one, and where
        the part in doubt is read by Python's csv module.
        """
        import duckdb
        import pyarrow as pa

        rows, copy = self._parting()
        parted: _witness.Parted | None = None
        third = Third(copy, rows.located, rows.offsets, self.folder, self._hand(rows.located).rows)
        for source in (copy, replace(copy, parallel=False)):
            self.source = source
            try:
                cells, typed = self._typed(types)
            except (duckdb.InvalidInputException, duckdb.NotSupportedError):
                if not source.parallel:
                    raise
                continue  # some files it does not read on several threads, and says so only now and then
            except pa.ArrowInvalid:
                raise self._refused(rows.located, _witness.Parted(len(rows.located), 0, 0)) from None
            parted = self._parted(typed, rows.located, cells)
            if parted is None:
                return rows, cells, typed
        while parted is not None and third.doubt(parted.place):
            self.source = third
            cells, typed = self._typed(types)
            parted = self._parted(typed, rows.located, cells)
        if parted is not None:
            raise self._refused(rows.located, parted)
        self.notes += [self._told_of_doubt(rows.before, *doubt) for doubt in third.doubts]
        return rows, cells, typed

    def _refused(self, located: Found, parted: _witness.Parted) -> CorruptFileError:
        at = int(located.starts[parted.place]) + 1 if parted.place < len(located) else self.layout.part.end
        return CorruptFileError(
            f"reading `{self.uri}`: it has {parted.expected} readable records by its bytes, "
            f"and {parted.read} by the CSV reader, "
            f"which part at byte {at} (nothing of it is published; report this)",
            uri=self.uri,
        )

    @staticmethod
    def _told_of_doubt(before: np.ndarray, first: int, last: int) -> str:
        a, b = (int(row_numbers(before, place, 1)[0]) for place in (first, last - 1))
        return f"rows {a} to {b} were read by Python's csv module, as two other readings differed there"

    def _look(self) -> Found | None:
        return csv_look.look(
            self.layout.part, self.dialect, len(self.layout.names), self.config.max_record_bytes, self.folder, self.uri
        )

    def _parting(self) -> tuple[Rows, Source]:
        """What is a row and what is not, and the copy of the former."""
        part, dialect = self.layout.part, self.dialect
        if (
            len(dialect.delimiter) > 1
            or (dialect.quote is None and dialect.escape)
            or len(self.layout.names) == 1
            or dialect.foreign
        ):
            self.dialect = dialect = replace(dialect, stand_ins=stand_ins.unused(part, self.uri))
        path = self.folder / "refused.parquet"
        with Rejects(path, self.layout.names, self.config.max_record_bytes, dialect, self.config.encoding) as rejects:
            splitter = Splitter(
                part, dialect, len(self.layout.names), self.config.max_record_bytes, self.folder, self.uri, rejects.add
            )
            located, before = splitter.split()
        most = self.config.max_unclosed_quotes
        if most is not None and splitter.unclosed > most:
            raise CorruptFileError(
                f"reading `{self.uri}`: {splitter.unclosed} quotes are opened and never closed, more than {most} "
                "(check format.quote and format.escape, or raise format.max_unclosed_quotes)",
                uri=self.uri,
            )
        if splitter.mixed:
            self.notes.append("line ends are mixed; CR LF outside quotes was read as LF")
        self.longest = _longest(located)
        return Rows(located, before, splitter.offsets, path), self._source(
            splitter.path, splitter.separator, False, 0, "\n"
        )

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
        foreign, own = {word.decode() for word in self.dialect.foreign}, self.dialect.stand_ins[6:7].decode()
        words, width = tuple(word for word in config.null_values if word not in foreign), len(self.layout.names)
        words += (own,) if foreign and own else ()
        most = config.max_record_bytes
        return Source(
            path, width, delimiter.decode(), quote, escape, header, skip, new_line, words, config.quoted_nulls, most
        )

    def _typed(self, types: Sequence[Type | None]) -> tuple[list[_staging.Cell], _staging.Typed]:
        """All rows of the source, typed as declared or as inferred from it."""
        cells = self._cells(self._proposed(types))
        typed = self._copy(cells)
        open_ = self._open(types)
        if open_ and (failing := _staging.failing_columns(self.connection, typed).intersection(open_)):
            cells = self._cells(self._widened(cells, failing))
            typed = self._copy(cells)
        return cells, typed

    def _copy(self, cells: Sequence[_staging.Cell]) -> _staging.Typed:
        if self.wide:
            batches = (self._batch(texts) for texts in self._columns())
            return _wide.copy(self.connection, batches, cells, [_staging.LINE], self.folder)
        texts = [self._restored(i) for i in range(self.source.width)]
        # of all columns: DuckDB does not look at those that nobody asks for
        statement = _staging.select(cells, self.source.sql(), _staging.Besides(texts=texts))
        return _staging.copy(self.connection, statement, self.folder)

    def _restored(self, at: int) -> str:
        """SQL: the text of a column, with what stands in for delimiters and the like put back."""
        text = f"c{at}"
        for byte, own in self._replaced():
            text = f"replace({text}, chr({byte}), {stand_ins.characters(own)})"
        return text

    def _replaced(self) -> list[tuple[int, bytes]]:
        """What stands in for other bytes in the copy, and for which."""
        dialect = self.dialect
        pairs = zip(dialect.stand_ins, (dialect.delimiter, b"\n", b"\r", dialect.escape or b"", b""), strict=False)
        return [
            (byte, own)
            for byte, own in pairs
            if (dialect.quote is None and dialect.escape) or (not own and self.source.width == 1)
        ]

    def _columns(self) -> Iterator[list[pa.Array]]:
        """The texts of all columns, some records at a time, where there are many columns."""
        replaced = [(chr(byte), own.decode()) for byte, own in self._replaced()]
        pieces = self.source.pieces() if isinstance(self.source, Third) else [self.source]
        for piece in pieces:
            held = (
                csv_wide.staged(piece)
                if isinstance(piece, Path)
                else csv_wide.columns(piece, self._part(piece), self.longest)
            )
            for texts in held:
                yield csv_wide.restored(texts, replaced)

    def _part(self, source: Source) -> Part:
        """Where the records of a source are."""
        part = self.layout.part
        return part if source.path == part.path else Part(source.path, 0, source.path.stat().st_size)

    def _batch(self, texts: Sequence[pa.Array]) -> _wide.Batch:
        import pyarrow as pa

        rows = len(texts[0])
        held = [texts[at] if at >= 0 else pa.nulls(rows, pa.string()) for _, at in self.layout.wanted]
        return _wide.Batch(held, rows, {_staging.LINE: csv_wide.lines(texts)})

    def _cells(self, types: Sequence[Type]) -> list[_staging.Cell]:
        return [self._cell(name, at, type_) for (name, at), type_ in zip(self.layout.wanted, types, strict=True)]

    def _cell(self, name: str, at: int, type_: Type) -> _staging.Cell:
        rules = self.config.columns.get(name, STRICT)
        words = (*self.config.null_values, *(rules.null_values or ()))
        if at < 0:
            return _staging.text_cell(name, type_, "NULL::VARCHAR")
        source = self._restored(at)
        trimmed = self.config.trim if rules.trim is None else rules.trim

        def bare(held: str) -> str:
            return f"trim({held}, ' ' || chr(9))" if trimmed else held

        def text(held: str) -> str:
            return f"CASE WHEN {bare(held)} IN ({literals(words)}) THEN NULL ELSE {bare(held)} END"

        # DuckDB saw to unquoted words. Quotes make no difference in other columns than strings: there, '' needs no
        # look, as it is no value
        typed = type_.kind != "string"
        if words and (trimmed or rules.null_values or (typed and set(words) != {""})):
            return _staging.text_cell(name, type_, source, text, rules)
        return _staging.text_cell(name, type_, source, bare, rules, words if typed else ())

    def _open(self, types: Sequence[Type | None]) -> list[str]:
        """The columns of the file whose types are to be inferred."""
        return [name for (name, at), type_ in zip(self.layout.wanted, types, strict=True) if not type_ and at >= 0]

    def _proposed(self, types: Sequence[Type | None]) -> list[Type]:
        """What the first rows look like; columns without a value there are looked at in full."""
        names, most = self._open(types), self.misfits or 0.0
        look = dict(zip(names, self._types(names, _infer.LOOK, most), strict=True))
        blank = [name for name, type_ in look.items() if type_ is None]
        look |= dict(zip(blank, self._types(blank, None, most), strict=True))
        named = zip(self.layout.wanted, types, strict=True)
        return [type_ or look.get(name) or _infer.STRING for (name, _), type_ in named]

    def _widened(self, cells: Sequence[_staging.Cell], failing: set[str]) -> list[Type]:
        """The types after all values of the failing columns were looked at."""
        names = [cell.name for cell in cells if cell.name in failing]
        located = dict(zip(names, self._types(names, None, self.misfits or 0.0), strict=True))
        return [located.get(cell.name) or cell.type for cell in cells]

    def _types(self, names: Sequence[str], limit: int | None, misfits: float = 0.0) -> list[Type | None]:
        chosen = set(names)
        wanted = [(name, at) for name, at in self.layout.wanted if name in chosen]
        cells = [self._cell(name, at, _infer.ORDER[0]) for name, at in wanted]
        rules = [self.config.columns.get(cell.name, STRICT) for cell in cells]
        if self.wide:
            places = [at for _, at in wanted]
            batches = ([texts[at] for at in places] for texts in self._columns())
            return _infer.types_of_many(
                self.connection, batches, [_look_at(cell, "c") for cell in cells], rules, limit, misfits
            )
        texts = [_look_at(cell, cell.source) for cell in cells]
        return _infer.types(self.connection, texts, rules, self.source.sql(), limit, misfits)

    # ------------------------------------------------------------ the witness

    def _hand(self, located: Found) -> ByHand:
        return ByHand(self.dialect, self.config.quote, self.source.width, self.layout.part.path, located)

    def _parted(self, typed: _staging.Typed, located: Found, cells: Sequence[_staging.Cell]) -> _witness.Parted | None:
        hand, behind = self._hand(located), _staging.SEPARATOR.encode()

        def other_lines(places: np.ndarray) -> int | None:
            lines = [
                [b"".join(text + behind for text in texts) for texts in hand.readings(record)]
                for record in hand.raw(places)
            ]
            return _witness.other_prints(self.connection, typed.path, places, lines)

        def other_values(places: np.ndarray) -> int | None:
            readings = [hand.cells(record) for record in hand.raw(places)]
            return _witness.other_values(self.connection, typed.path, cells, places, readings)

        spare, other = (self.source.width, other_lines) if self.wide else (0, other_values)
        return _witness.parted(self.connection, typed.path, located.octets, spare, other)


def _longest(located: Found) -> int:
    longest = 0
    for first in range(0, len(located), _TOGETHER):
        some = slice(first, first + _TOGETHER)
        longest = max(longest, int((located.stops[some] - located.starts[some]).max()))
        let_go(located.starts, located.stops)
    return longest


def _look_at(cell: _staging.Cell, source: str) -> str:
    """SQL: the text of which the type is to be found."""
    return f"nullif({cell.text(source)}, '')" if "" in cell.null_words else cell.text(source)
