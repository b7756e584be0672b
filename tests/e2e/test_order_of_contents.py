"""Rule C6: what a name had before never comes behind what it has now, whoever stood still meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from forebay.kafka.ledger.entries import lane_of
from tests.e2e.test_generations import DAY, NEXT, line, seen_last, sha256  # noqa: F401 (a fixture)
from tests.support.kafka import Cluster
from tests.support.processes import wait_until_stopped
from tests.support.project import OrdersProject, orders

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]

WITHOUT = (
    "from forebay.kafka.publish import order; order.Order.keep = lambda *_, **__: (); "
    "from forebay.cli.main import main; main()"
)
"""The command line without the rule, for the controls."""
BEFORE, AFTER = orders(1, 30), orders(41, 45)
PLACES = ["after_init@0", "after_commit@0", "after_flush@1"]
"""Where the older publisher stands still: nothing begun, one chunk of three committed, in mid-transaction."""


def started(line: OrdersProject, how: list[str], day: str, failpoint: str) -> subprocess.Popen[str]:  # noqa: F811
    """A run of that day, which comes to stand still at that place."""
    run = subprocess.Popen(
        [sys.executable, *how, "run", line.name, "--date", day, "--json"],
        cwd=line.root,
        env=line.environment(FOREBAY_FAILPOINT=failpoint, FOREBAY_LOG="INFO"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until_stopped(run.pid)
    return run


def goes_on(run: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and words of a run that stood still."""
    run.send_signal(signal.SIGCONT)
    out, err = run.communicate(timeout=180)
    return run.returncode, out + err


def wakes_behind_its_correction(line: OrdersProject, place: str, how: list[str]) -> tuple[int, str, str]:  # noqa: F811
    """Stop a run, publish a correction of its file, and let it go on: its exit code, what it says, the other's JSON."""
    line.drop(DAY, "a.csv", BEFORE)
    command = [sys.executable, *how, "run", line.name, "--date", DAY, "--json"]
    zombie = subprocess.Popen(
        command,
        cwd=line.root,
        env=line.environment(FOREBAY_FAILPOINT=f"{place}:stop"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until_stopped(zombie.pid)
        line.drop(DAY, "a.csv", AFTER)
        other = subprocess.run(
            command, cwd=line.root, env=line.environment(), capture_output=True, text=True, check=True, timeout=120
        )
        zombie.send_signal(signal.SIGCONT)
        out, err = zombie.communicate(timeout=180)
    finally:
        zombie.kill()
    return zombie.returncode, out + err, other.stdout


def committed(place: str) -> int:
    return 0 if place == "after_init@0" else 10


@pytest.mark.parametrize("place", PLACES)
def test_a_zombie_of_an_older_content_publishes_nothing_behind_the_correction(
    place: str,
    line: OrdersProject,  # noqa: F811
    kafka: Cluster,
) -> None:
    code, said, _ = wakes_behind_its_correction(line, place, ["-m", "forebay.cli"])
    rows = [(sha256(BEFORE)[:16], 1, n) for n in range(1, committed(place) + 1)]
    assert seen_last(line, kafka) == rows + [(sha256(AFTER)[:16], 1, n) for n in range(1, 6)]
    assert (code, "other bytes of this name were published" in said) == (1, True), said
    again = line.run()
    assert (again.code, again.json["files"][0]["fate"]) == (0, "already published")


@pytest.mark.parametrize("place", [*PLACES[:2], pytest.param(PLACES[2], marks=pytest.mark.long)])
def test_control_without_the_rule_old_rows_come_last(
    place: str,
    line: OrdersProject,  # noqa: F811
    kafka: Cluster,
) -> None:
    code, said, _ = wakes_behind_its_correction(line, place, ["-c", WITHOUT])
    assert code == 0, said
    assert seen_last(line, kafka)[-1] == (sha256(BEFORE)[:16], 1, 30)


def test_the_way_out_publishes_the_older_bytes_once_more(line: OrdersProject, kafka: Cluster) -> None:  # noqa: F811
    wakes_behind_its_correction(line, "after_commit@0", ["-m", "forebay.cli"])
    line.drop(DAY, "a.csv", BEFORE)
    again = line.run(DAY, "--generation", "new", "--reason", "the older ones were right")
    assert again.code == 0, again.err
    assert seen_last(line, kafka)[-30:] == [(sha256(BEFORE)[:16], 2, n) for n in range(1, 31)]


def test_an_answer_that_comes_behind_a_correction_publishes_nothing(line: OrdersProject, kafka: Cluster) -> None:  # noqa: F811
    """A file waits for a person, and is corrected meanwhile; then somebody answers for the older one."""
    bad = "id,customer,amount,day\n" + "".join(f"{n},c,-1.00,2026-01-05\n" for n in range(1, 6))
    line.drop(DAY, "a.csv", bad + "9,c,1.00,2026-01-05\n")
    held = line.run()
    assert held.code == 3, held.err
    line.drop(DAY, "a.csv", AFTER)
    assert line.run().code == 0
    answer = line.forebay("decide", line.name, "--file", "a.csv", "--publish", "--reason", "it is all right", "--json")
    assert answer.code in {1, 2, 3}, answer
    assert [row[0] for row in seen_last(line, kafka)] == [sha256(AFTER)[:16]] * 5, answer


def both_at_work(line: OrdersProject, how: list[str]) -> tuple[tuple[int, str], tuple[int, str]]:  # noqa: F811
    """A run of the older content is about to begin, and the correction's has committed one chunk of three: how the
    older one goes on, then the other."""
    line.drop(DAY, "a.csv", BEFORE)
    older = started(line, how, DAY, "before_init@0:stop")
    newer = None
    try:
        line.drop(DAY, "a.csv", orders(41, 70))
        newer = started(line, how, DAY, "after_commit@0:stop")
        return goes_on(older), goes_on(newer)
    finally:
        for run in filter(None, (older, newer)):
            run.kill()


def test_a_publisher_of_an_older_content_does_not_begin_behind_a_correction_that_has(
    line: OrdersProject,  # noqa: F811
    kafka: Cluster,
) -> None:
    (code, said), (other, words) = both_at_work(line, ["-m", "forebay.cli"])
    assert (code, "other bytes of this name were begun since" in said) == (1, True), said
    assert other == 0, words
    assert seen_last(line, kafka) == [(sha256(orders(41, 70))[:16], 1, n) for n in range(1, 31)]


def test_control_without_the_rule_all_of_the_older_content_comes_behind_the_correction(
    line: OrdersProject,  # noqa: F811
    kafka: Cluster,
) -> None:
    (code, said), _ = both_at_work(line, ["-c", WITHOUT])
    assert code == 0, said
    seen = seen_last(line, kafka)
    newer, older = (sha256(body)[:16] for body in (orders(41, 70), BEFORE))
    assert seen[:10] == [(newer, 1, n) for n in range(1, 11)]
    assert seen[10:40] == [(older, 1, n) for n in range(1, 31)]


def test_two_contents_that_did_not_know_of_each_other_stop_and_the_next_run_publishes_the_newer(
    line: OrdersProject,  # noqa: F811
    kafka: Cluster,
) -> None:
    """Both are listed before either has begun. The older one begins first, the newer one finds it, and cannot know
    which is which."""
    newer_rows = orders(41, 70)
    line.drop(DAY, "a.csv", BEFORE)
    older = started(line, ["-m", "forebay.cli"], DAY, "before_init@0:stop,after_commit@0:stop")
    newer = None
    try:
        line.drop(DAY, "a.csv", newer_rows)
        newer = started(line, ["-m", "forebay.cli"], DAY, "before_init@0:stop")
        older.send_signal(signal.SIGCONT)
        committed = [(sha256(BEFORE)[:16], 1, n) for n in range(1, 11)]
        deadline = time.monotonic() + 60
        while seen_last(line, kafka) != committed:
            assert time.monotonic() < deadline, "the older one never began"
        wait_until_stopped(older.pid)
        code, said = goes_on(newer)
        assert (code, "other bytes of this name were begun since" in said) == (1, True), said
        again = line.run()
        assert again.code == 0, again.err
        code, said = goes_on(older)
        assert (code, "other bytes of this name were published since" in said) == (1, True), said
    finally:
        for run in filter(None, (older, newer)):
            run.kill()
    assert seen_last(line, kafka) == committed + [(sha256(newer_rows)[:16], 1, n) for n in range(1, 31)]


def in_the_lane_of(content: str) -> str:
    """Another file of 30 rows whose content has that one's lane."""
    lane = lane_of(sha256(content))
    bodies = (orders(101, 130).replace("c1,", f"c1{n},") for n in range(10_000))
    return next(body for body in bodies if lane_of(sha256(body)) == lane)


def test_a_living_publisher_of_another_file_whose_lane_a_correction_takes_recovers(
    line: OrdersProject,  # noqa: F811
    kafka: Cluster,
) -> None:
    """It is in mid-transaction, and has nothing to do with the name that is corrected but the lane."""
    line.drop(DAY, "a.csv", BEFORE)
    assert line.run(DAY, FOREBAY_FAILPOINT="after_commit@0:kill9").code < 0
    innocent = in_the_lane_of(BEFORE)
    line.drop(NEXT, "b.csv", innocent)
    living = started(line, ["-m", "forebay.cli"], NEXT, "after_flush@1:stop")
    try:
        line.drop(DAY, "a.csv", AFTER)
        correction = line.run()
        assert correction.code == 0, correction.err
        code, said = goes_on(living)
    finally:
        living.kill()
    assert code == 0, said
    assert "producer.fenced" in said, "its lane was taken"
    seen = seen_last(line, kafka)
    assert [row for row in seen if row[0] == sha256(innocent)[:16]] == [
        (sha256(innocent)[:16], 1, n) for n in range(1, 31)
    ]
    assert [row for row in seen if row[0] == sha256(AFTER)[:16]] == [(sha256(AFTER)[:16], 1, n) for n in range(1, 6)]
