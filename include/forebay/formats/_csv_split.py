"""Where the records of a CSV file begin and end, found by ourselves: no parser is asked.

`look` is for files in which every quote stands where RFC 4180 has it, and all line ends are alike (nearly all are): it counts line ends outside
quotes, and says how much text each record holds if it has as many fields as the file. `Splitter` is for all others: it parts the records that
are rows from those that are not, by the policy of `_csv_dialect`, and copies the former. Both work on whole blocks with numpy; only records
with a quote in an odd place are read byte by byte. Every block begins where a record does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from forebay.errors import CorruptFileError
from forebay.formats._csv_dialect import CR, LF, Dialect, Fault, Record
from forebay.formats._lines import Ints, Spill

BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a file that holds records: its bytes from `begin` to `end`."""

    path: Path
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Found:
    """The records that are rows, in file order: where each begins and ends (line end excluded), and how many bytes of text its fields hold.

    `gaps` counts empty lines between them, `inner` the line ends within quotes. `returns` says that line ends are CR LF.
    """

    starts: Ints
    stops: Ints
    octets: Ints
    gaps: int
    inner: int
    returns: bool = False

    def __len__(self) -> int:
        return len(self.starts)


def _pieces(part: Part, most: int, uri: str) -> Iterator[tuple[bytes, bool, Any]]:
    """Blocks of a file, with what the last one left over before each; `send` says how much of it was used up (0: it must grow)."""
    with part.path.open("rb") as file:
        file.seek(part.begin)
        left, data = part.end - part.begin, b""
        while left or data:
            more = _read(file, min(left, max(BLOCK, len(data))))
            left -= len(more)
            data += more
            used = yield data, not left, None
            if not used and not left:
                return
            if not used and len(data) > 4 * most + 4 * BLOCK:
                raise CorruptFileError(
                    f"reading `{uri}`: a line has more than {len(data)} bytes (check format.quote, or raise format.max_record_bytes)",
                    uri=uri,
                )
            data = data[used:]


def _read(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise CorruptFileError(f"reading `{file.name}`: it became shorter while it was read")
    return data


def _marks(data: Ints, what: bytes) -> Ints:
    """Where these bytes begin."""
    found = np.flatnonzero(data[: len(data) - len(what) + 1] == what[0]) if len(data) >= len(what) else np.empty(0, np.int64)
    for i, byte in enumerate(what[1:], 1):
        found = found[data[found + i] == byte]
    return found


def _null_octets(data: Ints, quotes: Ints, dialect: Dialect, starts: Ints, stops: Ints) -> Ints | int:
    """How many bytes of each record are null words: fields that a reader leaves no text of."""
    total: Ints | int = 0
    for word in dialect.null_words:
        for told in (word, dialect.quote + word + dialect.quote) if dialect.quoted_nulls and dialect.quote else (word,):
            places = _marks(data, told) if word else np.empty(0, np.int64)
            record = np.searchsorted(starts, places, side="right") - 1
            places, record = places[record >= 0], record[record >= 0]
            first, last = starts[record], stops[record]
            begins = (places == first) | ((places > first) & _is_at(data, places - len(dialect.delimiter), dialect.delimiter))
            behind = places + len(told)
            ends = (behind == last) | ((behind < last) & _is_at(data, behind, dialect.delimiter))
            whole = begins & ends
            if len(quotes):
                whole &= (np.searchsorted(quotes, places) - np.searchsorted(quotes, starts)[record]) % 2 == 0
            total = total + np.bincount(record[whole], minlength=len(starts)) * len(word)
    return total


def _is_at(data: Ints, places: Ints, what: bytes) -> Ints:
    """Whether these bytes stand at each place (false where a place lies outside)."""
    fits = (places >= 0) & (places + len(what) <= len(data))
    safe = np.where(fits, places, 0)
    for i, byte in enumerate(what):
        fits &= data[np.minimum(safe + i, len(data) - 1)] == byte
    return fits


# ---------------------------------------------------------------- files that are as they should be


def look(part: Part, dialect: Dialect, width: int, most: int, folder: Path, uri: str) -> Found | None:
    """All records, if each quote opens or closes a field or is doubled, and all line ends are alike; else None: that needs a closer look."""
    if dialect.end != LF:
        return None
    starts, stops, octets = (Spill(folder / f"look_{name}") for name in ("starts", "stops", "octets"))
    at, gaps, inner, returns = part.begin, 0, 0, None
    pieces = _pieces(part, most, uri)
    data, final, _ = next(pieces, (b"", True, None))
    while data:
        found = _glance(data, final, dialect, width)
        if found is None or (not found.used and (final or len(data) > most)):
            return None
        if found.used:
            if (found.returns is not None and returns not in {None, found.returns}) or (
                len(found.stops) and int((found.stops - found.starts).max()) > most
            ):
                return None
            returns = found.returns if found.returns is not None else returns
            kept = found.stops > found.starts if dialect.skips_empty(width) else slice(None)
            starts.add(found.starts[kept] + at)
            stops.add(found.stops[kept] + at)
            octets.add(found.octets[kept])
            gaps += len(found.starts) - len(found.starts[kept])
            inner += found.inner
        at += found.used
        data, final, _ = _send(pieces, found.used)
    if at != part.end:
        return None
    return Found(starts.array(), stops.array(), octets.array(), gaps, inner, bool(returns))


def _send(pieces: Iterator[tuple[bytes, bool, Any]], used: int) -> tuple[bytes, bool, Any]:
    try:
        return pieces.send(used)  # type: ignore[attr-defined]  # it is a generator
    except StopIteration:
        return b"", True, None


@dataclass(frozen=True, slots=True)
class _Glance:
    starts: Ints
    stops: Ints
    octets: Ints
    inner: int
    returns: bool | None
    used: int


def _glance(text: bytes, final: bool, dialect: Dialect, width: int) -> _Glance | None:
    data = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(data == LF)
    quote = dialect.quote
    quotes = pairs = None
    if dialect.escape is not None and dialect.escape in text:
        return None
    if quote is not None and quote in text:
        quotes = np.flatnonzero(data == quote[0])
        within = np.searchsorted(quotes, ends) & 1
        lines, ends = len(ends), ends[within == 0]
        inner = lines - len(ends)
        if not len(ends) and not final:
            return _nothing()
        used = len(text) if final else int(ends[-1]) + 1
        quotes = quotes[: np.searchsorted(quotes, used)]
        if len(quotes) & 1 or not _in_place(data, quotes, dialect):
            return None
        closing = np.zeros(len(quotes), bool)
        closing[1:-1:2] = quotes[2::2] - quotes[1:-1:2] == 1
        if not dialect.doubled and closing.any():
            return None
        pairs = np.concatenate(([0], np.cumsum(closing)))
    else:
        inner = 0
        if not len(ends) and not final:
            return _nothing()
        used = len(text) if final else int(ends[-1]) + 1
    open_end = final and (not len(ends) or int(ends[-1]) + 1 < len(text))
    bounds = np.append(ends, len(text)) if open_end else ends
    starts = np.empty_like(bounds)
    starts[:1] = 0
    starts[1:] = bounds[:-1] + 1
    stops, returns = bounds, False if len(ends) else None
    if b"\r" in text:
        behind = (bounds > starts) & (data[np.maximum(bounds, 1) - 1] == CR)
        if not _alike(behind, open_end) or (
            text.count(b"\r", 0, used) > int(behind.sum()) and not _within(data[:used], quotes, (bounds - 1)[behind])
        ):
            return None
        returns = bool(behind.any()) if len(ends) else None
        stops = bounds - behind
    octets = _octets(data, quotes, pairs, dialect, width, starts, stops)
    if width == 1 and quotes is not None and ((octets == 0) & (stops > starts)).any():
        return None  # DuckDB reads `""` as an empty line there
    return _Glance(starts, stops, octets, inner, returns, used)


def _octets(data: Ints, quotes: Ints | None, pairs: Ints | None, dialect: Dialect, width: int, starts: Ints, stops: Ints) -> Ints:
    """How many bytes of text each record holds, if it has as many fields as the file: `pairs` counts the doubled quotes before each."""
    octets = stops - starts - (width - 1) * len(dialect.delimiter)
    if quotes is not None and pairs is not None:
        first, last = np.searchsorted(quotes, starts), np.searchsorted(quotes, stops)
        octets -= last - first - (pairs[last] - pairs[first])
    if any(dialect.null_words):
        octets -= _null_octets(data, np.empty(0, np.int64) if quotes is None else quotes, dialect, starts, stops)
    return octets


def _alike(returns: Ints, open_end: bool) -> bool:
    """Whether all line ends have a CR, or none; a last line without one has no say."""
    return not returns.any() or bool(returns[:-1].all() and (returns[-1] or open_end))


def _nothing() -> _Glance:
    none = np.empty(0, np.int64)
    return _Glance(none, none, none, 0, None, 0)


def _in_place(data: Ints, quotes: Ints, dialect: Dialect) -> bool:
    """Whether opening quotes (every other one) stand at the start of a field, closing ones at its end, or both side by side."""
    if not len(quotes):
        return True
    opening, closing = quotes[::2], quotes[1::2]
    doubled = np.zeros(len(opening), bool)
    doubled[1:] = opening[1:] - closing[:-1] == 1
    odd = opening[~doubled]
    if not (_is_at(data, odd - len(dialect.delimiter), dialect.delimiter) | (odd == 0) | (data[odd - 1] == LF)).all():
        return False
    odd = closing[~np.append(doubled[1:], False)] + 1
    at_end = (
        (odd == len(data)) | _is_at(data, odd, b"\n") | _is_at(data, odd, b"\r\n") | ((odd == len(data) - 1) & _is_at(data, odd, b"\r"))
    )
    return bool((at_end | _is_at(data, odd, dialect.delimiter)).all())


def _within(data: Ints, quotes: Ints | None, ends: Ints) -> bool:
    """Whether all CRs but those before line ends stand within quotes."""
    others = np.setdiff1d(np.flatnonzero(data == CR), ends, assume_unique=True)
    return quotes is not None and bool((np.searchsorted(quotes, others) & 1).all())


# ---------------------------------------------------------------- all others


@dataclass(slots=True)
class Records:
    """Records of one block: places in its bytes; `octets` as in `Found`; `fault`, and the column or the number of columns that it is about.

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
class Splitter:
    """Parts the records of a file. What is needed of the rows goes into files in `folder`, the rows themselves into `folder / "rows"`, with LF for a
    line end and one byte for a delimiter; records that are no rows go to `refuse`, block by block."""

    part: Part
    dialect: Dialect
    width: int
    most: int
    folder: Path
    uri: str
    refuse: Any
    rows: int = 0
    gaps: int = 0
    inner: int = 0
    unclosed: int = 0
    _returns: int = 0
    _ended: int = 0

    @property
    def mixed(self) -> bool:
        """Whether some rows end with CR LF, and some with LF."""
        return 0 < self._returns < self._ended

    @property
    def path(self) -> Path:
        return self.folder / "rows"

    @property
    def separator(self) -> bytes:
        """The delimiter of the copy."""
        return self.dialect.delimiter if len(self.dialect.delimiter) == 1 else self.dialect.stand_ins[5:6]

    def split(self) -> tuple[Found, Ints]:
        """The rows, and how many of them stand before each record that is none."""
        starts, stops, octets, before = (Spill(self.folder / f"split_{name}") for name in ("starts", "stops", "octets", "before"))
        at = self.part.begin
        pieces = _pieces(self.part, self.most, self.uri)
        data, final, _ = next(pieces, (b"", True, None))
        with self.path.open("wb") as copy:
            while data:
                records, used = _Block(self, data, final).read()
                if used:
                    good = records.fault == Fault.NONE
                    starts.add(records.starts[good] + at)
                    stops.add(records.stops[good] + at)
                    octets.add(records.octets[good])
                    before.add(np.cumsum(good)[~good] + starts.count - int(good.sum()))
                    self._refuse(data, records, good)
                    self.rows += len(good)
                    copy.write(self._copied(data, records, good, used))
                at += used
                data, final, _ = _send(pieces, used)
        if at != self.part.end:
            raise CorruptFileError(
                f"reading `{self.uri}`: of its {self.part.end} bytes {at} could be told apart (report this)", uri=self.uri
            )
        found = Found(starts.array(), stops.array(), octets.array(), self.gaps, self.inner)
        return found, before.array()

    def _refuse(self, data: bytes, records: Records, good: Ints) -> None:
        if not good.all():
            self.unclosed += int((records.fault == Fault.UNCLOSED).sum())
            bad = Records(*(getattr(records, name)[~good] for name in Records.__slots__))
            self.refuse(data, bad, np.flatnonzero(~good) + self.rows + 1)

    def _copied(self, data: bytes, records: Records, good: Ints, used: int) -> bytes:
        """The rows' own bytes, but for line ends, delimiters of several bytes, and what edits say."""
        text = np.frombuffer(data, np.uint8)[:used].copy()
        self._account(text, records)
        kept = np.zeros(used + 1, np.int32)
        np.add.at(kept, records.starts[good], 1)
        np.add.at(kept, records.stops[good], -1)
        mask = np.cumsum(kept[:-1]) > 0
        ends = records.next[good] - 1
        open_end = (ends < records.stops[good]) | (text[np.minimum(ends, used - 1)] != self.dialect.end) if len(ends) else ends > 0
        closed = ends[~open_end]
        if self.dialect.end == LF:
            self._returns += int((closed > 0).sum() and (text[closed[closed > 0] - 1] == CR).sum())
            self._ended += len(closed)
        mask[closed] = True
        text[closed] = LF
        for places, value in self._edits:
            if value is None:
                mask[places] = False
            else:
                text[places] = value
        return text[mask].tobytes() + (b"\n" if open_end.any() else b"")

    def _account(self, text: Ints, records: Records) -> None:
        """Every byte is of one record or of an empty line."""
        covered = np.zeros(len(text) + 1, np.int32)
        np.add.at(covered, records.starts, 1)
        np.add.at(covered, records.next, -1)
        covered = np.cumsum(covered[:-1])
        rest = text[covered == 0]
        if (covered > 1).any() or (covered < 0).any() or not ((rest == LF) | (rest == CR)).all():
            raise CorruptFileError(f"reading `{self.uri}`: its records could not be told apart (report this)", uri=self.uri)

    _edits: list[tuple[Any, int | None]] = field(default_factory=list)


@dataclass
class _Block:
    """One block: its lines, what each would be as the first of a record and within a quoted field, and so its records."""

    owner: Splitter
    text: bytes
    final: bool

    def read(self) -> tuple[Records, int]:
        self.dialect, self.data = self.owner.dialect, np.frombuffer(self.text, np.uint8)
        self.owner._edits = []
        self._lines()
        if not len(self.starts):
            return self._records([], [], 0), 0
        self._quotes()
        self._delimiters()
        self._other_ends()
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
        """`odd_first` and `odd_within`: lines that must be read byte by byte; `opens`: lines that leave a quote open; `holds`: lines with quotes."""
        lines, quote, escape = len(self.starts), self.dialect.quote, self.dialect.escape
        self.quotes = np.flatnonzero(self.data == quote[0]) if quote is not None and quote in self.text else np.empty(0, np.int64)
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
            begins = (q == self.starts[line]) | (_is_at(self.data, q - len(d), d) & (q - len(d) >= self.starts[line])) | after
            closes = (q + 1 == self.stops[line]) | _is_at(self.data, q + 1, d) | ahead
            begins_last = (q == self.starts[line]) | (_is_at(self.data, q - len(d), d) & (q - len(d) >= self.starts[line])) | after
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
        d = _marks(self.data, self.dialect.delimiter)
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
        """How many line ends of the other kind each line has outside quotes, as the first line of a record and within a quoted field."""
        other = CR if self.dialect.end == LF else LF
        self.other_first = self.other_within = np.zeros(len(self.starts), np.int64)
        if other not in self.text:
            return
        found = np.flatnonzero(self.data == other)
        line = np.searchsorted(self.starts, found, side="right") - 1
        found, line = found[found < self.stops[line]], line[found < self.stops[line]]
        before = np.searchsorted(self.quotes, found) - np.searchsorted(self.quotes, self.starts)[line]
        self.other_first = np.bincount(line[before % 2 == 0], minlength=len(self.starts))
        self.other_within = np.bincount(line[before % 2 == 1], minlength=len(self.starts))

    def _walk(self) -> tuple[list[tuple[int, int]], list[tuple[int, Record]], int, int]:
        """Records of several lines (first and last), records read byte by byte, how many bytes were used, and how many lines."""
        several: list[tuple[int, int]] = []
        special: list[tuple[int, Record]] = []
        events = np.flatnonzero(self.odd_first | self.opens).tolist()
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
            if not odd[event]:
                j = place + 1
                while j < len(lines) and not odd_within[lines[j]] and not closes[lines[j]]:
                    j += 1
                if j < len(lines) and not odd_within[lines[j]] and int(self.stops[lines[j]]) - begin <= self.owner.most:
                    several.append((event, lines[j]))
                    current = lines[j] + 1
                    continue
            found = self.dialect.record(self.text, begin, self.owner.most, self.final, self.owner.width)
            if found is None:
                return several, special, begin, event
            special.append((begin, found))
            current = int(np.searchsorted(starts, found.next))
        return several, special, int(next_[-1]), len(starts)

    def _records(self, several: list[tuple[int, int]], special: list[tuple[int, Record]], lines: int) -> Records:
        owner, size = self.owner, len(self.dialect.delimiter)
        alone = np.ones(lines, bool)
        parts: list[tuple[Ints, ...]] = []
        if several:
            spans = np.array(several, np.int64)
            i, j = spans[:, 0], spans[:, 1]
            self._cover(alone, i, j + 1)
            nd = self.first[i] + _between(self.within, i, j)
            quotes = _between(self.count, i - 1, j) - self.pairs_first[i] - _between(self.pairs_within, i, j)
            other = self.other_first[i] + _between(self.other_within, i, j)
            owner.inner += int((j - i).sum())
            parts.append((self.starts[i], self.stops[j], self.next[j], nd, quotes, other))
        for begin, record in special:
            i, j = np.searchsorted(self.starts, [begin, record.next])
            alone[i:j] = False
            if record.fault is Fault.NONE:
                owner.inner += int(j - i) - 1
        if self.dialect.skips_empty(owner.width) and lines:
            empty = alone & (self.starts[:lines] == self.stops[:lines])
            owner.gaps += int(empty.sum())
            alone &= ~empty
        k = np.flatnonzero(alone)
        parts.append(
            (self.starts[k], self.stops[k], self.next[k], self.first[k], self.count[k] - self.pairs_first[k], self.other_first[k])
            if lines
            else (k,) * 6
        )
        starts, stops, behind, nd, quotes, other = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        octets = stops - starts - nd * size - quotes
        if any(self.dialect.null_words) and len(starts):
            order = np.argsort(starts, kind="stable")
            octets[order] -= _null_octets(self.data, self.quotes, self.dialect, starts[order], stops[order])
        fault = np.where(other > 0, Fault.LINE_END, Fault.NONE).astype(np.uint8)
        column = np.full(len(starts), -1, np.int64)
        found = Records(starts, stops, behind, octets, fault, column, nd + 1)
        return self._with_special(found, special).sorted() if special else found.sorted()

    @staticmethod
    def _cover(alone: Ints, first: Ints, behind: Ints) -> None:
        edges = np.zeros(len(alone) + 1, np.int64)
        np.add.at(edges, first, 1)
        np.add.at(edges, behind, -1)
        alone &= np.cumsum(edges[:-1]) == 0

    def _with_special(self, found: Records, special: list[tuple[int, Record]]) -> Records:
        rows = [(begin, r.stop, r.next, sum(r.values), int(r.fault), r.column, len(r.fields)) for begin, r in special]
        more = np.array(rows, np.int64)
        for _, record in special:
            if record.fault is Fault.NONE:
                self._edit(record)
        columns = [
            np.concatenate((getattr(found, name), more[:, n].astype(getattr(found, name).dtype)))
            for n, name in enumerate(Records.__slots__)
        ]
        return Records(*columns)

    def _edit(self, record: Record) -> None:
        """What of a record read byte by byte is written otherwise: escapes, blanks outside quotes, delimiters of several bytes."""
        edits = self.owner._edits
        for place, value in record.edits:
            edits.append((place, value))
        if len(self.dialect.delimiter) > 1:
            for start, _ in record.fields[1:]:
                at = self.text.rfind(self.dialect.delimiter, 0, start)
                edits.append((at, self.owner.separator[0]))
                edits.append((np.arange(at + 1, at + len(self.dialect.delimiter)), None))

    def _judge(self, records: Records, used: int) -> None:
        """Find what else is wrong, and leave out the delimiters that make no fields."""
        width, size, delimiter = self.owner.width, len(self.dialect.delimiter), self.dialect.delimiter
        records.fault[records.stops - records.starts > self.owner.most] = Fault.LONG
        self._decode(records, used)
        over = np.flatnonzero((records.columns > width) & (records.fault == Fault.NONE))
        if len(over):
            surplus = records.columns[over] - width
            run = np.zeros(len(over), np.int64)
            going = np.arange(len(over))
            while len(going):
                at = records.stops[over[going]] - (run[going] + 1) * size
                going = going[_is_at(self.data, at, delimiter) & (at >= records.starts[over[going]]) & (run[going] < surplus[going])]
                run[going] += 1
            fits = run == surplus
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
        """A byte that the file does not hold for `""`: DuckDB takes it for an empty line where there is one column."""
        empty = (records.fault == Fault.NONE) & (records.octets == 0) & (records.stops > records.starts)
        places = records.starts[empty]
        if len(places):
            self.owner._edits.append((places, self.dialect.stand_ins[4]))
            lengths = records.stops[empty] - places
            for i in range(1, int(lengths.max())):
                self.owner._edits.append((places[lengths > i] + i, None))

    def _separate(self, used: int) -> None:
        """One byte for each delimiter of several bytes, in lines that were not read byte by byte."""
        size = len(self.dialect.delimiter)
        d = self.delimiters[self.delimiters < used]
        line = np.searchsorted(self.starts, d, side="right") - 1
        plain = d[~self.odd_first[line]]
        edits = self.owner._edits
        edits.append((plain, self.owner.separator[0]))
        edits += [(plain + i, None) for i in range(1, size)]


def _between(values: Ints, first: Ints, last: Ints) -> Ints:
    """Sums of `values[first + 1 : last + 1]`."""
    total = np.append(0, np.cumsum(values))
    return total[last + 1] - total[first + 1]
