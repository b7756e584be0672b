"""Faults of the whole way of a file, by `forebay run` in a project of its own (rows 1–4, 23, 24, 29, 30, 39, 41, 42 of
the fault matrix)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos.faults import Run, fault
from tests.chaos.lab import File, Lab, Unmet
from tests.harness.checker import Expectation
from tests.harness.spawner import Forked, spawner
from tests.support.kafka import ROOT
from tests.support.project import PIPELINE, SUITE, Answer, OrdersProject, orders

DAY = "2026-01-05"


Process = subprocess.Popen[str] | Forked


@dataclass
class Drop:
    """A project with one dropped file of well-formed orders, some of them negative: those must be quarantined."""

    project: OrdersProject
    lab: Lab
    path: Path

    def start(self, step: str = "", limit: Callable[[], None] | None = None, **environment: str) -> Process:
        """`forebay run` in a process of its own; `step` names one of stepkill.py's places to die at. One with a limit
        starts afresh, the others are forked (spawner.py).
        """
        own = self.project.environment(PYTHONPATH=f"{ROOT}:{ROOT / 'include'}", **environment)
        words = ["run", self.project.name, "--date", DAY, "--json"]
        if limit is None:
            module, argv = ("tests.chaos.stepkill", [step, *words]) if step else ("forebay.cli", words)
            return spawner.start(module, argv, own, self.project.root)
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command = [sys.executable, "-m", "forebay.cli", *words]
        return subprocess.Popen(command, cwd=self.project.root, env=own, preexec_fn=limit, **pipes)  # noqa: PLW1509

    def run(self, *codes: int, **more: Any) -> Answer:
        return ended(self.start(**more), *codes)


def ended(process: Process, *codes: int, patience: float = 150) -> Answer:
    """Its answer; the exit code must be one of `codes` (0 if none are given)."""
    try:
        out, err = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise Unmet(f"`forebay run` did not end within {patience:g} s") from None
    if process.returncode not in (codes or (0,)):
        raise Unmet(f"`forebay run` ended with {process.returncode} where {codes or (0,)} is due: {err[-400:]}")
    return Answer(process.returncode, out, err)


def drop(lab: Lab, rng: Random, extra: str = "", suite: bool = True, headers: str = "standard") -> Drop:
    """A new file of this trial, in a new project whose pipeline is the batch's."""
    name = lab.now.name
    project = OrdersProject.make(
        lab.scratch / uuid.uuid4().hex, name, lab.cluster.bootstrap, chunk=rng.randint(60, 300), headers=headers
    )
    text = PIPELINE.format(name=name, chunk=rng.randint(60, 300), headers=headers)
    text = text.replace(f"topic: {{name: {name}, partitions: 3", f"topic: {{name: {name}.data, partitions: 4")
    (project.root / "include/pipelines/orders.yaml").write_text(
        text if suite else text.replace("  suite: orders\n", "")
    )
    (project.root / "include/expectations/orders.json").write_text(json.dumps(SUITE))
    count, first = rng.randint(200, 900), rng.randrange(1, 10**9)
    body = orders(first, first + count - 1) + extra
    aside = set(range(count + 1, count + 1 + extra.count("\n")))
    path = project.drop(DAY, f"{uuid.uuid4().hex}.csv", body)
    want = Expectation(
        fingerprint=hashlib.sha256(path.read_bytes()).hexdigest(),
        rows=count + len(aside),
        aside=frozenset(aside),
        key=lambda row: b"c%d" % ((first + row - 1) % 7),
        partition=None,
        value_ok=lambda row, value: json.loads(value)["id"] == first + row - 1,
    )
    lab.now.trials[lab.trial].append(File({"rows": want.rows}, want))
    return Drop(project, lab, path)


# rows 1 to 4: kill -9 before anything is published; 12: after all of it

STEPS = {
    "discover": "1",
    "download": "2",
    "hash": "3",
    "validate": "4",
    "reconcile": "12",
    "settle": "12",
    "report": "12",
}


def _killed(made: Drop, kills: int, step: Callable[[], str], **environment: Callable[[], str]) -> int:
    """So many runs that must die of SIGKILL; how many of them did. Only the first must: a later one may find the step
    done."""
    died = 0
    for number in range(kills):
        process = made.start(step(), None, **{name: value() for name, value in environment.items()})
        died += ended(process, -signal.SIGKILL, *([0] if number else [])).code == -signal.SIGKILL
    return died


def _kill_in(step: str) -> Run:
    """Two to four runs die in the step, at its beginning or a moment later; then one finishes, and a last one has
    nothing to do."""

    def run(lab: Lab, rng: Random) -> int:
        made = drop(lab, rng, suite=rng.random() < 0.5 or step == "validate")
        delays = iter([0.0, *(rng.choice([0.0, 0.1 * rng.random()]) for _ in range(3))])
        kills = _killed(made, rng.randint(2, 4), lambda: f"{step}:{next(delays):.3f}")
        made.run()
        _no_litter(made)
        return kills

    return run


for _step, _row in STEPS.items():
    _words = f"kill -9 in {_step} of `forebay run`, again and again, then run again"
    fault(_row, _words, f"run-kill-{_step}", seconds=7)(_kill_in(_step))


def _no_litter(made: Drop) -> None:
    answer = made.run()
    fates = [file["fate"] for file in answer.json["files"]]
    if fates != ["already published"]:
        raise Unmet(f"a third run says {fates}")


PUBLISHING = (
    "after_init",
    "after_barrier",
    "mid_produce",
    "after_flush",
    "after_ledger",
    "during_commit",
    "after_commit",
)


@fault("5–12", "kill -9 of `forebay run` at failpoints of publish, again and again, then run again", seconds=7)
def run_kill_publish(lab: Lab, rng: Random) -> int:
    made = drop(lab, rng, suite=rng.random() < 0.5)
    kills = _killed(made, rng.randint(2, 4), lambda: "", FOREBAY_FAILPOINT=lambda: f"{rng.choice(PUBLISHING)}:kill9")
    made.run()
    _no_litter(made)
    return kills


# rows 23 and 24: disk and memory


@fault(
    "23",
    "the disk is full (RLIMIT_FSIZE) for spool, stage or index: fails clean, then has room",
    harm="limit",
    seconds=13,
)
def disk_full(lab: Lab, rng: Random) -> int:
    made = drop(lab, rng)
    size = rng.choice([1_000, 4_000, 16_000, 60_000])
    answer = ended(made.start(limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))), 0, 1, 4)
    made.run()
    if answer.code and "Traceback" in answer.err:
        raise Unmet(f"a full disk is not said in words: {answer.err[-300:]}")
    spool = made.project.root / ".forebay" / "spool"
    if spool.exists() and any(spool.iterdir()):
        raise Unmet(f"left in the spool: {list(spool.iterdir())}")
    return 1


@contextlib.contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[None]:
    """A file system of its own, of that size, at the folder. Raises `CalledProcessError` without the right to mount."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True, capture_output=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


@fault(
    "23",
    "the file system of spool, stage and index is full: a clear error, nothing torn; finished once it has room",
    harm="full disk",
    seconds=13,
)
def file_system_full(lab: Lab, rng: Random) -> int:
    if os.geteuid():
        lab.note("not tried: only root may mount")
        return 0
    made = drop(lab, rng)
    folder = made.project.root / ".forebay"
    with tmpfs(folder, f"{rng.choice([16, 40, 80, 120, 160, 200, 240, 300])}k"):
        answer = ended(made.start(), 0, 1, 4)
        if answer.code and not _says_full(answer):
            raise Unmet(f"a full file system is not said in words: {answer.code} {answer.err[-400:]}")
        subprocess.run(["mount", "-o", "remount,size=100m", str(folder)], check=True, capture_output=True)
        made.run()
        _no_litter(made)
    return int(answer.code != 0)


def _says_full(answer: Answer) -> bool:
    return "Traceback" not in answer.err and any(word in answer.err.lower() for word in ("no space", "disk", "full"))


@fault("24", "memory runs out (RLIMIT_AS) somewhere in `forebay run`", harm="limit", seconds=13)
def run_out_of_memory(lab: Lab, rng: Random) -> int:
    made = drop(lab, rng)
    limit = rng.randint(250, 1400) * 2**20
    process = made.start(limit=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    try:
        process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    made.run()
    return 1


# rows 29 and 30: runs beside each other


@fault("29", "two `forebay run` of one window at once, in one project", harm="pair", seconds=15)
def two_runs(lab: Lab, rng: Random) -> int:
    made = drop(lab, rng, suite=False)
    first = made.start()
    time.sleep(rng.random())
    second = made.start()
    for process in (first, second):
        ended(process, 0)
    return 1


@fault(
    "30",
    "two projects on one folder and one pipeline (as two schedulers, or a backfill beside the schedule)",
    harm="pair",
    seconds=15,
)
def two_projects(lab: Lab, rng: Random) -> int:
    made = drop(lab, rng, suite=False)
    root = lab.scratch / uuid.uuid4().hex
    shutil.copytree(made.project.root / "include", root / "include")
    (root / "drops").symlink_to(made.project.root / "drops")
    other = Drop(OrdersProject(root, made.project.name, made.project.bootstrap), lab, made.path)
    first = made.start()
    time.sleep(rng.random())
    second = other.start()
    for process in (first, second):
        ended(process, 0)
    return 1


# rows 39, 41 and 42


def _ledger_harm(what: str) -> Run:
    """The ledger is harmed after a first file was published half-way; forebay must refuse to go on. Topics of its own:
    they cannot be used again."""

    def run(lab: Lab, rng: Random) -> int:
        own = f"x{uuid.uuid4().hex[:8]}"
        project = OrdersProject.make(lab.scratch / own, own, lab.cluster.bootstrap, chunk=100)
        project.drop(DAY, "a.csv", orders(1, 400))
        if project.run(DAY).code != 0:
            raise Unmet("the first run failed")
        _HARM[what](lab, f"forebay.{own}.ledger")
        time.sleep(0.5)
        before = _visible(lab, own)
        project.drop(DAY, "a.csv", orders(1, 400))
        answer = project.run(DAY)
        after = _visible(lab, own)
        if answer.code == 0 or after != before:
            raise Unmet(f"not refused: exit code {answer.code}, {after - before} more records are visible")
        return 1

    return run


def _visible(lab: Lab, topic: str) -> int:
    from tests.support.kafka import read_all

    return len(read_all(lab.cluster.config, topic))


def _delete_ledger(lab: Lab, topic: str) -> None:
    lab.admin.delete_topics([topic])[topic].result()


def _recreate_ledger(lab: Lab, topic: str) -> None:
    from tests.support.kafka import create_topic

    _delete_ledger(lab, topic)
    time.sleep(1)
    create_topic(lab.cluster.config, topic, cleanup_policy="compact", retention_ms=-1)


def _grow_ledger(lab: Lab, topic: str) -> None:
    from confluent_kafka.admin import NewPartitions

    lab.admin.create_partitions([NewPartitions(topic, 3)])[topic].result()


def _let_ledger_expire(lab: Lab, topic: str) -> None:
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

    entry = ConfigEntry("cleanup.policy", "compact,delete", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    for future in lab.admin.incremental_alter_configs([resource]).values():
        future.result()


_HARM: dict[str, Callable[[Lab, str], None]] = {
    "deleted": _delete_ledger,
    "recreated": _recreate_ledger,
    "repartitioned": _grow_ledger,
    "expiring": _let_ledger_expire,
}
for _what in _HARM:
    _words = f"the ledger topic is {_what} between two runs: refused"
    fault("39", _words, f"ledger-{_what}", harm="change", seconds=14)(_ledger_harm(_what))


@fault("41", "a row larger than the broker takes: quarantined, with its reason", harm="row", seconds=9)
def row_too_large(lab: Lab, rng: Random) -> int:
    made = drop(lab, rng, extra=f"7,{'x' * 1_200_000},1.00,{DAY}\n")
    [file] = made.run().json["files"]
    if file["quarantined"] != 1:
        raise Unmet(f"{file['quarantined']} rows were quarantined")
    return 1


@fault("42", "the lineage sink is away", harm="cut", seconds=9)
def lineage_away(lab: Lab, rng: Random) -> int:
    made = drop(lab, rng)
    made.run(OPENLINEAGE_URL="http://127.0.0.1:9")
    return 1
