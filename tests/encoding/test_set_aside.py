"""Which rows are quarantined when records are made, and with which reasons."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

import pyarrow as pa
import pytest

from forebay.encoding.rows import Limits
from forebay.model import Decision, Severity
from tests.encoding.made import Made, make_verdict, numbered, pipeline

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
