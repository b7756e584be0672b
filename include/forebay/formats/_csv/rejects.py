"""Records that are no rows, with their bytes, row numbers and reasons, written block by block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from forebay.contracts import causes
from forebay.formats._csv.dialect import LF, Dialect, Fault
from forebay.formats._csv.head import FAULTS
from forebay.formats._csv.record import record_at
from forebay.formats._staging import rejects_schema
from forebay.model import Cause
from forebay.support.words import counted

if TYPE_CHECKING:
    import pyarrow as pa

    from forebay.formats._csv.block import Records


class Rejects:
    """A Parquet file of rejects; `add` takes the bad records of a block."""

    def __init__(self, path: Path, names: Sequence[str], most: int, dialect: Dialect, encoding: str = "utf-8") -> None:
        import pyarrow.parquet as pq

        self._sink = pq.ParquetWriter(path, rejects_schema())
        self._names, self._most, self._dialect = names, most, dialect
        self._encoding = "UTF-8" if encoding == "utf-8" else encoding

    def __enter__(self) -> Rejects:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sink.close()

    def add(self, text: bytes, bad: Records, rows: np.ndarray) -> None:
        """Write the records `bad` of the block `text`; `rows` are their numbers."""
        import pyarrow as pa

        self._place_bytes(text, bad)
        about = np.where(bad.fault == Fault.COLUMNS, bad.columns, bad.column)
        kinds, which = np.unique(np.stack((bad.fault.astype(np.int64), about)), axis=1, return_inverse=True)
        words = [self._told(Fault(fault), number) for fault, number in kinds.T.tolist()]
        places = pa.array(which.reshape(-1))
        columns = [
            pa.array(rows, pa.int64()),
            pa.array([step for step, _, _ in words], pa.string()).take(places),
            pa.array([[] if name is None else [name] for _, name, _ in words], pa.list_(pa.string())).take(places),
            pa.array([[cause.to_json()] for _, _, cause in words], causes.arrow()).take(places),
            _slices(text, bad.starts, bad.stops),
        ]
        self._sink.write_table(pa.table(dict(zip(rejects_schema().names, columns, strict=True))).cast(rejects_schema()))

    def _place_bytes(self, text: bytes, bad: Records) -> None:
        """Find the column in which a record is not UTF-8, or has a line end of another kind."""
        for n in np.flatnonzero(
            (bad.fault == Fault.UTF8) | ((bad.fault == Fault.LINE_END) & (bad.column < 0))
        ).tolist():
            start, stop = int(bad.starts[n]), int(bad.stops[n])
            if bad.fault[n] == Fault.UTF8 and self._dialect.plain(text[start:stop]):
                bad.column[n] = self._wrong_before(text[start:stop])
                continue
            record = record_at(self._dialect, text[start:stop], 0, stop - start + 1, True)
            if bad.fault[n] == Fault.LINE_END:
                bad.column[n] = record.column if record else -1
                continue
            for column, span in enumerate(record.fields if record else ()):
                try:
                    text[start + span[0] : start + span[1]].decode("utf-8")
                except UnicodeDecodeError:
                    bad.column[n] = column
                    break

    def _wrong_before(self, record: bytes) -> int:
        """The column with the first byte that is not UTF-8, of a record in which every delimiter is one."""
        try:
            record.decode()
        except UnicodeDecodeError as error:
            return record.count(self._dialect.delimiter, 0, error.start)
        return -1

    def _told(self, fault: Fault, number: int) -> tuple[str, str | None, Cause]:
        """Step, column and cause."""
        step, name, detail = self._words(fault, number)
        return step, name, Cause(columns=() if name is None else (name,), detail=detail)

    def _words(self, fault: Fault, number: int) -> tuple[str, str | None, str]:
        if fault is Fault.COLUMNS:
            return "parse", None, f"record has {counted(number, 'column')}, the file has {len(self._names)}"
        if fault is Fault.LONG:
            return "parse", None, f"record is longer than {self._most} bytes (raise format.max_record_bytes)"
        if fault is Fault.OTHER_END:
            alone, file = ("CR alone", "LF") if self._dialect.end == LF else ("LF", "CR alone")
            words = f"line ends with {alone}, the first of the file with {file}"
            return "parse", None, f"{words} (have it delivered with one kind of line end)"
        name = self._names[number] if 0 <= number < len(self._names) else None
        place = f"column `{name}`: " if name is not None else ""
        if fault is Fault.UTF8:
            return "decode", name, f"{place}bytes are not {self._encoding}"
        return "parse", name, FAULTS[fault] if fault is Fault.UNCLOSED else place + FAULTS[fault]


def _slices(text: bytes, starts: np.ndarray, stops: np.ndarray) -> pa.Array:
    """Parts of a text as binary values; they do not overlap, and come in order."""
    import pyarrow as pa

    inside = np.zeros(len(text) + 1, np.int32)
    np.add.at(inside, starts, 1)
    np.add.at(inside, stops, -1)
    kept = np.frombuffer(text, np.uint8)[np.cumsum(inside[:-1]) > 0]
    offsets = np.concatenate(([0], np.cumsum(stops - starts))).astype(np.int32)
    return pa.Array.from_buffers(
        pa.binary(), len(starts), [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(kept.tobytes())]
    )
