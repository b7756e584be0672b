from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import confluent_kafka
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.config.pipeline import Pipeline
from forebay.contracts import Encoded, Serializer, Settings, causes
from forebay.encoding import encode, quarantine_rows, work
from forebay.encoding.encode import ChunkEncoder, compose_quarantine, plan_chunks
from forebay.encoding.rows import Limits, StagedRows
from forebay.encoding.work import Work
from forebay.errors import CorruptFileError, FatalError, ReconcileError
from forebay.kafka.publish.records import EncodedChunk
from forebay.model import Cause, ChunkPlan, Column, Decision, RuleResult, Severity, Stage, Verdict
from forebay.support import versions

FP = "0123456789abcdef" * 4
REJECTS = pa.schema(
    {
        "__row": pa.int64(),
        "step": pa.string(),
        "columns": pa.list_(pa.string()),
        "causes": causes.arrow(),
        "raw": pa.binary(),
    }
)


def pipeline(key: str | Sequence[str] = "id", **changes: Any) -> Pipeline:
    record = {"key": key, **changes.pop("record", {})}
    base = {
        "pipeline": "p",
        "owner": "o",
        "source": {"type": "local", "path": "x"},
        "format": {"type": "csv"},
        "topic": {"name": "t", "partitions": 5},
    }
    return Pipeline.model_validate({**base, "record": record, **changes})


RAW = b""
"""What rows that could not be read hold; nothing: their number."""


def make_stage(folder: Path, table: pa.Table, rejects: Sequence[int] = ()) -> Stage:
    """A stage of `table`; the physical rows in `rejects` could not be read, the table's rows are the others."""
    rows_in = len(table) + len(rejects)
    numbers = [n for n in range(1, rows_in + 1) if n not in set(rejects)]
    columns = tuple(Column(field.name, str(field.type)) for field in table.schema)
    pq.write_table(
        table.append_column("__row", pa.array(numbers, pa.int64())), folder / "rows.parquet", row_group_size=1000
    )
    lines = [
        {
            "__row": n,
            "step": "parse",
            "columns": ["id"],
            "causes": [Cause(detail="too few columns").to_json()],
            "raw": RAW or b"raw %d" % n,
        }
        for n in rejects
    ]
    pq.write_table(pa.Table.from_pylist(lines, REJECTS), folder / "rejects.parquet")
    return Stage(FP, folder / "rows.parquet", folder / "rejects.parquet", columns, rows_in, len(rejects), 1)


def make_verdict(folder: Path, failing: dict[int, list[int]], *rules: tuple[str, Severity]) -> Verdict:
    """A verdict in which row `n` fails the rules (positions) `failing[n]`; a rule is a column and a severity."""
    path = folder / "failing.parquet"
    rows = pa.table(
        {"__row": pa.array(failing, pa.int64()), "rules": pa.array(list(failing.values()), pa.list_(pa.int32()))}
    )
    pq.write_table(rows, path)
    results = [
        RuleResult("expect_column_values_to_not_be_null", (column,), severity, "row", False, expected='{"mostly": 1}')
        for column, severity in rules
    ]
    return Verdict(FP, "suite", "5f" * 32, tuple(results), path)


def numbered(rows: int, **more: Any) -> pa.Table:
    return pa.table(
        {"id": pa.array(range(rows), pa.int64()), "name": pa.array([f"n{n}" for n in range(rows)], pa.string()), **more}
    )


class Made:
    """A stage taken all the way: quarantine, plan, chunks."""

    def __init__(self, folder: Path, table: pa.Table, config: Pipeline, **options: Any) -> None:
        self.stage = make_stage(folder, table, options.pop("rejects", ()))
        self.verdict: Verdict | None = options.pop("verdict", None)
        self.decision: Decision = options.pop("decision", Decision.PUBLISH)
        self.config, self.path = config, folder / "work" / "quarantine.parquet"
        self.count = compose_quarantine(self.stage, self.verdict, config, self.decision, self.path, **options)
        self.plan = plan_chunks(self.stage, self.verdict, config, self.decision, self.path)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return pq.read_table(self.path).to_pylist()

    def encoder(self, **options: Any) -> ChunkEncoder:
        return ChunkEncoder(self.stage, self.verdict, self.config, self.plan, self.path, **options)

    def chunks(self) -> list[EncodedChunk]:
        with self.encoder() as encoder:
            return [encoder.encode_chunk(n) for n in range(self.plan.chunks)]

    def values(self) -> list[bytes]:
        return [value for chunk in self.chunks() for value in chunk.records.values.to_pylist()]


def everything(chunk: EncodedChunk) -> tuple[Any, ...]:
    """All that a chunk says, as plain Python."""
    records, quarantine = chunk.records, chunk.quarantine
    times = records.timestamps.to_pylist() if records.timestamps is not None else None
    columns = [records.values, records.keys, records.partitions, records.rows, quarantine.values, quarantine.rows]
    return (
        chunk.first_row,
        chunk.last_row,
        chunk.rows_in,
        *(c.to_pylist() for c in columns),
        times,
        list(quarantine.reasons),
    )


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


MOMENTS = [-1, 0, 1, 1767571200000, 1767571200001, 253402300799999, None]


@pytest.mark.parametrize("zone", [None, "UTC"])
@pytest.mark.parametrize(("latest", "late"), [(None, set()), (1767571200000, {5, 6})])
def test_times_that_no_record_can_have_are_set_aside(
    tmp_path: Path, zone: str | None, latest: int | None, late: set[int]
) -> None:
    scaled = [None if n is None else n * 1000 for n in MOMENTS]
    table = pa.table({"id": range(len(MOMENTS)), "at": pa.array(scaled, pa.timestamp("us", zone))})
    made = Made(tmp_path, table, pipeline(record={"timestamp": "at"}), latest=latest)
    aside = {1, 2} | late
    assert [(line["__row"], line["step"], line["columns"]) for line in made.lines] == [
        (row, "encode", ["at"]) for row in sorted(aside)
    ]
    (chunk,) = made.chunks()
    assert chunk.records.timestamps is not None
    assert chunk.records.timestamps.to_pylist() == [n for row, n in enumerate(MOMENTS, 1) if row not in aside]


def test_null_key_parts_are_set_aside(tmp_path: Path) -> None:
    table = pa.table({"a": [None, "x", None], "b": [None, 1, 2]})
    made = Made(tmp_path, table, pipeline(["a", "b"]))
    assert [(line["__row"], line["step"], line["columns"], line["reason"], line["raw"]) for line in made.lines] == [
        (1, "key", ["a", "b"], "making the key: null in a, b", b'{"a":null,"b":null}'),
        (3, "key", ["a"], "making the key: null in a", b'{"a":null,"b":2}'),
    ]
    assert made.values() == [b'{"a":"x","b":1}']


def test_rows_that_cannot_be_encoded_are_set_aside(tmp_path: Path) -> None:
    made = Made(tmp_path, numbered(4, f=[1.0, math.nan, None, math.inf]), pipeline())
    assert [(line["__row"], line["step"]) for line in made.lines] == [(2, "encode"), (4, "encode")]
    assert "column `f`: `nan` " in made.lines[0]["reason"]
    assert made.lines[1]["raw"] == b'{"id":3,"name":"n3","f":"Infinity"}'
    assert made.values() == [b'{"id":0,"name":"n0","f":1.0}', b'{"id":2,"name":"n2","f":null}']


@pytest.mark.parametrize("extra", [0, 1])
def test_a_row_is_too_large_from_one_byte_over(tmp_path: Path, extra: int) -> None:
    limit, headers = 2000, 100
    other = len(b'{"id":0,"t":""}') + len(b"0") + headers
    table = pa.table({"id": [0, 1], "t": ["x" * (limit - other + extra), "ü"]})
    made = Made(tmp_path, table, pipeline(), max_message_bytes=limit, header_bytes=headers)
    assert [(line["__row"], line["step"]) for line in made.lines] == [(1, "size")] * extra
    assert len(made.values()) == 2 - extra
    with made.encoder(room=50) as encoder:
        quarantine = encoder.encode_chunk(0).quarantine
    assert [len(value) for value in quarantine.values.to_pylist()] == [50] * extra


def test_escapes_count_as_they_are_written(tmp_path: Path) -> None:
    table = pa.table({"id": [0], "t": ["\x00" * 100]})
    assert Made(tmp_path, table, pipeline(), max_message_bytes=616, header_bytes=0).count == 0
    assert Made(tmp_path, table, pipeline(), max_message_bytes=615, header_bytes=0).count == 1


RULES = (("id", Severity.CRITICAL), ("name", Severity.WARNING), ("name", Severity.CRITICAL))
FAILING = {1: [1], 2: [0, 2], 4: [0, 1]}
FIRST = "expect_column_values_to_not_be_null(id)"
SECOND = "expect_column_values_to_not_be_null(name)"


@pytest.mark.parametrize(
    ("least", "rows"),
    [
        ("critical", {2: [FIRST, SECOND], 4: [FIRST]}),
        ("warning", {1: [SECOND], 2: [FIRST, SECOND], 4: [FIRST, SECOND]}),
        ("never", {}),
    ],
)
def test_rows_failing_a_rule_of_the_severity_are_set_aside(
    tmp_path: Path, least: str, rows: dict[int, list[str]]
) -> None:
    verdict = make_verdict(tmp_path, FAILING, *RULES)
    made = Made(tmp_path, numbered(5), pipeline(quality={"quarantine": least}), verdict=verdict)
    assert {line["__row"]: line["rule"] for line in made.lines} == {
        row: "; ".join(rules) for row, rules in rows.items()
    }
    assert {line["__row"]: line["reason"] for line in made.lines} == {
        row: "; ".join(f'{rule} {{"mostly": 1}}' for rule in rules) for row, rules in rows.items()
    }
    assert all(line["step"] == "expectation" for line in made.lines)


def test_publish_all_sets_nothing_aside_for_quality(tmp_path: Path) -> None:
    verdict = make_verdict(tmp_path, FAILING, *RULES)
    made = Made(tmp_path, numbered(4), pipeline(), verdict=verdict, decision=Decision.PUBLISH_ALL, rejects=[3])
    assert [(line["__row"], line["step"]) for line in made.lines] == [(3, "parse")]


def test_causes_of_one_rank_have_an_order(tmp_path: Path) -> None:
    """A time and a value that are refused are both of the step `encode`; without a second key, threads decide."""
    rows = 20_000
    late = pa.array([dt.datetime(1960, 1, 1)] * rows, pa.timestamp("us"))
    config = pipeline(record={"timestamp": "at"})
    lists = []
    for name, threads in (("a", 4), ("b", 1)):
        (tmp_path / name).mkdir()
        table = numbered(rows, at=late, f=[math.nan] * rows)
        lists.append(Made(tmp_path / name, table, config, limits=Limits(threads=threads)))
    first, second = (made.path.read_bytes() for made in lists)
    assert first == second
    assert {tuple(cause["detail"].split(" ")[0] for cause in line["causes"]) for line in lists[0].lines} == {
        ("making", "has")
    }


def test_a_row_with_several_faults_has_one_line_with_every_reason(tmp_path: Path) -> None:
    table = pa.table({"id": [None, 7], "f": [math.nan, 1.0]})
    verdict = make_verdict(tmp_path, {2: [0]}, ("id", Severity.CRITICAL))
    made = Made(tmp_path, table, pipeline(), verdict=verdict, rejects=[1])
    assert [(line["__row"], line["step"], line["columns"]) for line in made.lines] == [
        (1, "parse", ["id"]),
        (2, "expectation", ["f", "id"]),
    ]
    told = made.lines[1]["reason"]
    assert told.index(FIRST) < told.index("making the key") < told.index("`nan` has no JSON number")
    headers = dict(made.chunks()[0].quarantine.reasons[1])
    assert (headers["q_stage"], headers["q_rule"], headers["q_suite"]) == (
        b"expectation",
        FIRST.encode(),
        b"suite@5f5f5f5f5f5f",
    )


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


class TestPlan:
    """Chunk sizes, and what the plan's hash depends on."""

    def test_bytes_bound_a_chunk(self, tmp_path: Path) -> None:
        table = numbered(2000, text=["x" * 970] * 2000)
        made = Made(tmp_path, table, pipeline(publish={"chunk": {"bytes": "100kB"}}))
        assert 90 <= made.plan.rows_per_chunk <= 100
        assert all(sum(map(len, c.records.values.to_pylist())) <= 102_000 for c in made.chunks())

    def test_a_file_that_grows_wide_has_chunks_that_fit(self, tmp_path: Path) -> None:
        table = numbered(14_000, text=["x"] * 12_000 + ["y" * 1000] * 2000)
        made = Made(tmp_path, table, pipeline(publish={"chunk": {"bytes": "500kB"}}))
        assert all(c.records.values.nbytes <= 520_000 for c in made.chunks())

    def test_rows_set_aside_have_chunks_that_fit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing but broken rows, each much longer than its place in a chunk of good ones."""
        monkeypatch.setattr("tests.encoding.test_encode.RAW", b"x" * 1000)
        made = Made(tmp_path, numbered(0), pipeline(publish={"chunk": {"bytes": "100kB"}}), rejects=range(1, 2001))
        assert made.plan.chunks >= 20 and sum(len(chunk.quarantine) for chunk in made.chunks()) == 2000

    def test_at_least_one_row(self, tmp_path: Path) -> None:
        made = Made(tmp_path, numbered(3), pipeline(publish={"chunk": {"bytes": "1B"}}))
        assert (made.plan.rows_per_chunk, made.plan.chunks) == (1, 3)

    changes: ClassVar[list[dict[str, Any]]] = [
        {"key": "name"},
        {"key": ["id", "name"]},
        {"topic": {"name": "t", "partitions": 6}},
        {"topic": {"name": "u", "partitions": 5}},
        {"record": {"headers": "none"}},
        {"format": {"type": "csv", "options": {"delimiter": ";"}}},
        {"record": {"value": {"type": "json", "options": {"nan": "null"}}}},
        {"publish": {"chunk": {"rows": 7}}},
        {"quality": {"quarantine": "warning"}},
    ]

    @pytest.mark.parametrize("change", changes)
    def test_the_hash_names_each_parameter(self, tmp_path: Path, change: dict[str, Any]) -> None:
        base = Made(tmp_path, numbered(20), pipeline()).plan.plan_hash
        assert Made(tmp_path, numbered(20), pipeline(**change)).plan.plan_hash != base

    @pytest.mark.parametrize(
        "change",
        [
            {"owner": "other"},
            {"topic": {"name": "t", "partitions": 5, "manage": "create"}},
            {"publish": {"lanes": 9}},
            {"format": {"type": "csv", "options": {"delimiter": ","}}},  # the default, written down
        ],
    )
    def test_the_hash_leaves_out_what_decides_no_record(self, tmp_path: Path, change: dict[str, Any]) -> None:
        base = Made(tmp_path, numbered(20), pipeline()).plan.plan_hash
        assert Made(tmp_path, numbered(20), pipeline(**change)).plan.plan_hash == base

    @pytest.mark.parametrize("name", ["duckdb", "pyarrow", "numpy", "python"])
    def test_the_hash_and_the_work_folder_name_the_libraries(
        self, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def made() -> tuple[str, Path]:
            return Made(tmp_path, numbered(20), pipeline()).plan.plan_hash, Work(tmp_path, {}).base

        def other(*names: str) -> dict[str, str]:
            return versions.libraries(*names) | {name: "0.0.1"}

        before = made()
        monkeypatch.setattr(encode, "libraries", other)
        monkeypatch.setattr(work, "libraries", other)
        after = made()
        assert (before[0] != after[0], before[1] != after[1]) == (True, True)

    def test_the_hash_names_suite_decision_and_quarantined_rows(self, tmp_path: Path) -> None:
        verdict = make_verdict(tmp_path, {}, ("id", Severity.CRITICAL))
        found = {
            Made(tmp_path, numbered(20), pipeline()).plan.plan_hash,
            Made(tmp_path, numbered(20), pipeline(), verdict=verdict).plan.plan_hash,
            Made(tmp_path, numbered(20), pipeline(), verdict=verdict, decision=Decision.PUBLISH_ALL).plan.plan_hash,
            Made(tmp_path, numbered(19), pipeline(), rejects=[3]).plan.plan_hash,
            Made(tmp_path, numbered(19), pipeline(), rejects=[4]).plan.plan_hash,
        }
        assert len(found) == 5


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
        with pytest.raises(FatalError, match="1 rows have no value"):
            made.chunks()

    def test_a_null_key_is_never_published(self, tmp_path: Path) -> None:
        made = Made(tmp_path, pa.table({"id": [None, 1]}), pipeline())
        pq.write_table(quarantine_rows.schema().empty_table(), made.path)
        with pytest.raises(FatalError, match="1 rows have no key"):
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


def test_the_reason_of_a_redacted_value_does_not_show_it(tmp_path: Path) -> None:
    table = pa.table(
        {"id": [1, 2], "day": pa.array([4_000_000, 0], pa.date32()), "other": pa.array([0, 4_000_000], pa.date32())}
    )
    for name in ("shown", "hidden"):
        (tmp_path / name).mkdir()
    shown = Made(tmp_path / "shown", table, pipeline())
    hidden = Made(tmp_path / "hidden", table, pipeline(quality={"redact": ["day"]}))
    assert [line["reason"].count("12921-") for line in shown.lines] == [1, 1]  # 4,000,000 days after 1970
    assert [line["reason"].count("12921-") for line in hidden.lines] == [0, 1]
    assert "redacted" in hidden.lines[0]["reason"]


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
