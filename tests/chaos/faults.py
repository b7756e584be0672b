"""Faults of the publisher's process and of its transactions: each a named, seeded trial on one broker (matrix.py, rows
5–14, 18, 20–22, 24, 29–31, 38, 43).

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
from tests.chaos import hanging
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


# row 18: a late EndTxn


def _late_end_txn(lab: Lab, rng: Random, **job: Any) -> tuple[File, int, Any]:
    """Deliver chunk 0's EndTxn once more while chunk 1 is being produced; the broker's error code for it, and how the
    attempt ended."""
    file, [proxy] = lab.file(rng, rows=800, chunk=400, quarantine=0), lab.proxies
    child = lab.start(file, "mid_produce@1:sleep=2", bootstrap=lab.proxied, **job)
    child.reaches()
    answer = proxy.send_again(proxy.traffic.end_txn[0])
    return file, answer, child.answer()


@fault("18", "the EndTxn of a chunk is delivered again while the next chunk is open", harm="late EndTxn", seconds=5)
def late_end_txn(lab: Lab, rng: Random) -> int:
    _, error, answer = _late_end_txn(lab, rng)
    answer.must(0)
    if error == 0:
        raise Unmet("the broker took a late EndTxn for the next transaction's")
    return 1


@fault(
    "18",
    "control: the same with one producer for all transactions (rule C1 off)",
    harm="late EndTxn",
    finds="duplicate torn aborted-read",
    seconds=15,
)
def control_producer_reused(lab: Lab, rng: Random) -> int:
    file, _, answer = _late_end_txn(lab, rng, off=["new_producer_per_transaction"])
    if answer.code:
        lab.attempt(file, off=["new_producer_per_transaction"])
    return 1


# rows 20 to 22: time


@fault(
    "20",
    "the transaction times out between flush and commit: fenced, followed, and sent once more",
    harm="timeout",
    seconds=28,
)
def timeout_before_commit(lab: Lab, rng: Random) -> int:
    file = lab.file(rng)
    answer = lab.finish(file, f"{place('after_ledger', rng.randrange(file.chunks))}:sleep=4.5", timeout="2s")
    if not any(e.startswith(("producer.fenced", "chunk.retried")) for e in answer.said["events"]):
        raise Unmet("the transaction did not time out")
    return 1


def _foreign_transaction(lab: Lab, timeout_ms: int) -> Any:
    """Another producer, with a transaction open on the ledger partition."""
    from confluent_kafka import Producer

    settings = {
        **lab.cluster.config,
        "transactional.id": f"foreign-{lab.trial}",
        "transaction.timeout.ms": timeout_ms,
        "log_level": 0,
    }
    producer = Producer(settings)
    producer.init_transactions(30)
    producer.begin_transaction()
    key = b'{"pipeline":"foreign","fp":"ff","generation":1,"chunk":0}'
    producer.produce(f"forebay.{lab.now.name}.ledger", b"{}", key, partition=0)
    if producer.flush(10):
        raise Unmet("the foreign record was not acknowledged")
    return producer


def _behind_a_foreign_transaction(lab: Lab, rng: Random, **job: Any) -> int:
    file = lab.file(rng, rows=900, chunk=300)
    chunk = rng.randrange(2)
    victim = lab.start(file, f"after_flush@{chunk}:stop,after_commit@{chunk}:kill9")
    victim.stops()  # past its own barrier, which would wait; the ledger record is yet to come
    foreign = _foreign_transaction(lab, 8_000)  # never ended by its owner
    victim.send(signal.SIGCONT)
    victim.answer().must(-signal.SIGKILL)
    lab.attempt(file, **job)
    if not lab.now.watcher.settled(25):
        raise Unmet("the foreign transaction did not end")
    foreign.purge()
    lab.finish(file)
    return 1


@fault(
    "21",
    "another producer's open transaction on the ledger partition hides what is committed; kill after commit, retry",
    harm="open transaction",
    seconds=14,
)
def foreign_transaction(lab: Lab, rng: Random) -> int:
    return _behind_a_foreign_transaction(lab, rng)


@fault(
    "21",
    "control: the same, the barrier reading to the last stable offset only (rule C2 off)",
    harm="open transaction",
    finds="duplicate",
    seconds=14,
)
def control_last_stable_barrier(lab: Lab, rng: Random) -> int:
    return _behind_a_foreign_transaction(lab, rng, barrier="last_stable")


@fault(
    "22",
    "a transaction stays open on the ledger for longer than any honest timeout: refused, then finished",
    harm="open transaction",
    seconds=38,
)
def ledger_blocked(lab: Lab, rng: Random) -> int:
    file = lab.file(rng)
    foreign = _foreign_transaction(lab, 120_000)
    answer = lab.attempt(file, timeout="2s")
    foreign.abort_transaction(20)
    if answer.said.get("error") != "LedgerError":
        raise Unmet(f"not refused: {answer}")
    lab.finish(file, timeout="2s")
    return 1


@fault(
    "22",
    "a truly hanging transaction on the ledger: a late write that no coordinator knows of (the broker's check off): "
    "refused, aborted from outside, finished",
    harm="hanging transaction",
    seconds=38,
)
def hanging_transaction(lab: Lab, rng: Random) -> int:
    file, at = lab.file(rng), (lab.cluster.bootstrap, f"forebay.{lab.now.name}.ledger", 0, rng.randrange(10**6, 10**9))
    hanging.verification(lab.admin, False)
    try:
        error = hanging.leave(*at)
    finally:
        hanging.verification(lab.admin, True)
    if error:
        raise Unmet(f"the broker refused the late write with error {error}")
    try:
        answer = lab.attempt(file, timeout="2s")
    finally:
        hanging.end(*at)
    if answer.said.get("error") != "LedgerError":
        raise Unmet(f"not refused: {answer}")
    lab.finish(file, timeout="2s")
    return 1


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


# row 31: clocks


@fault(
    "31",
    "the clock that forebay reads is days or minutes off, and steps by as much while it runs; killed, "
    "and retried by another clock",
    harm="step",
)
def clock_steps(lab: Lab, rng: Random) -> int:
    file, clock = many_chunks(lab, rng, 6), lab.scratch / f"clock-{len(list(lab.scratch.iterdir()))}"
    steps = rng.randint(1, 3)
    for chunk in sorted(rng.sample(range(5), steps)):
        clock.write_text(str(rng.choice(SKEWS)))
        child = lab.start(file, f"{place('mid_produce', chunk)}:sleep=0.1,after_commit@{chunk}:kill9", clock=str(clock))
        child.reaches()
        clock.write_text(str(rng.choice(SKEWS)))
        child.answer().must(-signal.SIGKILL)
    lab.finish(file, clock=str(clock))
    return steps


SKEWS = (-86_400, -3_600, -61, 61, 3_600, 86_400)  # seconds


# row 38: another plan


def _other_plan(lab: Lab, rng: Random) -> tuple[File, dict[str, Any]]:
    file = lab.file(rng, rows=900, chunk=300)
    lab.attempt(file, f"{place('after_commit', rng.randrange(2))}:kill9").must(-signal.SIGKILL)
    return file, {"chunk": rng.choice([130, 220, 410])}


@fault(
    "38", "the chunk plan changes between two attempts at one file: refused; the old plan finishes it", harm="change"
)
def plan_changed(lab: Lab, rng: Random) -> int:
    file, other = _other_plan(lab, rng)
    answer = lab.attempt(file, **other)
    if answer.said.get("error") != "PlanChangedError":
        raise Unmet(f"not refused: {answer}")
    lab.finish(file)
    return 1


@fault("38", "control: the same, the plan not compared (rule C4 off)", harm="change", finds="torn duplicate lost-write")
def control_plan_unchecked(lab: Lab, rng: Random) -> int:
    file, other = _other_plan(lab, rng)
    lab.attempt(file, off=["check_plan"], **other)
    return 1


# row 43: settings changed in mid-file


def _settings(rng: Random, but: int) -> dict[str, Any]:
    """Settings that decide no record, drawn anew; `lanes` is another number than `but`."""
    lanes = rng.choice([n for n in range(1, 65) if n != but])
    client = {
        "linger.ms": rng.choice([0, 5, 100]),
        "compression.type": rng.choice(["none", "lz4", "zstd"]),
        "batch.size": rng.choice([16_384, 10**6]),
    }
    return {"lanes": lanes, "timeout": rng.choice(["5s", "10s", "20s"]), "config": client}


@fault(
    "43",
    "settings changed beside a zombie: SIGSTOP at a random step, a successor with other settings runs to the "
    "end, SIGCONT",
    harm="zombie",
    seconds=5,
)
def settings_beside_zombie(lab: Lab, rng: Random) -> int:
    """Lanes, transaction timeout and the client's settings are others for each of the two."""
    _zombie_and_successor(lab, rng, {})
    return 1


@fault(
    "43", "the same, the first attempt one of a version whose ids came from `publish.lanes`", harm="zombie", seconds=6
)
def settings_beside_earlier_zombie(lab: Lab, rng: Random) -> int:
    _zombie_and_successor(lab, rng, {"earlier": True}, home=str(lab.scratch / f"home-{rng.randrange(10**9)}"))
    return 1


def _zombie_and_successor(lab: Lab, rng: Random, first: dict[str, Any], **more: Any) -> None:
    file = lab.file(rng)
    lanes = rng.randint(1, 64)
    step = rng.choice(["after_barrier", "mid_produce", "after_flush", "after_ledger"])
    chunk = 0 if step == "after_barrier" else rng.randrange(file.chunks)
    zombie = lab.start(file, f"{place(step, chunk)}:stop", lanes=lanes, **first)
    zombie.stops()
    lab.finish(file, **_settings(rng, lanes), **more)
    zombie.send(signal.SIGCONT)
    zombie.answer(60)


@fault(
    "43", "settings changed between kills: each attempt dies with other ones, then one finishes", harm="kill", seconds=5
)
def settings_between_kills(lab: Lab, rng: Random) -> int:
    file = many_chunks(lab, rng, rng.randint(5, 7))
    kills = sorted(rng.sample(range(file.chunks), rng.randint(2, 4)))
    lanes = 2
    for chunk in kills:
        new = _settings(rng, lanes)
        lanes = new["lanes"]
        lab.attempt(
            file,
            f"{place(rng.choice(['mid_produce', 'after_flush', 'after_ledger', 'after_commit']), chunk)}:kill9",
            **new,
        ).must(-signal.SIGKILL)
    lab.finish(file, **_settings(rng, lanes))
    return len(kills)


@fault(
    "43",
    "control: the same beside a zombie, with ids that move with `publish.lanes`",
    harm="zombie",
    finds="duplicate",
    seconds=6,
)
def control_ids_move(lab: Lab, rng: Random) -> int:
    file = lab.file(rng, rows=900, chunk=300)
    zombie = lab.start(file, f"{place('after_flush', rng.randrange(3))}:stop", lanes=4, earlier=True, timeout="60s")
    zombie.stops()
    lab.finish(file, lanes=_other_lane(file, 4), earlier=True)
    zombie.send(signal.SIGCONT)
    zombie.answer(90)
    return 1


def _other_lane(file: File, lanes: int) -> int:
    """A number of lanes under which an earlier version took another lane for this file."""
    first = int(file.want.fingerprint[:8], 16)
    return next(n for n in range(2, 65) if first % n != first % lanes)


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
