"""CSV files in which every quote stands where RFC 4180 has it, and all line ends are alike, as nearly all are: their
records, found with numpy.

Line ends outside quotes are counted, and how much text each record holds if it has as many fields as the file: no
parser is asked.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from forebay.formats._csv.dialect import CR, LF, Dialect
from forebay.formats._csv.parts import Found, Part, is_at, null_octets, pieces, send
from forebay.formats._lines import Ints, Spill


def look(part: Part, dialect: Dialect, width: int, most: int, folder: Path, uri: str) -> Found | None:
    """All records, if each quote opens or closes a field or is doubled, and all line ends are alike; else None: that
    needs a closer look."""
    if dialect.end != LF:
        return None
    with ExitStack() as open_:
        spills = [Spill(folder / f"look_{name}") for name in ("starts", "stops", "octets")]
        for spill in spills:
            open_.callback(spill.close)
        return _records(part, dialect, width, most, uri, spills)


def _records(part: Part, dialect: Dialect, width: int, most: int, uri: str, spills: list[Spill]) -> Found | None:
    starts, stops, octets = spills
    at, gaps, inner, returns = part.begin, 0, 0, None
    blocks = pieces(part, most, uri)
    data, final, _ = next(blocks, (b"", True, None))
    while data:
        glance = _glance(data, final, dialect, width)
        if glance is None or (not glance.used and (final or len(data) > most)):
            return None
        if glance.used:
            if (glance.returns is not None and returns not in {None, glance.returns}) or (
                len(glance.stops) and int((glance.stops - glance.starts).max()) > most
            ):
                return None
            returns = glance.returns if glance.returns is not None else returns
            kept = glance.stops > glance.starts if dialect.skips_empty(width) else slice(None)
            starts.add(glance.starts[kept] + at)
            stops.add(glance.stops[kept] + at)
            octets.add(glance.octets[kept])
            gaps += len(glance.starts) - len(glance.starts[kept])
            inner += glance.inner
        at += glance.used
        data, final, _ = send(blocks, glance.used)
    if at != part.end:
        return None
    return Found(starts.array(), stops.array(), octets.array(), gaps, inner, bool(returns))


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
        if inner and not dialect.multiline:
            return None
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


def _octets(
    data: Ints, quotes: Ints | None, pairs: Ints | None, dialect: Dialect, width: int, starts: Ints, stops: Ints
) -> Ints:
    """How many bytes of text each record holds, if it has as many fields as the file: `pairs` counts the doubled quotes
    before each."""
    octets = stops - starts - (width - 1) * len(dialect.delimiter)
    if quotes is not None and pairs is not None:
        first, last = np.searchsorted(quotes, starts), np.searchsorted(quotes, stops)
        octets -= last - first - (pairs[last] - pairs[first])
    if any(dialect.null_words):
        octets -= null_octets(data, np.empty(0, np.int64) if quotes is None else quotes, dialect, starts, stops)
    return octets


def _alike(returns: Ints, open_end: bool) -> bool:
    """Whether all line ends have a CR, or none; a last line without one has no say."""
    return not returns.any() or bool(returns[:-1].all() and (returns[-1] or open_end))


def _nothing() -> _Glance:
    none = np.empty(0, np.int64)
    return _Glance(none, none, none, 0, None, 0)


def _in_place(data: Ints, quotes: Ints, dialect: Dialect) -> bool:
    """Whether opening quotes (every other one) stand at the start of a field, closing ones at its end, or both side by
    side."""
    if not len(quotes):
        return True
    opening, closing = quotes[::2], quotes[1::2]
    doubled = np.zeros(len(opening), bool)
    doubled[1:] = opening[1:] - closing[:-1] == 1
    odd = opening[~doubled]
    if not (is_at(data, odd - len(dialect.delimiter), dialect.delimiter) | (odd == 0) | (data[odd - 1] == LF)).all():
        return False
    odd = closing[~np.append(doubled[1:], False)] + 1
    at_end = (
        (odd == len(data))
        | is_at(data, odd, b"\n")
        | is_at(data, odd, b"\r\n")
        | ((odd == len(data) - 1) & is_at(data, odd, b"\r"))
    )
    return bool((at_end | is_at(data, odd, dialect.delimiter)).all())


def _within(data: Ints, quotes: Ints | None, ends: Ints) -> bool:
    """Whether all CRs but those before line ends stand within quotes."""
    others = np.setdiff1d(np.flatnonzero(data == CR), ends, assume_unique=True)
    return quotes is not None and bool((np.searchsorted(quotes, others) & 1).all())
