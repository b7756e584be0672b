"""The publish protocol alone: its steps and its rules."""

from __future__ import annotations

import pytest

from forebay.errors import DeliveryError, OutcomeUnknownError
from forebay.kafka.failures import Action, Failure
from forebay.kafka.publish.steps import (
    AskWatermark,
    Begin,
    Close,
    Commit,
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
)
from tests.kafka.protocol_model import DENIED, FENCED, RENEW, RETRY, Broker, Worker, kinds, once, outcome, publish

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
