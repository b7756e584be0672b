"""Single records of a CSV file, read slowly: by Python's csv module, and by our own policy."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from forebay.formats._csv.dialect import LF, Dialect
from forebay.formats._csv.parts import Found
from forebay.formats._csv.record import record_at
from forebay.formats._lines import taken


@dataclass(frozen=True, slots=True)
class ByHand:
    """Reads those records of the file `path` that were found to be rows; `width` fields of each count."""

    dialect: Dialect
    quote: str | None
    width: int
    path: Path
    located: Found

    def readings(self, text: bytes) -> list[list[bytes]]:
        """What the fields of a record hold, by Python's csv module or, where that does not have the dialect, by our own
        policy; by both where they may differ."""
        dialect, theirs = self.dialect, self._by_csv(text)
        quote = dialect.quote or b""
        blanks = b" " + quote in text or quote + b" " in text  # outside quotes they are no data to us alone
        own = [dialect.text(text, span) for span in self._spans(text)] if blanks or theirs is None else None
        return [cells for cells in (own, theirs) if cells is not None]

    def rows(self, places: np.ndarray) -> list[list[str | None]]:
        """The fields of the rows at those places (0-based), with nulls as the settings have them."""
        return [self.cells(text)[0] for text in self.raw(places)]

    def cells(self, text: bytes) -> list[list[str | None]]:
        """As `readings`, with nulls as the settings have them."""
        nulls = [self.dialect.is_null(text, span) for span in self._spans(text)]
        return [
            [None if null else cell.decode() for cell, null in zip(cells, nulls, strict=True)]
            for cells in self.readings(text)
        ]

    def raw(self, places: np.ndarray) -> list[bytes]:
        """The bytes of the rows at those places."""
        with self.path.open("rb") as file:
            starts, stops = (taken(array, places).tolist() for array in (self.located.starts, self.located.stops))
            spans = zip(starts, stops, strict=True)
            return [os.pread(file.fileno(), stop - start, start) for start, stop in spans]

    def _by_csv(self, text: bytes) -> list[bytes] | None:
        """The fields of a record by Python's csv module; None where it does not have the dialect, or cannot read it."""
        dialect = self.dialect
        if not dialect.doubled or len(dialect.delimiter) > 1 or dialect.end != LF or any(dialect.null_words):
            return None
        delimiter, quote = dialect.delimiter.decode(), self.quote
        try:
            [cells] = csv.reader(
                io.StringIO(text.decode(), newline=""), delimiter=delimiter, quotechar=quote, strict=True
            )
        except (csv.Error, ValueError):
            return None
        return [cell.encode() for cell in cells][: self.width]

    def _spans(self, text: bytes) -> list[tuple[int, int]]:
        record = record_at(self.dialect, text, 0, len(text) + 1, True)
        return record.fields[: self.width] if record and text else [(0, 0)]
