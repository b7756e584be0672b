"""The second witness: what a vendor's reader made of a file, held against our own reading of its bytes.

The copy of a file's typed rows has two helper columns for it (`_staging.Besides.line`): how many bytes of text each
record's fields have, and a print of that text. The number of records and each record's bytes must be what the bytes of
the file say, in that order: so no row is lost, doubled, or moved among others of another length, and no text is cut or
grown. The texts themselves are compared for every record of a small file, and for some of a large one, with those that
Python's csv module finds at that place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forebay.formats._lines import let_go, taken
from forebay.formats._staging import OCTETS, PRINT, print_of
from forebay.support.sql import parquet

if TYPE_CHECKING:
    import duckdb

WHOLE = 2_048
"""Files of up to so many records are compared in full, of larger ones one record in each stretch of half as many, but a
thousand at least: so any stretch of that many records that stands elsewhere is found, whatever their lengths."""


TEXT = 8 << 20
"""Bytes of text that are compared at a time."""


@dataclass(frozen=True, slots=True)
class Parted:
    """Two readings differ: how many records each has, and the first one (0-based) that is another."""

    expected: int
    read: int
    place: int


def parted(
    connection: duckdb.DuckDBPyConnection,
    typed: Path,
    octets: np.ndarray,
    spare: int,
    lines: Callable[[np.ndarray], list[list[bytes]]],
) -> Parted | None:
    """Where the typed file and the bytes part, or None.

    `octets` are the bytes of text of each record by our reading, to which the reader's line adds `spare`; `lines` gives
    for some places the texts that a record may rightly have.
    """
    places = _sample(len(octets))
    prints = np.zeros(len(places), np.uint32)
    at, first = 0, None
    for batch in connection.sql(f"SELECT {OCTETS}, {PRINT} FROM {parquet(typed)}").to_arrow_reader(1 << 17):
        count = batch.num_rows
        found, expected = batch.column(0).to_numpy() - spare, octets[at : at + count]
        if first is None:
            wrong = np.flatnonzero(found[: len(expected)] != expected)
            first = at + int(wrong[0]) if len(wrong) else None
        low, high = np.searchsorted(places, [at, at + count])
        prints[low:high] = batch.column(1).to_numpy()[places[low:high] - at]
        at += count
        let_go(octets)
    if first is None and at == len(octets):
        first = _first_other_text(connection, places, prints, octets, lines)
        return None if first is None else Parted(len(octets), at, first)
    return Parted(len(octets), at, min(len(octets), at) if first is None else first)


def _sample(count: int) -> np.ndarray:
    if count <= WHOLE:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, max(WHOLE // 2, 1 + 2 * count // WHOLE)).astype(np.int64))


def _first_other_text(
    connection: duckdb.DuckDBPyConnection,
    places: np.ndarray,
    prints: np.ndarray,
    octets: np.ndarray,
    lines: Callable[[np.ndarray], list[list[bytes]]],
) -> int | None:
    """As `_other_text`, some MiB of text at a time."""
    part = np.cumsum(taken(octets, places)) // TEXT
    for chosen in np.split(np.arange(len(places)), np.flatnonzero(np.diff(part)) + 1):
        if (found := _other_text(connection, places[chosen], prints[chosen], lines(places[chosen]))) is not None:
            return found
    return None


def _other_text(
    connection: duckdb.DuckDBPyConnection, places: np.ndarray, prints: np.ndarray, lines: list[list[bytes]]
) -> int | None:
    """The first place whose print is of none of its texts."""
    import pyarrow as pa

    if not len(places):
        return None
    flat = pa.table(
        {
            "n": np.repeat(np.arange(len(lines)), [len(texts) for texts in lines]),
            "line": pa.array([t for texts in lines for t in texts], pa.binary()),
        }
    )
    connection.register("witness", flat)
    found = connection.sql(f"SELECT n, {print_of('decode(line)')} AS print FROM witness").to_arrow_table()
    connection.unregister("witness")
    same = np.zeros(len(places), bool)
    n = found["n"].to_numpy()
    np.logical_or.at(same, n, found["print"].to_numpy() == prints[n])
    wrong = np.flatnonzero(~same)
    return int(places[wrong[0]]) if len(wrong) else None
