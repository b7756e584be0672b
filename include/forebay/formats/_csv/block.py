"""One block of a CSV file whose quotes or line ends are not all as they should be: where its records begin and end, and
which are rows.

It begins where a record does. Whole lines are told apart with numpy; only records with a quote in an odd place are read
byte by byte.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from forebay.formats._csv.dialect import CR, LF, Dialect, Fault
from forebay.formats._csv.odd import Odd
from forebay.formats._csv.parts import is_at, marks, null_octets
from forebay.formats._csv.record import Record, record_at
from forebay.formats._lines import Ints


@dataclass(slots=True)
class Records:
    """Records of one block: places in its bytes; `octets` as in `Found`; `fault`, and the column or the number of
    columns that it is about.

    `next` is where the following record may begin at the earliest.
    """

    starts: Ints
    stops: Ints
    next: Ints
    octets: Ints
    fault: Ints
    column: Ints
    columns: Ints

    def sorted(self) -> Records:
        order = np.argsort(self.starts, kind="stable")
        return Records(*(getattr(self, name)[order] for name in Records.__slots__))


@dataclass
class Block:
    """One block: its lines, what each would be as the first of a record and within a quoted field, and so its
    records."""

    dialect: Dialect
    width: int
    most: int
    separator: bytes
    text: bytes
    final: bool
    inner: int = 0
    gaps: int = 0
    edits: list[tuple[Any, int | None]] = field(default_factory=list)
    """What the copy has in other bytes: places, and the byte they become; None: they are left out."""

    def read(self) -> tuple[Records, int]:
        self.data = np.frombuffer(self.text, np.uint8)
        self._lines()
        if not len(self.starts):
            return Records(*(np.empty(0, np.int64) for _ in Records.__slots__)), 0
        self._quotes()
        self._delimiters()
        self._other_ends()
        self._single()
        several, special, used, lines = self._walk()
        records = self._records(several, special, lines)
        if used:
            self._judge(records, used)
        return records, used

    def _lines(self) -> None:
        data, end = self.data, self.dialect.end
        bounds = np.flatnonzero(data == end)
        behind = bounds + 1
        if self.final and (not len(bounds) or int(bounds[-1]) + 1 < len(data)):
            bounds, behind = np.append(bounds, len(data)), np.append(behind, len(data))
        self.starts = np.concatenate(([0], behind[:-1])).astype(np.int64) if len(bounds) else bounds
        self.next = behind
        self.stops = bounds
        if end == LF and len(bounds):
            self.stops = bounds - ((bounds > self.starts) & (data[np.maximum(bounds, 1) - 1] == CR))

    def _quotes(self) -> None:
        """`odd_first` and `odd_within`: lines that must be read byte by byte; `opens`: lines that leave a quote open;
        `holds`: lines with quotes."""
        lines, quote, escape = len(self.starts), self.dialect.quote, self.dialect.escape
        self.quotes = (
            np.flatnonzero(self.data == quote[0]) if quote is not None and quote in self.text else np.empty(0, np.int64)
        )
        q, d = self.quotes, self.dialect.delimiter
        self.odd_first, self.odd_within = np.zeros(lines, bool), np.zeros(lines, bool)
        self.count, self.pairs_first, self.pairs_within = (np.zeros(lines, np.int64) for _ in range(3))
        if len(q):
            line = np.searchsorted(self.starts, q, side="right") - 1
            inside = line < lines
            inside &= q < self.next[np.minimum(line, lines - 1)]
            q, line = q[inside], line[inside]
            self.quotes = q
        if len(q):
            first = np.searchsorted(line, line)  # of the quotes of its line
            even = (np.arange(len(q)) - first) % 2 == 0
            near = np.diff(q) == 1 if self.dialect.doubled else np.zeros(len(q) - 1, bool)
            after, ahead = np.append(False, near), np.append(near, False)
            begins = (
                (q == self.starts[line]) | (is_at(self.data, q - len(d), d) & (q - len(d) >= self.starts[line])) | after
            )
            closes = (q + 1 == self.stops[line]) | is_at(self.data, q + 1, d) | ahead
            begins_last = (
                (q == self.starts[line]) | (is_at(self.data, q - len(d), d) & (q - len(d) >= self.starts[line])) | after
            )
            self.odd_first[line[~np.where(even, begins, closes)]] = True
            self.odd_within[line[~np.where(even, closes, begins_last)]] = True
            self.count = np.bincount(line, minlength=lines)
            self.pairs_first = np.bincount(line[ahead & ~even], minlength=lines)
            self.pairs_within = np.bincount(line[ahead & even], minlength=lines)
            if self.dialect.self_overlapping or len(d) > 1:
                self.odd_first[line], self.odd_within[line] = True, True
        if escape is not None and escape in self.text:
            at = np.searchsorted(self.starts, np.flatnonzero(self.data == escape[0]), side="right") - 1
            self.odd_first[at], self.odd_within[at] = True, True
        self.opens = (self.count % 2 == 1) & ~self.odd_first

    def _delimiters(self) -> None:
        """How many delimiters each line has outside quotes, as the first line of a record and within a quoted field."""
        d = marks(self.data, self.dialect.delimiter)
        if len(self.dialect.delimiter) > 1 and len(d) > 1:
            close = np.flatnonzero(np.diff(d) < len(self.dialect.delimiter))
            line = np.searchsorted(self.starts, d[close], side="right") - 1
            self.odd_first[line], self.odd_within[line] = True, True
        self.delimiters = d
        bounds = np.append(self.starts, self.next[-1:])
        if not len(self.quotes):
            self.outside = None
            self.first = np.diff(np.searchsorted(d, bounds))
            self.within = np.zeros_like(self.first)
            return
        line = np.searchsorted(self.starts, d, side="right") - 1
        before = np.searchsorted(self.quotes, d) - np.searchsorted(self.quotes, self.starts)[line]
        self.outside = before % 2 == 0
        total = np.append(0, np.cumsum(self.outside))
        at = np.searchsorted(d, bounds)
        self.first = np.diff(total[at])
        self.within = np.diff(at) - self.first

    def _other_ends(self) -> None:
        """How many line ends of the other kind each line has outside quotes, as the first line of a record and within a
        quoted field."""
        other = CR if self.dialect.end == LF else LF
        self.other_first = self.other_within = np.zeros(len(self.starts), np.int64)
        if other not in self.text:
            return
        places = np.flatnonzero(self.data == other)
        line = np.searchsorted(self.starts, places, side="right") - 1
        places, line = places[places < self.stops[line]], line[places < self.stops[line]]
        before = np.searchsorted(self.quotes, places) - np.searchsorted(self.quotes, self.starts)[line]
        self.other_first = np.bincount(line[before % 2 == 0], minlength=len(self.starts))
        self.other_within = np.bincount(line[before % 2 == 1], minlength=len(self.starts))

    def _single(self) -> None:
        """Odd lines of which it can be told, many at a time, that each is a record or the remains of one."""
        dialect, odd = self.dialect, self.odd_first | self.opens
        self.single: Odd | None = None
        if dialect.quote is None or len(dialect.delimiter) > 1 or not odd.any():
            return
        lines = np.flatnonzero(odd & (self.other_first + self.other_within == 0))
        places = self.starts, self.stops, self.next
        self.single = Odd(dialect, self.data, *places, self.quotes, self.delimiters, self.most).read(lines)

    def _walk(self) -> tuple[list[tuple[int, int]], list[tuple[int, Record]], int, int]:
        """Records of several lines (first and last), records read byte by byte, how many bytes were used, and how many
        lines."""
        several: list[tuple[int, int]] = []
        special: list[tuple[int, Record]] = []
        unsettled = self.odd_first | self.opens
        events = np.flatnonzero(unsettled & ~self.single.known if self.single else unsettled).tolist()
        holders = np.flatnonzero((self.count > 0) | self.odd_within)
        places = np.searchsorted(holders, np.array(events, np.int64)).tolist()
        lines, starts, next_ = holders.tolist(), self.starts, self.next
        odd, odd_within = self.odd_first, self.odd_within
        closes = (self.count % 2 == 1).tolist() if events else []
        current = 0
        for event, place in zip(events, places, strict=True):
            if event < current:
                continue
            begin = int(starts[event])
            if not odd[event] and self.dialect.multiline:
                j = place + 1
                while j < len(lines) and not odd_within[lines[j]] and not closes[lines[j]]:
                    j += 1
                if j < len(lines) and not odd_within[lines[j]] and int(self.stops[lines[j]]) - begin <= self.most:
                    several.append((event, lines[j]))
                    current = lines[j] + 1
                    continue
            record = record_at(self.dialect, self.text, begin, self.most, self.final, self.width)
            if record is None:
                return several, special, begin, event
            special.append((begin, record))
            current = int(np.searchsorted(starts, record.next))
        return several, special, int(next_[-1]), len(starts)

    def _records(self, several: list[tuple[int, int]], special: list[tuple[int, Record]], lines: int) -> Records:
        size = len(self.dialect.delimiter)
        alone = np.ones(lines, bool)
        parts: list[tuple[Ints, ...]] = []
        if several:
            spans = np.array(several, np.int64)
            i, j = spans[:, 0], spans[:, 1]
            self._cover(alone, i, j + 1)
            nd = self.first[i] + _between(self.within, i, j)
            quotes = _between(self.count, i - 1, j) - self.pairs_first[i] - _between(self.pairs_within, i, j)
            other = self.other_first[i] + _between(self.other_within, i, j)
            self.inner += int((j - i).sum())
            parts.append((self.starts[i], self.stops[j], self.next[j], nd, quotes, other))
        for begin, record in special:
            i, j = np.searchsorted(self.starts, [begin, record.next])
            alone[i:j] = False
            if record.fault is Fault.NONE:
                self.inner += int(j - i) - 1
        if self.dialect.skips_empty(self.width) and lines:
            empty = alone & (self.starts[:lines] == self.stops[:lines])
            self.gaps += int(empty.sum())
            alone &= ~empty
        k = np.flatnonzero(alone)
        first, less = self.first[k], self.count[k] - self.pairs_first[k]
        fault, column, structural = np.zeros(len(k), np.uint8), np.full(len(k), -1, np.int64), self.quotes
        if self.single:
            known = self.single.known[k]
            first, less = np.where(known, self.single.columns[k] - 1, first), np.where(known, self.single.less[k], less)
            fault, column = np.where(known, self.single.fault[k], fault), np.where(known, self.single.column[k], column)
            structural = self._structural(k[known])
        parts.append((self.starts[k], self.stops[k], self.next[k], first, less, self.other_first[k]))
        starts, stops, behind, nd, quotes, other = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        octets = stops - starts - nd * size - quotes
        if any(self.dialect.null_words) and len(starts):
            order = np.argsort(starts, kind="stable")
            foreign: list[tuple[Ints, int]] = []
            octets[order] -= null_octets(self.data, structural, self.dialect, starts[order], stops[order], foreign)
            self._stand_in(foreign)
        rest = len(starts) - len(k)
        fault = np.where(other > 0, Fault.LINE_END, np.append(np.zeros(rest, np.uint8), fault)).astype(np.uint8)
        column = np.append(np.full(rest, -1, np.int64), column)
        records = Records(starts, stops, behind, octets, fault, column, nd + 1)
        return self._with_special(records, special).sorted() if special else records.sorted()

    def _stand_in(self, foreign: list[tuple[Ints, int]]) -> None:
        """One byte for each of these null words, which begin there and have so many bytes."""
        for places, size in foreign if self.dialect.stand_ins else []:
            self.edits.append((places, self.dialect.stand_ins[6]))
            self.edits += [(places + i, None) for i in range(1, size)]

    def _structural(self, lines: Ints) -> Ints:
        """The quotes without those in these lines that are data; blanks outside quotes are left out of the copy."""
        assert self.single is not None
        chosen = np.zeros(len(self.starts), bool)
        chosen[lines] = True
        blanks = self.single.blanks
        if len(blanks):
            chosen_blanks = blanks[chosen[np.searchsorted(self.starts, blanks, side="right") - 1]]
            self.edits.append((chosen_blanks, None))
        line = np.searchsorted(self.starts, self.quotes, side="right") - 1
        return self.quotes[~(self.single.stray & chosen[line])]

    @staticmethod
    def _cover(alone: Ints, first: Ints, behind: Ints) -> None:
        edges = np.zeros(len(alone) + 1, np.int64)
        np.add.at(edges, first, 1)
        np.add.at(edges, behind, -1)
        alone &= np.cumsum(edges[:-1]) == 0

    def _with_special(self, records: Records, special: list[tuple[int, Record]]) -> Records:
        rows = [(begin, r.stop, r.next, sum(r.values), int(r.fault), r.column, len(r.fields)) for begin, r in special]
        more = np.array(rows, np.int64)
        for _, record in special:
            if record.fault is Fault.NONE:
                self._edit(record)
        columns = [
            np.concatenate((getattr(records, name), more[:, n].astype(getattr(records, name).dtype)))
            for n, name in enumerate(Records.__slots__)
        ]
        return Records(*columns)

    def _edit(self, record: Record) -> None:
        """What of a record read byte by byte is written otherwise: escapes, blanks outside quotes, delimiters of
        several bytes."""
        edits = self.edits
        for place, value in record.edits:
            edits.append((place, value))
        if len(self.dialect.delimiter) > 1:
            for start, _ in record.fields[1:]:
                at = self.text.rfind(self.dialect.delimiter, 0, start)
                edits.append((at, self.separator[0]))
                edits.append((np.arange(at + 1, at + len(self.dialect.delimiter)), None))

    def _judge(self, records: Records, used: int) -> None:
        """Find what else is wrong, and leave out the delimiters that make no fields."""
        width, size, delimiter = self.width, len(self.dialect.delimiter), self.dialect.delimiter
        records.fault[records.stops - records.starts > self.most] = Fault.LONG
        self._decode(records, used)
        over = np.flatnonzero((records.columns > width) & (records.fault == Fault.NONE))
        if len(over):
            surplus = records.columns[over] - width
            run = np.zeros(len(over), np.int64)
            going = np.arange(len(over))
            while len(going):
                at = records.stops[over[going]] - (run[going] + 1) * size
                going = going[
                    is_at(self.data, at, delimiter)
                    & (at >= records.starts[over[going]])
                    & (run[going] < surplus[going])
                ]
                run[going] += 1
            fits = (run == surplus) & ~self.escaped(records.stops[over] - surplus * size)
            plain = over[fits]
            records.stops[plain] -= surplus[fits] * size
            records.columns[plain] = width
        wrong = (records.columns != width) & (records.fault == Fault.NONE)
        if width == 1:
            wrong &= records.columns > 1
        records.fault[wrong] = Fault.COLUMNS
        if size > 1:
            self._separate(used)
        if width == 1:
            self._fill(records)

    def escaped(self, places: Ints) -> Ints:
        """Whether an escape makes the byte there data, where escapes count everywhere."""
        escape = self.dialect.escape
        if self.dialect.quote is not None or escape is None:
            return np.zeros(len(places), bool)
        escaped = is_at(self.data, places - 1, escape)
        for n in np.flatnonzero(escaped).tolist():
            at = int(places[n]) - 1
            while at > 0 and self.text.startswith(escape, at - 1):
                at -= 1
            escaped[n] = (int(places[n]) - at) % 2 == 1
        return escaped

    def _decode(self, records: Records, used: int) -> None:
        """Mark the records that are not UTF-8."""
        try:
            self.text[:used].decode("utf-8")
        except UnicodeDecodeError:
            high = np.flatnonzero(self.data[:used] > 127)
            some = np.searchsorted(high, records.starts) < np.searchsorted(high, records.stops)
            for n in np.flatnonzero(some).tolist():
                try:
                    self.text[int(records.starts[n]) : int(records.stops[n])].decode("utf-8")
                except UnicodeDecodeError:
                    records.fault[n] = Fault.UTF8

    def _fill(self, records: Records) -> None:
        """A byte that the file does not hold for `""`: DuckDB takes it for an empty line where there is one column.
        Where it is null, it is that line."""
        dialect, edits = self.dialect, self.edits
        quote = dialect.quote or b""
        for n in np.flatnonzero(
            (records.fault == Fault.NONE) & (records.octets == 0) & (records.stops > records.starts)
        ).tolist():
            start, stop = int(records.starts[n]), int(records.stops[n])
            held = self.text[start:stop].strip(dialect.blanks) if dialect.blanks else self.text[start:stop]
            if held != quote * 2:
                continue  # a null word
            place = self.text.index(quote, start)
            if dialect.quoted_nulls and b"" in dialect.null_words:
                edits.append((np.arange(start, stop), None))
            else:
                edits.append((place, dialect.stand_ins[4]))
                edits.append((np.arange(place + 1, stop), None))

    def _separate(self, used: int) -> None:
        """One byte for each delimiter of several bytes, in lines that were not read byte by byte."""
        size = len(self.dialect.delimiter)
        d = self.delimiters[self.delimiters < used]
        line = np.searchsorted(self.starts, d, side="right") - 1
        plain = d[~self.odd_first[line]]
        edits = self.edits
        edits.append((plain, self.separator[0]))
        edits += [(plain + i, None) for i in range(1, size)]


def _between(values: Ints, first: Ints, last: Ints) -> Ints:
    """Sums of `values[first + 1 : last + 1]`."""
    total = np.append(0, np.cumsum(values))
    return total[last + 1] - total[first + 1]
