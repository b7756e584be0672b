"""Numbers of the size of a file, kept in files and mapped, so that memory does not grow with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

Ints = np.ndarray


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
