"""Which line end a CSV file has: told by the bytes outside quotes alone, as within them line ends are data.

RFC 4180 has the first field that opens with a quote go on to the quote that closes it, with a delimiter, a line end or
the end of the file behind. Line ends up to there say nothing about the file. Where a quote is broken, as none closes it
that way, nobody knows how far it goes: the line ends are counted with what may be of it and without, and both must tell
the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from forebay.errors import CorruptFileError
from forebay.formats._csv.dialect import CR, LF, Dialect


@dataclass(slots=True)
class Ends:
    """The line ends outside quotes: how many are a CR alone, how many have an LF, and what the first one is (None:
    there is none).

    `open` says that the data ends within quotes, and the file may close them.
    """

    returns: int = 0
    feeds: int = 0
    first: int | None = None
    open: bool = False

    @property
    def kind(self) -> int | None:
        """The file's line end by these; None: they do not tell."""
        if self.returns < self.feeds:
            return LF
        return CR if self.first == CR and self.returns > self.feeds else None

    def add(self, end: bytes) -> None:
        alone = end == b"\r"
        self.returns, self.feeds = self.returns + alone, self.feeds + (not alone)
        self.first = self.first or (CR if alone else LF)


def line_end(data: bytes, at: int, dialect: Dialect, most: int, final: bool, uri: str) -> int | None:
    """The last byte of the line end of a file that begins with `data`; None if it takes more bytes to tell. Quotes hold
    at most `most` bytes.

    A few line ends of the other kind cost their own rows. Raises `CorruptFileError` where neither kind is the other's
    exception: nobody can tell then which of them are data.
    """
    alone = data.count(b"\r", at) > data.count(b"\r\n", at) + data.endswith(b"\r")
    ends = _ends(data, at, dialect, most, final, all_=alone, hides=False)
    if not final and (ends.open or ends.first is None) and (ends.returns or not ends.feeds):
        return None
    end = ends.kind
    hidden = _ends(data, at, dialect, most, final, all_=True, hides=True) if alone else ends
    if end is not None and (hidden.kind == end or hidden.first is None):
        return end
    if ends.first is None:
        return LF
    raise CorruptFileError(
        f"reading `{uri}`: outside quotes {ends.returns} of its lines end with CR alone and {ends.feeds} with LF, "
        "so that its line end cannot be told "
        "(have it delivered with one kind of line end, and text that holds the other in quotes, each of them closed; "
        "check format.quote)",
        uri=uri,
    )


def _ends(data: bytes, at: int, dialect: Dialect, most: int, final: bool, all_: bool, hides: bool) -> Ends:
    """The line ends outside quotes; the first one only, unless `all_`. A broken quote `hides` those up to the next
    quote, or none."""
    seen, blanks = Ends(), dialect.blanks or b"\0"
    quote, escape = dialect.quote, dialect.escape if dialect.quote is None else None
    opening = re.compile(rb"[%b]*+%b" % (re.escape(blanks), re.escape(quote))) if quote else None
    delimiter = re.escape(dialect.delimiter)
    sign = re.compile(rb"(\r\n|\n|\r)|%b" % delimiter)
    if escape:
        sign = re.compile(rb"%b(?:%b|.|$)|(\r\n|\n|\r)|%b" % (re.escape(escape), delimiter, delimiter), re.DOTALL)
    while at < len(data):
        opened = opening.match(data, at) if opening else None
        if opened:
            behind = _behind(data, opened.end(), dialect, most, final, hides)
            if behind is None:
                seen.open = True
                return seen
            at = behind
        here = sign.search(data, at)
        while here and escape and here[0].startswith(escape):
            here = sign.search(data, here.end())
        if here is None or (here[0] == b"\r" and here.end() == len(data)):  # at the very end it may be half of CR LF
            return seen
        if here[1]:
            seen.add(here[1])
            if not all_:
                return seen
        at = here.end()
    return seen


def _behind(data: bytes, at: int, dialect: Dialect, most: int, final: bool, hides: bool) -> int | None:
    """Behind the quote that closes the one before `at`; `at` if none does properly and it does not hide; None if the
    data may go on with one."""
    limit = min(len(data), at + most)
    closing = dialect.closing.match(data, at, limit)
    whole = final or limit < len(data)
    if closing is None or closing.end() == limit:
        return None if not whole else closing.end() if closing else limit if hides else at
    behind = closing.end()
    while dialect.blanks and data.startswith(dialect.blanks, behind):
        behind += 1
    if behind == len(data) and not final:
        return None
    proper = behind == len(data) or data[behind] in (CR, LF) or data.startswith(dialect.delimiter, behind)
    one_line = not any(end in data[at:behind] for end in (b"\r", b"\n"))
    return behind if proper or one_line or hides else at
