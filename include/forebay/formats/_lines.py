"""Where a text file's physical lines lie, and so where each record of it lies.

The parser says which records it could read and where those that it could not begin; it does not say where the others lie, nor their number
in the file. Lines are counted here without those that are empty (the parser skips them, except in files of one column). With the lines
of the unreadable records taken out, what remains is the header and the readable records, one line each except for fields with line ends.
Positions are bytes from 0. All arrays of the size of the file lie in files and are mapped, so memory does not grow with it.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forebay.formats._text import blocks

if TYPE_CHECKING:
    from collections.abc import Iterable

Ints = np.ndarray


def spill(path: Path, parts: Iterable[Ints]) -> Ints:
    """One int64 array of all parts, kept in a file and mapped."""
    count = 0
    with path.open("wb") as file:
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype=np.int64).tobytes())
            count += len(part)
    return np.memmap(path, dtype=np.int64, mode="r", shape=(count,)) if count else np.empty(0, np.int64)


class Spill:
    """An int64 array that grows in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self.count = 0

    def add(self, part: Ints) -> None:
        self._file.write(np.ascontiguousarray(part, dtype=np.int64).data)
        self.count += len(part)

    def array(self) -> Ints:
        """All of it, mapped; nothing can be added any more."""
        self._file.close()
        return np.memmap(self._path, dtype=np.int64, mode="r", shape=(self.count,)) if self.count else np.empty(0, np.int64)


@dataclass(frozen=True)
class Lines:
    """The lines of a text that count: `starts[i]` to `ends[i]`, line end excluded."""

    path: Path
    starts: Ints
    ends: Ints

    @classmethod
    def of(cls, path: Path, folder: Path, empty: bool) -> Lines:
        """All lines of the file; those that are empty only if `empty`."""
        bounds = spill(folder / "line_bounds", _bounds(path, empty)).reshape(-1, 2)
        return cls(path, bounds[:, 0], bounds[:, 1])

    def at(self, positions: Ints) -> Ints:
        """The first line with text at or after each position."""
        return np.searchsorted(self.ends, positions, side="right")

    def raw(self, first: Ints, last: Ints) -> list[bytes]:
        """The bytes from the start of each first line to the end of each last one."""
        if not len(first):
            return []
        with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            spans = zip(self.starts[first].tolist(), self.ends[last].tolist(), strict=True)
            return [data[start:end] for start, end in spans]


def _bounds(path: Path, empty: bool) -> Iterable[Ints]:
    """Pairs of start and end, flattened, a block at a time."""
    begin, offset, last = 0, 0, 0
    for block in blocks(path):
        data = np.frombuffer(block, dtype=np.uint8)
        feeds = np.flatnonzero(data == 10)
        if len(feeds):
            before = np.where(feeds > 0, data[feeds - 1], last)
            starts = np.concatenate(([begin], feeds[:-1] + offset + 1))
            yield _chosen(starts, feeds + offset - (before == 13), empty)
            begin = int(feeds[-1]) + offset + 1
        offset += len(block)
        last = block[-1]
    if begin < offset:
        yield _chosen(np.array([begin]), np.array([offset - (last == 13)]), empty)


def _chosen(starts: Ints, ends: Ints, empty: bool) -> Ints:
    pairs = np.stack((starts, np.maximum(starts, ends)), axis=1)
    return (pairs if empty else pairs[pairs[:, 1] > pairs[:, 0]]).reshape(-1)


@dataclass(frozen=True)
class Unreadable:
    """Records that the parser refused, in file order: the line each begins at, and how many lines it has."""

    line: Ints
    span: Ints

    @classmethod
    def none(cls) -> Unreadable:
        return cls(np.empty(0, np.int64), np.empty(0, np.int64))


@dataclass(frozen=True)
class Multiline:
    """Readable records with line ends inside: their places among the readable ones (0-based), and how many lines more than one they have."""

    place: Ints
    total: Ints
    """`total[i]` is the sum of the extra lines of the first i + 1 of them."""

    @classmethod
    def none(cls) -> Multiline:
        return cls(np.empty(0, np.int64), np.empty(0, np.int64))

    def before(self, place: Ints) -> Ints:
        """Extra lines of all records before each place."""
        return _upto(self.total, np.searchsorted(self.place, place, side="left"))


def _upto(total: Ints, count: Ints) -> Ints:
    """Sum of the first `count` parts, from their running total."""
    return np.where(count > 0, total[np.maximum(count, 1) - 1] if len(total) else 0, 0)


@dataclass(frozen=True)
class Records:
    """Numbers and lines of records. `header` is how many lines come before the first one."""

    unreadable: Unreadable
    multiline: Multiline
    header: int

    @property
    def _taken(self) -> Ints:
        return np.cumsum(self.unreadable.span)

    @property
    def readable_before(self) -> Ints:
        """How many readable records lie before each unreadable one."""
        rest = self.unreadable.line - (self._taken - self.unreadable.span) - self.header
        own_lines = self.multiline.place + self.multiline.before(self.multiline.place)
        extra = _upto(self.multiline.total, np.searchsorted(own_lines, rest, side="left"))
        return rest - extra

    @property
    def unreadable_rows(self) -> Ints:
        """Row numbers (1-based) of the unreadable records."""
        return self.readable_before + np.arange(1, len(self.unreadable.line) + 1)

    def lines(self, place: Ints) -> tuple[Ints, Ints]:
        """First and last line of the readable records at those places."""
        rest = self.header + place + self.multiline.before(place)
        more = self.multiline.before(place + 1) - self.multiline.before(place)
        own = self.unreadable.line - (self._taken - self.unreadable.span)
        first = rest + _upto(self._taken, np.searchsorted(own, rest, side="right"))
        return first, first + more

    def count_lines(self, readable: int) -> int:
        """How many lines the file must have, with so many readable records."""
        extra = int(self.multiline.total[-1]) if len(self.multiline.total) else 0
        return self.header + readable + extra + int(self.unreadable.span.sum())


def row_numbers(readable_before: Ints, first: int, count: int) -> Ints:
    """Row numbers of `count` readable records from place `first` on; `readable_before` says where unreadable ones lie between them."""
    places = np.arange(first, first + count, dtype=np.int64)
    return places + 1 + np.searchsorted(readable_before, places, side="right")
