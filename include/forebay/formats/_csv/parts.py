"""The bytes of a CSV file, block by block, and where things stand in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from forebay.errors import CorruptFileError
from forebay.formats._csv.dialect import Dialect
from forebay.formats._lines import Ints

BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a file that holds records: its bytes from `begin` to `end`."""

    path: Path
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Found:
    """The records that are rows, in file order: where each begins and ends (line end excluded), and how many bytes of
    text its fields hold.

    `gaps` counts empty lines between them, `inner` the line ends within quotes. `returns` says that line ends are CR
    LF.
    """

    starts: Ints
    stops: Ints
    octets: Ints
    gaps: int
    inner: int
    returns: bool = False

    def __len__(self) -> int:
        return len(self.starts)


def pieces(part: Part, most: int, uri: str) -> Iterator[tuple[bytes, bool, Any]]:
    """Blocks of a file, with what the last one left over before each; `send` says how much of it was used up (0: it
    must grow)."""
    with part.path.open("rb") as file:
        file.seek(part.begin)
        left, data = part.end - part.begin, b""
        while left or data:
            more = _read(file, min(left, max(BLOCK, len(data))))
            left -= len(more)
            data += more
            used = yield data, not left, None
            if not used and not left:
                return
            if not used and len(data) > 4 * most + 4 * BLOCK:
                raise CorruptFileError(
                    f"reading `{uri}`: a line has more than {len(data)} bytes (check format.quote, "
                    "or raise format.max_record_bytes)",
                    uri=uri,
                )
            data = data[used:]


def _read(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise CorruptFileError(f"reading `{file.name}`: it became shorter while it was read")
    return data


def marks(data: Ints, what: bytes) -> Ints:
    """Where these bytes begin."""
    places = (
        np.flatnonzero(data[: len(data) - len(what) + 1] == what[0])
        if len(data) >= len(what)
        else np.empty(0, np.int64)
    )
    for i, byte in enumerate(what[1:], 1):
        places = places[data[places + i] == byte]
    return places


def null_octets(
    data: Ints, quotes: Ints, dialect: Dialect, starts: Ints, stops: Ints, foreign: list[tuple[Ints, int]] | None = None
) -> Ints | int:
    """How many bytes of each record are null words: fields that a reader leaves no text of. Those that are `foreign` to
    other readers are added to that list, with how many bytes each has, quotes included."""
    total: Ints | int = 0
    for word in dialect.null_words:
        for text in (word, dialect.quote + word + dialect.quote) if dialect.quoted_nulls and dialect.quote else (word,):
            places = marks(data, text) if word else np.empty(0, np.int64)
            record = np.searchsorted(starts, places, side="right") - 1
            places, record = places[record >= 0], record[record >= 0]
            first, last = starts[record], stops[record]
            begins = (places == first) | (
                (places > first) & is_at(data, places - len(dialect.delimiter), dialect.delimiter)
            )
            behind = places + len(text)
            ends = (behind == last) | ((behind < last) & is_at(data, behind, dialect.delimiter))
            whole = begins & ends
            if len(quotes):
                whole &= (np.searchsorted(quotes, places) - np.searchsorted(quotes, starts)[record]) % 2 == 0
            if foreign is not None and word in dialect.foreign:
                foreign.append((places[whole], len(text)))
            total = total + np.bincount(record[whole], minlength=len(starts)) * len(word)
    return total


def is_at(data: Ints, places: Ints, what: bytes) -> Ints:
    """Whether these bytes stand at each place (false where a place lies outside)."""
    fits = (places >= 0) & (places + len(what) <= len(data))
    safe = np.where(fits, places, 0)
    for i, byte in enumerate(what):
        fits &= data[np.minimum(safe + i, len(data) - 1)] == byte
    return fits


def send(blocks: Iterator[tuple[bytes, bool, Any]], used: int) -> tuple[bytes, bool, Any]:
    try:
        return blocks.send(used)  # type: ignore[attr-defined]  # it is a generator
    except StopIteration:
        return b"", True, None
