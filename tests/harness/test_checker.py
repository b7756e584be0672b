"""The checker itself: content with what is right, and each anomaly is found."""

from __future__ import annotations

import json

import pytest

from tests.harness.checker import Expectation, Record, check, compare

WANT = Expectation(
    "ab" * 32, 4, frozenset({4}), lambda row: b"k", lambda row: 0, lambda row, value: value == b"v%d" % row
)


def seen(
    *rows: int,
    aside: tuple[int, ...] = (4,),
    chunks: tuple[tuple[int, int], ...] = ((1, 2), (3, 4)),
    complete: bool = True,
) -> list[Record]:
    """What consumers would see: the rows in this order, one by one from offset 0, and a ledger that says what `chunks`
    are."""
    data = [Record("data", 0, at, f"{WANT.prefix}{row}", b"k", b"v%d" % row) for at, row in enumerate(rows)]
    quarantined = [Record("quarantine", 0, at, f"{WANT.prefix}{row}", b"", b"") for at, row in enumerate(aside)]
    return (
        data
        + quarantined
        + [_ledger(n, first, last) for n, (first, last) in enumerate(chunks)]
        + ([_file()] if complete else [])
    )


def _ledger(number: int, first: int, last: int) -> Record:
    rows = range(first, last + 1)
    sent, aside = [n for n in rows if n != 4], [n for n in rows if n == 4]
    value = {
        "rows": {"first": first, "last": last, "in": len(rows), "published": len(sent), "quarantined": len(aside)},
        "outputs": [{"partition": 0, "first": sent[0] - 1, "last": sent[-1] - 1, "count": len(sent)}] if sent else [],
        "quarantine": [{"partition": 0, "first": 0, "last": 0, "count": 1}] if aside else [],
    }
    return Record("ledger", 0, number, "", _key(number), json.dumps(value).encode())


def _file() -> Record:
    return Record("ledger", 0, 9, "", _key("FILE"), b'{"rows_in":4,"published":3,"quarantined":1,"rejected":0}')


def _key(chunk: int | str) -> bytes:
    return json.dumps({"fp": WANT.fingerprint, "generation": 1, "chunk": chunk}).encode()


def names(records: list[Record], complete: bool = True) -> set[str]:
    return {a.name for a in check(WANT, records, complete)}


def test_the_checker_is_content_with_what_is_right() -> None:
    assert names(seen(1, 2, 3)) == set()
    assert names(seen(1, 2, chunks=((1, 2),), aside=(), complete=False), complete=False) == set()
    assert names([], complete=False) == set()


@pytest.mark.parametrize(
    ("records", "anomaly"),
    [
        (seen(1, 2), "lost-write"),
        (seen(1, 2, 3, 3), "duplicate"),
        (seen(1, 2, 3, 1), "nonmonotonic"),
        (seen(1, 2, 3, aside=()), "lost-write"),
        (seen(1, 2, 3, 4), "aborted-read"),
        (seen(1, 2, 3, chunks=((1, 2),)), "premature-completion"),
        (seen(1, 2, 3, complete=False), "incomplete"),
        (seen(1, 2, 3, chunks=((1, 2), (2, 4))), "torn"),
        (seen(2, 3), "inconsistent-offsets"),
        (seen(1, 2, 3, chunks=((1, 2), (1, 2), (3, 4))), "torn"),
        ([*seen(1, 2, 3), _ledger(1, 3, 4)], "duplicate"),
        ([*seen(1, 2), Record("data", 0, 2, f"{WANT.prefix}3", b"k", b"x")], "wrong-content"),
    ],
)
def test_the_checker_finds(records: list[Record], anomaly: str) -> None:
    assert anomaly in names(records)


def test_an_uncommitted_row_is_an_aborted_read() -> None:
    assert "aborted-read" in names(seen(1, 2, 3, chunks=((1, 2),), aside=(), complete=False), complete=False)


def test_what_was_seen_live_must_be_there_at_the_end_and_the_other_way_round() -> None:
    one, two = seen(1, 2, 3)[:2]
    assert compare([one, two], [one, two]) == []
    assert [a.name for a in compare([one, two], [one])] == ["aborted-read"]
    assert [a.name for a in compare([one], [one, two])] == ["poll-skip"]
    assert [a.name for a in compare([two, one], [one, two])] == ["nonmonotonic-poll"]
