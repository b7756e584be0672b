"""Faults of the publisher's process: each a named, seeded trial on one broker (matrix.py, rows 5–14, 24, 29, 30).

A fault is a function of a `Lab` and a random generator. It does harm, lets the file be finished, and returns how often
it did harm; it raises `Unmet` when something did not end as the matrix says. What consumers saw is judged afterwards,
by the same checker for all.
"""

from __future__ import annotations

import contextlib
import hashlib
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from forebay.kafka.ledger.entries import lane_of
from forebay.kafka.publish.failpoints import NAMES
from tests.chaos.lab import File, Lab, Unmet, wait_for

Run = Callable[[Lab, Random], int]
FIRST = ("before_init", "after_init", "after_barrier")  # these come before it is known which chunk is next


@dataclass(frozen=True)
class Fault:
    """`row` of the fault matrix, `harm` what one injection is called, `nodes` of the cluster, `seconds` a trial takes
    (to plan a campaign).

    A `control` switches a protection off and must be found out: `finds` names one of the anomalies that the checker
    then reports.
    """

    name: str
    row: str
    what: str
    run: Run
    nodes: int = 1
    seconds: float = 4.0
    harm: str = "kill"
    finds: str = ""

    @property
    def control(self) -> bool:
        return bool(self.finds)


FAULTS: dict[str, Fault] = {}


def fault(row: str, what: str, name: str = "", **more: Any) -> Callable[[Run], Run]:
    """Register a trial under its function's name."""

    def register(run: Run) -> Run:
        made = Fault(name or run.__name__.replace("_", "-"), row, what, run, **more)
        assert made.name not in FAULTS, made.name
        FAULTS[made.name] = made
        return run

    return register


def place(name: str, chunk: int) -> str:
    """The failpoint `name` of chunk `chunk`; the first transaction of the attempt for those that know no chunk yet."""
    return name if name in FIRST and chunk == 0 else f"{name}@{chunk}"


# rows 5 to 12: kill -9


def many_chunks(lab: Lab, rng: Random, chunks: int, **job: Any) -> File:
    """A file of that many small chunks, the last of another size."""
    chunk = rng.randint(40, 150)
    return lab.file(rng, chunk=chunk, rows=chunk * (chunks - 1) + rng.randint(1, chunk), **job)


def _kill_at(step: str) -> Run:
    """Two to four attempts die at this step, each at a later chunk; then one finishes."""

    def run(lab: Lab, rng: Random) -> int:
        file = many_chunks(lab, rng, rng.randint(5, 7))
        kills = sorted(rng.sample(range(file.chunks - (step in FIRST)), rng.randint(2, 4)))
        for chunk in kills:
            lab.attempt(file, f"{place(step, chunk)}:kill9").must(-signal.SIGKILL)
        lab.finish(file)
        return len(kills)

    return run


ROWS = dict(zip(NAMES, ("5", "6", "7", "8", "9", "10", "11", "12"), strict=True))
for _step in NAMES:
    fault(
        ROWS[_step], f"kill -9 {_step.replace('_', ' ')}, then a retry", f"kill-{_step.replace('_', '-')}", seconds=3.5
    )(_kill_at(_step))


@fault("11", "kill -9 during commit: the broker ended the transaction, the answer never arrived")
def kill_commit_answer_held(lab: Lab, rng: Random) -> int:
    return _kill_in_commit(lab, rng, "response")


@fault("11", "kill -9 during commit: the EndTxn request never reached the broker")
def kill_commit_request_held(lab: Lab, rng: Random) -> int:
    return _kill_in_commit(lab, rng, "request")


def _kill_in_commit(lab: Lab, rng: Random, what: Any) -> int:
    file, [proxy] = many_chunks(lab, rng, 7), lab.proxies
    kills = rng.randint(2, 3)
    for _ in range(kills):
        proxy.hold_end_txn(what, spare=rng.randrange(2))
        child = lab.start(file, bootstrap=lab.proxied)
        wait_for(proxy.held.is_set, 60, "no EndTxn came to the proxy")
        child.kill()
        proxy.cut()
        proxy.heal()
    lab.finish(file)
    return kills


@fault("5–12", "kill -9 at random moments, attempt after attempt, at a file of many small chunks", seconds=9)
def kill_at_random(lab: Lab, rng: Random) -> int:
    file = lab.file(rng, rows=3000, chunk=100)
    kills = 0
    for _ in range(6):
        child = lab.start(file)
        time.sleep(0.02 + rng.random() * 0.6)
        kills += child.process.poll() is None
        child.kill()
    lab.finish(file)
    return kills


# row 13: zombies

STOPS = ("after_init", "after_barrier", "mid_produce", "after_flush", "after_ledger", "during_commit")


def _zombie_at(step: str) -> Run:
    def run(lab: Lab, rng: Random) -> int:
        file = lab.file(rng)
        zombie = lab.start(file, f"{place(step, 0 if step in FIRST else rng.randrange(file.chunks))}:stop")
        zombie.stops()
        lab.finish(file)
        zombie.send(signal.SIGCONT)
        zombie.answer(60)  # it may find the work done, or give up: what counts is that it adds nothing
        return 1

    return run


for _step in STOPS:
    _words = f"SIGSTOP {_step.replace('_', ' ')}, a successor finishes, SIGCONT"
    fault("13", _words, f"zombie-{_step.replace('_', '-')}", harm="zombie", seconds=5)(_zombie_at(_step))


@fault(
    "13",
    "SIGSTOP with its EndTxn still on the way; it reaches the broker after the successor finished",
    harm="zombie",
    seconds=5,
)
def zombie_late_commit(lab: Lab, rng: Random) -> int:
    file, [proxy] = lab.file(rng), lab.proxies
    proxy.hold_end_txn("request", spare=rng.randrange(file.chunks))
    zombie = lab.start(file, bootstrap=lab.proxied)
    wait_for(proxy.held.is_set, 60, "no EndTxn came to the proxy")
    zombie.send(signal.SIGSTOP)
    zombie.stops()
    lab.finish(file)
    proxy.release()
    time.sleep(0.1)
    zombie.send(signal.SIGCONT)
    zombie.answer(60)
    return 1


# row 14: SIGTERM

TERMS = ("mid_produce", "after_flush", "after_ledger")


@fault("14", "SIGTERM in mid-chunk: out within 10 s, and no transaction left open", harm="SIGTERM")
def sigterm(lab: Lab, rng: Random) -> int:
    file = lab.file(rng)
    child = lab.start(file, f"{place(rng.choice(TERMS), rng.randrange(file.chunks))}:sleep=60", timeout="60s")
    child.reaches()
    _ends_soon(lab, child)
    lab.finish(file, timeout="60s")
    return 1


@fault("14", "SIGTERM while commit waits for its answer: out within 10 s", harm="SIGTERM", seconds=9)
def sigterm_in_commit(lab: Lab, rng: Random) -> int:
    file, [proxy] = lab.file(rng), lab.proxies
    proxy.hold_end_txn("response", spare=rng.randrange(file.chunks))
    child = lab.start(file, bootstrap=lab.proxied, timeout="60s")
    wait_for(proxy.held.is_set, 60, "no EndTxn came to the proxy")
    _ends_soon(lab, child)
    proxy.heal()
    lab.finish(file, timeout="60s")
    return 1


def _ends_soon(lab: Lab, child: Any) -> None:
    began = time.monotonic()
    child.send(signal.SIGTERM)
    child.answer(20).must(143)
    if time.monotonic() - began > 10:
        raise Unmet(f"SIGTERM took {time.monotonic() - began:.1f} s")
    if not lab.now.watcher.settled(5):  # the transaction timeout is 60 s: it was aborted, not forgotten
        raise Unmet(f"a transaction is open after SIGTERM: {lab.now.watcher.lag()}")


# row 24: memory


@fault("24", "memory runs out (RLIMIT_AS) at some point of the attempt", harm="limit")
def out_of_memory(lab: Lab, rng: Random) -> int:
    file = lab.file(rng, rows=6000, chunk=1500)
    child = lab.start(file, memory=rng.randrange(2**20, 400 * 2**20))
    with contextlib.suppress(subprocess.TimeoutExpired):
        out, _ = child.process.communicate(timeout=20)
        if '"error"' in out and '"OutOfResourcesError"' not in out:
            raise Unmet(f"want of memory is not said: {out[-300:]}")
    # librdkafka may wait for ever for a thread that could not be made: then as Airflow does after its timeout
    child.kill()
    lab.finish(file)
    return 1


# row 29 and 30: two at once


@fault("29", "two attempts at one file at once", harm="pair", seconds=10)
def two_at_once(lab: Lab, rng: Random) -> int:
    file = lab.file(rng)
    first = lab.start(file, timeout="3s")
    time.sleep(rng.random() * 0.6)
    second = lab.start(file, timeout="3s")
    for child in (first, second):
        child.answer(120).must(0)
    return 1


def _of_one_lane(trial: str) -> list[str]:
    """Three names of files of this trial whose contents share a lane."""
    lane = {n: lane_of(hashlib.sha256(f"{trial}/{n}".encode()).hexdigest()) for n in range(1000)}
    return [f"{trial}/{n}" for n in lane if lane[n] == lane[0]][:3]


@fault("30", "three files of one lane at once, the first killed half-way", harm="pair", seconds=14)
def one_lane(lab: Lab, rng: Random) -> int:
    files = [lab.file(rng, name=name, timeout="3s") for name in _of_one_lane(lab.trial)]
    first = lab.start(files[0], f"{place('after_flush', 0)}:kill9")
    rest = [lab.start(file) for file in files[1:]]
    for child in rest:
        child.answer(150).must(0)
    first.answer(60).must(-signal.SIGKILL, 0)
    lab.finish(files[0])
    return 1


# controls of the kills


@fault("12", "control: kill -9 after commit, the ledger not asked", finds="duplicate")
def control_ledger_not_asked(lab: Lab, rng: Random) -> int:
    file = lab.file(rng, rows=900, chunk=300)
    lab.attempt(file, f"{place('after_commit', rng.randrange(2))}:kill9").must(-signal.SIGKILL)
    lab.finish(file, off=["ask_ledger"])
    return 1


@fault("8–10", "control: kill -9 of a plain idempotent producer without transactions, then a retry", finds="duplicate")
def control_no_transaction(lab: Lab, rng: Random) -> int:
    file = lab.file(rng, rows=900, chunk=300, quarantine=0)
    lab.attempt(file, f"{rng.choice(['mid_produce', 'after_flush'])}@{rng.randrange(3)}:kill9", plain=True).must(
        -signal.SIGKILL
    )
    lab.finish(file, plain=True)
    return 1
