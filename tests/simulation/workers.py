"""Attempts at a file: each drives `forebay.kafka.protocol.Publication` and carries its effects out on the model.

A `Worker` is a place in Airflow where a file's task runs, again and again until an attempt succeeds. An attempt may be killed, terminated,
or stopped for a while (and go on as a zombie) at any step; what it has sent by then still arrives.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from forebay.errors import BrokerUnavailableError
from forebay.kafka import failures, steps
from forebay.kafka.failures import Action, Failure
from forebay.kafka.steps import Outcome
from tests.simulation.client import Batch, Client, heard
from tests.simulation.world import Partition

if TYPE_CHECKING:
    from tests.simulation.history import History

Doing = Generator[None, Any, steps.Event]
FILE = -1  # the chunk number of a completion record
UNAVAILABLE = Failure(-195, "_TRANSPORT", Action.RETRY, BrokerUnavailableError)  # as the driver passes on what its ledger reader raised


class Row(NamedTuple):
    """A data or quarantine record: the row's id, and which transaction wrote it."""

    file: int
    row: int
    chunk: int
    transaction: tuple[str, int]


class Range(NamedTuple):
    """Where a chunk's rows went in one partition, as its ledger record says; `first` is -1 where a report did not say."""

    partition: Partition
    first: int
    last: int
    count: int


class Entry(NamedTuple):
    """A ledger record; of another pipeline's file where `file` is negative."""

    file: int
    chunk: int
    lane: int
    plan: str
    of: int
    transaction: tuple[str, int]
    rows: tuple[int, ...]
    published: int
    quarantined: int
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a file's rows are cut into chunks, and each chunk into batches of one partition. A function of the file and the plan's name."""

    name: str
    chunks: tuple[tuple[int, ...], ...]
    batches: tuple[tuple[tuple[int, tuple[int, ...]], ...], ...]  # per chunk: (partition number, rows)


@dataclass(frozen=True, slots=True)
class File:
    """A file to publish: its number, its lane, and the rows that are set aside."""

    number: int
    lane: int
    rows: int
    quarantined: frozenset[int]
    plans: tuple[Plan, ...]


class Fate(NamedTuple):
    """What befalls an attempt: `kind` at the `nth` time it comes to `step`."""

    kind: str  # kill, terminate, stop
    step: str
    nth: int
    moment: str  # before, during, after
    seconds: float


class Ended(Exception):
    """The attempt ends here."""


class Worker:
    """One place where a file's task runs. `resume` and `sleep` are its only touch with time."""

    def __init__(self, history: History, name: str, file: File, plan: Plan) -> None:
        self.history, self.name, self.file, self.plan = history, name, file, plan
        self.clock, self.coordinator, self.network = history.clock, history.coordinator, history.network
        self.ledger = history.ledger
        self.tid = f"lane{file.lane}"
        self.message_timeout = history.message_timeout
        self.token = 0
        self.step = "start"
        self.finished = False
        self.attempts = self.transactions = 0
        self.outcomes: list[str] = []
        self.stopped_until = 0.0
        self._process: Generator[None, Any, None] | None = None
        self._effects = {effect: getattr(self, f"_{effect.__name__}") for effect in EFFECTS}

    # time

    def send(self, api: str, apply: Any, *args: Any) -> None:
        self.network.send(self, api, apply, *args)

    def sleep(self, seconds: float) -> None:
        self.clock.after(seconds, self.resume, self.token, None)

    def resume(self, token: int, answer: Any) -> None:
        """Go on with the answer, unless this was waited for by a process that is dead, or waits for something else by now."""
        if token != self.token or self._process is None:
            return
        if self.clock.now < self.stopped_until:
            self.clock.after(self.stopped_until - self.clock.now, self.resume, token, answer)
            return
        self.token += 1
        try:
            self._process.send(answer)
        except StopIteration:
            self._process = None
            self.history.attempt_ended(self)

    # an attempt

    def start(self) -> None:
        """Begin the next attempt, in a new process."""
        self.attempts += 1
        self.token += 1
        self.stopped_until = 0.0
        self.fate = self.history.fate()
        self._process = self._attempt()
        self.sleep(0.0)

    def kill(self, token: int) -> None:
        """End the process where it stands (kill -9)."""
        if self._process is not None and token == self._attempt_token:
            self.history.said(self.name, "killed")
            self.token += 1
            self._process.close()
            self._process = None
            self.outcomes.append("killed")
            self.history.attempt_ended(self)

    def _attempt(self) -> Generator[None, Any, None]:
        history = self.history
        self._attempt_token = self.attempts
        self._seen: dict[str, int] = {}
        self.position, self.view = 0, View(self.file)
        self.client: Client | None = None
        self.batches: list[Batch] = []
        self.own: dict[int, Entry] = {}
        task = steps.Task(len(self.plan.chunks), self.plan.name, history.timeout, history.random(), follow_for=history.follow_for)
        self.task = task
        history.said(self.name, f"attempt {self.attempts}, plan {self.plan.name}")
        try:
            machine = history.publication(task, history.protections)
            effect = machine.start(self.clock.now)
            while type(effect) is not steps.Finish:
                effect = machine.on((yield from self._carry_out(effect)))
            self.outcome = effect.outcome.value
            if effect.outcome == Outcome.DONE:
                yield from self._receipts()
        except Ended as ended:
            self.outcome = str(ended)
            if self.client is not None:
                yield from self.client.abort()
        self.outcomes.append(self.outcome)
        history.said(self.name, f"ended: {self.outcome}")

    def _carry_out(self, effect: steps.Effect) -> Doing:
        """One effect, and what befalls the attempt before, during or after it."""
        self.step = step = self._name(effect)
        fate = self.fate
        if fate is None:
            event = yield from self._effects[type(effect)](effect)
            return event
        nth = self._seen[step] = self._seen.get(step, 0) + 1
        meant = fate.step == step and fate.nth == nth
        if meant and fate.moment == "before":
            yield from self._befall(fate)
        elif meant and fate.moment == "during":
            self._befall_soon(fate)
        event = yield from self._effects[type(effect)](effect)
        if meant and fate.moment == "after":
            yield from self._befall(fate)
        return type(event)(self.clock.now, *_rest(event)) if meant else event

    def _name(self, effect: steps.Effect) -> str:
        if type(effect) is steps.Flush:
            return "Flush ledger" if self.batches and self.batches[-1].partition is self.ledger else "Flush rows"
        return type(effect).__name__

    def _befall(self, fate: Fate) -> Generator[None, Any, None]:
        self.network.count(self.step, f"{fate.kind} {fate.moment}")
        self.history.said(self.name, f"fault, {fate.kind} {fate.moment} {self.step}")
        if fate.kind == "stop":
            self.stopped_until = self.clock.now + fate.seconds
            yield self.sleep(fate.seconds)
        elif fate.kind == "terminate":
            raise Ended("terminated")
        else:
            self.clock.after(0.0, self.kill, self._attempt_token)
            yield

    def _befall_soon(self, fate: Fate) -> None:
        """A little later, whatever the attempt does by then: mostly still this step, for requests take up to 10 ms."""
        self.network.count(self.step, f"{fate.kind} {fate.moment}")
        self.history.said(self.name, f"fault, {fate.kind} {fate.moment} {self.step}")
        delay = 0.01 * self.history.random()
        if fate.kind == "stop":
            self.clock.after(delay, self._stop, self._attempt_token, fate.seconds)
        else:
            self.clock.after(delay, self.kill, self._attempt_token)

    def _stop(self, token: int, seconds: float) -> None:
        if token == self._attempt_token:
            self.stopped_until = self.clock.now + seconds

    # effects: each answers as forebay.kafka.driver does

    def _answer(self, failure: Failure | None) -> steps.Event:
        if failure is None:
            return steps.Done(self.clock.now)
        if failure.name == "_FATAL":  # the driver polls for its cause; one that stays unknown counts as fenced
            cause = self.client.fatal if self.client else None
            failure = cause or failures.with_action(failure, Action.FOLLOW)
        self.history.said(self.name, f"{self.step} failed: {failure.name}, so: {failure.action.value}")
        return steps.Failed(self.clock.now, failure)

    def _Look(self, _: steps.Look) -> Doing:
        error, stable = yield self.send("ListOffsets", self._offset, False)
        if error is not None:
            return self._unread(error)
        self._read(stable)
        return self._ledger_event(True)

    def _AskWatermark(self, effect: steps.AskWatermark) -> Doing:
        error, offset = yield self.send("ListOffsets", self._offset, effect.uncommitted)
        return self._unread(error) if error is not None else steps.Watermark(self.clock.now, offset)

    def _ReadTo(self, effect: steps.ReadTo) -> Doing:
        while True:
            error, stable = yield self.send("Fetch", self._offset, False)
            if error is not None:
                return self._unread(error)
            self._read(stable)
            if self.position >= effect.offset or self.clock.now >= effect.deadline:
                return self._ledger_event(self.position >= effect.offset)
            if self.ledger.stable == stable:
                self.ledger.waiters.append((self, self.token))
                self.clock.after(effect.deadline - self.clock.now, self.resume, self.token, None)
                yield

    def _offset(self, uncommitted: bool) -> tuple[None, int]:
        return None, self.ledger.high if uncommitted else self.ledger.stable

    def _unread(self, error: str) -> steps.Event:
        """The ledger reader raises forebay's errors: only an unavailable broker comes back to the protocol."""
        failure = heard(error)
        if failure.error is not BrokerUnavailableError:
            raise Ended(f"raised {failure.error.__name__}: {error}")
        return self._answer(UNAVAILABLE)

    def _read(self, offset: int) -> None:
        """Committed records up to `offset`, which is never beyond the last stable one."""
        for _, entry in self.ledger.committed(self.position, offset):
            self.view.add(entry)
        self.position = max(self.position, offset)

    def _ledger_event(self, reached: bool) -> steps.Ledger:
        view = self.view
        return steps.Ledger(self.clock.now, view.chunks, view.complete is not None, view.lane, view.lane_free, reached)

    def _NewProducer(self, _: steps.NewProducer) -> Doing:
        self.client = Client(self, self.tid, self.history.timeout)
        return self._answer(None)
        yield

    def _Init(self, _: steps.Init) -> Doing:
        return self._answer((yield from self._open_client.init()))

    def _Begin(self, _: steps.Begin) -> Doing:
        self.transactions += 1
        self.batches = []
        return self._answer(self._open_client.begin())
        yield

    def _ProduceRows(self, effect: steps.ProduceRows) -> Doing:
        batches = self.history.rows_of(self, effect.chunk)
        failure = self._open_client.produce(batches)
        if failure is None:
            self.batches += batches
            yield self.sleep(self.history.pace * self.history.random())
            yield from self._open_client.deliver(int(self.history.random() * (len(batches) + 1)))
        return self._answer(failure)

    def _ProduceLedger(self, effect: steps.ProduceLedger) -> Doing:
        entry = self.history.entry_of(self, effect.chunk)
        values: tuple[Entry, ...] = (entry,)
        self.own[effect.chunk] = entry
        if effect.last:
            values = (entry, self.history.completion_of(self, entry))
        batch = Batch(self.ledger, values)
        failure = self._open_client.produce([batch])
        self.batches.append(batch)
        return self._answer(failure)
        yield

    def _Flush(self, _: steps.Flush) -> Doing:
        client, deadline = self._open_client, self.clock.now + self.history.timeout
        if client.fatal is not None:
            return self._answer(heard("_FATAL"))
        if client.state == "abortable":  # a delivery failed while rows were still being produced
            return self._answer(client.lost)
        while client.queue and self.clock.now < deadline:
            failure = yield from client.deliver(1)
            if failure is not None:
                return self._answer(failure)
        return steps.Flushed(self.clock.now, sum(len(batch.values) for batch in client.queue))

    def _Commit(self, _: steps.Commit) -> Doing:
        return self._answer((yield from self._open_client.commit()))

    def _Abort(self, _: steps.Abort) -> Doing:
        yield from self._open_client.abort()
        return steps.Done(self.clock.now)

    def _Close(self, _: steps.Close) -> Doing:
        """Closing aborts what is open, as confluent-kafka's `Producer.close` does, except where a commit is under way."""
        if self.client is not None:
            yield from self.client.abort()
            self.client = None
        return steps.Done(self.clock.now)

    def _Wait(self, effect: steps.Wait) -> Doing:
        yield self.sleep(effect.seconds)
        return steps.Done(self.clock.now)

    @property
    def _open_client(self) -> Client:
        assert self.client is not None, "the protocol used a producer that it had closed"
        return self.client

    def _receipts(self) -> Generator[None, Any, None]:
        """The driver's last step: wait until the ledger shows the whole file."""
        deadline = self.clock.now + self.task.barrier_timeout
        while self.view.complete is None:
            if self.clock.now >= deadline:
                raise Ended("raised OutcomeUnknownError: committed, but not shown")
            if self.position == self.ledger.stable:
                self.ledger.waiters.append((self, self.token))
                self.clock.after(deadline - self.clock.now, self.resume, self.token, None)
                yield
            self._read(self.ledger.stable)


class View:
    """What an attempt has read of the ledger, as `LedgerView` keeps it."""

    __slots__ = ("chunks", "complete", "entries", "file", "lane", "lane_free")

    def __init__(self, file: File) -> None:
        self.file = file
        self.chunks: dict[int, str] = {}
        self.entries: dict[int, Entry] = {}
        self.complete: Entry | None = None
        self.lane = 0
        self.lane_free = False

    def add(self, entry: Entry) -> None:
        """Take up one committed record."""
        if entry.lane == self.file.lane:
            self.lane += 1
            self.lane_free = entry.chunk == FILE
        if entry.file != self.file.number:
            return
        if entry.chunk == FILE:
            self.complete = entry
        else:
            self.chunks[entry.chunk] = entry.plan
            self.entries[entry.chunk] = entry


EFFECTS = (
    steps.Look,
    steps.NewProducer,
    steps.Init,
    steps.AskWatermark,
    steps.ReadTo,
    steps.Begin,
    steps.ProduceRows,
    steps.ProduceLedger,
    steps.Flush,
    steps.Commit,
    steps.Abort,
    steps.Close,
    steps.Wait,
)
STEPS = [e.__name__ for e in EFFECTS if e is not steps.Flush] + ["Flush rows", "Flush ledger"]


def _rest(event: steps.Event) -> tuple[Any, ...]:
    """An event's fields but for its time: an attempt that was stopped tells the time at which it goes on."""
    return tuple(getattr(event, name) for name in type(event).__slots__)
