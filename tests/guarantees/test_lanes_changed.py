"""What fences depends on nothing that can be set: `publish.lanes` changed beside a zombie, and zombies of versions
whose ids came from it."""

from __future__ import annotations

import contextlib
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from forebay import events
from forebay.kafka import topics
from forebay.kafka.ledger import entries
from forebay.kafka.publish import lanes
from forebay.kafka.publish.publisher import publish_file
from tests.guarantees.test_kills import NTH, ROWS, anomalies, attempt, of_one_lane, said, start
from tests.harness.generated import make_job, make_pipeline
from tests.harness.judge import kinds, look
from tests.support.kafka import Cluster, fresh
from tests.support.processes import wait_until_stopped

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]


def zombie_and_successor(
    kafka: Cluster, pipeline: str, zombie: dict[str, Any], successor: dict[str, Any], place: str = "after_flush"
) -> dict[str, Any]:
    """Stop one attempt at chunk 1, let another publish the file, wake the first; what the first says in the end."""
    first = start(kafka, pipeline, **zombie, failpoint=f"{place}@1:stop" if place == "after_flush" else f"{place}:stop")
    wait_until_stopped(first.pid)
    done = attempt(kafka, pipeline, **successor)
    assert done.code == 0, done.out + done.err
    first.send_signal(signal.SIGCONT)
    return said(first)


def test_lanes_changed_beside_a_zombie_change_nothing(kafka: Cluster) -> None:
    pipeline = fresh("lanes").lower()
    answer = zombie_and_successor(kafka, pipeline, {"lanes": 4}, {"lanes": 5})
    assert answer["published"] == ROWS - ROWS // NTH
    assert any(e.startswith("producer.fenced") for e in answer["events"])
    assert anomalies(kafka, pipeline) == []


def test_control_ids_that_move_with_the_setting_let_the_zombie_publish_again(kafka: Cluster) -> None:
    pipeline = fresh("lanes").lower()
    zombie_and_successor(kafka, pipeline, {"earlier": True, "lanes": 4}, {"earlier": True, "lanes": 5})
    assert kinds(anomalies(kafka, pipeline)) >= {("duplicate", "data"), ("duplicate", "ledger")}


@pytest.mark.parametrize(("setting", "place"), [(1, "after_barrier"), (64, "after_flush")])
def test_a_zombie_of_an_earlier_version_is_fenced_whatever_its_lanes_were(
    kafka: Cluster, tmp_path: Path, setting: int, place: str
) -> None:
    pipeline = fresh("lanes").lower()
    answer = zombie_and_successor(kafka, pipeline, {"earlier": True, "lanes": setting}, {"home": str(tmp_path)}, place)
    assert any(e.startswith("producer.fenced") for e in answer["events"])
    assert anomalies(kafka, pipeline) == []


def test_control_a_zombie_of_an_earlier_version_that_nobody_fences_publishes_again(
    kafka: Cluster, tmp_path: Path
) -> None:
    pipeline = fresh("lanes").lower()
    zombie_and_successor(
        kafka, pipeline, {"earlier": True, "lanes": 4}, {"lanes": 4}, "after_barrier"
    )  # no home, and no chunk of the zombie's yet
    assert ("duplicate", "data") in kinds(anomalies(kafka, pipeline))


def test_a_file_that_an_earlier_version_began_is_fenced_again_though_the_home_did_so_before(
    kafka: Cluster, tmp_path: Path
) -> None:
    """A rollback: the home has fenced the earlier ids, then an earlier version publishes again and stands still."""
    pipeline = fresh("lanes").lower()
    home = {"home": str(tmp_path)}
    assert attempt(kafka, pipeline, **home, name="other").code == 0
    [mark] = (tmp_path / "ledger").glob("*.fenced")
    assert mark.name.startswith(f"{pipeline}.")
    answer = zombie_and_successor(kafka, pipeline, {"earlier": True, "lanes": 4}, home)
    assert any(e.startswith("producer.fenced") for e in answer["events"])
    assert look(kafka.config, pipeline, ROWS, quarantine_every=NTH, name="file") == []


def told_of_two_files_of_one_lane(kafka: Cluster) -> list[str]:
    """The events of publishing them in two threads at once; each row of both is there once."""
    pipeline = make_pipeline(fresh("lanes").lower(), timeout="5s")
    topics.ensure(kafka.config, pipeline)
    told: list[str] = []
    stop = events.listen(lambda name, _: told.append(name))
    names = of_one_lane(2)
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda name: publish_file(make_job(kafka.config, pipeline, 200, 50, name)), names))
    finally:
        stop()
    assert [look(kafka.config, pipeline.pipeline, 200, name=name) for name in names] == [[], []]
    return told


def test_files_of_one_lane_wait_for_each_other_in_one_process(kafka: Cluster) -> None:
    assert events.PRODUCER_FENCED not in told_of_two_files_of_one_lane(kafka)


def test_control_files_of_one_lane_that_do_not_wait_fence_each_other(
    kafka: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "alone", lambda *_: contextlib.nullcontext())
    assert events.PRODUCER_FENCED in told_of_two_files_of_one_lane(kafka)


def test_no_setting_moves_a_lane_or_an_id() -> None:
    """An id is made of the pipeline's name and the file's content, and of nothing else."""
    fingerprint = "0000002b" + "0" * 56
    ids = {
        make_pipeline("p", lanes=n, timeout=f"{n}s").transactional_id(entries.lane_of(fingerprint))
        for n in range(1, 65)
    }
    assert ids == {"forebay.p.lane-43"}
    assert not ids & set(make_pipeline("p").earlier_transactional_ids)


def test_earlier_ids_are_fenced_once(kafka: Cluster, tmp_path: Path) -> None:
    """All 64 of them take a quarter of a second on a quiet machine; what is remembered costs nothing the next time."""
    pipeline = make_pipeline(fresh("lanes").lower())
    began = time.monotonic()
    lanes.fence_earlier(kafka.config, pipeline, "topic", tmp_path, begun=False)
    first = time.monotonic() - began
    began = time.monotonic()
    lanes.fence_earlier(kafka.config, pipeline, "topic", tmp_path, begun=False)
    assert time.monotonic() - began < 0.01 < first < 15
