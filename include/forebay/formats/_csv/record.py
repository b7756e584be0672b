"""One record of a CSV file read byte by byte: the policy that everything else about CSV follows.

RFC 4180, and where it is silent:

- A field whose first byte is the quote (blanks before it do not count) is quoted. It ends at the next quote that is not
  doubled (or escaped). Behind that only blanks may stand before the delimiter or the line end; blanks outside quotes
  are no data.
- In any other field quotes are data: `1,5" pipe` has the value `5" pipe`, and `1,5"x,y"` has three fields.
- Delimiters too many at the end of a record, with nothing between and behind them, make no fields: `1,,2,` has three.
  Any other field too many, or one too few, quarantines the record.
- A line ends with LF or CR LF, wherever no quote is open; with CR in a file that has it outside quotes from the first
  line on (`line_end`). The other of the two in a field without quotes quarantines its record, as nobody can tell
  whether it is data. Within quotes they are data, byte for byte.
- A record that is none and has lines of the other kind in it, outside quotes, two of them with as many columns as the
  file, is not one but as many as there are lines (`glued`): all are quarantined.
- Text behind a closing quote quarantines the record; it goes on to the next delimiter and is read to its end.
- A quote is never closed if no quote of the following lines, as far as a record may be long, closes it properly: the
  next one that is not doubled has text behind it. Then its first line is the record, and the next line is a record of
  its own.
- Where fields hold no line ends (`multiline` false) every line is a record: a quote that is open at its end is never
  closed, and what is broken ends there.
- What belongs to a broken record is not taken for a row: if the next quote of the lines behind the one where the fault
  is cannot open a field, and closes one properly or stands in the very next line, or no line before it has as many
  columns as the file, then the record goes on to there.
- An escape makes the next byte data, one and no more: CR of CR LF is data then, and LF ends the line. Before a letter
  or a digit it means different things to different writers (`\\n`), so that quarantines the record, unless the whole
  field is a null word (`\\N`). With quotes, it is one within quotes only; without, everywhere, line ends included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from forebay.formats._csv.dialect import CR, LF, Dialect, Fault


@dataclass(slots=True)
class Record:
    """One record: `stop` is where its text ends, `next` where the next line begins.

    `fields` are the spans of its fields, quotes included; `values` how many bytes of text each holds; `edits` which
    bytes of it must be changed for a reader that knows quotes and delimiters only (null: left out).
    """

    stop: int
    next: int
    fields: list[tuple[int, int]]
    values: list[int]
    fault: Fault = Fault.NONE
    column: int = -1
    edits: list[tuple[int, int | None]] = field(default_factory=list)


def record_at(
    dialect: Dialect, data: bytes, at: int, most: int, final: bool, width: int | None = None
) -> Record | None:
    """The record that begins at `at`, of at most `most` bytes; None if more of the file is needed to tell (`final`:
    there is no more).

    `width` is the file's number of columns, as far as known. Columns too few or too many are no fault here.
    """
    limit = min(len(data), at + most)
    if not dialect.multiline:
        line = dialect.line_stop(data, at, final)
        limit = limit if line is None else min(limit, line[0])
    return _Walk(dialect, data, at, limit, final, width).record()


@dataclass(slots=True)
class _Walk:
    """One record being read."""

    dialect: Dialect
    data: bytes
    at: int
    limit: int
    final: bool
    width: int | None
    made: Record = field(init=False)
    first: tuple[int, int] = field(init=False)
    broken: bool = False
    """Whether some quote is not closed properly."""

    @property
    def conclusive(self) -> bool:
        """Whether nothing behind the limit can matter."""
        return self.final or self.limit < len(self.data)

    def record(self) -> Record | None:
        first = self.dialect.line_stop(self.data, self.at, self.final)
        if first is None:
            return None
        self.first = first
        self.made = Record(*first, [], [])
        here, line = self.at, first
        while True:
            behind = self._field(here, line)
            if behind is None:
                return None
            if behind < 0:
                return self._cut()
            if behind > line[0]:  # behind a quoted field of several lines
                following = self.dialect.line_stop(self.data, behind, self.final)
                if following is None:
                    return None
                line = following
            if behind < line[0]:
                here = behind + len(self.dialect.delimiter)
                continue
            goes_on = self._fragment(line) if self.broken else 0
            if goes_on is None:
                return None
            if not goes_on:
                self.made.stop, self.made.next = line
                self._look_for_line_ends()
                return self.made
            following = self.dialect.line_stop(self.data, goes_on, self.final)
            if following is None:
                return None
            line = following
            here = self._next(goes_on, line[0])
            if here < line[0]:
                here += len(self.dialect.delimiter)
                continue
            self.made.stop, self.made.next = line
            return self.made

    def _cut(self) -> Record:
        """The first line alone."""
        self.made.stop, self.made.next = self.first
        return self.made

    def _blame(self, fault: Fault) -> None:
        self.broken |= fault in {Fault.TEXT, Fault.UNCLOSED}
        if self.made.fault is Fault.NONE:
            self.made.fault, self.made.column = fault, len(self.made.fields)

    def _next(self, at: int, stop: int) -> int:
        """The next delimiter, or the end of the line."""
        place = self.data.find(self.dialect.delimiter, at, stop)
        return stop if place < 0 else place

    def _field(self, at: int, line: tuple[int, int]) -> int | None:
        """Read one field; where its delimiter or line end stands (None: more is needed; -1: the record is its first
        line)."""
        dialect, data = self.dialect, self.data
        start = at
        while start < line[0] and data[start : start + 1] == dialect.blanks:
            start += 1
        if dialect.quote is not None and start < line[0] and data[start : start + 1] == dialect.quote:
            self._blank(at, start)
            return self._quoted(start, line)
        if dialect.quote is None and dialect.escape is not None:
            return self._escaping(at)
        behind = self._next(at, line[0])
        if data[at:behind] in dialect.foreign:
            self._null(at, behind)
        self._keep(at, behind, 0 if data[at:behind] in dialect.null_words else behind - at)
        return behind

    def _blank(self, start: int, stop: int) -> None:
        """Blanks outside quotes are left out for the reader: before a quote DuckDB takes one for none, and two for
        data."""
        self.made.edits += [(place, None) for place in range(start, stop)]

    def _null(self, start: int, stop: int) -> None:
        """One byte that stands for a null word, in its place."""
        if self.dialect.stand_ins:
            self.made.edits.append((start, self.dialect.stand_ins[6]))
            self.made.edits += [(place, None) for place in range(start + 1, stop)]

    def _keep(self, start: int, stop: int, value: int) -> None:
        self.made.fields.append((start, stop))
        self.made.values.append(value)

    def _quoted(self, start: int, line: tuple[int, int]) -> int | None:
        dialect, data = self.dialect, self.data
        closing = dialect.closing.match(data, start + 1, self.limit)
        cut = closing is not None and closing.end() == self.limit
        if closing is None or (
            cut and (not self.conclusive or (dialect.doubled and data.startswith(dialect.quote or b"", self.limit)))
        ):
            if not self.conclusive:
                return None
            self._blame(Fault.UNCLOSED)
            return -1
        stop = behind = closing.end()
        while data[behind : behind + 1] == dialect.blanks != b"":
            behind += 1
        if self._hidden(behind):
            return None
        if behind >= len(data) or data.startswith(dialect.delimiter, behind) or self._line_ends(behind):
            self._keep(start, stop, self._quoted_value(start + 1, stop - 1))
            if dialect.quoted_nulls and data[start + 1 : stop - 1] in dialect.foreign:
                self._null(start, stop)
            self._blank(stop, behind)
            return behind
        if stop > line[0]:  # what closes it there has text behind it
            self._blame(Fault.UNCLOSED)
            return self._resume(line)
        self._blame(Fault.TEXT)
        behind = self._next(behind, line[0])
        self._keep(start, behind, behind - start)
        return behind

    def _hidden(self, at: int) -> bool:
        """Whether what stands there may go on behind the data: a line end of two bytes, or a delimiter of several."""
        return (at >= self.limit and not self.conclusive) or (
            not self.final and at + max(2, len(self.dialect.delimiter)) > len(self.data)
        )

    def _line_ends(self, at: int) -> bool:
        if self.data[at] == self.dialect.end:
            return True
        return (self.dialect.end == LF and self.data.startswith(b"\r\n", at)) or (
            self.conclusive and self.data[at:] == b"\r" and self.dialect.end == LF
        )

    def _resume(self, line: tuple[int, int]) -> int | None:
        """A quote that is not closed properly: go on behind the lines that belong to it, or not at all."""
        goes_on = self._fragment(line, open_=True)
        if not goes_on:
            return None if goes_on is None else -1
        last = self.dialect.line_stop(self.data, goes_on, self.final)
        return None if last is None else self._next(goes_on, last[0])

    def _fragment(self, line: tuple[int, int], open_: bool = False) -> int | None:
        """Where a broken record goes on behind this line (0: it does not; None: more is needed)."""
        data, quote = self.data, self.dialect.quote or b""
        if not self.dialect.multiline:
            return 0
        if not open_ and data.count(quote, self.at, line[0]) % 2 == 0:
            return 0
        place = data.find(quote, line[1], self.limit)
        if not self.conclusive and (place < 0 or place + 1 >= self.limit):
            return None
        if place < 0:
            return 0
        start = data.rfind(self.dialect.end, 0, place) + 1
        before = data[start:place].rstrip(self.dialect.blanks) if self.dialect.blanks else data[start:place]
        if not before or before.endswith(self.dialect.delimiter):
            return 0
        behind = place + 1
        while data[behind : behind + 1] == self.dialect.blanks != b"":
            behind += 1
        if self._hidden(behind):
            return None
        closes = behind >= len(data) or data.startswith(self.dialect.delimiter, behind) or self._line_ends(behind)
        return place + 1 if closes or start == line[1] or not self._has_row(line[1], start) else 0

    def _has_row(self, start: int, stop: int) -> bool:
        """Whether some line between has as many columns as the file."""
        lines = self.data[start:stop].split(bytes([self.dialect.end]))[:-1]
        return self.width is None or any(line.count(self.dialect.delimiter) == self.width - 1 for line in lines)

    def _quoted_value(self, start: int, stop: int) -> int:
        dialect, data = self.dialect, self.data
        if dialect.quoted_nulls and data[start:stop] in dialect.null_words:
            return 0
        if dialect.escape is None:
            return stop - start - data.count((dialect.quote or b"") * 2, start, stop)
        escapes = 0
        for match in dialect.escaped.finditer(data, start, stop):
            escapes += 1
            if match[1][:1].isalnum() or not match[1]:
                self._blame(Fault.ESCAPE)
        return stop - start - escapes

    def _escaping(self, at: int) -> int | None:
        dialect, data = self.dialect, self.data
        match = dialect.bare.match(data, at, self.limit)
        behind = match.end() if match else at
        if behind + 3 > self.limit and not self.conclusive:
            return None
        if behind < len(data) and data[behind] == dialect.end:
            stop = max(at, dialect.without_return(data, at, behind))
            escaped = {match_.start(1) for match_ in dialect.escaped.finditer(data, at, behind)}
            behind = behind if stop in escaped else stop
        text = data[at:behind]
        size = 0 if text in dialect.null_words else len(text)
        if text not in dialect.null_words:
            for escape in dialect.escaped.finditer(data, at, behind):
                size -= 1
                self._unescape(escape.start(), escape[1])
        self._keep(at, behind, size)
        return behind

    def _unescape(self, at: int, what: bytes) -> None:
        """Leave the escape out, and put a byte that the file does not hold for what it made data."""
        if not what or what[:1].isalnum():
            self._blame(Fault.ESCAPE)
        names: Sequence[bytes] = (self.dialect.delimiter, b"\n", b"\r", self.dialect.escape or b"")
        self.made.edits.append((at, None))
        place = at + 1
        for byte in [what] if what == self.dialect.delimiter else [what[i : i + 1] for i in range(len(what))]:
            if byte in names and self.dialect.stand_ins:
                self.made.edits.append((place, self.dialect.stand_ins[names.index(byte)]))
                self.made.edits += [(place + i, None) for i in range(1, len(byte))]
            place += len(byte)

    def _look_for_line_ends(self) -> None:
        """The other kind of line end in a field without quotes."""
        other, fields = (CR if self.dialect.end == LF else LF), self.made.fields
        if self.data.find(other, self.at, self.made.stop) < 0:
            return
        if self.dialect.quote is None and self.dialect.escape is not None:
            escaped = {match.start(1) for match in self.dialect.escaped.finditer(self.data, self.at, self.made.stop)}
            bare = [i for i in range(self.at, self.made.stop) if self.data[i] == other and i not in escaped]
            if bare:
                self._blame(Fault.LINE_END)
                self.made.column = next(n for n, (start, stop) in enumerate(fields) if start <= bare[0] <= stop)
            return
        for n, (start, stop) in enumerate(fields):
            quoted = self.dialect.quote is not None and self.data[start : start + 1] == self.dialect.quote
            if not quoted and self.data.find(other, start, stop) >= 0 and self.made.fault is Fault.NONE:
                self.made.fault, self.made.column = Fault.LINE_END, n
