"""Lines with a quote in an odd place, many at a time: what each is if it is the first line of a record, and its only
one.

It says what `record_at` says, or nothing: where a record may go on behind its line, or has what few have, that
must read it byte by byte. Every step takes each line from one field with a quote to the next, so there are as many
steps as such fields in a line.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from forebay.formats._csv.dialect import Dialect, Fault
from forebay.formats._lines import Ints

_BLANKS = 8
"""So many blanks between a quote and its delimiter are looked at."""


@dataclass
class Odd:
    """Lines of a block (from `starts` to `stops`, the next from `behind`) with their quotes and delimiters; they have
    at most `most` bytes.

    For each line: whether it is `known` and, if so, its fault, the column that it is about, its number of columns, and
    how many bytes of it are quotes and such, but no text. `blanks` are places of blanks outside quotes, `stray` says
    which quotes are data; both hold for known lines only.
    """

    dialect: Dialect
    data: Ints
    starts: Ints
    stops: Ints
    behind: Ints
    quotes: Ints
    delimiters: Ints
    most: int
    known: Ints = field(init=False)
    fault: Ints = field(init=False)
    column: Ints = field(init=False)
    columns: Ints = field(init=False)
    less: Ints = field(init=False)
    blanks: Ints = field(init=False)
    stray: Ints = field(init=False)

    def __post_init__(self) -> None:
        count = len(self.starts)
        self.known, self.fault = np.zeros(count, bool), np.zeros(count, np.uint8)
        self.column, self.columns, self.less = (
            np.full(count, -1, np.int64),
            np.zeros(count, np.int64),
            np.zeros(count, np.int64),
        )
        self._blanks: list[Ints] = []
        self._stray = np.zeros(len(self.quotes) + 1, np.int64)

    def read(self, lines: Ints) -> Odd:
        """Look at these lines."""
        self._closing()
        lines = lines[self.stops[lines] - self.starts[lines] <= self.most]
        self.known[lines] = True
        first = np.searchsorted(self.delimiters, self.starts[lines])
        self.columns[lines] = np.searchsorted(self.delimiters, self.stops[lines]) - first + 1
        at = self.starts[lines]
        while len(lines):
            lines, at = self._step(lines, at)
        self._go_on()
        places = np.concatenate([*self._blanks, np.empty(0, np.int64)])
        self.blanks = places[self.known[np.searchsorted(self.starts, places, side="right") - 1]]
        self.stray = np.cumsum(self._stray[:-1]) > 0
        return self

    def _closing(self) -> None:
        """For each quote the one that closes it if it opens a field (their number: none does)."""
        q, count = self.quotes, len(self.quotes)
        places = np.arange(count)
        self.active = np.empty(0, np.int64)
        ahead = np.full(count + 2, count)
        if self.dialect.doubled:
            free = np.where(np.append(np.diff(q) == 1, False)[:count], count, places)
            for parity in (0, 1):
                ahead[:count][parity::2] = np.minimum.accumulate(free[parity::2][::-1])[::-1]
        else:
            self._escapes()
            free = np.where(np.isin(q - 1, self.active, assume_unique=True), count, places)
            ahead[:count] = np.minimum.accumulate(free[::-1])[::-1]
        self.closes = ahead[1 : count + 1]

    def _escapes(self) -> None:
        """Escapes that are not escaped themselves, as they are within quotes; of runs of them every other one."""
        places = np.flatnonzero(self.data == (self.dialect.escape or b"\0")[0])
        begins = np.append(True, np.diff(places) > 1)[: len(places)]
        run = places[np.maximum.accumulate(np.where(begins, np.arange(len(places)), 0))]
        self.active = places[(places - run) % 2 == 0]
        letter = self.data[np.minimum(self.active + 1, len(self.data) - 1)]
        low = letter | 0x20
        self.wrong = np.append(0, np.cumsum(((letter >= 48) & (letter <= 57)) | ((low >= 97) & (low <= 122))))

    def _step(self, lines: Ints, at: Ints) -> tuple[Ints, Ints]:
        """On to the next field with a quote, and behind it; the lines that have more, and where they go on."""
        k = np.searchsorted(self.quotes, at)
        has = (
            (k < len(self.quotes)) & (self.quotes[np.minimum(k, len(self.quotes) - 1)] < self.stops[lines])
            if len(self.quotes)
            else at < 0
        )
        lines, at, k = lines[has], at[has], k[has]
        if not len(lines):
            return lines, at
        place, stop = self.quotes[k], self.stops[lines]
        following = np.searchsorted(self.delimiters, place)
        before = self._delimiter(following - 1) + 1
        begin = np.maximum(at, before)
        opens = self._is_blank(lines, begin, place)
        behind = np.where(opens, place, np.minimum(self._delimiter(following), stop))
        bare = ~opens & self.known[lines]
        np.add.at(self._stray, k[bare], 1)
        np.add.at(self._stray, np.searchsorted(self.quotes, behind[bare]), -1)
        some = np.flatnonzero(opens & self.known[lines])
        behind[some] = self._quoted(lines[some], begin[some], k[some])
        more = self.known[lines] & (behind >= 0) & (behind < stop)
        return lines[more], behind[more] + 1

    def _delimiter(self, n: Ints) -> Ints:
        """The place of a delimiter; before all, or behind, where there is none."""
        if not len(self.delimiters):
            return np.where(n < 0, -1, len(self.data))
        places = self.delimiters[np.clip(n, 0, len(self.delimiters) - 1)]
        return np.where(n < 0, -1, np.where(n >= len(self.delimiters), len(self.data), places))

    def _is_blank(self, lines: Ints, begin: Ints, stop: Ints) -> Ints:
        """Whether nothing but blanks stands between."""
        blank = begin == stop
        if not self.dialect.blanks or blank.all():
            return blank
        going, place = ~blank, begin.copy()
        for _ in range(_BLANKS):
            going &= self.data[np.minimum(place, len(self.data) - 1)] == 32
            place[going] += 1
            blank |= going & (place == stop)
            going &= place < stop
        self.known[lines[going]] = False
        return blank

    def _quoted(self, lines: Ints, begin: Ints, k: Ints) -> Ints:
        """Where the field stops that opens with quote `k`; -1: behind the line."""
        stop, opening = self.stops[lines], self.quotes[k]
        c = self.closes[k]
        closing = np.append(self.quotes, len(self.data))[c]
        open_ = closing >= stop
        self._open(lines[open_], begin[open_], closing[open_])
        behind = np.minimum(closing + 1, stop)
        blank, limit = behind.copy(), np.where(open_, behind, stop)
        for _ in range(_BLANKS if self.dialect.blanks else 0):
            blank += (blank < limit) & (self.data[np.minimum(blank, len(self.data) - 1)] == 32)
        at = np.minimum(blank, len(self.data) - 1)
        if self.dialect.blanks:
            self.known[lines[(blank < limit) & (self.data[at] == 32)]] = False
        good = ~open_ & ((blank == stop) | (self.data[at] == self.dialect.delimiter[0]))
        inner = np.searchsorted(self.delimiters, closing) - np.searchsorted(self.delimiters, opening)
        self._good(lines[good], begin[good], opening[good], behind[good], blank[good], (c - k - 1)[good])
        if not self.dialect.doubled:  # those between are escaped
            np.add.at(self._stray, k[good] + 1, 1)
            np.add.at(self._stray, c[good], -1)
        text = ~open_ & ~good
        self._blame(lines[text], begin[text], Fault.TEXT)
        self.columns[lines[~open_]] -= inner[~open_]
        delimiter = np.minimum(self._delimiter(np.searchsorted(self.delimiters, blank)), stop)
        return np.where(open_, -1, np.where(good, blank, delimiter))

    def _good(self, lines: Ints, begin: Ints, opening: Ints, behind: Ints, blank: Ints, quotes: Ints) -> None:
        """Account for what of these fields is no text."""
        outside = opening - begin + blank - behind
        if self.dialect.doubled:
            inner = quotes // 2
        else:
            first, last = np.searchsorted(self.active, opening), np.searchsorted(self.active, behind)
            inner = last - first
            self.known[lines[self.wrong[last] > self.wrong[first]]] = False
        self.less[lines] += 2 + inner + outside
        if outside.any():
            if self.dialect.quoted_nulls:
                self.known[lines[outside > 0]] = False
            for start, stop in ((begin, opening), (behind, blank)):
                self._blanks += [start[stop - start > i] + i for i in range(int((stop - start).max(initial=0)))]

    def _blame(self, lines: Ints, begin: Ints, fault: Fault) -> None:
        """The first fault of a line counts, and names the column that begins there."""
        first = self.fault[lines] == Fault.NONE
        lines, begin = lines[first], begin[first]
        all_of_it = (
            np.searchsorted(self.delimiters, self.stops[lines])
            - np.searchsorted(self.delimiters, self.starts[lines])
            + 1
        )
        before = np.searchsorted(self.delimiters, begin) - np.searchsorted(self.delimiters, self.starts[lines])
        self.fault[lines], self.column[lines] = fault, before - (all_of_it - self.columns[lines])

    def _open(self, lines: Ints, begin: Ints, closing: Ints) -> None:
        """A quote that nothing in the line closes: with text behind the one that does, it never was. Without, the
        record has several lines."""
        if not self.dialect.multiline:
            self._blame(lines, begin, Fault.UNCLOSED)
            self.columns[lines] = -1
            return
        behind = closing + 1
        seen = (behind + 2 <= len(self.data)) & (behind + 1 < self.starts[lines] + self.most)
        here = self.data[np.minimum(behind, len(self.data) - 1)]
        text = seen & (here != 32) & (here != 10) & (here != 13) & (here != self.dialect.delimiter[0])
        self.known[lines[~text]] = False
        self._blame(lines[text], begin[text], Fault.UNCLOSED)
        self.columns[lines[text]] = -1

    def _go_on(self) -> None:
        """Forget lines of which others may be part: what is broken goes on, unless the next quote opens a field."""
        if not self.dialect.multiline:
            return
        broken = np.flatnonzero(self.known & (self.fault != Fault.NONE))
        count = np.searchsorted(self.quotes, self.stops[broken]) - np.searchsorted(self.quotes, self.starts[broken])
        broken = broken[(count % 2 == 1) | (self.columns[broken] < 0)]
        if not len(broken):
            return
        following = np.searchsorted(self.quotes, self.behind[broken])
        place = np.append(self.quotes, len(self.data))[following]
        seen = place + 1 < np.minimum(len(self.data), self.starts[broken] + self.most)
        left = self.data[np.maximum(place, 1) - 1]
        opens = (left == self.dialect.end) | (left == self.dialect.delimiter[0])
        self.known[broken[~(seen & opens)]] = False
