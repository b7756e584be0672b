"""What was found at offset ranges, held against the ledger: every difference is seen, and what retention or compaction
explains is none."""

from __future__ import annotations

import numpy as np
import pytest

from forebay.kafka.proof import Reading, words
from forebay.kafka.reader import RangeCount
from forebay.model import OffsetRange


def at(
    *rows: int, said: int | None = None, first: int = 10, complete: bool = True, expired: bool = False
) -> RangeCount:
    """A range of `orders` at which these rows were found, and of which the ledger says how many there are."""
    count = len(rows) if said is None else said
    place = OffsetRange("orders", 0, first, first + 20, count, complete=complete)
    return RangeCount(place, len(rows), 0, np.array(rows, np.int64), expired)


def test_all_there_is_no_difference() -> None:
    reading = Reading((at(1, 3, 4), at(2, 5, first=40)))
    assert (reading.difference, reading.misplaced(5), list(reading.absent(5))) == (None, None, [])
    assert (reading.present, reading.expired, reading.compacted, reading.row_numbers) == (5, 0, 0, [1, 2, 3, 4, 5])


@pytest.mark.parametrize("found", [(1, 3), (1, 2, 3, 4)])
def test_a_record_too_few_or_too_many_is_a_difference(found: tuple[int, ...]) -> None:
    count = at(*found, said=3)
    assert Reading((at(9), count)).difference is count
    assert words(count) == (f"`orders` partition 0 offsets 10 to 30 hold {len(found)} records of it, the ledger says 3")


def test_what_a_compacted_topic_or_retention_took_is_counted_and_no_difference() -> None:
    counts = (at(1, said=3), at(4, 5, said=6, expired=True))
    reading = Reading(counts, frozenset({"orders"}))
    assert (reading.difference, reading.compacted, reading.expired) == (None, 2, 4)
    assert Reading(counts).difference is counts[0], "where nothing forgets, the same gap is a difference"


def test_a_compacted_topic_explains_no_surplus() -> None:
    count = at(1, 2, 3, said=2)
    assert Reading((count,), frozenset({"orders"})).difference is count


def test_a_range_of_unknown_offsets_is_not_compared() -> None:
    reading = Reading((at(said=5, complete=False),), frozenset({"orders"}))
    assert (reading.difference, reading.compacted, reading.expired) == (None, 0, 0)


@pytest.mark.parametrize(
    ("first", "second", "row"),
    [
        ((1, 2, 2), (3,), 2),
        ((1, 3, 2), (4,), 2),
        ((1, 2), (2, 3), 2),
        ((0, 1), (2,), 0),
        ((1, 2), (3, 5), 5),
    ],
)
def test_a_row_that_is_doubled_swapped_or_strange_is_misplaced(
    first: tuple[int, ...], second: tuple[int, ...], row: int
) -> None:
    misplaced = Reading((at(*first), at(*second, first=40))).misplaced(4)
    assert misplaced is not None
    assert (misplaced[0], misplaced[1].topic) == (row, "orders")


def test_rows_without_a_record_are_absent() -> None:
    assert list(Reading((at(2, 4),)).absent(5)) == [1, 3, 5]


def test_without_ids_nothing_is_said_of_rows() -> None:
    counted = RangeCount(OffsetRange("orders", 0, 1, 2, 2), 2, 0, None)
    assert (Reading((at(1), counted)).by_ids, Reading((at(1),)).by_ids) == (False, True)
