"""JSON objects of many keys: a list of keys and a list of tokens for each line, where `cells` has an expression for
each key.

DuckDB extracts them as they stand in the line, in one go. They count if the line is strictly JSON, its keys are
distinct and no digits are at stake (a number with a point or an exponent went through a double); any other line is read
by `text`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from forebay.formats._json import cells as json_cells
from forebay.formats._staging import RAW, REST
from forebay.formats._wide import Batch

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Read = Callable[[str], list[str | None]]
"""The exact reader of one line: its fault (or null), its keys as JSON if some are unknown, and a token for each
column."""
SIDES = (RAW, REST, *json_cells.BESIDES.kept)
_CELLS = 1 << 20


def batches(
    connection: duckdb.DuckDBPyConnection, lines: str, names: Sequence[str], texts: bool, read: Read
) -> Iterator[Batch]:
    """The lines of the table `lines`, with the tokens of those keys; `texts` as in `json_cells.source`."""
    import pyarrow as pa

    keys, most = pa.array(names, pa.string()), max(1, _CELLS // len(names))
    for batch in connection.sql(json_cells.listed(lines, texts)).to_arrow_reader(most):
        for start in range(0, len(batch), most):
            yield _batch(batch.slice(start, most), keys, read)


def _batch(listed: pa.RecordBatch, names: pa.Array, read: Read) -> Batch:
    """`found` has `line`, `row`, `octets`, and the lists `keys` and `tokens`, null where the line must be read
    exactly."""
    import pyarrow as pa

    rows, width = len(listed), len(names)
    exact = np.flatnonzero(listed["keys"].is_null())
    answers = [read(line) for line in listed["line"].take(pa.array(exact)).to_pylist()]
    places, strange = _places(listed["keys"], names)
    tokens = listed["tokens"].flatten()
    more = pa.array([token for answer in answers for token in answer[2:]], pa.string())
    for n, row in enumerate(exact.tolist()):
        places[:, row] = len(tokens) + n * width + np.arange(width)
    long = pa.concat_arrays([tokens, more]).take(pa.array(places.reshape(-1), mask=places.reshape(-1) < 0))
    rest = (
        dict.fromkeys(range(rows))
        | strange
        | {row: answer[1] for row, answer in zip(exact.tolist(), answers, strict=True)}
    )
    wrong = dict.fromkeys(range(rows)) | {row: answer[0] for row, answer in zip(exact.tolist(), answers, strict=True)}
    kept = {name: listed[column] for name, column in json_cells.BESIDES.kept.items()}
    sides = {RAW: listed["line"], REST: pa.array(list(rest.values()), pa.string()), **kept}
    return Batch(
        [long.slice(n * rows, rows) for n in range(width)], rows, sides, pa.array(list(wrong.values()), pa.string())
    )


def _places(keys: pa.ListArray, names: pa.Array) -> tuple[np.ndarray, dict[int, str]]:
    """Where each column (first axis) of each line (second) has its token among all of them, -1: nowhere; and the keys,
    as JSON, of lines that have others."""
    import pyarrow.compute as pc

    rows = np.repeat(np.arange(len(keys)), pc.fill_null(pc.list_value_length(keys), 0).to_numpy(zero_copy_only=False))
    column = pc.fill_null(pc.index_in(keys.flatten(), names), -1).to_numpy(zero_copy_only=False)
    places = np.full((len(names), len(keys)), -1, np.int64)
    known = column >= 0
    places[column[known], rows[known]] = np.flatnonzero(known)
    return places, {row: json.dumps(keys[row].as_py()) for row in np.unique(rows[~known]).tolist()}


def counts(connection: duckdb.DuckDBPyConnection, lines: str, asked: Sequence[str]) -> dict[str, Sequence[int]]:
    """The answers to some SQL about the tokens `t` of each key, over all lines that are objects."""
    listed = f"SELECT unnest(keys) AS key, unnest(tokens) AS t FROM {json_cells.members(lines)}"
    rows = connection.execute(f"SELECT key, {', '.join(asked)} FROM ({listed}) GROUP BY key").fetchall()
    return {key: row for key, *row in rows}
