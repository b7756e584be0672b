"""What stands before the first record of a CSV file, and behind the last."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.errors import CorruptFileError
from forebay.formats._csv.dialect import LF, Dialect, Fault
from forebay.formats._csv.line_end import line_end
from forebay.formats._csv.record import Record, record_at

if TYPE_CHECKING:
    from forebay.formats._csv.settings import CsvSettings

_LONGEST = 1 << 24
_EXCEL = re.compile(rb'("?)sep=([^\r\n]{1,4}?)\1(?:\r\n|\n|\r)')
FAULTS = {
    Fault.TEXT: "text follows a closing quote",
    Fault.UNCLOSED: "a quote is opened and never closed",
    Fault.LINE_END: "a line end of another kind stands in a field without quotes",
    Fault.ESCAPE: "an escape stands before a letter, a digit or nothing",
}
"""What a fault of a field is, in words."""

_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_OTHER = {
    b"PK\x03\x04": "a zip archive, or an Excel workbook",
    b"PK\x05\x06": "a zip archive",
    b"BZh": "packed by bzip2",
    b"\xfd7zXZ": "packed by xz",
}


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before the first record: it begins at byte `begin`. `names` is None without a header, () if the file
    ends before it.

    `dialect` is the settings', but for what the file says itself (`sep=;`, and how its lines end). `skip` empty lines
    come before a header of one line and nothing else does, so that a reader of headers can find it; -1: it cannot.
    """

    names: tuple[str, ...] | None
    begin: int
    dialect: Dialect
    skip: int = 0
    notes: tuple[str, ...] = ()


def head(path: Path, config: CsvSettings, uri: str) -> Head:
    """Read what stands before the first record.

    Raises `CorruptFileError` if the header cannot be read: without knowing its columns, no row of the file can be.
    """
    size, length = path.stat().st_size, 1 << 16
    while True:
        with path.open("rb") as file:
            data = file.read(length)
        top = _Top(config, path, data, len(data) == size, uri).head()
        if top is not None:
            return top
        if length >= _LONGEST:
            raise CorruptFileError(
                f"reading the header of `{uri}`: it has more than {length} bytes (check format.quote)", uri=uri
            )
        length *= 4


@dataclass
class _Top:
    """The first bytes of a file (`final`: all of them)."""

    config: CsvSettings
    path: Path
    data: bytes
    final: bool
    uri: str

    def head(self) -> Head | None:
        """None if it takes more bytes to tell."""
        config, data = self.config, self.data
        if config.header and (packed := _packed(self.path)):
            raise CorruptFileError(f"reading the header of `{self.uri}`: {packed}", uri=self.uri)
        at = start = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
        dialect, notes = config.dialect(), []
        if excel := _EXCEL.match(data, at):
            dialect, at = self._delimited(dialect, excel[2]), excel.end()
            notes.append(f"the first line names the delimiter (`sep=`): {excel[2].decode()!r} is taken")
        whole = self.final or len(data) >= _LONGEST
        end = line_end(data, at, dialect, config.max_record_bytes, whole, self.uri)
        if end is None:
            return None
        dialect = replace(dialect, end=end)
        above = self._below(dialect, at, config.preamble_lines)
        if above is None:
            return None
        plain = at == start and not config.preamble_lines and not config.extra_header_lines and end == LF
        if not config.header:
            return Head(None, above, dialect, 0 if plain else -1, tuple(notes))
        first, skip = above, 0
        while first < len(data) and data[first] in b"\r\n":
            skip += data[first] == end
            first += 1
        record = record_at(dialect, data, first, _LONGEST, self.final) if first < len(data) else None
        if record is None:
            return Head((), len(data), dialect, -1, tuple(notes)) if self.final else None
        names = self._names(record, dialect, first)
        begin = self._below(dialect, record.next, config.extra_header_lines)
        one_line = data.find(b"\n", first, record.stop) < 0
        return None if begin is None else Head(names, begin, dialect, skip if plain and one_line else -1, tuple(notes))

    def _delimited(self, dialect: Dialect, delimiter: bytes) -> Dialect:
        if _delimits(dialect, delimiter):
            return replace(dialect, delimiter=delimiter)
        raise CorruptFileError(
            f"reading the header of `{self.uri}`: the first line, `sep=`, names what cannot stand between two fields "
            "(check format.quote, format.escape and format.encoding)",
            uri=self.uri,
        )

    def _below(self, dialect: Dialect, at: int, lines: int) -> int | None:
        """Where so many lines end."""
        for _ in range(lines):
            line = dialect.line_stop(self.data, at, self.final)
            if line is None:
                return None
            at = line[1]
        return at

    def _names(self, record: Record, dialect: Dialect, first: int) -> tuple[str, ...]:
        doing = f"reading the header of `{self.uri}`"
        if record.fault is not Fault.NONE:
            raise CorruptFileError(f"{doing}: {self._fault(record, dialect, first)}", uri=self.uri)
        try:
            names = [replace(dialect, null_words=frozenset()).text(self.data, span).decode() for span in record.fields]
        except UnicodeDecodeError as error:
            raise CorruptFileError(
                f"{doing}: {error} (check format.quote and format.encoding)", uri=self.uri
            ) from error
        return tuple(name.strip(" \t") for name in names) if self.config.trim else tuple(names)

    def _fault(self, record: Record, dialect: Dialect, first: int) -> str:
        """What is wrong with the header, and the way out."""
        unquoted = self.data[first : record.stop].partition(dialect.quote or b"\n")[0]
        if record.fault is Fault.LINE_END or (dialect.end == LF and b"\r" in unquoted):
            return f"{FAULTS[Fault.LINE_END]} (have it delivered with one kind of line end)"
        if record.fault is Fault.UNCLOSED and not dialect.multiline:
            return f"{FAULTS[record.fault]} (check format.quote and format.multiline)"
        return f"{FAULTS[record.fault]} (check format.quote and format.encoding)"


def _delimits(dialect: Dialect, delimiter: bytes) -> bool:
    """Whether the settings, too, would take it for a delimiter."""
    try:
        delimiter.decode()
    except UnicodeDecodeError:
        return False
    return not any(sign and sign in delimiter for sign in (dialect.quote, dialect.escape))


def first_width(path: Path, begin: int, dialect: Dialect, most: int) -> int:
    """How many fields the first record has that can be read at all; 1 if none can."""
    with path.open("rb") as file:
        file.seek(begin)
        data = file.read(_LONGEST)
    at, final = 0, begin + len(data) == path.stat().st_size
    while at < len(data):
        record = record_at(dialect, data, at, most, final)
        if record is None:
            break
        if record.fault is Fault.NONE and record.stop > at:
            return len(record.fields)
        at = record.next
    return 1


def footer(path: Path, begin: int, lines: int, end: int) -> int:
    """Where the last lines with text begin, so many of them; empty lines behind them are theirs."""
    size = path.stat().st_size
    if not lines:
        return size
    with path.open("rb") as file:
        length = 1 << 16
        while True:
            start = max(begin, size - length)
            file.seek(start)
            data = file.read(size - start)
            stop = len(data.rstrip(b"\r\n"))
            for _ in range(lines):
                stop = data.rfind(end, 0, stop)
                if stop < 0:
                    break
                kept = stop + 1
                stop = len(data[:stop].rstrip(b"\r\n"))
            else:
                return start + kept
            if start == begin:
                return begin
            length *= 4


def _packed(path: Path) -> str | None:
    """What the file is instead of text, if its first bytes say so."""
    with path.open("rb") as file:
        head = file.read(5)
    for mark, what in _OTHER.items():
        if head.startswith(mark):
            return f"it is {what} (have it delivered as text, plain or packed by gzip or zstd)"
    for mark, name in _PACKED.items():
        if head.startswith(mark):
            return (
                f"its bytes are packed by {name} (set source.compression: {name}, "
                f"or let its name end as {name} files do)"
            )
    return "it is a Parquet file (set format.type: parquet)" if head.startswith(b"PAR1") else None
