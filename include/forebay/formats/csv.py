"""CSV as RFC 4180 has it, with the liberties that its settings name."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from forebay.config.types import parse
from forebay.config.units import Size
from forebay.contracts import Format, Settings, StageWriter
from forebay.formats._duck import connect, scratch
from forebay.formats._encoding import Encoding
from forebay.formats._rules import ColumnRules
from forebay.formats._text import prepare
from forebay.model import Column, Snapshot, Stage


class CsvSettings(Settings):
    """How the file is written. Row numbers count records: the header and empty lines (in files of several columns) are none."""

    delimiter: str = Field(default=",", min_length=1, max_length=4)
    """What stands between two fields. Those too many at the end of a record, with nothing behind them, make no fields."""
    quote: str | None = Field(default='"', min_length=1, max_length=1)
    """What stands around a field that holds delimiters, quotes or line ends; null: nothing does. Blanks outside the quotes are no data."""
    escape: str | None = Field(default=None, min_length=1, max_length=1)
    """What makes a quote inside quotes one; default: the quote itself, doubled."""
    header: bool = True
    """Whether the first record names the columns. They are matched by name, in any order. Without it, the schema's order is the file's."""
    encoding: Encoding = "utf-8"
    """A text codec of Python's: `windows-1252`, `latin-1`, `utf-16le`, `shift_jis`, `cp037` … Anything but utf-8 is decoded to a copy first. A byte that it does not
    have sets its row aside, or refuses the file where the bytes behind would mean something else (`iso2022_jp`, `utf-7`)."""
    null_values: tuple[str, ...] = ("",)
    """Fields that mean null. In a string column a quoted one does not: `""` is an empty string there, and `"NA"` is NA."""
    quoted_nulls: bool = False
    """Whether a quoted field can mean null in a string column, too."""
    trim: bool = False
    """Take blanks and tabs off both ends of every field."""
    columns: dict[str, ColumnRules] = {}
    """How single columns are read."""
    max_unclosed_quotes: int = Field(default=100, ge=0)
    """How many quotes that are never closed cost their own row only; with more the file is refused."""
    max_record_bytes: Size = Field(default=2_000_000, ge=1024, le=1 << 28)
    """The longest record."""

    @model_validator(mode="after")
    def _distinct(self) -> CsvSettings:
        if self.delimiter in {self.quote, self.escape}:
            raise ValueError(f"delimiter, quote and escape: `{self.delimiter}` cannot be two of them")
        return self


class Csv(Format[CsvSettings]):
    """Delimited text. Every record that can be read and typed without changing a value is staged; every other one is set aside."""

    Config = CsvSettings

    def read(self, snapshot: Snapshot, plain: Path, columns: tuple[Column, ...] | None, into: StageWriter) -> Stage:
        from forebay.formats._csv_layout import layout
        from forebay.formats._csv_reading import Reading

        uri = snapshot.file.uri
        types = [parse(column.type) for column in columns] if columns is not None else None
        with scratch(into) as folder, connect(into, folder, uri) as connection:
            text = prepare(plain, folder, self.config.encoding, self.config.quote, uri)
            found = layout(self.config, text, columns, uri, into.tolerance.missing)
            reading = Reading(self.config, connection, into.folder, folder, text, found, uri, misfits=into.tolerance.misfits)
            return reading.stage(snapshot, types, plain.stat().st_size)
