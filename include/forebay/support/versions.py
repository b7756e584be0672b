"""The versions of what turns bytes into values. A stage, or half a file of records, made by others is not gone on
with."""

from __future__ import annotations

import sys
from functools import cache
from importlib.metadata import version

RECORDS = ("duckdb", "numpy", "pyarrow")
"""They read, cast, encode and place rows."""
VERDICTS = ("great_expectations",)
"""It judges them; which rows it quarantines is part of a plan by itself."""


@cache
def libraries(*names: str) -> dict[str, str]:
    """The installed version of each, and Python's (its codecs decode text)."""
    return {"python": ".".join(map(str, sys.version_info[:2])), **{name: version(name) for name in names}}
