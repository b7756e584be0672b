"""A small model of a broker, on which the publish protocol is driven."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from forebay.errors import DeliveryError, FencedError, NotAuthorizedError, OutcomeUnknownError
from forebay.kafka.failures import Action, Failure
from forebay.kafka.publish.protocol import Publication
from forebay.kafka.publish.steps import (
    AskWatermark,
    Begin,
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
