"""Faults of time: late requests, transactions that stay open, clocks that step (matrix.py, rows 18, 20–22, 31)."""

from __future__ import annotations

import signal
from random import Random
from typing import Any

from tests.chaos import hanging
from tests.chaos.faults import fault, many_chunks, place
from tests.chaos.lab import File, Lab, Unmet

SKEWS = (-86_400, -3_600, -61, 61, 3_600, 86_400)  # seconds

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
