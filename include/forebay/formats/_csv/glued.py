"""Records that are none because their lines end otherwise than those of the file, as in two files one behind the other:
each line is quarantined by itself, however many there are.

A record that is no row is cut at the other kind of line end (CR alone in a file of LF, LF in one of CR), wherever an
even number of its quotes stands before, if two parts or more have as many columns as the file.
"""

from __future__ import annotations

import numpy as np

from forebay.formats._csv.block import Block, Records
from forebay.formats._csv.dialect import CR, LF, Fault
from forebay.formats._lines import Ints


def parted(records: Records, block: Block) -> Records:
    """The records of a block, those that are several cut into their lines."""
    ends, quotes, delimiters, width = _other_ends(block), block.quotes, block.delimiters, block.width
    bad = records.fault != Fault.NONE
    inside = _count(ends, records) > 0
    chosen = np.flatnonzero(bad & inside & (_count(delimiters, records) >= 2 * (width - 1)))
    cuts = [
        (n, cut) for n in chosen.tolist() if (cut := _lines(records, n, ends, quotes, delimiters, width)) is not None
    ]
    if not cuts:
        return records
    kept = np.ones(len(bad), bool)
    kept[[n for n, _ in cuts]] = False
    columns = zip(*(cut for _, cut in cuts), strict=True)
    starts, stops, behind, counts = (np.concatenate(column) for column in columns)
    faults = np.full(len(starts), Fault.OTHER_END, records.fault.dtype)
    more = starts, stops, behind, np.zeros(len(starts), np.int64), faults, np.full(len(starts), -1, np.int64), counts
    old = (getattr(records, name)[kept] for name in Records.__slots__)
    return Records(*(np.concatenate(pair) for pair in zip(old, more, strict=True))).sorted()


def _other_ends(block: Block) -> Ints:
    data = block.data
    if block.dialect.end == LF:
        ends = np.flatnonzero(data == CR)
        ends = ends[data[np.minimum(ends + 1, len(data) - 1)] != LF]
    else:
        ends = np.flatnonzero(data == LF)
    return ends[~block.escaped(ends)]


def _count(places: Ints, records: Records) -> Ints:
    return np.searchsorted(places, records.stops) - np.searchsorted(places, records.starts)


def _lines(
    records: Records, n: int, ends: Ints, quotes: Ints, delimiters: Ints, width: int
) -> tuple[Ints, Ints, Ints, Ints] | None:
    """Where the lines of a record begin, stop and are behind, and how many columns each has; None: it is not cut. Empty
    lines are none."""
    start, stop = int(records.starts[n]), int(records.stops[n])
    at, signs = (_outside(places, start, stop, quotes) for places in (ends, delimiters))
    starts, stops, behind = np.append(start, at + 1), np.append(at, stop), np.append(at + 1, records.next[n])
    columns = np.searchsorted(signs, stops) - np.searchsorted(signs, starts) + 1
    some = stops > starts
    if int((columns[some] == width).sum()) < 2:
        return None
    return starts[some], stops[some], behind[some], columns[some]


def _outside(places: Ints, start: int, stop: int, quotes: Ints) -> Ints:
    """Those between, with an even number of quotes before them."""
    inside = places[np.searchsorted(places, start) : np.searchsorted(places, stop)]
    return inside[(np.searchsorted(quotes, inside) - np.searchsorted(quotes, start)) % 2 == 0]
