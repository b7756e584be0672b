"""The publish protocol without any IO: which step comes next, given what the last one brought.

`Publication` is a state machine. It asks for one `Effect` at a time; whoever drives it (driver.py with librdkafka, or a
simulation) carries the effect out and answers with one `Event`. There is no clock, network, thread or randomness in
here: the time comes with each event, the jitter with the task. So the same machine can be run through any history, and
gives the same answers to the same history.

It is written as a generator, so that it reads like the protocol it is. The rules (docs/protocol.md):

C1  one transaction per producer instance; a new instance's `init_transactions` fences whatever may still be under way
C2  barrier: init, then the *uncommitted* high watermark of the ledger partition, then committed reads up to it, then
    decide
C3  the ledger record comes last, after every record of the chunk was acknowledged
C4  chunks committed under another plan hash stop the file
C5  the last chunk's transaction also holds the file's completion record

Once commit was called, only the ledger says whether a chunk exists. Whoever is fenced follows, and does not fight.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from forebay.errors import DeliveryError
from forebay.kafka.failures import Action, Failure
from forebay.kafka.publish.steps import (
    Abort,
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
    NewProducer,
    Outcome,
    ProduceLedger,
    ProduceRows,
    Protections,
    ReadTo,
    Task,
    Wait,
    Watermark,
)

Steps = Generator[Effect, Event, None]
ENDS_FILE = frozenset({Action.STOP, Action.DATA})
UNACKNOWLEDGED = Failure(-192, "_MSG_TIMED_OUT", Action.RENEW, DeliveryError, "records were not acknowledged in time")


class _Stop(Exception):
    """The file ends here."""

    def __init__(self, finish: Finish) -> None:
        super().__init__(finish)
        self.finish = finish


class _Lost(Exception):
    """This instance cannot go on: its transaction is lost, or nobody knows its outcome."""

    def __init__(self, failure: Failure, action: Action) -> None:
        super().__init__(failure)
        self.failure = failure
        self.action = action


class Publication:
    """One attempt at one file. `start(now)` gives the first effect, `on(event)` the next; the last one is a `Finish`.

    `committed` are the chunks that this attempt committed itself, `skipped` those it found done.
    """

    def __init__(self, task: Task, protections: Protections | None = None) -> None:
        self.task = task
        self.protections = protections or Protections()
        self.committed: list[int] = []
        self.skipped: list[int] = []
        self.effect: Effect | None = None  # what is being waited for
        self.event: Event = Event(0.0)
        self.fenced = 0
        self._follow_end: float | None = None
        self._open = False  # an instance exists
        self._in_transaction = False
        self._steps: Generator[Effect, Event, None] = self._file()

    def start(self, now: float) -> Effect:
        """The first effect."""
        self.event = Event(now)
        return self._next(lambda: next(self._steps))

    def on(self, event: Event) -> Effect:
        """The effect that follows `event`, the answer to the last one."""
        self.event = event
        return self._next(lambda: self._steps.send(event))

    @property
    def now(self) -> float:
        return self.event.now

    def _next(self, step: Callable[[], Effect]) -> Effect:
        self.effect = step()
        return self.effect

    # the file

    def _file(self) -> Steps:
        try:
            yield from self._chunks()
        except _Stop as stop:
            if self._open:
                yield from self._close()
            yield stop.finish
        else:
            yield Finish(Outcome.DONE)

    def _chunks(self) -> Steps:
        at, attempt = -1, 0
        while (chunk := (yield from self._next_chunk())) is not None:
            attempt = attempt + 1 if chunk == at else 1
            at = chunk
            try:
                yield from self._transaction(chunk)
            except _Lost as lost:
                yield from self._lost(chunk, lost, attempt)
        if self._open:
            yield from self._close()

    def _next_chunk(self) -> Generator[Effect, Event, int | None]:
        """The first chunk that is not committed: asked before `init_transactions`, which would fence a healthy owner
        for nothing."""
        if not self.protections.ask_ledger:
            return len(self.committed) if len(self.committed) < self.task.chunks else None
        ledger = yield from self._reliably(Look())
        return self._decide(ledger)

    def _decide(self, ledger: Ledger) -> int | None:
        """What is to be done next by what the ledger says; None when the file is complete."""
        if ledger.complete:
            self._skip(range(self.task.chunks))
            return None
        if self.protections.check_plan and any(plan != self.task.plan_hash for plan in ledger.chunks.values()):
            raise _Stop(Finish(Outcome.PLAN_CHANGED))
        missing = next((n for n in range(self.task.chunks) if n not in ledger.chunks and n not in self.committed), None)
        if missing is None and self.task.chunks - 1 in self.committed:
            return None  # our own last commit is certain, though its markers may not be written yet
        if missing is None or any(n > missing for n in ledger.chunks):
            raise _Stop(Finish(Outcome.LEDGER_HOLE, missing))
        self._skip(range(missing))
        return missing

    def _skip(self, chunks: range) -> None:
        self.skipped += [n for n in chunks if n not in self.committed and n not in self.skipped]

    # one chunk

    def _transaction(self, chunk: int) -> Steps:
        if self.protections.new_producer_per_transaction or not self._open:
            yield from self._take_lane()
            if self.protections.ask_ledger and (yield from self._barrier()) != chunk:
                yield from self._close()
                return
        yield from self._fill(chunk)
        yield from self._commit(chunk)
        if self.protections.new_producer_per_transaction:
            yield from self._close()

    def _take_lane(self) -> Steps:
        self._open = True
        yield from self._do(NewProducer())
        try:
            yield from self._until(self.now + 2 * self.task.transaction_timeout, Init())
        except _Lost as lost:
            if lost.action == Action.RETRY:
                raise _Stop(Finish(Outcome.FAILED, failure=lost.failure)) from None
            raise

    def _barrier(self) -> Generator[Effect, Event, int | None]:
        """Rule C2: what is committed by everybody whose outcome was open when the lane was taken."""
        if self.protections.barrier == "none":
            ledger = yield from self._reliably(Look())
            return self._decide(ledger)
        mark = yield from self._reliably(AskWatermark(uncommitted=self.protections.barrier == "high_watermark"))
        assert isinstance(mark, Watermark)
        ledger = yield from self._reliably(ReadTo(mark.offset, self.now + self.task.barrier_timeout))
        if not ledger.reached:
            raise _Stop(Finish(Outcome.BARRIER_BLOCKED))
        return self._decide(ledger)

    def _fill(self, chunk: int) -> Steps:
        record = ProduceLedger(chunk, last=chunk == self.task.chunks - 1)
        yield from self._do(Begin())
        self._in_transaction = True
        for effect in (ProduceRows(chunk), record) if self.protections.ledger_last else (record, ProduceRows(chunk)):
            yield from self._do(effect)
            flushed = yield from self._do(Flush())
            if isinstance(flushed, Flushed) and flushed.unacknowledged:
                raise _Lost(UNACKNOWLEDGED, Action.RENEW)

    def _commit(self, chunk: int) -> Steps:
        """Until it is certain. A retriable failure is resumed by the same call; at the deadline the outcome is
        unknown."""
        try:
            yield from self._until(self.now + 2 * self.task.transaction_timeout, Commit(chunk))
        except _Lost as lost:
            if lost.action == Action.RETRY:
                raise _Lost(lost.failure, Action.LEDGER) from None
            raise
        self._in_transaction = False
        self._follow_end = None
        self.committed.append(chunk)

    # effects that may fail

    def _do(self, effect: Effect) -> Generator[Effect, Event, Event]:
        """One effect of the open instance; raises `_Lost` when it fails."""
        event = yield effect
        if isinstance(event, Failed):
            raise _Lost(event.failure, event.failure.action)
        return event

    def _until(self, deadline: float, effect: Effect) -> Generator[Effect, Event, Event]:
        """The same, called again while the failure is retriable and time remains."""
        while True:
            event = yield effect
            if not isinstance(event, Failed):
                return event
            if event.failure.action != Action.RETRY or event.now >= deadline:
                raise _Lost(event.failure, event.failure.action)

    def _reliably(self, effect: Effect) -> Generator[Effect, Event, Any]:
        """A reading effect, tried again for as long as a broker may need to come back; then the file ends here."""
        deadline = self.now + self.task.barrier_timeout
        while True:
            event = yield effect
            if not isinstance(event, Failed):
                return event
            if event.failure.action in ENDS_FILE or event.now >= deadline:
                raise _Stop(Finish(Outcome.FAILED, failure=event.failure))
            yield Wait(0.5)

    # what to do when an instance is lost

    def _lost(self, chunk: int, lost: _Lost, attempt: int) -> Steps:
        """Abort where that is sound, destroy the instance, and go back to the ledger: at once, after a pause, or as a
        follower."""
        yield from self._abandon(lost.action)
        if lost.action in ENDS_FILE:
            raise _Stop(Finish(Outcome.FAILED, chunk, lost.failure))
        if attempt >= self.task.attempts:
            raise _Stop(Finish(Outcome.GAVE_UP, chunk, lost.failure))
        if lost.action == Action.FOLLOW:
            self.fenced += 1
        if lost.action == Action.FOLLOW and self.protections.follow_when_fenced:
            yield from self._follow(chunk, lost.failure)
        else:
            yield Wait(min(10.0, 0.2 * 2.0**attempt) * (0.5 + self.task.jitter))

    def _abandon(self, action: Action) -> Steps:
        if self._in_transaction and action in {Action.RENEW, *ENDS_FILE}:
            # sound only before commit was called or where librdkafka asks for it; else the next init ends it
            yield Abort()
        self._in_transaction = False
        if self.protections.new_producer_per_transaction or action != Action.RENEW:
            yield from self._close()

    def _close(self) -> Steps:
        yield Close()
        self._open = False

    def _follow(self, chunk: int, failure: Failure) -> Steps:
        """Watch until this file has moved on, or the lane is free or was quiet for longer than any transaction lasts
        (rule F7)."""
        self._follow_end = end = self._follow_end or self.now + self.task.follow_for
        first = ledger = yield from self._reliably(Look())
        quiet_until = self.now + self.task.silence
        while self.now < quiet_until and self._decide(ledger) is not None:
            if self.now >= end:
                raise _Stop(Finish(Outcome.FENCED, chunk, failure))
            freed = ledger.lane > first.lane and ledger.lane_free
            yield Wait(4.0 * self.task.jitter if freed else 0.5)
            seen, ledger = ledger, (yield from self._reliably(Look()))
            if freed and ledger.lane == seen.lane:
                return  # the other's file is complete, and nobody has begun another one meanwhile
            if ledger.lane > seen.lane:
                quiet_until = self.now + self.task.silence
