"""The settings of `type: csv`."""

from __future__ import annotations

import re

from pydantic import Field, field_validator, model_validator

from forebay.config.units import Size
from forebay.contracts import Settings
from forebay.formats._csv.dialect import Dialect
from forebay.formats._encoding import Encoding
from forebay.formats._rules import ColumnRules

_WRITTEN_OUT = re.compile(r"\\t|\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}")


class CsvSettings(Settings):
    """How the file is written. Row numbers count records: the header and empty lines are none (but where an empty line
    is the null of a single column)."""

    delimiter: str = Field(default=",", min_length=1, max_length=4)
    """What stands between two fields; `'\\t'` is a tab, `'\\x01'` the byte 1. A first line `sep=;`, in quotes or not,
    names another. Those too many at the end of a record, with nothing behind them, make no fields."""
    quote: str | None = Field(default='"', min_length=1, max_length=1)
    """What stands around a field that holds delimiters, quotes or line ends; null: nothing does. Blanks outside the
    quotes are no data."""
    escape: str | None = Field(default=None, min_length=1, max_length=1)
    """What makes the byte behind it data: a quote or itself inside quotes; with `quote: null` also a delimiter or a
    line end, anywhere. Default: the quote itself, doubled. Before a letter or a digit it quarantines the row, unless
    the field is a null word (`\\N`)."""
    header: bool = True
    """Whether the first record names the columns. They are matched by name, in any order. Without it, the schema's
    order is the file's."""
    encoding: Encoding = "utf-8"
    """A text codec of Python's: `windows-1252`, `latin-1`, `utf-16le`, `shift_jis`, `cp037` … Anything but utf-8 is
    decoded to a copy first. A byte that it does not have quarantines its row, whose raw text (UTF-8) holds U+DC00 and
    the byte's value for it, as Python's `surrogateescape` does; or refuses the file where the bytes behind would mean
    something else (`iso2022_jp`, `utf-7`)."""
    null_values: tuple[str, ...] = ("",)
    """Fields that mean null. In a string column a quoted one does not: `""` is an empty string there, and `"NA"` is
    NA."""
    quoted_nulls: bool = False
    """Whether a quoted field can mean null in a string column, too."""
    multiline: bool = True
    """Whether a quoted field may hold line ends. `false`: every line is a record, and a quote that is open at its end
    costs that row alone; so two stray quotes in different rows can never make one field of what stands between them."""
    trim: bool = False
    """Take blanks and tabs off both ends of every field and of every word of the header."""
    columns: dict[str, ColumnRules] = {}
    """How single columns are read."""
    preamble_lines: int = Field(default=0, ge=0, le=1000)
    """How many lines before the header (or the first record) are skipped. They are named in the file's notes by their
    number only."""
    extra_header_lines: int = Field(default=0, ge=0, le=1000)
    """How many lines behind the header are skipped, such as units or types."""
    footer_lines: int = Field(default=0, ge=0, le=1000)
    """How many lines at the end are skipped, empty ones not counted."""
    max_unclosed_quotes: int | None = Field(default=None, ge=0)
    """With more quotes than that which are never closed the file is refused; null: each costs its own row, however many
    there are."""
    max_record_bytes: Size = Field(default=2_000_000, ge=1024, le=1 << 28)
    """The longest record."""

    @field_validator("delimiter", "quote", "escape", mode="before")
    @classmethod
    def _written_out(cls, value: object) -> object:
        """A backslash, a letter and digits, as YAML leaves them in single quotes."""
        if not isinstance(value, str) or not _WRITTEN_OUT.fullmatch(value):
            return value
        return "\t" if value == r"\t" else chr(int(value[2:], 16))

    @field_validator("delimiter")
    @classmethod
    def _no_line_end(cls, value: str) -> str:
        if set(value) & set("\r\n"):
            raise ValueError("delimiter: a line end cannot stand between two fields")
        if len(value.encode()) > 4:
            raise ValueError(f"delimiter: `{value}` has more than 4 bytes")
        return value

    @field_validator("quote", "escape")
    @classmethod
    def _one_byte(cls, value: str | None) -> str | None:
        if value is not None and (not value.isascii() or value in "\r\n"):
            raise ValueError(f"`{value}` is not one byte (an ASCII character other than a line end)")
        return value

    @model_validator(mode="after")
    def _distinct(self) -> CsvSettings:
        if any(sign and sign in self.delimiter for sign in (self.quote, self.escape)):
            raise ValueError(f"delimiter, quote and escape: `{self.delimiter}` cannot be two of them")
        return self

    @model_validator(mode="after")
    def _does_something(self) -> CsvSettings:
        """Settings of quotes where there are none, and of a header where there is none, would be accepted and do
        nothing."""
        idle = {
            "quoted_nulls": self.quoted_nulls,
            "max_unclosed_quotes": self.max_unclosed_quotes is not None,
            "multiline": not self.multiline,
        }
        if self.quote is None and any(idle.values()):
            which = next(name for name, written in idle.items() if written)
            raise ValueError(f"{which}: with `quote: null` nothing is quoted (leave it out)")
        if not self.header and self.extra_header_lines:
            raise ValueError("extra_header_lines: with `header: false` there is no header (use `preamble_lines`)")
        return self

    def dialect(self) -> Dialect:
        """How the file is written, in bytes."""
        escape = self.escape if self.escape != self.quote else None
        words = frozenset(word.encode() for word in self.null_values)
        quote, quoted = self.quote.encode() if self.quote else None, self.quoted_nulls
        return Dialect(
            self.delimiter.encode(),
            quote,
            escape.encode() if escape else None,
            null_words=words,
            quoted_nulls=quoted,
            multiline=self.multiline,
        )
