"""The short tier of the chaos campaigns: each kind of harm once or twice, each positive control once."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.chaos import kept, report
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
        for word in re.findall(r"`((?:tests|include)/[\w/]+\.py|test_\w+)", words):
            module = (ROOT / word).read_text("utf-8") if "/" in word else module
            assert "/" in word or f"def {word}" in module, word


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
