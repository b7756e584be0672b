"""A stage becomes records: values, keys, partitions, in chunks."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import confluent_kafka
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.contracts import Encoded, Serializer, Settings, causes
from forebay.encoding import quarantine_rows
from forebay.encoding.encode import ChunkEncoder
from forebay.encoding.rows import StagedRows
from forebay.errors import CorruptFileError, FatalError, ReconcileError
from forebay.model import Cause, ChunkPlan
from tests.encoding.made import Made, everything, numbered, pipeline


def test_golden(tmp_path: Path) -> None:
    days = pa.array([dt.date(2026, 1, 5), None, dt.date(1970, 1, 2)])
    made = Made(tmp_path, numbered(3, day=days), pipeline(record={"timestamp": "day"}), rejects=[2])
    (chunk,) = made.chunks()
    assert chunk.records.values.to_pylist() == [
        b'{"id":0,"name":"n0","day":"2026-01-05"}',
        b'{"id":1,"name":"n1","day":null}',
        b'{"id":2,"name":"n2","day":"1970-01-02"}',
    ]
    assert chunk.records.keys.to_pylist() == [b"0", b"1", b"2"]
    assert chunk.records.partitions.to_pylist() == [confluent_kafka.murmur2(key, 5) for key in (b"0", b"1", b"2")]
    assert chunk.records.rows.to_pylist() == [1, 3, 4]
    assert chunk.records.timestamps is not None
    assert chunk.records.timestamps.to_pylist() == [1767571200000, None, 86400000]
    assert (chunk.quarantine.values.to_pylist(), chunk.quarantine.rows.to_pylist()) == ([b"raw 2"], [2])
    rowhash = hashlib.sha256(b"raw 2").hexdigest().encode()
    assert list(chunk.quarantine.reasons) == [
        (("q_stage", b"parse"), ("q_reason", b"too few columns"), ("q_rowhash", rowhash))
    ]


def test_chunks_cover_every_row_once_and_agree_with_one_chunk(tmp_path: Path) -> None:
    table = numbered(5000)
    whole = Made(tmp_path, table, pipeline(), rejects=[1, 777, 2500, 5003])
    cut = Made(tmp_path, table, pipeline(publish={"chunk": {"rows": 700}}), rejects=[1, 777, 2500, 5003])
    assert cut.plan.chunks == 8
    assert cut.values() == whole.values()
    found = [n for c in cut.chunks() for n in sorted([*c.records.rows.to_pylist(), *c.quarantine.rows.to_pylist()])]
    assert found == list(range(1, 5005))


def test_the_same_bytes_twice_and_from_any_thread(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    made = Made(tmp_path, numbered(3000), pipeline(["name", "id"], publish={"chunk": {"rows": 500}}), rejects=[10])
    first, quarantine = [everything(chunk) for chunk in made.chunks()], made.path.read_bytes()
    again = Made(tmp_path, numbered(3000), pipeline(["name", "id"], publish={"chunk": {"rows": 500}}), rejects=[10])
    assert again.plan == made.plan
    assert again.path.read_bytes() == quarantine
    with again.encoder() as encoder, ThreadPoolExecutor(3) as pool:
        assert [everything(c) for c in pool.map(encoder.encode_chunk, range(made.plan.chunks))] == first


def test_several_key_columns_make_an_object_in_the_order_of_the_key(tmp_path: Path) -> None:
    made = Made(tmp_path, numbered(1), pipeline(["name", "id"]))
    assert made.chunks()[0].records.keys.to_pylist() == [b'{"name":"n0","id":0}']


@pytest.mark.parametrize(
    ("values", "key"),
    [
        (pa.array(['a "b"']), b'a "b"'),
        (pa.array([dt.datetime(2026, 1, 5, 10, 0, 0, 500000)]), b"2026-01-05T10:00:00.5"),
        (pa.array([dt.date(2026, 1, 5)]), b"2026-01-05"),
        (pa.array([True]), b"true"),
        (pa.array([b"\x00\xff"]), b"AP8="),
    ],
)
def test_a_key_of_one_column_is_its_text(tmp_path: Path, values: pa.Array, key: bytes) -> None:
    made = Made(tmp_path, pa.table({"k": values}), pipeline("k"))
    assert made.chunks()[0].records.keys.to_pylist() == [key]


def test_an_empty_file_is_one_empty_chunk(tmp_path: Path) -> None:
    made = Made(tmp_path, numbered(0), pipeline())
    (chunk,) = made.chunks()
    assert (made.count, chunk.first_row, chunk.last_row, chunk.rows_in, len(chunk.records), len(chunk.quarantine)) == (
        0,
        1,
        0,
        0,
        0,
        0,
    )


def test_all_rows_quarantined(tmp_path: Path) -> None:
    made = Made(
        tmp_path, pa.table({"id": pa.array([None] * 2500, pa.int64())}), pipeline(publish={"chunk": {"rows": 1000}})
    )
    assert made.count == 2500
    assert [(len(c.records), len(c.quarantine)) for c in made.chunks()] == [(0, 1000), (0, 1000), (0, 500)]


def test_only_rejects(tmp_path: Path) -> None:
    made = Made(tmp_path, numbered(0), pipeline(), rejects=[1, 2])
    assert made.count == 2
    assert [chunk.quarantine.rows.to_pylist() for chunk in made.chunks()] == [[1, 2]]


def test_windows_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = numbered(900, f=[math.nan if n % 3 else 1.0 for n in range(900)])
    whole = Made(tmp_path, table, pipeline(), rejects=[5, 6, 600]).lines
    monkeypatch.setattr(quarantine_rows, "WINDOW_BYTES", 2000)
    monkeypatch.setattr(quarantine_rows, "WINDOW_ROWS", 100)
    assert Made(tmp_path, table, pipeline(), rejects=[5, 6, 600]).lines == whole
    assert len(whole) == 603
    assert not [p for p in (tmp_path / "work").iterdir() if p.name != "quarantine.parquet"]


class TestFaults:
    """What does not fit together is never published."""

    def test_a_missing_row_is_an_error(self, tmp_path: Path) -> None:
        made = Made(tmp_path, numbered(10), pipeline(), rejects=[3])
        plan = ChunkPlan(12, 100, made.plan.plan_hash)
        with (
            ChunkEncoder(made.stage, None, made.config, plan, made.path) as encoder,
            pytest.raises(ReconcileError, match="12 rows came in"),
        ):
            encoder.encode_chunk(0)

    def test_a_row_that_cannot_be_encoded_is_never_a_tombstone(self, tmp_path: Path) -> None:
        made = Made(tmp_path, numbered(2, f=[math.nan, 1.0]), pipeline())
        pq.write_table(quarantine_rows.schema().empty_table(), made.path)
        with pytest.raises(FatalError, match="1 row without a value"):
            made.chunks()

    def test_a_null_key_is_never_published(self, tmp_path: Path) -> None:
        made = Made(tmp_path, pa.table({"id": [None, 1]}), pipeline())
        pq.write_table(quarantine_rows.schema().empty_table(), made.path)
        with pytest.raises(FatalError, match="1 row without a key"):
            made.chunks()

    def test_a_key_column_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(CorruptFileError, match=r"no column `nope`.*`id`, `name`"):
            Made(tmp_path, numbered(1), pipeline("nope"))

    def test_a_timestamp_must_be_one(self, tmp_path: Path) -> None:
        with pytest.raises(CorruptFileError, match="date or timestamp"):
            Made(tmp_path, numbered(1), pipeline(record={"timestamp": "name"}))


class Upper(Serializer[Settings]):
    """A serializer without expressions: the name in capitals; names with a digit 3 are refused."""

    Config = Settings
    content_type = "text/plain"

    def encode(self, rows: pa.Table) -> Encoded:
        names = rows["name"].to_pylist()
        values = [None if "3" in name else name.upper().encode() for name in names]
        why = [Cause(detail="there is a 3").to_json()]
        refused = [why if value is None else None for value in values]
        return Encoded(pa.array(values, pa.binary()), pa.array(refused, causes.arrow()))


def test_a_serializer_without_expressions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StagedRows, "serializer", property(lambda rows: Upper(Settings(), rows.stage.columns)))
    made = Made(tmp_path, numbered(21), pipeline(), rejects=[4], max_message_bytes=4, header_bytes=0)
    assert [(line["__row"], line["step"]) for line in made.lines] == [
        (4, "parse"),
        (5, "encode"),
        *((n, "size") for n in range(12, 15)),
        (15, "encode"),
        *((n, "size") for n in range(16, 23)),
    ]
    assert made.values() == [b"N0", b"N1", b"N2", *(b"N%d" % n for n in range(4, 10))]


NAMES = st.text(max_size=12).filter(lambda text: "\x00" not in text)
ROWS = st.lists(st.tuples(st.none() | st.integers(-5, 5), st.none() | NAMES, st.none() | st.floats()), max_size=25)


@settings(deadline=None, max_examples=25)
@given(ROWS, st.sets(st.integers(1, 30), max_size=5), st.integers(1, 9))
def test_every_row_is_a_record_or_quarantined(
    rows: list[tuple[Any, Any, Any]], rejects: set[int], per_chunk: int
) -> None:
    rejects = {n for n in rejects if n <= len(rows)}
    columns = [
        pa.array([row[n] for row in rows], kind) for n, kind in enumerate([pa.int64(), pa.string(), pa.float64()])
    ]
    with tempfile.TemporaryDirectory() as folder:
        made = Made(
            Path(folder),
            pa.table(columns, ["id", "name", "f"]),
            pipeline(publish={"chunk": {"rows": per_chunk}}),
            rejects=sorted(rejects),
        )
        chunks = made.chunks()
        lines = {line["__row"]: line for line in made.lines}
    numbers = [n for n in range(1, made.stage.rows_in + 1) if n not in rejects]
    fit = {
        n: row
        for n, row in zip(numbers, rows, strict=True)
        if row[0] is not None and (row[2] is None or math.isfinite(row[2]))
    }
    records = [
        pair
        for chunk in chunks
        for pair in zip(chunk.records.rows.to_pylist(), chunk.records.values.to_pylist(), strict=True)
    ]
    assert {n: json.loads(value) for n, value in records} == {
        n: dict(zip(("id", "name", "f"), row, strict=True)) for n, row in fit.items()
    }
    assert sorted(lines) == [n for chunk in chunks for n in chunk.quarantine.rows.to_pylist()]
    assert set(lines) == set(range(1, made.stage.rows_in + 1)) - set(fit)
    assert made.count == len(lines)


def test_a_column_with_a_null_in_its_last_row_only_is_written_with_it(tmp_path: Path) -> None:
    """Which columns hold no nulls is read in the footer, row group by row group: `make_stage` writes a thousand rows
    into each."""
    table = numbered(2_500, late=pa.array([1] * 2_499 + [None], pa.int64()))
    made = Made(tmp_path, table, pipeline())
    assert [StagedRows(made.stage, made.config.record).schema.field(n).nullable for n in ("id", "late", "__row")] == [
        False,
        True,
        False,
    ]
    values = [json.loads(value.as_py()) for chunk in made.chunks() for value in chunk.records.values]
    assert [value["late"] for value in values] == table["late"].to_pylist()
