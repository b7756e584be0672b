"""The header of a CSV file, and how its names meet the declared columns."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from forebay.errors import CorruptFileError
from forebay.model import Column

_LONGEST = 1 << 24
_SEPARATOR = "\x1f"


_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_DELIMITERS = (";", "\t", "|", ",")


@dataclass(frozen=True, slots=True)
class Header:
    """The first record. `skipped` empty lines come before it; it takes `lines` lines, of which `filled` are not empty."""

    names: tuple[str, ...]
    skipped: int = 0
    lines: int = 0
    filled: int = 0


def first_record(path: Path, delimiter: str, quote: str | None, escape: str | None, uri: str) -> Header | None:
    """The fields of the file's first record, or None if it has none.

    Raises `CorruptFileError` if they cannot be read: without knowing its columns, no row of the file can be.
    """
    seen: list[str] = []
    one = delimiter if len(delimiter) == 1 else _SEPARATOR  # Python's reader takes no longer ones
    with path.open("rb") as file:
        try:
            lines = (line.replace(delimiter, one) for line in _kept(file, seen))
            for fields in csv.reader(lines, strict=True, **_dialect(one, quote, escape)):
                if fields:
                    skipped = next(i for i, line in enumerate(seen) if line.strip("\r\n"))
                    filled = sum(1 for line in seen if line.strip("\r\n"))
                    return Header(tuple(name.replace(one, delimiter) for name in fields), skipped, len(seen) - skipped, filled)
        except (csv.Error, UnicodeDecodeError) as error:
            raise CorruptFileError(
                f"reading the header of `{uri}`: {_packed(path) or f'{error} (check format.quote and format.encoding)'}", uri=uri
            ) from error
    return None


def _packed(path: Path) -> str | None:
    """What the file is instead of text, if its first bytes say so."""
    with path.open("rb") as file:
        head = file.read(4)
    for mark, name in _PACKED.items():
        if head.startswith(mark):
            return f"its bytes are packed by {name} (set source.compression: {name}, or let its name end as {name} files do)"
    return "it is a Parquet file (set format.type: parquet)" if head == b"PAR1" else None


def _kept(file: BinaryIO, seen: list[str]) -> Iterator[str]:
    """The lines that are read, kept in `seen`; decoded one by one, as bad bytes below the header are none of its business."""
    while line := file.readline(_LONGEST):
        seen.append(line.decode("utf-8" if seen else "utf-8-sig"))
        yield seen[-1]


def _dialect(delimiter: str, quote: str | None, escape: str | None) -> dict[str, Any]:
    doubled = not escape or escape == quote
    plain = {"delimiter": delimiter, "doublequote": doubled, "escapechar": None if doubled else escape}
    return plain | ({"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE})


def positions(header: Sequence[str], declared: Sequence[Column], uri: str) -> list[int]:
    """Where each declared column lies. Raises `CorruptFileError` if one is missing or named twice."""
    missing = [column.name for column in declared if column.name not in header]
    if missing:
        raise CorruptFileError(f"reading the header of `{uri}`: {_missing(missing, header)}", uri=uri, columns=tuple(missing))
    twice = [column.name for column in declared if header.count(column.name) > 1]
    if twice:
        raise CorruptFileError(f"reading the header of `{uri}`: column `{twice[0]}` is there twice", uri=uri, columns=tuple(twice))
    return [header.index(column.name) for column in declared]


def _missing(missing: Sequence[str], found: Sequence[str]) -> str:
    close = [name for name in found if name.strip().lower() == missing[0].strip().lower()]
    close = close or difflib.get_close_matches(missing[0], found, 1)
    hint = f"did you mean `{close[0]}`?" if close else f"it has {', '.join(f'`{name}`' for name in found[:20])}{_other_delimiter(found)}"
    names = ", ".join(f"`{name}`" for name in missing)
    return f"column{'s' if len(missing) > 1 else ''} {names} {'are' if len(missing) > 1 else 'is'} missing ({hint})"


def _other_delimiter(found: Sequence[str]) -> str:
    """The way out where the whole header was read as one column, because its fields are delimited otherwise."""
    likely = [one for one in _DELIMITERS if len(found) == 1 and one in found[0]]
    return f"; set format.delimiter: {likely[0]!r}" if likely else ""


def unknown(header: Sequence[str], declared: Sequence[Column]) -> list[str]:
    """Columns of the file that the schema does not know, in file order."""
    known = {column.name for column in declared}
    return [name for name in header if name not in known]
