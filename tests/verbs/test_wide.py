"""Files of many columns: the same records as with few, in time and memory that grow with the columns."""

from __future__ import annotations

import io
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forebay.encoding import rows as staged_rows
from forebay.encoding.encode import ChunkEncoder, compose_quarantine, plan_chunks
from forebay.formats.parquet import Parquet
from forebay.model import Column, Decision, Stage
from forebay.serializers import json as json_serializer
from forebay.serializers.json import Json, JsonConfig
from forebay.testing.formats import staged
from tests.encoding.made import pipeline

AWKWARD = {
    "id": [1, 2, None, 4, 5],
    'te"xt': ['a"\n', None, "é", "", "x"],
    "float": [0.1, float("nan"), 1e300, None, float("inf")],
    "other": [1.0, float("-inf"), 2.0, 3.0, None],
    "day": [date(2026, 1, 5), None, date(1, 1, 1), date(9999, 12, 31), date(2026, 1, 6)],
    "at": [datetime(2026, 1, 5, 10, 0, 0, 5), None, datetime(1969, 1, 1), None, datetime(2026, 1, 1)],
    "price": [Decimal("1.10"), None, Decimal("-0.05"), Decimal(0), Decimal("9.99")],
    "flag": [True, None, False, True, None],
    "octets": [b"\xff", None, b"", b"abc", b"x"],
}


def stage_of(columns: dict[str, Any], folder: Path) -> Stage:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return staged(Parquet(Parquet.Config()), sink.getvalue(), None, folder)


def published(stage: Stage, folder: Path, key: str) -> tuple[list[Any], list[Any]]:
    """Records and quarantined rows of all chunks."""
    settings, aside = pipeline(key, publish={"chunk": {"rows": 2}}), folder / "quarantine.parquet"
    compose_quarantine(stage, None, settings, Decision.PUBLISH, aside)
    plan = plan_chunks(stage, None, settings, Decision.PUBLISH, aside)
    with ChunkEncoder(stage, None, settings, plan, aside) as encoder:
        chunks = [encoder.encode_chunk(n) for n in range(plan.chunks)]
    records = [
        (*record,)
        for c in chunks
        for record in zip(
            c.records.rows.to_pylist(), c.records.keys.to_pylist(), c.records.values.to_pylist(), strict=True
        )
    ]
    return records, pq.read_table(aside).to_pylist()


@pytest.mark.parametrize("nan", ["quarantine", "null", "string"])
def test_a_wide_table_is_encoded_as_a_narrow_one(monkeypatch: pytest.MonkeyPatch, nan: str) -> None:
    table = pa.table(AWKWARD)
    serializer = Json(
        JsonConfig.model_validate({"nan": nan}), tuple(Column(name, "string") for name in table.column_names)
    )
    narrow = serializer.encode(table)
    monkeypatch.setattr(json_serializer, "TOGETHER", 2)
    wide = serializer.encode(table)
    assert (wide.values.to_pylist(), wide.causes.to_pylist()) == (
        narrow.values.to_pylist(),
        narrow.causes.to_pylist(),
    )
    assert serializer.encode(table.slice(0, 0)).values.to_pylist() == []


def test_a_wide_stage_is_published_as_a_narrow_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = stage_of(AWKWARD, tmp_path)
    narrow = published(stage, tmp_path, "id")
    monkeypatch.setattr(json_serializer, "TOGETHER", 2)
    monkeypatch.setattr(staged_rows, "WIDE", 3)
    assert published(stage, tmp_path, "id") == narrow
    assert len(narrow[0]) == 2 and len(narrow[1]) == 3


def columns_of(count: int) -> dict[str, Any]:
    return {f"c{n}": [n, n + 1] if n % 2 else [f"text {n}", None] for n in range(count)}


def test_twelve_hundred_columns_of_parquet_are_published(tmp_path: Path) -> None:
    records, aside = published(stage_of(columns_of(1_200), tmp_path), tmp_path, "c1")
    assert aside == [] and [json.loads(value) for _, _, value in records] == pa.table(columns_of(1_200)).to_pylist()


@pytest.mark.long
def test_ten_thousand_columns_of_parquet_are_published_within_a_gigabyte(tmp_path: Path) -> None:
    import resource

    records, aside = published(stage_of(columns_of(10_000), tmp_path), tmp_path, "c1")
    assert aside == [] and len(json.loads(records[1][2])) == 10_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 1 << 20
