"""Where trials run: a real broker (or three) behind proxies, files of generated rows, attempts at publishing them, and
readers that watch.

Trials share a pipeline (its topics, ledger and lanes) for a while, each with files of its own; then the topics are read
once more by other consumers, judged, and deleted (`Batch`).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from forebay.kafka.embedded.running import Broker
from tests.chaos.java import read_java
from tests.chaos.proxy import Proxy
from tests.harness.checker import Anomaly, Expectation, check, compare
from tests.harness.judge import expected, strangers
from tests.harness.readers import Topics, Watcher, read, topics_of
from tests.harness.spawner import Forked, spawner
from tests.support.kafka import ACLS, CACHE, USERS, Cluster, create_topic, running

PARTITIONS = 4
SWEEP = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000"}
"""The broker looks for timed-out transactions every second (default: 10 s), so that trials of timeouts are quick."""

_SCRAM = "listener.name.sasl_plaintext.scram-sha-512"
SCRAM = {
    "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
    f"{_SCRAM}.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
    f"{_SCRAM}.connections.max.reauth.ms": "4000",
    "super.users": ACLS["super.users"] + ";User:carol",
}
"""Users that can be made and removed while the broker runs, and must log in again every 4 s (KIP-368); `carol` may do
anything."""


class Unmet(Exception):
    """A trial did not go as the fault matrix says it must (an exit code, a time limit), whatever consumers saw."""


@dataclass
class File:
    """A file of generated rows: its job for the worker, and what must come of it. `complete` False: nothing, or whole
    chunks of it."""

    job: dict[str, Any]
    want: Expectation
    complete: bool = True

    @property
    def chunks(self) -> int:
        return -(-self.job["rows"] // self.job["chunk"])


@dataclass
class Child:
    """A running attempt."""

    process: Forked
    mark: Path

    def reaches(self, timeout: float = 60) -> None:
        """Wait until it acts at its failpoint."""
        self._wait(self.mark.exists, timeout)

    def _wait(self, there: Any, timeout: float) -> None:
        wait_for(lambda: there() or self.process.poll() is not None, timeout, "an attempt never came to its failpoint")
        if not there():
            raise Unmet(f"an attempt ended before its failpoint: {self.answer()}")

    def stops(self, timeout: float = 60) -> None:
        """Wait until it stands still (SIGSTOP)."""
        self._wait(self._stands_still, timeout)

    def _stands_still(self) -> bool:
        import psutil

        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED
        return False

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def answer(self, timeout: float = 180) -> Answer:
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # faulthandler says where it hangs
            out, err = self.process.communicate()
            raise Unmet(
                f"an attempt did not end within {timeout:g} s; it said: {out[-200:]} "
                f"{err.split('Extension modules')[0][-2500:]}"
            ) from None
        return Answer(self.process.returncode or 0, json.loads(out.splitlines()[-1]) if out.strip() else {}, err)


@dataclass(frozen=True)
class Answer:
    """How an attempt ended: exit code (negative: a signal), its JSON line, its standard error."""

    code: int
    said: dict[str, Any]
    err: str

    def must(self, *codes: int) -> Answer:
        if self.code not in codes:
            raise Unmet(
                f"exit code {self.code} where {codes} is due: {self.said.get('message') or self.said} {self.err[-300:]}"
            )
        return self


def wait_for(condition: Any, timeout: float, otherwise: str) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise Unmet(otherwise)
        time.sleep(0.01)


@dataclass
class Batch:
    """The topics that some trials share, the consumer that reads along, and those trials' files by trial seed."""

    name: str
    topics: Topics
    watcher: Watcher
    trials: dict[str, list[File]] = field(default_factory=dict)


class Lab:
    """A cluster and a batch of topics on it. `proxies` has one entry per node; `proxied` is the bootstrap address
    through them."""

    def __init__(self, started: Broker, proxies: list[Proxy], scratch: Path) -> None:
        self.cluster = Cluster(started.bootstrap, started.home, started.sasl)
        self.nodes = started.nodes
        self.proxies = proxies
        self.proxied = ",".join(f"127.0.0.1:{p.port}" for p in proxies)
        self.scratch = scratch
        self.admin = _quiet_admin(self.cluster.config)
        self.batch: Batch | None = None
        self.trial = ""
        self.notes: list[str] = []
        self._children: list[Child] = []

    # batches

    def open(self) -> Batch:
        name = f"c{uuid.uuid4().hex[:8]}"
        topics = topics_of(name, f"{name}.data")
        create_topic(self.cluster.config, f"{name}.data", PARTITIONS)
        create_topic(self.cluster.config, f"forebay.{name}.quarantine")
        create_topic(self.cluster.config, f"forebay.{name}.ledger", cleanup_policy="compact", retention_ms=-1)
        self.batch = Batch(name, topics, Watcher(self.cluster.config, topics))
        return self.batch

    @property
    def now(self) -> Batch:
        return self.batch or self.open()

    def close(self) -> dict[str, list[Anomaly]]:
        """End the batch: judge every trial by two more readings, and delete the topics. Anomalies by trial; "" for
        those of no trial."""
        batch, self.batch = self.batch, None
        if batch is None:
            return {}
        try:
            batch.watcher.catch_up()
            batch.watcher.close()
            return _judge(batch, self.cluster)
        finally:
            for future in self.admin.delete_topics(list(batch.topics)).values():
                with contextlib.suppress(Exception):
                    future.result()

    # a trial

    def begin(self, trial: str) -> None:
        self.trial, self.notes = trial, []
        self.now.trials[trial] = []
        for proxy in self.proxies:
            proxy.heal()
            proxy.forget()

    def unfinished(self) -> None:
        """The trial was broken off: nobody promises that its files are complete; what is there of them is judged."""
        for file in self.now.trials[self.trial]:
            file.complete = False

    def end(self, patience: float = 20.0) -> list[Anomaly]:
        """What the live consumer found of this trial. Nothing of it runs any more, and no transaction may be open
        (I9)."""
        self.kill_children()
        for proxy in self.proxies:
            proxy.heal()
        watcher = self.now.watcher
        found = [] if watcher.settled(patience) else [Anomaly("stuck", "I9", f"transactions are open: {watcher.lag()}")]
        if not watcher.catch_up():
            found.append(Anomaly("stuck", "I9", "the live consumer did not come to the end"))
        return found + [
            a for file in self.now.trials[self.trial] for a in check(file.want, watcher.records, file.complete)
        ]

    def kill_children(self) -> None:
        for child in self._children:
            if child.process.poll() is None:
                child.kill()
        self._children = []

    def file(self, rng: random.Random, complete: bool = True, **job: Any) -> File:
        """A new file of this trial: 2 to 5 chunks of 60 to 400 rows, some quarantined rows, with headers or without
        (then librdkafka gets the rows of a chunk in batches, a path of its own). `job` overrides (worker.py, DEFAULTS).
        """
        number = len(self.now.trials[self.trial])
        chunk, aside = rng.randint(60, 400), rng.choice([0, 13, 29, 50])
        rows = chunk * rng.randint(1, 4) + rng.randint(1, chunk)
        own = {
            "bootstrap": self.cluster.bootstrap,
            "pipeline": self.now.name,
            "name": f"{self.trial}/{number}",
            "partitions": PARTITIONS,
        }
        made = own | {"rows": rows, "chunk": chunk, "quarantine": aside, "timeout": "10s"}
        made |= {"headers": rng.choice(["minimal", "none"])} | job
        found = File(made, generated(made), complete)
        self.now.trials[self.trial].append(found)
        return found

    def note(self, text: str) -> None:
        """Something worth knowing of this trial that is no fault."""
        self.notes.append(text)

    def start(self, file: File, failpoint: str = "", **job: Any) -> Child:
        """Begin an attempt at a file."""
        mark = self.scratch / uuid.uuid4().hex
        words = [json.dumps(file.job | {"mark": str(mark)} | job)]
        child = Child(
            spawner.start("tests.harness.worker", words, {**os.environ, "FOREBAY_FAILPOINT": failpoint}), mark
        )
        self._children.append(child)
        return child

    def attempt(self, file: File, failpoint: str = "", patience: float = 180, **job: Any) -> Answer:
        return self.start(file, failpoint, **job).answer(patience)

    def finish(self, file: File, failpoint: str = "", **job: Any) -> Answer:
        """The attempt that must complete the file, whatever went before."""
        return self.attempt(file, failpoint, **job).must(0)


def _quiet_admin(config: dict[str, Any]) -> Any:
    from confluent_kafka.admin import AdminClient

    quiet: dict[str, Any] = {"log_level": 0, "error_cb": lambda _: None}
    return AdminClient({**config, **quiet})


def generated(job: dict[str, Any]) -> Expectation:
    """What the rows that `job` generates must become."""
    return expected(job["name"], job["rows"], job["partitions"], job["quarantine"], job.get("generation", 1))


def _judge(batch: Batch, cluster: Cluster) -> dict[str, list[Anomaly]]:
    live, final = batch.watcher.records, read(cluster.config, batch.topics)
    java = read_java(CACHE, cluster.bootstrap, batch.topics, due=len(final))
    found: dict[str, list[Anomaly]] = {"": compare(live, final)}
    if set(final) != set(java) or len(final) != len(java):
        differ = set(final) ^ set(java)
        found[""].append(
            Anomaly("disagreement", "I2", f"librdkafka saw {len(final)} records, Java {len(java)}; {list(differ)[:2]}")
        )
    for trial, files in batch.trials.items():
        found[trial] = [
            _named(a, who)
            for who, seen in (("at the end", final), ("Java", java))
            for f in files
            for a in check(f.want, seen, f.complete)
        ]
    known = tuple(f.want.prefix for files in batch.trials.values() for f in files)
    found[""] += strangers(final, known)
    return found


def _named(anomaly: Anomaly, who: str) -> Anomaly:
    return replace(anomaly, detail=f"{anomaly.detail} ({who})")


@contextlib.contextmanager
def laboratory(nodes: int) -> Iterator[Lab]:
    """A fresh cluster of 1 or 3 nodes with proxies, users and ACLs; gone afterwards."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="forebay-chaos-")))
        proxies = [stack.enter_context(Proxy()) for _ in range(nodes)]
        (folder / "scratch").mkdir()
        advertised = tuple(proxy.port for proxy in proxies)
        extra = {**ACLS, **SWEEP, **SCRAM}
        started = stack.enter_context(
            running(folder / "broker", nodes, users=USERS, extra=extra, advertised=advertised)
        )
        for proxy, port in zip(proxies, started.proxied, strict=True):
            proxy.target = port
        lab = Lab(started, proxies, folder / "scratch")
        stack.callback(lab.kill_children)
        yield lab
