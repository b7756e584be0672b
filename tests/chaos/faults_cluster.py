"""Faults of a cluster of three: nodes killed and restarted (row 15), leaders moved (row 16), one node's network cut
(row 17)."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from random import Random
from typing import Any

from forebay.kafka.embedded import broker
from forebay.kafka.ledger.entries import lane_of
from tests.chaos.faults import Run, fault
from tests.chaos.faults_network import ends
from tests.chaos.lab import File, Lab, Unmet, wait_for
from tests.chaos.reassign import coordinator, elect, reassign
from tests.harness import nodes
from tests.harness.generated import make_pipeline
from tests.support.kafka import CACHE

CHUNKS = 6


def _slow_file(lab: Lab, rng: Random) -> tuple[File, str]:
    """A file of six chunks, and failpoints that keep each transaction open for half a second."""
    places = [f"{rng.choice(['mid_produce', 'after_flush', 'after_ledger'])}@{n}:sleep=0.5" for n in range(CHUNKS)]
    return lab.file(rng, rows=CHUNKS * 200, chunk=200, timeout="30s"), ",".join(places)


def _leader(lab: Lab, topic: str, partition: int = 0) -> int:
    return int(lab.admin.list_topics(topic, timeout=20).topics[topic].partitions[partition].leader)


def _coordinator(lab: Lab, file: File) -> int:
    """The node that coordinates the transactions of the file's lane, as the cluster says."""
    pipeline = make_pipeline(lab.now.name)
    return coordinator(lab.cluster.bootstrap, pipeline.transactional_id(lane_of(file.want.fingerprint)))


def _bring_back(lab: Lab, node: int) -> None:
    nodes.start_node(lab.cluster.home, CACHE, node)
    _until_in_sync(lab)


def _until_in_sync(lab: Lab) -> None:
    """Wait until every node is there (one that a failed trial left dead is started) and every partition has a leader
    and three replicas."""
    started = broker.status(lab.cluster.home)
    for node in [n for n, pid in enumerate(started.pids, 1) if not pid] if started else []:
        nodes.start_node(lab.cluster.home, CACHE, node)

    def behind() -> bool:
        topics = lab.admin.list_topics(timeout=20).topics.values()
        return any(len(p.isrs) < 3 or p.leader < 0 for t in topics for p in t.partitions.values())

    wait_for(lambda: not behind(), 60, "the cluster did not come back in sync")


def _hit_node(which: str, how: str) -> Run:
    def run(lab: Lab, rng: Random) -> int:
        _until_in_sync(lab)
        file, failpoints = _slow_file(lab, rng)
        child = lab.start(file, failpoints, bootstrap=lab.proxied)
        child.reaches()
        time.sleep(rng.random() * 1.5)
        node = {
            "any": lambda: rng.randint(1, 3),
            "coordinator": lambda: _coordinator(lab, file),
            "ledger leader": lambda: _leader(lab, f"forebay.{lab.now.name}.ledger"),
            "data leader": lambda: _leader(lab, f"{lab.now.name}.data", rng.randrange(4)),
        }[which]()
        _stop_node(lab, node, how)
        ends(lab, file, child)
        _bring_back(lab, node)
        return 1

    return run


def _stop_node(lab: Lab, node: int, how: str) -> None:
    if how == "kill -9":
        nodes.kill(lab.cluster.home, node)
        return
    started = broker.status(lab.cluster.home)
    assert started is not None
    os.kill(started.pids[node - 1], signal.SIGTERM)
    wait_for(
        lambda: not (s := broker.status(lab.cluster.home)) or not s.pids[node - 1], 40, f"node {node} did not stop"
    )


for _which in ("any", "coordinator", "ledger leader", "data leader"):
    _words = f"kill -9 of {'any node' if _which == 'any' else 'the ' + _which} while a file is published"
    fault("15", _words, f"broker-kill-{_which.replace(' ', '-')}", nodes=3, harm="broker kill", seconds=16)(
        _hit_node(_which, "kill -9")
    )
fault("15", "clean restart of a node", "broker-restart", nodes=3, harm="restart", seconds=18)(
    _hit_node("any", "SIGTERM")
)


@fault("15", "rolling restart of all nodes, a file published meanwhile", nodes=3, harm="restart", seconds=45)
def rolling_restart(lab: Lab, rng: Random) -> int:
    _until_in_sync(lab)
    places = ",".join(f"after_flush@{n}:sleep=1" for n in range(20))
    file = lab.file(rng, rows=20 * 100, chunk=100, timeout="30s")
    child = lab.start(file, places, bootstrap=lab.proxied)
    child.reaches()
    for node in (1, 2, 3):
        _stop_node(lab, node, rng.choice(["kill -9", "SIGTERM"]))
        _bring_back(lab, node)
    ends(lab, file, child)
    return 3


@fault("15", "SIGSTOP of a node for 4 s, longer than its session", nodes=3, harm="freeze", seconds=16)
def broker_frozen(lab: Lab, rng: Random) -> int:
    _until_in_sync(lab)
    file, failpoints = _slow_file(lab, rng)
    child = lab.start(file, failpoints, bootstrap=lab.proxied)
    child.reaches()
    node = rng.randint(1, 3)
    nodes.freeze(lab.cluster.home, node)
    time.sleep(4)
    nodes.thaw(lab.cluster.home, node)
    ends(lab, file, child)
    _until_in_sync(lab)
    return 1


@fault(
    "16", "leaders of all partitions move, again and again, without a restart", nodes=3, harm="leader move", seconds=14
)
def leader_moves(lab: Lab, rng: Random) -> int:
    _until_in_sync(lab)
    file, failpoints = _slow_file(lab, rng)
    child = lab.start(file, failpoints, bootstrap=lab.proxied)
    child.reaches()
    with _moving(lab, rng) as moves:
        ends(lab, file, child)
    if not moves:
        raise Unmet("no leader moved")
    _until_in_sync(lab)
    return len(moves)


@contextlib.contextmanager
def _moving(lab: Lab, rng: Random) -> Iterator[list[int]]:
    """Move leaders in a thread; the list grows with each change of a leader that was asked for and happened."""
    end, moved, failed = threading.Event(), [], []
    data = f"{lab.now.name}.data"
    places = [(data, p) for p in range(4)] + [
        (f"forebay.{lab.now.name}.ledger", 0),
        ("__transaction_state", rng.randrange(3)),
    ]

    def move() -> None:
        try:
            while not end.is_set():
                topic, partition = rng.choice(places)
                before = _leader(lab, topic, partition)
                order = [n for n in (1, 2, 3) if n != before]
                rng.shuffle(order)
                if reassign(lab.cluster.bootstrap, topic, partition, [*order, before]):
                    continue
                elect(lab.admin, [(topic, partition)])
                moved.extend([partition] * (_leader(lab, topic, partition) != before))
                end.wait(0.15)
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=move, daemon=True)
    thread.start()
    try:
        yield moved
    finally:
        end.set()
        thread.join(30)
    if failed:
        raise failed[0]


def _cut_node(which: str) -> Run:
    def run(lab: Lab, rng: Random) -> int:
        _until_in_sync(lab)
        file, failpoints = _slow_file(lab, rng)
        child = lab.start(file, failpoints, bootstrap=lab.proxied)
        child.reaches()
        time.sleep(rng.random())
        node = _coordinator(lab, file) if which == "coordinator" else rng.randint(1, 3)
        cut = lab.proxies if which == "all" else [lab.proxies[node - 1]]
        harm: Any = rng.choice(["refuse", "to_client", "to_broker"])
        for proxy in cut:
            proxy.cut(refuse=True) if harm == "refuse" else proxy.lose(harm)
        time.sleep(3 + rng.random() * 3)
        for proxy in cut:
            proxy.heal()
        ends(lab, file, child)
        return 1

    return run


for _which in ("one", "coordinator", "all"):
    _words = (
        f"network between publisher and {'the coordinator' if _which == 'coordinator' else _which + ' of three nodes'} "
        "cut for 3–6 s (refused, or one way lost)"
    )
    fault("17", _words, f"cut-{_which}", nodes=3, harm="cut", seconds=14)(_cut_node(_which))
