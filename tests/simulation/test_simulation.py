"""The simulation as a whole: the promise over many seeds, every control found out, and single histories to the
letter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from forebay.kafka.failures import Action
from forebay.kafka.publish.steps import Protections
from tests.simulation import run
from tests.simulation.client import raised, undelivered
from tests.simulation.history import Options, play

ROOT = Path(__file__).parents[2]
BUDGET = 6000  # seeds in which every control must be found out

# one line a sight, in the order they come; what each history shows is the key
GOLDEN: dict[str, tuple[int, tuple[str, ...]]] = {
    "a commit that failed on the client only is found in the ledger, and not repeated": (
        89,
        (
            "1.441  A1        fault, unknown answer: EndTxn(lane0, 1, 0, commit)",
            "1.441  broker    commit of lane0 (pid 1, epoch 0) decided; markers to ledger",
            "1.447  A1        Commit failed: _MSG_TIMED_OUT → ledger decides",
            "2.018  A1        Look failed: _TRANSPORT → call again",
            "4.536  A1        ended: done",
        ),
    ),
    "a late InitProducerId aborts a healthy owner's transaction, who follows and publishes again (F8)": (
        53,
        (
            "0.594  broker    abort of lane0 (pid 1, epoch 1) decided for a new owner; markers to ledger",
            "0.594  A1        late InitProducerId(lane0, 5.0) → CONCURRENT_TRANSACTIONS",
            "0.968  A1        Flush ledger failed: _FENCED → follow",
            "2.401  broker    commit of lane0 (pid 1, epoch 2) decided; markers to ledger",
            "2.417  A1        ended: done",
        ),
    ),
    "a slow publisher is fenced by its successor, follows, and finds the file done": (
        1203,
        (
            "0.393  A2        Init: InitProducerId(lane0, 10.0) → ok (1, 1)",
            "0.772  broker    commit of lane0 (pid 1, epoch 1) decided; markers to data-0, ledger",
            "0.784  A2        ended: done",
            "9.471  A1        ProduceRows: AddPartitions(lane0, 1, 0, data-0) → PRODUCER_FENCED",
            "9.475  A1        Flush rows failed: _FENCED → follow",
            "32.092  A1        ended: done",
        ),
    ),
    "a stranger's open transaction blocks the barrier until its timeout: nothing is published meanwhile (F1, F9)": (
        743,
        (
            "0.566  stranger1 opened a transaction on ledger",
            "3.237  A1        Commit: EndTxn(lane0, 1, 0, commit) → ok",
            "57.029  A2        ended: barrier blocked",
            "70.000  broker    abort of stranger1 (pid 2, epoch 1) decided for its timeout; markers to ledger",
            "70.030  A2        ended: done",
        ),
    ),
}


@pytest.mark.parametrize("sight", GOLDEN)
def test_a_seed_replays_the_same_history(sight: str) -> None:
    seed, lines = GOLDEN[sight]
    result = play(seed, traced=True)
    assert result.violation is None
    timeline = iter(line.strip() for line in result.timeline)
    assert [line for line in lines if line not in timeline] == []  # `in` moves on, so their order is checked too


def test_kafka_17754_replays_to_the_letter_without_rule_c1() -> None:
    result = play(686, run.CONTROLS["C1 off: one producer for many transactions"], traced=True)
    assert result.violation is not None
    assert result.violation.invariant == "I3"
    assert [line.strip() for line in result.timeline[-4:-1]] == [
        "0.439  A2        Flush rows: Produce(lane0, 1, 1, quarantine, 1, row 4) → ok 2",
        "0.583  broker    commit of lane0 (pid 1, epoch 1) decided; markers to data-1, quarantine",
        "0.583  A2        late EndTxn(lane0, 1, 1, commit) → ok",
    ]
    assert play(686).violation is None


def test_telling_a_history_does_not_change_it() -> None:
    for seed in range(50):
        told, untold = play(seed, traced=True), play(seed)
        assert (told.counts, told.outcomes, told.seconds) == (untold.counts, untold.outcomes, untold.seconds)
        assert told.timeline
        assert not untold.timeline


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "tools/sim.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": "include"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_prints_the_same_timeline_in_another_process() -> None:
    shown = command("--seed", "53")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == "\n".join(play(53, traced=True).timeline) + "\n\nseed 53: no violation\n"


def test_the_command_says_in_words_what_was_violated_and_fails() -> None:
    shown = command("--seed", "686", "--control", "C1 off: one producer for many transactions")
    assert shown.returncode == 1
    assert (
        "seed 686: I3 violated (no aborted read: no row is visible whose transaction has no ledger record): "
        "row 4 of file 0" in shown.stdout
    )


def test_the_command_plays_many_on_several_processes_and_names_the_holes() -> None:
    shown = command("--seeds", "0:600", "--jobs", "2")
    assert shown.returncode == 0
    assert shown.stdout.startswith("600 histories in ")
    assert "0 violations (the rate of violations is below 5.0e-03 with 95 % confidence" in shown.stdout
    assert "holes (a step and a fault that never met): " in shown.stdout


def test_several_processes_find_what_one_finds() -> None:
    one, two = run.run(range(300), 1), run.run(range(300), 2)
    assert (one.counts, one.outcomes, one.commits, one.longest) == (two.counts, two.outcomes, two.commits, two.longest)


def test_the_promise_holds_for_five_hundred_seeds() -> None:
    found = run.tally(range(1_000_000, 1_000_500))
    assert found.violations == []
    assert found.histories == 500
    assert found.commits > 1000


def test_settings_change_between_attempts_and_the_promise_holds() -> None:
    """Of both kinds: those that decide no record, and those that are another plan. Their control is `ids move with a
    setting`."""
    found = run.tally(range(2_000_000, 2_000_600))
    assert found.violations == []
    assert found.counts["settings", "changed, of no effect on identity"] > 30
    assert found.counts["settings", "changed, to another plan"] > 10
    assert "plan changed" in found.outcomes


def test_a_name_is_corrected_while_a_publisher_of_the_older_content_stands_still_and_the_order_holds() -> None:
    """Its control is `C6 off`. What remains are two publishers that could not know of each other
    (docs/simulation.md)."""
    found = run.tally(range(3_000_000, 3_002_000))
    assert found.violations == []
    assert found.counts["names", "corrected"] > 300
    assert found.counts["names", "corrected while a publisher of the older bytes stood still"] > 20
    assert found.counts["names", "superseded: the older"] > 200
    assert found.counts["names", "took the lane of what was left"] > 50


@pytest.mark.parametrize("control", run.CONTROLS)
def test_every_control_is_found_out(control: str) -> None:
    found = run.detect(control, BUDGET)
    assert found.seeds is not None, found.how


@pytest.mark.parametrize("control", run.MEASURED)
def test_every_measured_control_is_found_out(control: str) -> None:
    found = run.detect_by_measure(control, 200)
    assert found.seeds is not None, found.how


@pytest.mark.parametrize("control", run.MEASURED)
def test_measuring_does_not_accuse_the_right_protocol(control: str) -> None:
    assert run.detect_by_measure(control, 150, options=Options(Protections())).seeds is None


def test_holes_in_the_mix_are_named() -> None:
    assert "Commit: late" in run.holes(Counter())
    assert "Commit: late" not in run.holes(Counter({("Commit", "late"): 1}))
    assert not any(hole.startswith("Begin: late") for hole in run.holes(Counter()))


@pytest.mark.parametrize(
    ("name", "flag", "action"),
    [
        ("_TIMED_OUT", "retriable", Action.RETRY),
        ("_FENCED", "fatal", Action.FOLLOW),
        ("_INCONSISTENT", "abort", Action.RENEW),
        ("_MSG_TIMED_OUT", "fatal", Action.LEDGER),
        ("_STATE", "", Action.LEDGER),
        ("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "fatal", Action.STOP),
    ],
)
def test_errors_are_judged_by_the_products_own_table(name: str, flag: str, action: Action) -> None:
    assert raised(name, flag).action == action


def test_failed_delivery_reports_are_judged_by_the_products_own_rule() -> None:
    assert undelivered("INVALID_TXN_STATE").action == Action.RENEW
    assert undelivered("INVALID_RECORD").action == Action.DATA


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_promise_holds_for_twenty_thousand_seeds_and_no_step_escapes_a_fault() -> None:
    found = run.run(range(20_000), jobs=2)
    assert found.violations == []
    assert found.histories == 20_000
    assert run.holes(found.counts) == []
    wanted = {"done", "killed", "terminated", "barrier blocked", "plan changed", "gave up", "fenced", "failed"}
    assert wanted <= set(found.outcomes)
    assert found.counts["Commit", "→ ledger decides"] > 100
    assert found.longest < 400.0
