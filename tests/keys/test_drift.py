"""Each value of `schema.on_drift`, in each format, of declared columns and of pinned ones, does what the reference
says."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.keys import looks
from tests.keys.trial import GONE, Trial

COLUMNS = {"id": "int64", "n": "int64"}
ROWS: dict[str, list[dict[str, Any]]] = {
    "added": [{"id": 1, "n": 5, "new": "x"}, {"id": 2, "n": 6, "new": "y"}],
    "missing": [{"id": 1}, {"id": 2}],
    "retyped": [{"id": 1, "n": "five"}, {"id": 2, "n": "six"}],
}
WORDS = {
    "added": "new columns, left out: `new`",
    "missing": "columns missing, null in every row: `n`",
    "retyped": "columns of another type: `n` is string, not int64",
}


def csv(rows: list[dict[str, Any]]) -> bytes:
    return "".join(
        ",".join(map(str, line)) + "\n" for line in [list(rows[0]), *(row.values() for row in rows)]
    ).encode()


def json_lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    pq.write_table(pa.Table.from_pylist(rows), made := BytesIO())
    return made.getvalue()


@pytest.mark.parametrize("write", [csv, json_lines, parquet])
@pytest.mark.parametrize("pinned", [False, True])
@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("policy", ["warn", "block"])
def test_drift_is_said_and_held_back_as_the_policy_says(
    write: Callable[..., bytes], pinned: bool, kind: str, policy: str, tmp_path: Path
) -> None:
    schema = {"on_drift": {kind: policy}} | ({} if pinned else {"columns": COLUMNS})
    settings = {"format": {"type": write.__name__}, "schema": schema, "quality.block_when.quarantined_over": "100%"}
    trial = Trial(tmp_path, settings, {"a.csv": write(ROWS[kind])}, pins=COLUMNS if pinned else None)
    found = looks.status(trial)
    if policy == "warn":
        assert found == "inspected publish", trial.told
        assert WORDS[kind] in trial.told
        assert (
            trial.staged()
            == {
                "added": [{"id": 1, "n": 5}, {"id": 2, "n": 6}],
                "missing": [{"id": 1, "n": None}, {"id": 2, "n": None}],
                "retyped": [],
            }[kind]
        )
    else:
        assert found == ("failed" if kind == "missing" else "waiting ask")
        assert "`n`" in trial.told if kind == "missing" else f"the schema drifted: {WORDS[kind]}" in trial.told


@pytest.mark.parametrize("value", ["ignore", "stop", True])
def test_another_value_is_refused_with_those_that_are(value: Any, tmp_path: Path) -> None:
    for n, kind in enumerate(ROWS):
        told = Trial(tmp_path / str(n), {f"schema.on_drift.{kind}": value}, {}).faults
        assert f"schema.on_drift.{kind}" in told and "warn, block" in told


def test_a_row_that_cannot_be_read_is_not_told_as_one_of_another_type(tmp_path: Path) -> None:
    lines = b"".join(b"%d,x\n" % n for n in range(3_000))
    settings = {"schema": GONE, "quality": GONE, "format": {"type": "csv"}}
    trial = Trial(
        tmp_path, settings, {"a.csv": b"id,n\n" + lines + b'7,"x"y\nseven,x\n'}, pins={"id": "int64", "n": "string"}
    )
    assert trial.stage().rows_rejected == 2
    assert "column `id`: 1 values are not int64" in trial.told
    assert "are not string" not in trial.told
