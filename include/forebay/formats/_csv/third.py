"""A third reading of a CSV's rows, for where DuckDB's and our own differ: the part in doubt by Python's csv module,
what lies around it anew by DuckDB.

Nothing of the fault is shared then: DuckDB begins and ends elsewhere, and has not seen the part at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from forebay.formats._csv.parts import BLOCK, Found
from forebay.formats._csv.source import Source
from forebay.support.sql import parquet

PART, PART_BYTES = 4_096, 8 << 20
"""Rows, and bytes of the file, that one part in doubt has at most, unless one row is longer."""
MOST = 8
"""So many parts are read that way; a file with more is refused."""


@dataclass
class Third:
    """The rows of `source` (the copy of those that are `found`; row n begins at `offsets[n]` of it) in pieces, like a
    source of its own.

    `fields` reads some rows of the file itself, given by their places.
    """

    source: Source
    located: Found
    offsets: np.ndarray
    folder: Path
    fields: Callable[[np.ndarray], list[list[str | None]]]
    doubts: list[tuple[int, int]] = field(default_factory=list)

    @property
    def width(self) -> int:
        return self.source.width

    def doubt(self, place: int) -> bool:
        """Take the rows around this one for doubtful, too; false if they are already, or too many are."""
        place = min(place, len(self.located) - 1)
        if place < 0 or len(self.doubts) == MOST or any(first <= place < last for first, last in self.doubts):
            return False
        starts, stops = self.located.starts, self.located.stops
        at, half = int(starts[place]), PART_BYTES // 2
        first = max(0, place - PART // 2, min(place, int(np.searchsorted(starts, at - half))))
        last = min(len(self.located), place + PART // 2, max(place + 1, int(np.searchsorted(stops, at + half))))
        first = max([first, *(end for _, end in self.doubts if end <= place)])
        last = min([last, *(begin for begin, _ in self.doubts if begin > place)])
        self.doubts = sorted([*self.doubts, (first, last)])
        return True

    def sql(self) -> str:
        """The table function, or what stands in its place: all rows in their order."""
        pieces = (parquet(piece) if isinstance(piece, Path) else piece.sql() for piece in self.pieces())
        return f"({' UNION ALL '.join(f'SELECT * FROM {piece}' for piece in pieces)})"

    def pieces(self) -> list[Source | Path]:
        """All rows in their order: CSV to be read anew, and Parquet of what was read."""
        pieces: list[Source | Path] = []
        at = 0
        for first, last in [*self.doubts, (len(self.located), len(self.located))]:
            if first > at:
                pieces.append(self._cut(at, first))
            if last > first:
                pieces.append(self._read(first, last))
            at = last
        return pieces

    def _cut(self, first: int, last: int) -> Source:
        path = self.folder / f"rows_{first}_{last}"
        begin = int(self.offsets[first])
        end = int(self.offsets[last]) if last < len(self.offsets) else self.source.path.stat().st_size
        if not path.exists():
            with self.source.path.open("rb") as whole, path.open("wb") as piece:
                whole.seek(begin)
                while begin < end:
                    begin += piece.write(whole.read(min(BLOCK, end - begin)))
        return replace(self.source, path=path, parallel=False)

    def _read(self, first: int, last: int) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.folder / f"doubt_{first}_{last}"
        if not path.exists():
            columns: Sequence[Sequence[str | None]] = list(zip(*self.fields(np.arange(first, last)), strict=True))
            pq.write_table(pa.table({f"c{i}": pa.array(column, pa.string()) for i, column in enumerate(columns)}), path)
        return path
