"""Values that may not be shown: what a rule observed of the columns of `quality.redact`, taken out before anything is
written or said."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forebay.quality.rules import Rule

MARK = "[redacted]"
"""What stands in a value's place; nulls stay nulls."""
TELL_NO_VALUE = frozenset(
    {
        "expect_column_kl_divergence_to_be_less_than",
        "expect_column_proportion_of_non_null_values_to_be_between",
        "expect_column_proportion_of_unique_values_to_be_between",
        "expect_column_to_exist",
        "expect_column_type_to_be",
        "expect_column_unique_value_count_to_be_between",
        "expect_column_values_to_be_in_type_list",
        "expect_column_values_to_be_of_type",
        "unexpected_rows_expectation",
    }
)
"""Rules about the whole whose observed value is a share, a count or a type (what else they tell is taken out)."""


def hides(rule: Rule, redacted: Collection[str]) -> bool:
    """Whether a rule about the whole observes a redacted column. A query of one's own may show any."""
    return bool(redacted) and (rule.type == "unexpected_rows_expectation" or not set(redacted).isdisjoint(rule.columns))


def result(rule: Rule, raw: dict[str, Any], redacted: Collection[str]) -> dict[str, Any]:
    """Great Expectations' result without the values of redacted columns. Samples of row rules come without them already
    (`masks.py`)."""
    if rule.entry.judges_rows or not hides(rule, redacted):
        return raw
    kept: dict[str, Any] = {key: value for key, value in raw.items() if isinstance(value, int | float | None)}
    if raw.get("observed_value") is not None:
        kept["observed_value"] = raw["observed_value"] if rule.type in TELL_NO_VALUE else MARK
    return kept


def words(message: str, redacted: Collection[str]) -> str:
    """A foreign error's message; with redacted columns, up to its first quote: DuckDB quotes values, which may have
    quotes in them."""
    quote = re.search("['\"]", message) if redacted else None
    return f"{message[: quote.start()]}{MARK}" if quote else message
