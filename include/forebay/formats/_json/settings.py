"""The settings of `type: json_lines`."""

from __future__ import annotations

from pydantic import Field

from forebay.config.units import Size
from forebay.contracts import Settings
from forebay.formats._encoding import Encoding
from forebay.formats._rules import ColumnRules


class JsonLinesSettings(Settings):
    """How the file is written. Row numbers count lines that are not empty."""

    encoding: Encoding = "utf-8"
    """A text codec of Python's: `windows-1252`, `latin-1`, `utf-16le`, `shift_jis`, `cp037` … Anything but utf-8 is
    decoded to a copy first. A byte that it does not have quarantines its row, or refuses the file where the bytes
    behind would mean something else (`iso2022_jp`, `utf-7`)."""
    loose_scalars: bool = False
    """Read numbers and words from strings (`"5"` in an int64), and keep numbers, true and false as text in string
    columns. A column whose rules say how its values are written out (`thousands`, `true_values` …) is read from strings
    in either case."""
    optional: tuple[str, ...] = ()
    """Declared columns that no line of a file need have; others must be in one line at least."""
    columns: dict[str, ColumnRules] = {}
    """How single columns are read."""
    max_record_bytes: Size = Field(default=16_000_000, ge=1024, le=1 << 28)
    """The longest line."""
