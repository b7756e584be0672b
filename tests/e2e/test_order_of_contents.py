"""Rule C6: what a name had before never comes behind what it has now, whoever stood still meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.e2e.test_generations import DAY, line, seen_last, sha256  # noqa: F401 (a fixture)
from tests.support.kafka import Cluster
from tests.support.processes import wait_until_stopped
from tests.support.project import OrdersProject, orders

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]

WITHOUT = (
    "from forebay.kafka.publish import order; order.Order.keep = lambda *_, **__: None; "
    "from forebay.cli.main import main; main()"
)
"""The command line without the rule, for the controls."""
BEFORE, AFTER = orders(1, 30), orders(41, 45)
PLACES = ["after_init@0", "after_commit@0", "after_flush@1"]
"""Where the older publisher stands still: nothing begun, one chunk of three committed, in mid-transaction."""


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
