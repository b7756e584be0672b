"""The publish protocol alone: its steps, its rules, and random histories in a small model of a broker."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.errors import DeliveryError, FencedError, NotAuthorizedError, OutcomeUnknownError
from forebay.kafka.failures import Action, Failure
from forebay.kafka.publish.protocol import Publication
from forebay.kafka.publish.steps import (
    AskWatermark,
    Begin,
    Close,
    Commit,
    Done,
    Effect,
    Event,
    Failed,
    Finish,
    Flush,
    Flushed,
    Init,
    Ledger,
    Look,
    Outcome,
    ProduceLedger,
    ProduceRows,
    Protections,
    ReadTo,
    Task,
    Wait,
    Watermark,
)

RETRY = Failure(-185, "_TIMED_OUT", Action.RETRY, OutcomeUnknownError)
RENEW = Failure(-192, "_MSG_TIMED_OUT", Action.RENEW, DeliveryError)
UNKNOWN = Failure(-172, "_STATE", Action.LEDGER, OutcomeUnknownError)
FENCED = Failure(-144, "_FENCED", Action.FOLLOW, FencedError)
DENIED = Failure(29, "TOPIC_AUTHORIZATION_FAILED", Action.STOP, NotAuthorizedError)


@dataclass
class Broker:
    """A coordinator and one ledger partition, simple enough to be right: one open transaction per owner, atomic
    commits.

    `committed`: (chunk, plan, holds the completion record) in order. A commit whose answer was lost stays pending until
    the next owner's init decides it (the coordinator finishes or aborts it first), as on a real broker.
    """

    committed: list[tuple[int, str, bool]] = field(default_factory=list)
    owner: int = 0
    open_since: float | None = None  # another producer's transaction on the ledger partition
    hidden: int = 0  # committed records behind it
    pending: tuple[int, tuple[int, str, bool], bool] | None = None  # owner, record, whether it will be committed

    def resolve(self) -> None:
        if self.pending and self.pending[2]:
            self.committed.append(self.pending[1])
        self.pending = None


class Worker:
    """A machine, and what it has produced so far; `answers` may replace the answer to an effect."""

    def __init__(
        self,
        broker: Broker,
        number: int,
        task: Task,
        protections: Protections,
        answers: Callable[[Effect], Failure | None] | None = None,
    ):
        self.broker, self.number, self.task = broker, number, task
        self.machine = Publication(task, protections)
        self.answers = answers or (lambda _: None)
        self.now = 0.0
        self.epoch = 0
        self.record: tuple[int, str, bool] | None = None
        self.log: list[Effect] = []
        self.effect = self.machine.start(0.0)

    @property
    def finished(self) -> bool:
        return isinstance(self.effect, Finish)

    def step(self, now: float | None = None) -> None:
        self.now = self.now + 0.01 if now is None else now
        self.log.append(self.effect)
        self.effect = self.machine.on(self._event(self.effect))

    def run(self, limit: int = 10_000) -> Finish:
        while not self.finished:
            self.step()
            assert (limit := limit - 1), "the protocol does not end"
        assert isinstance(self.effect, Finish)
        return self.effect

    def _event(self, effect: Effect) -> Event:
        if isinstance(effect, Wait):
            self.now += effect.seconds
        failure = self.answers(effect)
        if failure is not None:
            return self._failed(effect, failure)
        return getattr(self, f"_{type(effect).__name__}", lambda _: Done(self.now))(effect)

    def _failed(self, effect: Effect, failure: Failure) -> Event:
        """A commit that fails without a word may have arrived: the model lets a coin in the failure's text decide."""
        if (
            isinstance(effect, Commit)
            and failure.action == Action.LEDGER
            and self.record
            and self.epoch == self.broker.owner
        ):
            self.broker.pending = (self.epoch, self.record, failure.text == "arrived")
        return Failed(self.now, failure)

    def _Look(self, _: Look) -> Event:
        return self._ledger(len(self.broker.committed) - self.broker.hidden)

    def _ReadTo(self, effect: ReadTo) -> Event:
        if self.broker.open_since is not None and effect.offset > len(self.broker.committed) - self.broker.hidden:
            self.now, self.broker.open_since, self.broker.hidden = self.now + 5, None, 0  # it times out meanwhile
        return self._ledger(len(self.broker.committed) - self.broker.hidden)

    def _ledger(self, upto: int) -> Ledger:
        seen = self.broker.committed[:upto]
        complete = any(last for _, _, last in seen)
        return Ledger(self.now, {n: plan for n, plan, _ in seen}, complete, len(seen), bool(seen and seen[-1][2]))

    def _AskWatermark(self, effect: AskWatermark) -> Event:
        hidden = 0 if effect.uncommitted else self.broker.hidden
        return Watermark(self.now, len(self.broker.committed) - hidden)

    def _Init(self, _: Init) -> Event:
        self.broker.resolve()
        self.broker.owner += 1
        self.epoch = self.broker.owner
        return Done(self.now)

    def _Begin(self, _: Begin) -> Event:
        self.record = None
        return Done(self.now)

    def _ProduceRows(self, _: ProduceRows) -> Event:
        return Done(self.now) if self.epoch == self.broker.owner else Failed(self.now, FENCED)

    def _ProduceLedger(self, effect: ProduceLedger) -> Event:
        self.record = (effect.chunk, self.task.plan_hash, effect.last)
        return Done(self.now)

    def _Flush(self, _: Flush) -> Event:
        return Flushed(self.now, 0)

    def _Commit(self, _: Commit) -> Event:
        if self.epoch != self.broker.owner:
            return Failed(self.now, FENCED)
        assert self.record is not None
        self.broker.committed.append(self.record)
        return Done(self.now)


def publish(
    chunks: int = 1,
    broker: Broker | None = None,
    answers: Any = None,
    protections: Protections | None = None,
    **task: Any,
) -> Worker:
    worker = Worker(
        broker or Broker(),
        1,
        Task(chunks, task.pop("plan_hash", "plan"), **task),
        protections or Protections(),
        answers,
    )
    worker.run()
    return worker


def kinds(worker: Worker) -> list[str]:
    return [type(e).__name__ for e in worker.log]


def outcome(worker: Worker) -> Outcome:
    assert isinstance(worker.effect, Finish)
    return worker.effect.outcome


def once(kind: type[Effect], failure: Failure, times: int = 1) -> Callable[[Effect], Failure | None]:
    left = [times]

    def answer(effect: Effect) -> Failure | None:
        if isinstance(effect, kind) and left[0]:
            left[0] -= 1
            return failure
        return None

    return answer


ONE_CHUNK = "NewProducer Init AskWatermark ReadTo Begin ProduceRows Flush ProduceLedger Flush Commit Close"


def test_one_chunk_step_by_step() -> None:
    assert " ".join(kinds(publish(1))) == f"Look {ONE_CHUNK} Look"


def test_each_chunk_has_its_own_producer_and_the_last_one_completes_the_file() -> None:
    worker = publish(3)
    assert " ".join(kinds(worker)) == f"Look {ONE_CHUNK} Look {ONE_CHUNK} Look {ONE_CHUNK} Look"
    assert worker.broker.committed == [(0, "plan", False), (1, "plan", False), (2, "plan", True)]
    assert worker.machine.committed == [0, 1, 2]


def test_the_watermark_asked_for_is_the_uncommitted_one() -> None:
    assert AskWatermark(uncommitted=True) in publish(1).log
    assert AskWatermark(uncommitted=False) in publish(1, protections=Protections(barrier="last_stable")).log


def test_a_complete_file_is_left_alone_without_fencing_anybody() -> None:
    broker = Broker([(0, "another plan", False), (1, "another plan", True)])
    worker = publish(2, broker)
    assert kinds(worker) == ["Look"]
    assert worker.machine.skipped == [0, 1]


def test_it_goes_on_where_the_ledger_ends() -> None:
    worker = publish(3, Broker([(0, "plan", False)]))
    assert (worker.machine.skipped, worker.machine.committed) == ([0], [1, 2])


def test_chunks_under_another_plan_stop_the_file_before_anybody_is_fenced() -> None:
    worker = publish(3, Broker([(0, "before the upgrade", False)]))
    assert outcome(worker) == Outcome.PLAN_CHANGED
    assert "Init" not in kinds(worker)
    unchecked = publish(3, Broker([(0, "before the upgrade", False)]), protections=Protections(check_plan=False))
    assert outcome(unchecked) == Outcome.DONE


def test_a_hole_in_the_ledger_stops_the_file() -> None:
    assert outcome(publish(3, Broker([(1, "plan", False)]))) == Outcome.LEDGER_HOLE


class Unseeing(Worker):
    """To whom the ledger shows nothing."""

    def _Look(self, _: Look) -> Event:
        return Ledger(self.now)

    def _ReadTo(self, effect: ReadTo) -> Event:
        return Ledger(self.now)


class Unacknowledged(Worker):
    """Of whose records one is never acknowledged."""

    def _Flush(self, _: Flush) -> Event:
        return Flushed(self.now, 1)


class Unreached(Worker):
    """Whose barrier is never reached."""

    def _ReadTo(self, effect: ReadTo) -> Event:
        return Ledger(self.now, reached=False)


def test_own_commits_count_though_their_markers_are_not_written_yet() -> None:
    broker = Broker()
    worker = Unseeing(broker, 1, Task(2, "plan"), Protections())
    assert worker.run().outcome == Outcome.DONE
    assert [n for n, _, _ in broker.committed] == [0, 1]


def test_a_retriable_commit_is_called_again_on_the_same_instance() -> None:
    worker = publish(1, answers=once(Commit, RETRY, 3))
    assert kinds(worker).count("Commit") == 4
    assert kinds(worker).count("NewProducer") == 1


def test_a_commit_that_stays_retriable_is_left_to_the_ledger_without_an_abort() -> None:
    worker = publish(1, answers=once(Commit, RETRY), transaction_timeout=0.005)
    assert "Abort" not in kinds(worker)
    assert kinds(worker).count("NewProducer") == 2


@pytest.mark.parametrize("kind", [Begin, ProduceRows, Flush, ProduceLedger, Commit])
def test_an_abortable_error_aborts_and_takes_a_new_producer(kind: type[Effect]) -> None:
    worker = publish(1, answers=once(kind, RENEW))
    assert kinds(worker).count("Abort") == (0 if kind is Begin else 1)
    assert kinds(worker).count("NewProducer") == kinds(worker).count("Close") == 2
    assert worker.broker.committed == [(0, "plan", True)]


def test_records_that_were_not_acknowledged_are_not_committed() -> None:
    worker = Unacknowledged(Broker(), 1, Task(1, "plan", attempts=2), Protections())
    finish = worker.run()
    assert (finish.outcome, finish.failure and finish.failure.error) == (Outcome.GAVE_UP, DeliveryError)
    assert "Commit" not in kinds(worker)


@pytest.mark.parametrize("arrived", [True, False])
def test_an_unknown_outcome_is_decided_by_the_ledger_behind_a_new_init(arrived: bool) -> None:
    lost = Failure(-172, "_STATE", Action.LEDGER, OutcomeUnknownError, "arrived" if arrived else "lost")
    worker = publish(1, answers=once(Commit, lost))
    assert worker.broker.committed == [(0, "plan", True)]
    assert "Abort" not in kinds(worker)
    assert kinds(worker).count("Commit") == (1 if arrived else 2)


def test_control_without_the_ledger_an_unknown_outcome_duplicates() -> None:
    lost = Failure(-172, "_STATE", Action.LEDGER, OutcomeUnknownError, "arrived")
    worker = publish(1, answers=once(Commit, lost), protections=Protections(ask_ledger=False))
    assert [n for n, _, _ in worker.broker.committed] == [0, 0]


def test_a_refusal_ends_the_file_aborted_and_closed() -> None:
    worker = publish(1, answers=once(Flush, DENIED))
    assert kinds(worker)[-2:] == ["Abort", "Close"]
    assert worker.effect == Finish(Outcome.FAILED, 0, DENIED)


def test_init_is_called_again_for_two_transaction_timeouts_and_then_fails() -> None:
    worker = publish(1, answers=once(Init, RETRY, 10**6), transaction_timeout=1.0)
    assert outcome(worker) == Outcome.FAILED
    assert 1.9 < kinds(worker).count("Init") * 0.01 < 2.2
    assert kinds(worker)[-1] == "Close"


def test_a_barrier_that_is_not_reached_fails_closed() -> None:
    worker = Unreached(Broker(), 1, Task(1, "plan"), Protections())
    assert worker.run().outcome == Outcome.BARRIER_BLOCKED
    assert "Begin" not in kinds(worker)


def test_who_is_fenced_follows_until_the_other_has_finished() -> None:
    broker = Broker()
    first = Worker(broker, 1, Task(2, "plan"), Protections())
    while not isinstance(first.effect, Commit):
        first.step()
    second = Worker(broker, 2, Task(2, "plan"), Protections())
    while not isinstance(second.effect, Commit):
        second.step()
    first.step()  # fenced
    for _ in range(20):
        first.step()
        assert isinstance(first.effect, Look | Wait | Close)
    second.run()
    first.run()
    assert (first.machine.committed, first.machine.skipped, second.machine.committed) == ([], [0, 1], [0, 1])
    assert [n for n, _, _ in broker.committed] == [0, 1]


def test_a_fenced_attempt_takes_the_lane_back_after_silence() -> None:
    broker = Broker()
    worker = Worker(broker, 1, Task(1, "plan", transaction_timeout=20, jitter=0.5), Protections())
    while not isinstance(worker.effect, Commit):
        worker.step()
    broker.owner += 1  # somebody took the lane, and died
    fenced_at = worker.now
    worker.run()
    assert broker.committed == [(0, "plan", True)]
    assert 35 < worker.now - fenced_at < 37  # timeout, the broker's sweep, jitter


def test_a_fenced_attempt_gives_up_in_the_end() -> None:
    broker = Broker()
    busy = iter(range(10**6))

    def others_work(effect: Effect) -> Failure | None:
        if isinstance(effect, Look):
            broker.committed.append((-1 - next(busy), "other file", False))
        return FENCED if isinstance(effect, Commit) else None

    worker = Worker(broker, 1, Task(1, "plan", follow_for=60), Protections(check_plan=False), others_work)
    assert worker.run().outcome == Outcome.FENCED
    assert worker.now < 70


class SlowWorker(Worker):
    """A chunk takes eight seconds: longer than the first pauses of whoever was fenced."""

    def _ProduceRows(self, effect: ProduceRows) -> Event:
        event = super()._ProduceRows(effect)
        self.now += 8.0
        return type(event)(self.now, *([event.failure] if isinstance(event, Failed) else []))


def test_control_fighting_back_at_once_fences_again_and_again() -> None:
    """Four attempts at one file: followers need an init for each chunk and a few more, fighters many times that."""

    def inits(protections: Protections) -> int:
        broker = Broker()
        workers = [
            SlowWorker(broker, n, Task(3, "plan", attempts=1000, jitter=n / 5), protections) for n in range(1, 5)
        ]
        while not all(w.finished for w in workers) and broker.owner < 500:
            min((w for w in workers if not w.finished), key=lambda w: w.now).step()
        assert len({n for n, _, _ in broker.committed}) == len(broker.committed)
        return broker.owner

    following, fighting = inits(Protections()), inits(Protections(follow_when_fenced=False))
    assert following <= 10
    assert fighting > 1.5 * following


def test_the_ledger_record_comes_first_only_as_a_control() -> None:
    steps = kinds(publish(1, protections=Protections(ledger_last=False)))
    assert steps.index("ProduceLedger") < steps.index("ProduceRows")


def test_one_producer_for_all_chunks_is_only_a_control() -> None:
    assert kinds(publish(3, protections=Protections(new_producer_per_transaction=False))).count("NewProducer") == 1


# random histories


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
