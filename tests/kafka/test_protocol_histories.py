"""The publish protocol through random histories."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.errors import OutcomeUnknownError
from forebay.kafka.failures import Action, Failure
from forebay.kafka.publish.steps import (
    Begin,
    Close,
    Commit,
    Effect,
    Flush,
    Init,
    Look,
    Outcome,
    ProduceLedger,
    ProduceRows,
    Protections,
    Task,
)
from tests.kafka.protocol_model import DENIED, FENCED, RENEW, RETRY, UNKNOWN, Broker, Worker, kinds, once, publish


def histories(seed: int, protections: Protections) -> list[int]:
    """Workers at one file, killed, fenced and failing at random; returns the chunks in the order they were
    committed."""
    dice = random.Random(seed)
    broker = Broker(open_since=0.0 if dice.random() < 0.3 else None)
    chunks = dice.randint(1, 4)
    trouble = dice.choice([0.0, 0.05, 0.2])
    failures = [RETRY, RENEW, UNKNOWN, FENCED, Failure(-172, "_STATE", Action.LEDGER, OutcomeUnknownError, "arrived")]

    def answers(effect: Effect) -> Failure | None:
        risky = isinstance(effect, Init | Begin | ProduceRows | ProduceLedger | Flush | Commit)
        return dice.choice(failures) if risky and dice.random() < trouble else None

    def worker() -> Worker:
        return Worker(broker, 0, Task(chunks, "plan", jitter=dice.random(), attempts=50), protections, answers)

    workers = [worker() for _ in range(dice.randint(1, 3))]
    for _ in range(2_000):
        alive = [n for n, w in enumerate(workers) if not w.finished]
        if not alive:
            break
        at = dice.choice(alive)
        workers[at].step()
        if broker.open_since is not None:
            broker.hidden = len(broker.committed)  # everything committed lies behind the open transaction
        if dice.random() < 0.01:
            workers[at] = worker()  # kill -9, and Airflow starts it again
    trouble = 0.0
    last = worker()
    assert last.run().outcome == Outcome.DONE
    broker.resolve()
    return [n for n, _, _ in broker.committed]


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32))
def test_every_chunk_is_committed_once_and_in_order_in_random_histories(seed: int) -> None:
    committed = histories(seed, Protections())
    assert committed == list(range(len(committed)))


@pytest.mark.parametrize(
    "protections", [Protections(ask_ledger=False), Protections(barrier="last_stable")], ids=["ask_ledger", "barrier"]
)
def test_control_the_same_histories_show_duplicates_without_a_protection(protections: Protections) -> None:
    found = [seed for seed in range(300) if (c := histories(seed, protections)) != list(range(len(c)))]
    assert found


def test_histories_are_deterministic() -> None:
    def trace() -> Iterator[str]:
        dice = random.Random(7)
        worker = Worker(
            Broker(),
            1,
            Task(3, "plan"),
            Protections(),
            lambda e: RENEW if dice.random() < 0.1 and not isinstance(e, Look) else None,
        )
        worker.run()
        return iter(map(repr, worker.log))

    assert list(trace()) == list(trace())


def test_producer_is_closed_whatever_happens() -> None:
    for kind in (Init, Begin, ProduceRows, Flush, Commit):
        for failure in (RETRY, RENEW, UNKNOWN, FENCED, DENIED):
            worker = publish(2, answers=once(kind, failure), transaction_timeout=1.0)
            names = kinds(worker)
            assert names.count("NewProducer") == names.count("Close"), (kind, failure.action)
            assert isinstance(worker.log[-1], Look | Close)
