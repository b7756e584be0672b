"""How DuckDB is told to read CSV. What it reads is held against our own count (`_witness`); it is never asked which
records are bad."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from forebay.support.sql import as_pattern, literal, literals

_NO_NULL_WORD = "\x00\x00"  # DuckDB takes no empty list of null words
_SPARE = 1024  # beyond the longest record, so that only we say which one is too long


@dataclass(frozen=True, slots=True)
class Source:
    """A CSV file as DuckDB sees it: `width` columns of text, `c0` and so on. `skip` lines come before the header, if
    there is one."""

    path: Path
    width: int
    delimiter: str
    quote: str | None
    escape: str | None
    header: bool
    skip: int
    new_line: str
    null_words: tuple[str, ...]
    quoted_nulls: bool
    record_bytes: int
    parallel: bool = True

    def sql(self) -> str:
        """The table function. Strict, and without `store_rejects`: with either of them alone DuckDB has lost rows in
        silence."""
        columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(self.width))
        quote, escape = self.quote or "", (self.escape or self.quote or "") if self.quote else ""
        options = {
            "columns": "{" + columns + "}",
            "auto_detect": "false",
            "hive_partitioning": "false",
            "compression": "'none'",
            "header": str(self.header).lower(),
            "skip": str(self.skip),
            "delim": literal(self.delimiter),
            "quote": literal(quote),
            "escape": literal(escape),
            "new_line": literal(self.new_line.replace("\r", r"\r").replace("\n", r"\n")),
            "nullstr": f"[{literals(self.null_words or (_NO_NULL_WORD,))}]",
            "allow_quoted_nulls": str(self.quoted_nulls).lower(),
            "max_line_size": str(self.record_bytes + _SPARE),
            "parallel": str(self.parallel).lower(),
            "strict_mode": "true",
        }
        return (
            f"read_csv({literal(as_pattern(self.path))}, "
            f"{', '.join(f'{key} = {value}' for key, value in options.items())})"
        )
