"""What one chunk is, before a broker has to do with it: ranges, rows, hash and headers."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pyarrow as pa
import pytest

from forebay.errors import (
    ReconcileError,
)
from forebay.kafka.publish.records import EncodedChunk, Headers, Quarantined, Records
from forebay.kafka.publish.sender import Ranges
from forebay.model import Identity, OffsetRange, SourceFile


def test_ranges_mark_the_first_and_last_record_of_each_partition() -> None:
    ranges = Ranges("t", np.array([2, 0, 2, 2, 0, 5], np.int32))
    assert ranges.marks == [0, 1, 3, 4, 5]
    for partition, offset in [(2, 10), (0, 7), (2, 14), (0, 8), (5, 0)]:
        ranges.delivered(partition, offset)
    assert ranges.all() == (OffsetRange("t", 0, 7, 8, 2), OffsetRange("t", 2, 10, 14, 3), OffsetRange("t", 5, 0, 0, 1))


@pytest.mark.parametrize("offset", [None, -1001])
def test_a_delivery_report_without_offset_makes_the_range_incomplete(offset: int | None) -> None:
    ranges = Ranges("t", np.array([0, 0, 0], np.int32))
    ranges.delivered(0, 4)
    ranges.delivered(0, offset)
    assert ranges.all() == (OffsetRange("t", 0, -1, 4, 3, complete=False),)
    unheard = Ranges("t", np.array([0, 0], np.int32))
    unheard.delivered(0, 4)
    assert not unheard.all()[0].complete


def test_no_records_no_ranges() -> None:
    assert Ranges("t", np.array([], np.int32)).all() == ()


def chunk_of(rows: list[int], aside: list[int], rows_in: int) -> EncodedChunk:
    empty = pa.array([b""] * len(rows), pa.binary())
    records = Records(empty, empty, pa.array([0] * len(rows), pa.int32()), pa.array(rows, pa.int64()))
    quarantined = Quarantined(pa.array([b""] * len(aside), pa.binary()), pa.array(aside, pa.int64()), [()] * len(aside))
    return EncodedChunk(1, rows_in, rows_in, records, quarantined)


def test_a_row_that_is_neither_record_nor_quarantined_is_found() -> None:
    chunk_of([1, 3], [2], 3).check(0, (1, 3))
    with pytest.raises(ReconcileError, match="3 rows came in, 1 are records and 1 quarantined"):
        chunk_of([1], [2], 3).check(0, (1, 3))
    with pytest.raises(ReconcileError, match="got rows 1–3, the plan says 4–6"):
        chunk_of([1, 3], [2], 3).check(1, (4, 6))


@pytest.mark.parametrize(
    ("sent", "aside", "said"),
    [
        ([1, 4], [2], "row 3 is neither"),  # a stranger from the next chunk instead
        ([1, 1], [2], "records are not in the order"),
        ([1, 2], [2], "row 3 is neither"),  # one both published and quarantined
        ([3, 1], [2], "records are not in the order"),
        ([0, 3], [2], "row 1 is neither"),
        ([2], [3, 1], "quarantined rows are not in the order"),
        ([], [1, 2, 2**40], "row 3 is neither"),
    ],
)
def test_the_right_count_of_the_wrong_rows_is_found(sent: list[int], aside: list[int], said: str) -> None:
    with pytest.raises(ReconcileError, match=said):
        chunk_of(sent, aside, 3).check(0, (1, 3))


def test_content_hash_depends_on_order_and_on_what_became_of_each_row() -> None:
    known = hashlib.sha256(
        b"".join(n.to_bytes(8, "little") for n in (1, 3)) + b"quarantined" + (2).to_bytes(8, "little")
    ).hexdigest()
    assert chunk_of([1, 3], [2], 3).content_hash == known
    assert (
        len(
            {chunk_of(*rows, 3).content_hash for rows in (([1, 3], [2]), ([3, 1], [2]), ([1, 2, 3], []), ([1], [2, 3]))}
        )
        == 4
    )


FILE = SourceFile("s3://bucket/a.csv", 10, 0.0, version="v7")
WHO = Identity("run", "0190-run")


def test_header_profiles() -> None:
    standard = Headers.of("standard", "flights", FILE, "ab" * 32, 2, WHO, schema="urn:x")
    assert standard.id_of(17) == b"abababababababab:2:17"
    assert dict(standard.constants) == {
        "ce_specversion": b"1.0",
        "ce_source": b"s3://bucket/a.csv#versionId=v7",
        "ce_type": b"flights.row.v1",
        "content-type": b"application/json",
        "ce_dataschema": b"urn:x",
        "ce_runid": b"0190-run",
    }
    minimal = Headers.of("minimal", "flights", FILE, "ab" * 32, 2, WHO)
    assert dict(minimal.constants) == {
        "ce_source": hashlib.sha256(b"s3://bucket/a.csv#versionId=v7").hexdigest()[:16].encode()
    }


def test_repaired_rows_bear_the_numbers_of_their_origin_and_no_others() -> None:
    """A replay's records are rows 1 to n of its plan, and bear other numbers: exactly those that it names."""
    repaired = dataclasses.replace(chunk_of([10, 30], [], 2), places=pa.array([10, 30], pa.int64()))
    repaired.check(0, (1, 2))
    for others in ([10, 31], [9, 30], [30, 40]):
        with pytest.raises(ReconcileError, match="is neither a record nor quarantined"):
            dataclasses.replace(repaired, places=pa.array(others, pa.int64())).check(0, (1, 2))
