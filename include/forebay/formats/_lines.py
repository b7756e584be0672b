"""Numbers of the size of a file, kept in files and mapped, so that memory does not grow with it."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np

Ints = np.ndarray
_TAKEN = 1 << 12


def let_go(*arrays: Ints) -> None:
    """Give the memory of mapped arrays back; what is looked at again is read from their files again."""
    for array in arrays:
        if isinstance(array, np.memmap):
            array._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]  # numpy names no other way to it


def taken(array: Ints, places: Ints) -> Ints:
    """The numbers at those places (in order), with no more of a mapped array in memory than some thousand of them
    need."""
    values = np.empty(len(places), array.dtype)
    for first in range(0, len(places), _TAKEN):
        some = slice(first, first + _TAKEN)
        values[some] = array[places[some]]
        let_go(array)
    return values


class Spill:
    """An int64 array that grows in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self.count = 0

    def add(self, part: Ints) -> None:
        self._file.write(np.ascontiguousarray(part, dtype=np.int64).data)
        self.count += len(part)

    def close(self) -> None:
        """Nothing can be added any more."""
        self._file.close()

    def array(self) -> Ints:
        """All of it, mapped; nothing can be added any more."""
        self.close()
        return (
            np.memmap(self._path, dtype=np.int64, mode="r", shape=(self.count,))
            if self.count
            else np.empty(0, np.int64)
        )


def row_numbers(readable_before: Ints, first: int, count: int) -> Ints:
    """Row numbers of `count` readable records from place `first` on; `readable_before` says where unreadable ones lie
    between them."""
    places = np.arange(first, first + count, dtype=np.int64)
    return places + 1 + np.searchsorted(readable_before, places, side="right")
