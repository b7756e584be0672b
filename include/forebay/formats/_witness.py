"""The second witness: what a vendor's reader made of a file, held against our own reading of its bytes.

The copy of a file's typed rows has a helper column for it (`_staging.Besides.texts`): how many bytes of text each
record's fields have; that of a wide file a second one, a print of that text. The number of records and each record's
bytes must be what the bytes of the file say, in that order: so no row is lost, doubled, or moved among others of
another length, and no text is cut or grown. The contents themselves are compared for every record of a small file, and
for some of a large one: the staged values with those that the texts have which Python's csv module finds at that place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forebay.formats._lines import let_go, taken
from forebay.formats._staging import OCTETS, PRINT, Cell, joined, print_of
from forebay.support.sql import parquet, quoted

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
    other: Callable[[np.ndarray], int | None],
) -> Parted | None:
    """Where the typed file and the bytes part, or None.

    `octets` are the bytes of text of each record by our reading, to which the reader's line adds `spare`; `other` says
    which of some places (in order, each as far from the last) is the first that has another content.
    """
    step = _step(len(octets))
    at, first = 0, None
    for batch in connection.sql(f"SELECT {OCTETS} FROM {parquet(typed)}").to_arrow_reader(1 << 17):
        count = batch.num_rows
        read, expected = batch.column(0).to_numpy() - spare, octets[at : at + count]
        if first is None:
            wrong = np.flatnonzero(read[: len(expected)] != expected)
            first = at + int(wrong[0]) if len(wrong) else None
        at += count
        let_go(octets)
    if first is None and at == len(octets):
        first = _first_other(np.arange(0, len(octets), step), octets, other)
        return None if first is None else Parted(len(octets), at, first)
    return Parted(len(octets), at, min(len(octets), at) if first is None else first)


def _step(count: int) -> int:
    """From one record that is compared to the next."""
    return 1 if count <= WHOLE else min(WHOLE // 2, -(-count // (WHOLE // 2)))


def _first_other(places: np.ndarray, octets: np.ndarray, other: Callable[[np.ndarray], int | None]) -> int | None:
    """As `other`, some MiB of text at a time."""
    part = np.cumsum(taken(octets, places)) // TEXT
    parts = np.split(places, np.flatnonzero(np.diff(part)) + 1) if len(places) else []
    return next((place for chosen in parts if (place := other(chosen)) is not None), None)


Cells = list[str | None]


def other_values(
    connection: duckdb.DuckDBPyConnection,
    typed: Path,
    cells: Sequence[Cell],
    places: np.ndarray,
    readings: Sequence[Sequence[Cells]],
) -> int | None:
    """The first of those places whose staged values are none of those that the texts of its readings have. A text is
    the column `c0`, `c1` … of the cells' sources."""
    import pyarrow as pa

    texts = list(zip(*(cells for some in readings for cells in some), strict=True))
    numbers = np.repeat(places, [len(some) for some in readings])
    held = {"__n": pa.array(numbers)} | {f"c{i}": pa.array(column, pa.string()) for i, column in enumerate(texts)}
    connection.register("witness", pa.table(held))
    step = int(places[1] - places[0]) if len(places) > 1 else 1
    between = f"BETWEEN {places[0]} AND {places[-1]} AND (file_row_number - {places[0]}) % {step} = 0"
    file = parquet(typed, file_row_number="true")
    staged = f"SELECT *, file_row_number AS __n FROM {file} WHERE file_row_number {between}"
    same = [f"s.{quoted(cell.name)} IS NOT DISTINCT FROM w.v{i}" for i, cell in enumerate(cells)]
    judged = f"FROM ({staged}) s LEFT JOIN ({_values(cells, 'witness')}) w ON s.__n = w.__n"
    alike = (
        f"SELECT s.__n AS n, bool_or(w.__n IS NOT NULL AND {joined(' AND ', same)}) AS alike {judged} GROUP BY s.__n"
    )
    [(first, count)] = connection.execute(
        f"SELECT min(n) FILTER (NOT coalesce(alike, false)), count(*) FROM ({alike})"
    ).fetchall()
    connection.unregister("witness")
    return int(first) if first is not None else None if count == len(places) else int(places[0])


def _values(cells: Sequence[Cell], source: str) -> str:
    """The statement that types every cell of `source` and nothing else: `v0`, `v1` … beside the column `__n`."""
    held = [f"{cell.text(cell.source)} AS t{i}" for i, cell in enumerate(cells)]
    typed = [f"{cell.value(f't{i}')} AS v{i}" for i, cell in enumerate(cells)]
    return f"SELECT __n, {', '.join(typed)} FROM (SELECT __n, {', '.join(held)} FROM {source})"


def other_prints(
    connection: duckdb.DuckDBPyConnection, typed: Path, places: np.ndarray, lines: list[list[bytes]]
) -> int | None:
    """The first of those places whose print is of none of its lines."""
    import pyarrow as pa

    step = int(places[1] - places[0]) if len(places) > 1 else 1
    between = f"BETWEEN {places[0]} AND {places[-1]} AND (file_row_number - {places[0]}) % {step} = 0"
    file = parquet(typed, file_row_number="true")
    held = connection.sql(f"SELECT {PRINT} AS p FROM {file} WHERE file_row_number {between} ORDER BY file_row_number")
    prints = held.to_arrow_table()["p"].to_numpy()
    flat = pa.table(
        {
            "n": np.repeat(np.arange(len(lines)), [len(texts) for texts in lines]),
            "line": pa.array([text for texts in lines for text in texts], pa.binary()),
        }
    )
    connection.register("witness", flat)
    own = connection.sql(f"SELECT n, {print_of('decode(line)')} AS print FROM witness").to_arrow_table()
    connection.unregister("witness")
    same = np.zeros(len(places), bool)
    n = own["n"].to_numpy()
    np.logical_or.at(same, n, own["print"].to_numpy() == prints[n])
    wrong = np.flatnonzero(~same)
    return int(places[wrong[0]]) if len(wrong) else None
