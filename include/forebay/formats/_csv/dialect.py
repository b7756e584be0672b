"""How a CSV file is written: what its bytes mean, of lines and of single fields. What a record is says `record`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

LF, CR = 10, 13


class Fault(IntEnum):
    """Why a record is no row."""

    NONE = 0
    COLUMNS = 1
    TEXT = 2
    UNCLOSED = 3
    LONG = 4
    LINE_END = 5
    ESCAPE = 6
    UTF8 = 7
    OTHER_END = 8


@dataclass(frozen=True)
class Dialect:
    """Delimiter, quote, escape (null: the quote itself, doubled) and the last byte of a line end; all bytes of one
    file."""

    delimiter: bytes
    quote: bytes | None
    escape: bytes | None
    end: int = LF
    null_words: frozenset[bytes] = frozenset()
    quoted_nulls: bool = False
    multiline: bool = True
    """Whether a quoted field may hold line ends; without, every line is a record."""
    stand_ins: bytes = b""
    """Bytes that the file does not hold: for a delimiter, LF, CR and an escape that an escape made data, for an empty
    field, for the delimiter of a copy, and for null words that no other reader takes (`foreign`)."""

    @property
    def doubled(self) -> bool:
        return self.quote is not None and self.escape is None

    @cached_property
    def foreign(self) -> frozenset[bytes]:
        """Null words with a quote, an escape or a delimiter in them."""
        signs = [sign for sign in (self.delimiter, self.quote, self.escape if self.quote else None) if sign]
        return frozenset(word for word in self.null_words if any(sign in word for sign in signs))

    def skips_empty(self, width: int) -> bool:
        """Whether an empty line is no record: it is one only where it is the null of a single column."""
        return width > 1 or b"" not in self.null_words

    @property
    def blanks(self) -> bytes:
        return b"" if b" " in self.delimiter else b" "

    @cached_property
    def self_overlapping(self) -> bool:
        """Whether the delimiter can begin within itself, as `||` does."""
        size = len(self.delimiter)
        return any(self.delimiter.endswith(self.delimiter[:n]) for n in range(1, size))

    @cached_property
    def closing(self) -> re.Pattern[bytes]:
        """From behind an opening quote to behind the one that closes it."""
        quote = re.escape(self.quote or b"")
        if self.escape is None:
            return re.compile(rb"[^%b]*+(?:%b%b[^%b]*+)*+%b" % ((quote,) * 5))
        escape = re.escape(self.escape)
        return re.compile(rb"[^%b%b]*+(?:%b.[^%b%b]*+)*+%b" % (quote, escape, escape, quote, escape, quote), re.DOTALL)

    @cached_property
    def bare(self) -> re.Pattern[bytes]:
        """A field without quotes in which escapes count."""
        escape, delimiter, end = re.escape(self.escape or b""), re.escape(self.delimiter), re.escape(bytes([self.end]))
        return re.compile(rb"(?:%b(?:%b|.)|(?!%b)[^%b%b])*+" % (escape, delimiter, delimiter, escape, end), re.DOTALL)

    @cached_property
    def escaped(self) -> re.Pattern[bytes]:
        escape = re.escape(self.escape or b"")
        return re.compile(rb"%b(%b|.|$)" % (escape, re.escape(self.delimiter)), re.DOTALL)

    # ------------------------------------------------------------ lines

    def line_stop(self, data: bytes, at: int, final: bool) -> tuple[int, int] | None:
        """Where the text of the line that holds `at` stops, and where the next line begins; None if the data ends
        before, and not the file."""
        end = data.find(self.end, at)
        if end < 0:
            return (self.without_return(data, at, len(data)), len(data)) if final else None
        return self.without_return(data, at, end), end + 1

    def without_return(self, data: bytes, at: int, stop: int) -> int:
        return stop - 1 if self.end == LF and stop > at and data[stop - 1] == CR else stop

    # ------------------------------------------------------------ records

    def text(self, data: bytes, span: tuple[int, int]) -> bytes:
        """What a field holds; nothing for a null word."""
        held, quote, escape = data[slice(*span)], self.quote, self.escape
        if quote is not None and held.startswith(quote):
            held = held[1:-1]
            if self.quoted_nulls and held in self.null_words:
                return b""
            return held.replace(quote * 2, quote) if escape is None else self.escaped.sub(rb"\1", held)
        if held in self.null_words:
            return b""
        return self.escaped.sub(rb"\1", held) if quote is None and escape is not None else held

    def plain(self, record: bytes) -> bool:
        """Whether nothing in a record makes a delimiter data."""
        return (
            all(sign is None or sign not in record for sign in (self.quote, self.escape)) and not self.self_overlapping
        )

    def is_null(self, data: bytes, span: tuple[int, int]) -> bool:
        """Whether a field is a null word."""
        held = data[slice(*span)]
        if self.quote is not None and held.startswith(self.quote):
            return self.quoted_nulls and held[1:-1] in self.null_words
        return held in self.null_words
