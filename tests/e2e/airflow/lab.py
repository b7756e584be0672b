"""A real Airflow and a real Kafka that trials share: pipelines of birds, nights of files whose rows are known, and the
judgement of what consumers saw.

What must arrive follows from the rows' numbers alone; the checker and its readers (tests/harness) share no code with
forebay.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import psutil

from airflow_home import Airflow
from tests.harness.checker import Anomaly, Expectation, check, compare
from tests.harness.judge import strangers
from tests.harness.readers import Topics, Watcher, read, topics_of
from tests.support.kafka import CACHE, Cluster, create_topic

Found = TypeVar("Found")
NIGHT = date(2013, 1, 1)
CHUNK = 200
FAILPOINT = "mid_produce@1:sleep=4"
"""A file of more than one chunk is published with a pause in the middle of its second: there is time to do harm."""

PIPELINE = """\
pipeline: NAME
owner: zoo
schedule: {cron: "0 2 * * *", timezone: America/New_York, end: 2013-12-31}
source: {type: local, path: "drops/NAME/{{ ds }}/*.csv", ready_when: {marker: _SUCCESS}}
format: {type: csv}
schema: {columns: {id: int64, day: date, airport: string, name: string}}
quality:
  suite: birds
  block_when: {quarantined_over: 10%}
  steward: {timeout: 10m}
record: {key: [airport, id]}
topic: {name: NAME, partitions: 3, manage: create}
publish: {transaction_timeout: 5s, chunk: {rows: 200}}
"""
SUITE = {
    "name": "birds",
    "expectations": [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "name"}, "severity": "critical"}
    ],
}


@dataclass(frozen=True)
class Lab:
    """The project, its Airflow, and the broker."""

    project: Path
    airflow: Airflow
    kafka: Cluster

    def trial(self, pipeline: str) -> Trial:
        return Trial(self, pipeline)

    def forebay(self, *words: str) -> subprocess.Popen[str]:
        """The command, as somebody calls it beside Airflow."""
        command = [sys.executable, "-m", "forebay.cli", *words, "--json"]
        environment = {**self.airflow.environ(), "FOREBAY_CACHE": str(CACHE)}
        return subprocess.Popen(
            command,
            cwd=self.project,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )


def write_pipeline(project: Path, name: str, *changes: tuple[str, str]) -> None:
    """A pipeline file; `changes` replace text of `PIPELINE`."""
    text = PIPELINE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    for path, content in (
        (f"pipelines/{name}.yaml", text.replace("NAME", name)),
        ("expectations/birds.json", json.dumps(SUITE)),
    ):
        place = project / "include" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content, "utf-8")


@dataclass
class Trial:
    """One pipeline with its topics, a consumer that reads along from the beginning, and what must come of each file
    that was dropped."""

    lab: Lab
    name: str
    wanted: list[Expectation] = field(default_factory=list)

    def __post_init__(self) -> None:
        config = self.lab.kafka.config
        create_topic(config, self.name, 3)
        create_topic(config, f"forebay.{self.name}.quarantine")
        create_topic(config, f"forebay.{self.name}.ledger", cleanup_policy="compact", retention_ms=-1)
        self.watcher = Watcher(config, self.topics)

    @cached_property
    def topics(self) -> Topics:
        return topics_of(self.name, self.name)

    # ---- what goes in

    def drop(self, airport: str, rows: int, day: date = NIGHT, nth: int = 50) -> Expectation:
        """One airport's file of a night, complete; each `nth` row has no name and must be quarantined."""
        folder = self.lab.project / "drops" / self.name / day.isoformat()
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"{i},{day},{airport},{'' if i % nth == 0 else f'bird {i}'}" for i in range(1, rows + 1)]
        content = "\n".join(["id,day,airport,name", *lines, ""]).encode()
        (folder / f"{airport}.csv").write_bytes(content)
        (folder / "_SUCCESS").touch()
        want = Expectation(
            fingerprint=hashlib.sha256(content).hexdigest(),
            rows=rows,
            aside=frozenset(range(nth, rows + 1, nth)),
            key=lambda row: b'{"airport":"%s","id":%d}' % (airport.encode(), row),
            partition=None,
            value_ok=lambda row, value: (
                json.loads(value) == {"id": row, "day": f"{day}", "airport": airport, "name": f"bird {row}"}
            ),
        )
        self.wanted.append(want)
        return want

    def night(self, day: date = NIGHT) -> None:
        """Two files: one of three chunks, one of a single chunk."""
        self.drop("EWR", 3 * CHUNK - 30, day)
        self.drop("JFK", CHUNK - 30, day)

    # ---- what happens

    @property
    def airflow(self) -> Airflow:
        return self.lab.airflow

    def backfill(self, first: date = NIGHT, last: date | None = None, **how: Any) -> list[str]:
        return self.airflow.backfill(self.name, first, last or first, **how)

    def in_the_middle(self, run: str) -> psutil.Process:
        """The task process of a publish, found when its transaction is open and rows of it lie in the topic."""
        pid = until(lambda: self.airflow.task_process(self.name, run, "publish", 0), "publish never ran")
        until(self.watcher.lag, "publish never had a transaction open", pause=0.02)
        return psutil.Process(pid)

    def ended(self, runs: list[str], timeout: float = 240) -> str:
        """The runs' common state when they have ended."""
        states = set(self.airflow.wait(self.name, runs, timeout).values())
        assert len(states) == 1, states
        return states.pop()

    def tasks(self, run: str) -> dict[str, str]:
        """State of each task instance: `publish[0]` → `success`."""
        return {_title(ti): ti["state"] for ti in self.airflow.task_instances(self.name, run)}

    def tries(self, run: str) -> dict[str, int]:
        return {_title(ti): ti["try_number"] for ti in self.airflow.task_instances(self.name, run)}

    def files(self, run: str, task: str = "settle") -> dict[str, dict[str, Any]]:
        """What a task handed on, by file name."""
        found = {file["file"]["uri"].rpartition("/")[2]: file for file in self.airflow.xcom(self.name, run, task)}
        return {name: file for name, file in found.items() if name.endswith(".csv")}

    def log(self, run: str, task: str, map_index: int = -1, try_number: int = 1) -> str:
        return self.airflow.log(self.name, run, task, map_index, try_number)

    def failures(self, run: str) -> str:
        """Logs of what failed, for an assertion's message."""
        failed = [ti for ti in self.airflow.task_instances(self.name, run) if ti["state"] == "failed"]
        return "\n\n".join(
            f"{_title(ti)}\n{self.log(run, ti['task_id'], ti['map_index'], ti['try_number'])[-3000:]}" for ti in failed
        )

    # ---- what comes out

    def anomalies(self, complete: bool = True) -> list[Anomaly]:
        """What consumers saw that they must not have seen, live and at the end. `complete` False: some files may be
        there in part, in whole chunks."""
        found = (
            [] if self.watcher.settled(30) else [Anomaly("stuck", "I9", f"transactions are open: {self.watcher.lag()}")]
        )
        if not self.watcher.catch_up():
            found.append(Anomaly("stuck", "I9", "the live consumer did not come to the end"))
        live, final = list(self.watcher.records), read(self.lab.kafka.config, self.topics)
        prefixes = tuple(want.prefix for want in self.wanted)
        return (
            found
            + strangers(final, prefixes)
            + compare(live, final)
            + [a for want in self.wanted for a in check(want, final, complete)]
        )

    def records(self) -> list[Any]:
        """What consumers see by now, and the ledger's records."""
        return list(read(self.lab.kafka.config, self.topics))

    def visible(self) -> int:
        """Records that consumers see by now, data and quarantine."""
        return sum(record.topic != "ledger" for record in self.records())

    def close(self) -> None:
        self.watcher.close()


def gone(process: psutil.Process, within: float) -> bool:
    """Whether the process ends within so many seconds."""
    with suppress(psutil.NoSuchProcess):
        end = time.monotonic() + within
        while process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
    return True


def until(look: Callable[[], Found | None], otherwise: str, timeout: float = 300, pause: float = 0.25) -> Found:
    end = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < end, otherwise
        time.sleep(pause)
    return found


def _title(instance: dict[str, Any]) -> str:
    return f"{instance['task_id']}[{instance['map_index']}]" if instance["map_index"] >= 0 else instance["task_id"]
