"""Where the lines of a file lie: the authority on how many there are, which is which, and which of them need a closer
look.

Lines end with LF or CR LF; both are blanks to JSON and stay with their line, so that a block of a file becomes an Arrow
array without a copy. A file whose beginning has CR and no LF is one of lines that end with CR. Blocks bound the memory,
and so does the longest line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from forebay.formats._lines import Spill
from forebay.formats._row_column import NAME as ROW
from forebay.formats._staging import rejects_schema
from forebay.model import Cause

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 1 << 22
CLOSER, CARE, BACKSLASH, ESCAPE = 1, 2, 4, 8
"""Flags of a line: a closing bracket stands behind a blank or a comma; numbers may be short of digits once they were
doubles (16 digits in a row, an exponent, or `-0`); it has a backslash; it has a `\\u`."""
_MARK = b"\xef\xbb\xbf"
_FEED, _RETURN = 10, 13
_KEPT, _SHORT = 1_000, 1 << 21  # lines that are kept for the second witness, and how long they may be
_KEPT_BYTES = 1 << 25
_STEP, _OF_A_BLOCK = 512, 64  # every so many lines, or so many of a small block
Bytes = np.ndarray


@dataclass
class Splitter:
    """One pass over a file's lines. What it counts is known once the pass is over.

    `rows` lines are not empty, `blank` ones are; `octets` are the bytes of all of them, `handed` those of the lines
    that are handed on. Lines that are no text (not UTF-8, or longer than `longest`) are not handed on: they are written
    to `refused`, and `after` says how many others lie before each.
    """

    path: Path
    refused: Path
    longest: int
    rows: int = 0
    blank: int = 0
    octets: int = 0
    handed: int = 0
    returns: bool = False
    after: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    _told: int = 0  # lines refused so far
    _chosen: dict[int, str] = field(default_factory=dict)
    _thinned: int = 1

    @property
    def reader(self) -> pa.RecordBatchReader:
        """Batches of `line` (its line end included), `row`, `octets`, `flags`, and `quotes` (their number)."""
        import pyarrow as pa

        return pa.RecordBatchReader.from_batches(_schema(), self._batches())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        places = Spill(self.refused.with_suffix(".after"))
        with pq.ParquetWriter(self.refused, rejects_schema()) as sink:
            for data, cut in _whole_lines(self):
                batch, bad = self._batch(data, cut)
                if bad is not None:
                    places.add(bad.pop("after"))
                    sink.write_table(pa.table(bad, schema=rejects_schema()))
                self.handed += int(batch["octets"].to_numpy().sum())
                self._choose(batch)
                yield batch
        self.after = places.array()

    def _choose(self, batch: pa.RecordBatch) -> None:
        """Keep the first, the last and some other lines of a block, for the second witness."""
        if not len(batch):
            return
        step = max(1, min(_STEP, len(batch) // _OF_A_BLOCK)) * self._thinned
        for at in sorted({0, len(batch) - 1, *range(step // 2, len(batch), step)}):
            if batch["octets"][at].as_py() <= _SHORT:
                self._chosen[batch["row"][at].as_py()] = batch["line"][at].as_py()
        while len(self._chosen) > _KEPT or (
            len(self._chosen) > 2 and sum(map(len, self._chosen.values())) > _KEPT_BYTES
        ):
            self._chosen = dict(list(self._chosen.items())[::2])
            self._thinned *= 2

    def sample(self, most: int) -> dict[int, str]:
        """At most so many lines from all over the file, by row number."""
        lines = list(self._chosen.items())
        return dict(lines[:: -(-len(lines) // most)]) if lines else {}

    def _batch(self, data: bytes, cut: int) -> tuple[pa.RecordBatch, dict[str, Any] | None]:
        """The lines of a block; `cut` bytes are missing behind its only line, which is too long."""
        import pyarrow as pa

        text = np.frombuffer(data, np.uint8)
        ends = np.flatnonzero(text == (_RETURN if self.returns else _FEED)) + 1
        if not len(ends) or ends[-1] < len(text):
            ends = np.append(ends, len(text))
        starts = np.concatenate(([0], ends[:-1]))
        filled = _contents(text, starts, ends) > 0
        flags, quotes = _flags(text, ends), np.add.reduceat((text == 34).view(np.uint8), starts, dtype=np.uint32)
        rows = self.rows + np.cumsum(filled)
        lines = pa.Array.from_buffers(
            pa.binary(), len(ends), [None, pa.py_buffer(ends_buffer(ends)), pa.py_buffer(data)]
        )
        columns = [
            lines,
            pa.array(rows, pa.int64()),
            pa.array(ends - starts, pa.int64()),
            pa.array(flags),
            pa.array(quotes),
        ]
        batch = pa.RecordBatch.from_arrays(columns, names=["line", "row", "octets", "flags", "quotes"])
        self.rows, self.blank = self.rows + int(filled.sum()), self.blank + int(len(filled) - filled.sum())
        self.octets += len(data) + cut
        if not filled.all():
            batch = batch.filter(pa.array(filled))
        return self._texts(batch, cut)

    def _texts(self, batch: pa.RecordBatch, cut: int) -> tuple[pa.RecordBatch, dict[str, Any] | None]:
        """The lines that are text, and what becomes of the others."""
        import pyarrow as pa

        reasons = self._refusals(batch, cut)
        bad = None
        if reasons:
            kept = np.ones(len(batch), bool)
            kept[list(reasons)] = False
            at = np.flatnonzero(~kept)
            before = int(batch["row"][0].as_py()) - 1 - self._told + at - np.arange(len(at))
            self._told += len(at)
            raw = [batch["line"][int(i)].as_py().removesuffix(b"\n").removesuffix(b"\r") for i in at]
            words = [reasons[int(i)] for i in at]
            bad = {
                "after": before,
                ROW: batch["row"].take(pa.array(at)),
                "step": [step for step, _ in words],
                "columns": [[] for _ in words],
                "causes": [[Cause(detail=detail).to_json()] for _, detail in words],
                "raw": raw,
            }
            batch = batch.filter(pa.array(kept))
        return batch.set_column(0, "line", batch["line"].view(pa.string())), bad

    def _refusals(self, batch: pa.RecordBatch, cut: int) -> dict[int, tuple[str, str]]:
        """Step and cause of lines that are no text, by place in the batch."""
        import pyarrow as pa

        long = {
            int(i): ("parse", f"line is longer than {self.longest} bytes (raise format.max_record_bytes)")
            for i in np.flatnonzero(batch["octets"].to_numpy() + cut > self.longest + 2)
        }
        try:
            batch["line"].view(pa.string()).validate(full=True)
        except pa.ArrowInvalid:
            return {
                i: ("decode", "bytes are not UTF-8")
                for i, line in enumerate(batch["line"])
                if not _is_text(line.as_py())
            } | long
        return long


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            ("line", pa.string()),
            ("row", pa.int64()),
            ("octets", pa.int64()),
            ("flags", pa.uint8()),
            ("quotes", pa.uint32()),
        ]
    )


def ends_buffer(ends: np.ndarray) -> bytes:
    """Arrow's offsets of texts that lie one behind the other and end there."""
    return np.concatenate(([0], ends)).astype(np.int32).tobytes()


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _whole_lines(of: Splitter) -> Iterator[tuple[bytes, int]]:
    """Blocks that end where a line does, and 0; or one line that is too long, cut short, and how many bytes of it are
    left out."""
    with of.path.open("rb") as file:
        if file.read(3) != _MARK:
            file.seek(0)
        held, cut, first = b"", 0, True
        while block := file.read(BLOCK):
            if first:
                of.returns, first = b"\r" in block and b"\n" not in block, False
            end = block.rfind(b"\r" if of.returns else b"\n") + 1
            if cut or (not end and len(held) + len(block) > of.longest + 2):
                begins = block.find(b"\r" if of.returns else b"\n") + 1 or len(block)
                room = max(0, of.longest + 3 - len(held))
                held, cut = held + block[: min(room, begins)], cut + max(0, begins - room)
                if not end:
                    continue
                yield held, cut
                held, cut, block, end = b"", 0, block[begins:], end - begins
            if end:
                yield held + block[:end], 0
                held = block[end:]
            else:
                held += block
        if held:
            yield held, cut


def _contents(text: Bytes, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The bytes of each line without its line end."""
    size = ends - starts
    last = text[ends - 1]
    closed = (last == _FEED) | (last == _RETURN)
    before = text[np.maximum(ends - 2, 0)]
    pair = (last == _FEED) & (before == _RETURN) & (size > 1)
    return size - closed - pair


def _flags(text: Bytes, ends: np.ndarray) -> np.ndarray:
    flags = np.zeros(len(ends), np.uint8)
    for flag, places in _signs(text):
        if len(places):
            flags[np.searchsorted(ends, places, side="right")] |= flag
    return flags


def _signs(text: Bytes) -> Iterator[tuple[int, np.ndarray]]:
    """Each flag with the places that earn it."""
    digit = (text - np.uint8(48)) < 10  # unsigned: what is less than `0` wraps to much more
    run = digit | (text == 46)
    for step in (1, 2, 4, 8):
        run = run[step:] & run[:-step]
    yield CARE, np.flatnonzero(run)
    exponent = digit[:-1] & ((text[1:] | 32) == 101)
    yield CARE, np.flatnonzero(exponent)
    zero = np.flatnonzero((text[:-1] == 45) & (text[1:] == 48))
    behind = text[np.minimum(zero + 2, len(text) - 1)]
    yield CARE, zero[~((behind == 46) | ((behind - np.uint8(48)) < 10))]
    slash = np.flatnonzero(text == 92)
    yield BACKSLASH, slash
    yield ESCAPE, slash[text[np.minimum(slash + 1, len(text) - 1)] == 117]
    closing = np.flatnonzero((text | 32) == 125)
    before = text[closing - 1]
    yield CLOSER, closing[(before == 44) | (before <= 32)]
