"""The short tier of the chaos campaigns: each kind of harm once or twice, each positive control once, and tests of
checker and proxy themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.chaos import kept, report
from tests.chaos.checker import Expectation, Record, check, compare
from tests.chaos.elsewhere import ELSEWHERE, NOT_HAD
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.lab import Lab, laboratory
from tests.chaos.matrix import MATRIX, rows
from tests.chaos.runner import run_trial
from tests.support.kafka import ROOT

SHORT = [f for f in FAULTS.values() if f.nodes == 1 and not f.control and f.seconds < 8]
CONTROLS = [f for f in FAULTS.values() if f.control]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with laboratory(1) as made:
        yield made


@pytest.mark.kafka
@pytest.mark.chaos
@pytest.mark.parametrize("fault", SHORT, ids=lambda f: f.name)
def test_harm_is_survived(lab: Lab, fault: Fault) -> None:
    trial = run_trial(lab, fault, f"ci:{fault.name}:0")
    assert trial.good, (trial.seed, trial.anomalies, trial.unmet)


@pytest.mark.kafka
@pytest.mark.chaos
def test_all_of_it_again_by_two_more_readers(lab: Lab) -> None:
    """At the end a new consumer, and Kafka's own Java one, see what the first one saw."""
    assert lab.now.trials
    assert {trial: found for trial, found in lab.close().items() if found} == {}


@pytest.mark.kafka
@pytest.mark.chaos
@pytest.mark.parametrize("fault", CONTROLS, ids=lambda f: f.name)
def test_the_control_is_found_out(lab: Lab, fault: Fault) -> None:
    trial = run_trial(lab, fault, f"ci:{fault.name}:0")
    assert trial.found, (trial.seed, trial.anomalies, trial.unmet)


# the page, and the tier


def test_every_row_of_the_fault_matrix_is_tried_or_said_why_not() -> None:
    """A row is tried by a fault, or by a test elsewhere: what could not be had is a part of a row only."""
    tried = {row for made in FAULTS.values() if not made.control for row in rows(made.row)} | {
        row for at, *_ in ELSEWHERE for row in rows(at)
    }
    assert tried == set(MATRIX) == set(range(1, 44))
    assert all(row in MATRIX for at, *_ in NOT_HAD for row in rows(at))


def test_the_tests_that_the_page_names_are_there() -> None:
    for _, _, words in ELSEWHERE:
        module = ""
        for word in re.findall(r"`(tests/[\w/]+\.py|test_\w+)", words):
            module = (ROOT / word).read_text("utf-8") if word.startswith("tests/") else module
            assert word.startswith("tests/") or f"def {word}" in module, word


def test_the_page_is_made_of_the_trials_that_are_kept() -> None:
    assert report.page(kept.lines([]), kept.earlier_campaigns()) == report.PAGE.read_text("utf-8"), (
        "python -m tests.chaos.runner --report"
    )


def test_the_page_has_every_row_and_what_was_found() -> None:
    line = {
        "seed": "s:sigterm:0",
        "fault": "sigterm",
        "control": False,
        "harm": 1,
        "seconds": 1.0,
        "anomalies": [],
        "unmet": "",
        "good": True,
    }
    made = report.page([line | {"began": "now", "versions": "v"}])
    table = made.split("## The fault matrix, row by row")[1].split("##")[0]
    assert [int(n) for n in re.findall(r"^\| (\d+) \|", table, re.M)] == list(range(1, 44))
    assert "| 14 | SIGTERM | 1 of 2 kinds, 1 harms |" in table


def test_the_short_tier_fits_into_eight_minutes() -> None:
    assert sum(made.seconds for made in (*SHORT, *CONTROLS)) <= 8 * 60


# the checker itself

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
