"""A run that dies between its commit and its proof leaves work behind: the next run that finds the file finishes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.kafka import ROOT, Cluster
from tests.support.project import OrdersProject, orders

pytestmark = pytest.mark.kafka
DAY = "2026-01-05"


def cut_short(shop: OrdersProject, step: str) -> None:
    """A run that SIGKILL ends at the beginning of the step."""
    words = [sys.executable, "-m", "tests.chaos.stepkill", f"{step}:0", "run", shop.name, "--date", DAY]
    environment = shop.environment(PYTHONPATH=os.pathsep.join([str(ROOT), str(ROOT / "include")]))
    done = subprocess.run(words, cwd=shop.root, env=environment, capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def settled_by(shop: OrdersProject, settle: dict[str, str]) -> None:
    path = shop.root / "include/pipelines/orders.yaml"
    path.write_text(path.read_text() + yaml.safe_dump({"settle": settle}))


@pytest.mark.parametrize("step", ["reconcile", "settle"])
def test_what_a_killed_run_left_unproved_is_proved_and_settled_by_the_next(
    step: str, tmp_path: Path, kafka: Cluster, topic_name: str
) -> None:
    shop = OrdersProject.make(tmp_path, f"orders-{topic_name[-8:]}", kafka.bootstrap)
    settled_by(shop, {"type": "delete"})  # which only a run with the proof may
    path = shop.drop(DAY, "a.csv", orders(1, 200))
    cut_short(shop, step)
    assert path.exists()

    again = shop.run()
    assert again.code == 0, again.err
    [file] = again.json["files"]
    assert file["fate"] == "already published"
    assert "was cut short, its 200 records are proved and settled now" in file["reason"]
    assert not path.exists()
    told = shop.forebay("files", shop.name, "--json").json["files"]
    assert {f["fate"]: (f["status"], f["published"], f["settled"]) for f in told}["new"] == ("done", 200, "deleted")


def test_a_proof_that_fails_is_loud_and_deletes_nothing(tmp_path: Path, kafka: Cluster, topic_name: str) -> None:
    from confluent_kafka import TopicPartition

    shop = OrdersProject.make(tmp_path, f"orders-{topic_name[-8:]}", kafka.bootstrap)
    settled_by(shop, {"type": "delete"})
    path = shop.drop(DAY, "a.csv", orders(1, 200))
    cut_short(shop, "reconcile")
    admin = kafka.admin()  # kept: its futures die with it
    cut = admin.delete_records([TopicPartition(shop.name, p, 5) for p in range(3)])  # somebody truncates the topic
    assert all(future.result(30) for future in cut.values())
    again = shop.run()
    assert again.code == 1, again.out
    assert "have expired" in again.out, again.out
    assert path.exists()
