"""Where the records of any CSV file begin and end, found by ourselves: no parser is asked.

`Splitter` parts the records that are rows from those that are not, by the policy of `record`, and copies the former.
It works on blocks (`block`), each of which begins where a record does. Files that are as they should be need no copy
(`look`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from forebay.errors import CorruptFileError
from forebay.formats._csv.block import Block, Records
from forebay.formats._csv.dialect import CR, LF, Dialect, Fault
from forebay.formats._csv.glued import parted
from forebay.formats._csv.parts import Found, Part, pieces, send
from forebay.formats._lines import Ints, Spill


@dataclass
class Splitter:
    """Parts the records of a file. What is needed of the rows goes into files in `folder`, the rows themselves into
    `folder / "rows"`, with LF for a line end and one byte for a delimiter; records that are no rows go to `refuse`,
    block by block."""

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
    offsets: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    """Where each row begins in the copy."""
    _written: int = 0
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
        starts, stops, octets, before = (
            Spill(self.folder / f"split_{name}") for name in ("starts", "stops", "octets", "before")
        )
        begins, at = Spill(self.folder / "split_offsets"), self.part.begin
        blocks = pieces(self.part, self.most, self.uri)
        data, final, _ = next(blocks, (b"", True, None))
        with self.path.open("wb") as copy:
            while data:
                block = Block(self.dialect, self.width, self.most, self.separator, data, final)
                records, used = block.read()
                records = parted(records, block) if used else records
                self.inner, self.gaps = self.inner + block.inner, self.gaps + block.gaps
                if used:
                    good = records.fault == Fault.NONE
                    starts.add(records.starts[good] + at)
                    stops.add(records.stops[good] + at)
                    octets.add(records.octets[good])
                    before.add(np.cumsum(good)[~good] + starts.count - int(good.sum()))
                    self._refuse(data, records, good)
                    self.rows += len(good)
                    text, offsets = self._copied(data[:used], records, good, block.edits)
                    begins.add(offsets + self._written)
                    self._written += copy.write(text)
                at += used
                data, final, _ = send(blocks, used)
        if at != self.part.end:
            raise CorruptFileError(
                f"reading `{self.uri}`: of its {self.part.end} bytes {at} could be told apart (report this)",
                uri=self.uri,
            )
        self.offsets = begins.array()
        located = Found(starts.array(), stops.array(), octets.array(), self.gaps, self.inner)
        return located, before.array()

    def _refuse(self, data: bytes, records: Records, good: Ints) -> None:
        if not good.all():
            self.unclosed += int((records.fault == Fault.UNCLOSED).sum())
            bad = Records(*(getattr(records, name)[~good] for name in Records.__slots__))
            self.refuse(data, bad, np.flatnonzero(~good) + self.rows + 1)

    def _copied(
        self, data: bytes, records: Records, good: Ints, edits: list[tuple[Any, int | None]]
    ) -> tuple[bytes, Ints]:
        """The rows' own bytes, but for line ends, delimiters of several bytes, and what edits say; and where each
        begins."""
        text, used = np.frombuffer(data, np.uint8).copy(), len(data)
        self._account(text, records)
        kept = np.zeros(used + 1, np.int32)
        np.add.at(kept, records.starts[good], 1)
        np.add.at(kept, records.stops[good], -1)
        mask = np.cumsum(kept[:-1]) > 0
        ends = records.next[good] - 1
        open_end = (
            (ends < records.stops[good]) | (text[np.minimum(ends, used - 1)] != self.dialect.end)
            if len(ends)
            else ends > 0
        )
        closed = ends[~open_end]
        if self.dialect.end == LF:
            outside = closed[closed > records.stops[good][~open_end]]
            self._returns += int((text[outside - 1] == CR).sum())
            self._ended += len(closed)
        mask[closed] = True
        text[closed] = LF
        for places, value in edits:
            if value is None:
                mask[places] = False
            else:
                text[places] = value
        kept = np.cumsum(mask, dtype=np.int64)
        begins = records.starts[good]
        return text[mask].tobytes() + (b"\n" if open_end.any() else b""), kept[begins] - mask[begins]

    def _account(self, text: Ints, records: Records) -> None:
        """Every byte is of one record or of an empty line."""
        covered = np.zeros(len(text) + 1, np.int32)
        np.add.at(covered, records.starts, 1)
        np.add.at(covered, records.next, -1)
        covered = np.cumsum(covered[:-1])
        rest = text[covered == 0]
        if (covered > 1).any() or (covered < 0).any() or not ((rest == LF) | (rest == CR)).all():
            raise CorruptFileError(
                f"reading `{self.uri}`: its records could not be told apart (report this)", uri=self.uri
            )
