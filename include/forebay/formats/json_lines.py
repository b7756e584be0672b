"""JSON lines: one object a line."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from forebay.config.types import parse
from forebay.config.units import Size
from forebay.contracts import Format, Settings, StageWriter
from forebay.formats._duck import connect, scratch
from forebay.formats._encoding import Encoding
from forebay.formats._rules import ColumnRules
from forebay.formats._text import decoded
from forebay.model import Column, Snapshot, Stage


class JsonLinesSettings(Settings):
    """How the file is written. Row numbers count lines that are not empty."""

    encoding: Encoding = "utf-8"
    """A text codec of Python's: `windows-1252`, `latin-1`, `utf-16le`, `shift_jis`, `cp037` … Anything but utf-8 is decoded to a copy first. A byte that it does not
    have sets its row aside, or refuses the file where the bytes behind would mean something else (`iso2022_jp`, `utf-7`)."""
    loose_scalars: bool = False
    """Read numbers and words from strings (`"5"` in an int64), and keep numbers, true and false as text in string columns. A column whose rules say how
    its values are written out (`thousands`, `true_values` …) is read from strings in either case."""
    optional: tuple[str, ...] = ()
    """Declared columns that no line of a file need have; others must be in one line at least."""
    columns: dict[str, ColumnRules] = {}
    """How single columns are read."""
    max_record_bytes: Size = Field(default=16_000_000, ge=1024, le=1 << 28)
    """The longest line."""


class JsonLines(Format[JsonLinesSettings]):
    """One JSON object a line, its scalars as columns. What is nested, malformed, or of another type sets its line aside."""

    Config = JsonLinesSettings

    def read(self, snapshot: Snapshot, plain: Path, columns: tuple[Column, ...] | None, into: StageWriter) -> Stage:
        from forebay.formats._json_reading import Reading
        from forebay.formats._json_shape import refuse_other_shapes

        uri = snapshot.file.uri
        types = {column.name: parse(column.type) for column in columns} if columns is not None else None
        with scratch(into) as folder, connect(into, folder, uri) as connection:
            text = decoded(plain, folder, self.config.encoding, uri)
            refuse_other_shapes(text.path, uri)
            reading = Reading(self.config, connection, into.folder, folder, text.path, uri, into.tolerance, text.notes)
            return reading.stage(snapshot, types, plain.stat().st_size)
