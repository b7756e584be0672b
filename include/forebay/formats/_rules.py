"""Settings that say how text becomes a value: for a whole file, and for single columns."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from forebay.contracts import Settings

TRUE_WORDS = ("true", "True", "TRUE")
FALSE_WORDS = ("false", "False", "FALSE")


class ColumnRules(Settings):
    """How the text of one column is read. What is not set here is as strict as ISO 8601 and plain numbers are."""

    format: str | None = None
    """strptime format of a date, time or timestamp column (`%d/%m/%Y`); the text must be exactly what the format
    writes."""
    trim: bool | None = None
    """Take blanks and tabs off both ends before the value is read; default: the file's `trim`."""
    null_values: tuple[str, ...] | None = None
    """Words that mean null in this column, besides the file's own."""
    true_values: tuple[str, ...] = Field(default=TRUE_WORDS, min_length=1)
    """Words that mean true in a bool column, instead of these."""
    false_values: tuple[str, ...] = Field(default=FALSE_WORDS, min_length=1)
    """Words that mean false in a bool column, instead of these."""
    loose_numbers: bool = False
    """Accept leading zeros and a plus sign: `007` is 7. They are not kept."""
    decimal_point: str = Field(default=".", min_length=1, max_length=1)
    """The decimal sign."""
    thousands: str | None = Field(default=None, min_length=1, max_length=1)
    """A sign between groups of three digits, taken out; a group of another size is refused."""
    allow_nan: bool = False
    """Accept `NaN`, `inf` and `-inf` in a float column."""

    @field_validator("format")
    @classmethod
    def _without_offset(cls, value: str | None) -> str | None:
        if value and ("%z" in value or "%Z" in value):
            raise ValueError(
                f"`{value}` holds a zone (leave `format` out: offsets are read as ISO 8601, into timestamp[tz])"
            )
        return value

    @model_validator(mode="after")
    def _one_meaning(self) -> ColumnRules:
        both = [word for word in self.true_values if word in self.false_values]
        if both:
            raise ValueError(f"true_values and false_values: `{both[0]}` cannot be in both (leave it out of one)")
        if self.thousands == self.decimal_point:
            raise ValueError(
                f"thousands and decimal_point: `{self.thousands}` cannot be both (write another for one of them)"
            )
        return self

    @property
    def reads_text(self) -> bool:
        """Whether they say how a value is written out: then a string of JSON is read, too."""
        words = (self.true_values, self.false_values) != (TRUE_WORDS, FALSE_WORDS)
        return words or self.loose_numbers or self.decimal_point != "." or self.thousands is not None


STRICT = ColumnRules()
