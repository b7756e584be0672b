"""kill -9 at each step of publish: the retry resumes, and a read_committed consumer sees each row once, in order.

Every checker here is shown to fail: the same kill with the protection switched off must be found out.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from forebay.kafka.publish import failpoints
from tests.harness import nodes
from tests.harness.checker import Anomaly
from tests.harness.judge import kinds, look
from tests.harness.spawner import Done, Forked, spawner
from tests.support.kafka import CACHE, Cluster, fresh, read_all, running
from tests.support.processes import wait_until_stopped

pytestmark = [pytest.mark.kafka, pytest.mark.chaos]
ROOT = Path(__file__).parents[2]
ROWS, CHUNK, NTH = 4_000, 1_000, 50


def command(kafka: Cluster, pipeline: str, **job: Any) -> list[str]:
    """The words of an attempt; `job` overrides (worker.py, DEFAULTS)."""
    sizes = {"rows": ROWS, "chunk": CHUNK, "quarantine": NTH, "timeout": "60s", "lanes": 4, "follow": 900.0}
    own = {"bootstrap": kafka.bootstrap, "pipeline": pipeline}
    return ["tests.harness.worker", json.dumps(own | sizes | job)]


def environment(failpoint: str = "") -> dict[str, str]:
    return {
        **os.environ,
        "FOREBAY_FAILPOINT": failpoint,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "include")]),
    }


def attempt(kafka: Cluster, pipeline: str, failpoint: str = "", **job: Any) -> Done:
    """One process that publishes, from its beginning to its end."""
    module, *words = command(kafka, pipeline, **job)
    return spawner.run(module, words, ROOT, environment(failpoint), timeout=120)


def start(kafka: Cluster, pipeline: str, failpoint: str = "", **job: Any) -> Forked:
    module, *words = command(kafka, pipeline, **job)
    return spawner.start(module, words, environment(failpoint))


def said(process: Forked, timeout: float = 120) -> dict[str, Any]:
    out, err = process.communicate(timeout=timeout)
    assert out, err
    answer: dict[str, Any] = json.loads(out.splitlines()[-1])
    return answer


def of_one_lane(count: int) -> list[str]:
    """Names of generated files that share a lane."""
    lanes: dict[int, list[str]] = {}
    for n in itertools.count():
        found = lanes.setdefault(int(hashlib.sha256(f"f{n}".encode()).hexdigest()[:8], 16) % 64, [])
        found.append(f"f{n}")
        if len(found) == count:
            return found
    raise AssertionError


def anomalies(kafka: Cluster, pipeline: str) -> list[Anomaly]:
    return look(kafka.config, pipeline, ROWS, quarantine_every=NTH)


@pytest.mark.parametrize("place", failpoints.NAMES)
def test_kill_and_retry(kafka: Cluster, place: str) -> None:
    pipeline = fresh("k").lower()
    killed = attempt(
        kafka,
        pipeline,
        failpoint=f"{place}@1:kill9"
        if place not in {"before_init", "after_init", "after_barrier"}
        else f"{place}:kill9",
    )
    assert killed.code == -signal.SIGKILL, killed.err
    retried = attempt(kafka, pipeline)
    assert retried.code == 0, retried.out + retried.err
    assert json.loads(retried.out)["published"] == ROWS - ROWS // NTH
    assert anomalies(kafka, pipeline) == []


@pytest.mark.parametrize("place", ["mid_produce", "after_flush"])
def test_kill_and_retry_of_records_sent_by_the_thousand(kafka: Cluster, place: str) -> None:
    """Records without headers go by librdkafka's batch call (tests/kafka/test_batch.py)."""
    pipeline = fresh("k").lower()
    killed = attempt(kafka, pipeline, headers="none", failpoint=f"{place}@1:kill9")
    assert killed.code == -signal.SIGKILL, killed.err
    retried = attempt(kafka, pipeline, headers="none")
    assert retried.code == 0, retried.out + retried.err
    assert anomalies(kafka, pipeline) == []


@pytest.mark.parametrize("place", ["mid_produce", "after_flush", "after_ledger", "after_commit"])
def test_control_without_transactions_the_same_kill_duplicates(kafka: Cluster, place: str) -> None:
    pipeline = fresh("k").lower()
    killed = attempt(kafka, pipeline, plain=True, failpoint=f"{place}@1:kill9")
    assert killed.code == -signal.SIGKILL, killed.err
    assert attempt(kafka, pipeline, plain=True).code == 0
    assert kinds(anomalies(kafka, pipeline)) >= {("duplicate", "data"), ("nonmonotonic", "data")}


def test_control_without_asking_the_ledger_a_kill_after_commit_duplicates(kafka: Cluster) -> None:
    pipeline = fresh("k").lower()
    assert attempt(kafka, pipeline, failpoint="after_commit@1:kill9").code == -signal.SIGKILL
    assert attempt(kafka, pipeline, off=["ask_ledger"]).code == 0
    assert kinds(anomalies(kafka, pipeline)) >= {(("duplicate", topic)) for topic in ("data", "quarantine", "ledger")}


def test_a_zombie_that_wakes_after_its_successor_changes_nothing(kafka: Cluster) -> None:
    pipeline = fresh("k").lower()
    zombie = start(kafka, pipeline, failpoint="after_flush@1:stop")
    wait_until_stopped(zombie.pid)
    assert attempt(kafka, pipeline).code == 0
    zombie.send_signal(signal.SIGCONT)
    answer = said(zombie)
    assert answer["published"] == ROWS - ROWS // NTH  # it followed, and found the work done
    assert any(e.startswith("producer.fenced") for e in answer["events"])
    assert anomalies(kafka, pipeline) == []


def test_two_runs_of_one_file_at_once(kafka: Cluster) -> None:
    pipeline = fresh("k").lower()
    both = [start(kafka, pipeline, timeout="5s", failpoint="after_flush@1:sleep=1") for _ in range(2)]
    answers = [said(p) for p in both]
    assert [a.get("published") for a in answers] == [ROWS - ROWS // NTH] * 2, answers
    assert anomalies(kafka, pipeline) == []


def test_two_files_of_one_lane_at_once(kafka: Cluster) -> None:
    """They fence each other: whoever is fenced follows, and takes the lane when the other's file is complete, not after
    a minute of silence."""
    pipeline = fresh("k").lower()
    names = of_one_lane(2)
    began = time.monotonic()
    both = [start(kafka, pipeline, name=name, failpoint="after_flush@1:sleep=1") for name in names]
    answers = [said(p) for p in both]
    assert [a.get("published") for a in answers] == [ROWS - ROWS // NTH] * 2, answers
    assert any("producer.fenced" in e for a in answers for e in a["events"])
    assert time.monotonic() - began < 40
    for name in names:
        assert look(kafka.config, pipeline, ROWS, quarantine_every=NTH, name=name) == []


def test_the_broker_is_killed_in_mid_chunk_and_comes_back(tmp_path: Path) -> None:
    with running(tmp_path / "broker") as own:
        cluster = Cluster(own.bootstrap, own.home)
        worker = start(cluster, "restart", failpoint="after_flush@1:sleep=3")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not chunk_is_on_the_broker(cluster, "restart"):
            time.sleep(0.1)
        nodes.kill(own.home, 1)
        nodes.start_node(own.home, CACHE, 1)
        assert said(worker)["published"] == ROWS - ROWS // NTH
        assert anomalies(cluster, "restart") == []


def test_sigterm_in_mid_chunk_leaves_nothing_open(kafka: Cluster) -> None:
    """Python's default for SIGTERM is to die; like Airflow's, the worker's handler raises in the main thread. The
    interpreter is one of its own, for its end is a part of this."""
    pipeline = fresh("k").lower()
    process = subprocess.Popen(
        [sys.executable, "-m", *command(kafka, pipeline)], env=environment("after_flush@1:sleep=60"), cwd=ROOT
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not chunk_is_on_the_broker(kafka, pipeline):
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert process.wait(15) == 143
    assert time.monotonic() - began < 10
    began = time.monotonic()
    visible = {json.loads(m.value())["row"] for m in read_all(kafka.config, f"{pipeline}.data")}
    assert time.monotonic() - began < 5  # the transaction is aborted: no consumer waits for its timeout
    assert visible == {n for n in range(1, CHUNK + 1) if n % NTH}
    assert attempt(kafka, pipeline).code == 0
    assert anomalies(kafka, pipeline) == []


def chunk_is_on_the_broker(kafka: Cluster, pipeline: str) -> bool:
    """Whether rows of the second chunk lie in the log, uncommitted."""
    if f"{pipeline}.data" not in kafka.admin().list_topics(timeout=10).topics:
        return False
    return len(read_all(kafka.config, f"{pipeline}.data", "read_uncommitted")) >= 2 * (CHUNK - CHUNK // NTH)


def open_transaction(kafka: Cluster, topic: str) -> Any:
    """Another producer's transaction on a ledger partition: everything committed after it is hidden behind the last
    stable offset."""
    from confluent_kafka import Producer

    other = Producer({**kafka.config, "transactional.id": fresh("other"), "transaction.timeout.ms": 60_000})
    other.init_transactions(30)
    other.begin_transaction()
    other.produce(topic, b"never committed", b"x", partition=0)
    assert other.flush(30) == 0
    return other


def commit_behind_another(kafka: Cluster, pipeline: str) -> Any:
    """One chunk is committed behind somebody's open transaction on the ledger, and its publisher dies before it can
    tell anybody."""
    worker = start(kafka, pipeline, chunk=ROWS, failpoint="after_flush@0:stop,after_commit@0:kill9")
    wait_until_stopped(worker.pid)
    other = open_transaction(kafka, f"forebay.{pipeline}.ledger")
    worker.send_signal(signal.SIGCONT)
    worker.communicate(timeout=60)
    assert worker.returncode == -signal.SIGKILL
    return other


def test_the_barrier_waits_for_another_transaction_on_the_ledger(kafka: Cluster) -> None:
    pipeline = fresh("k").lower()
    other = commit_behind_another(kafka, pipeline)
    retry = start(kafka, pipeline, chunk=ROWS)
    with pytest.raises(subprocess.TimeoutExpired):
        retry.wait(4)
    other.abort_transaction(30)
    answer = said(retry, 60)
    assert (answer["published"], answer["events"]) == (ROWS - ROWS // NTH, ["chunk.skipped 0"])
    assert anomalies(kafka, pipeline) == []


def test_control_a_barrier_at_the_last_stable_offset_duplicates(kafka: Cluster) -> None:
    pipeline = fresh("k").lower()
    other = commit_behind_another(kafka, pipeline)
    retry = start(kafka, pipeline, chunk=ROWS, barrier="last_stable", failpoint="after_commit@0:exit")
    retry.communicate(timeout=60)
    other.abort_transaction(30)
    found = anomalies(kafka, pipeline)
    [twice] = [anomaly for anomaly in found if (anomaly.name, anomaly.topic) == ("duplicate", "data")]
    assert len(twice.rows) == ROWS - ROWS // NTH
    assert ("duplicate", "ledger") in kinds(found)


@pytest.mark.slow
def test_a_transaction_that_times_out_between_flush_and_commit_is_sent_once_more(kafka: Cluster) -> None:
    pipeline = fresh("k").lower()
    worker = attempt(kafka, pipeline, timeout="2s", failpoint="after_flush@1:sleep=14")  # the broker sweeps every 10 s
    answer = json.loads(worker.out)
    assert answer["published"] == ROWS - ROWS // NTH
    assert any(e.startswith(("producer.fenced", "chunk.retried")) for e in answer["events"])
    assert anomalies(kafka, pipeline) == []
