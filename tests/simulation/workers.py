"""Attempts at a file: each drives `forebay.kafka.publish.protocol.Publication` and carries its effects out on the
model.

A `Worker` is a place in Airflow where a file's task runs, again and again until an attempt succeeds. An attempt may be
killed, terminated, or stopped for a while (and go on as a zombie) at any step; what it has sent by then still arrives.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, cast

from forebay.errors import BrokerUnavailableError, SupersededError
from forebay.kafka import failures
from forebay.kafka.failures import Action, Failure
from forebay.kafka.publish import steps
from forebay.kafka.publish.steps import Outcome
from tests.simulation.client import Batch, Client, heard
from tests.simulation.content import Entry, File, Plan, batches_of, completion_of, entry_of
from tests.simulation.fates import EFFECTS, SILENT, Fate
from tests.simulation.names import Ledger, Listing, fence, job_of
from tests.simulation.view import View

if TYPE_CHECKING:
    from forebay.kafka.ledger.view import LedgerView
    from tests.simulation.history import History

Doing = Generator[None, Any, steps.Event]
UNAVAILABLE = Failure(
    -195, "_TRANSPORT", Action.RETRY, BrokerUnavailableError
)  # as the driver passes on what its ledger reader raised


class Ended(Exception):
    """The attempt ends here."""


class Worker:
    """One place where a file's task runs. `resume` and `sleep` are its only touch with time."""

    def __init__(self, history: History, name: str, file: File, plan: Plan) -> None:
        self.history, self.name, self.file, self.plan = history, name, file, plan
        self.clock, self.coordinator, self.network = history.clock, history.coordinator, history.network
        self.ledger = history.ledger
        self.setting = 4  # of the kind that decides no record
        self.tid = history.id_of(self)
        self.message_timeout = history.message_timeout
        self.token = 0
        self.step = "start"
        self.finished = False
        self.attempts = self.transactions = 0
        self.outcomes: list[str] = []
        self.stopped_until = 0.0
        self.position, self.view = 0, self._new_view()
        self.listing: Listing | None = None  # where the name of its file may be corrected
        self._process: Generator[None, Any, None] | None = None
        self._effects: dict[type[steps.Effect], Callable[[Any], Any]] = {
            effect: getattr(self, f"_{effect.__name__}") for effect in EFFECTS
        }

    # time

    def send(self, api: str, apply: Any, *args: Any) -> Any:
        """Send a request; `yield` this to wait for its answer."""
        self.network.send(self, api, apply, *args)

    def sleep(self, seconds: float) -> Any:
        """Plan to go on in a while; `yield` this to wait for it."""
        self.clock.after(seconds, self.resume, self.token, None)

    def resume(self, token: int, answer: Any) -> None:
        """Go on with the answer, unless this was waited for by a process that is dead, or waits for something else by
        now."""
        if token != self.token or self._process is None:
            return
        if self.clock.now < self.stopped_until:
            self.clock.after(self.stopped_until - self.clock.now, self.resume, token, answer)
            return
        self._continue(self._process.send, answer)

    def _continue(self, how: Callable[[Any], None], value: Any) -> None:
        self.token += 1
        try:
            how(value)
        except StopIteration:
            self._over(self.outcome)

    @property
    def transaction(self) -> tuple[str, int]:
        """A name for the transaction that is open: nobody else's, and no earlier one's."""
        return self.name, self.transactions

    # an attempt

    def start(self) -> None:
        """Begin the next attempt, in a new process."""
        if not self._listed():
            return
        self.attempts += 1
        self.token += 1
        if self.attempts > 1:
            self.history.change_settings(self)
            self.tid = self.history.id_of(self)
        self.stopped_until = 0.0
        self.fate = self.history.fate()
        self._process = self._attempt()
        self.sleep(0.0)

    def _listed(self) -> bool:
        """Whether its name has its content, as far as its run knows."""
        names = self.history.names
        if names is None or self.file not in names.files or self.listing is not None:
            return True
        if names.now != self.file:
            self.finished = True
            return False
        self.listing = names.list(self.file, self.ledger)
        self.history.said(self.name, f"listed: {len(self.listing.left)} contents of the name are unfinished")
        return True

    def _new_view(self) -> View:
        names = self.history.names
        return View(self.file, Ledger(names.files) if names else None)

    def _attempt(self) -> Generator[None, Any, None]:
        history = self.history
        self._order = history.options.order(job_of(self.file, self.listing)) if self.listing else None
        self._steps_seen = 0
        if (
            not history.snapshot
        ):  # else the next attempt goes on with what the last one had read, as with the local snapshot of a ledger
            self.position, self.view = 0, self._new_view()
        self.client: Client | None = None
        self.batches: list[Batch] = []
        self.own: dict[int, Entry] = {}
        task = steps.Task(
            len(self.plan.chunks), self.plan.name, history.timeout, history.random(), history.tries, history.follow_for
        )
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
                yield from self.client.close()

    def _carry_out(self, effect: steps.Effect) -> Doing:
        """One effect, and what befalls the attempt before, during or after it."""
        if (
            self.step == "Commit"
            and type(effect) is steps.Close
            and self.client is not None
            and self.client.state == "committing"
        ):
            self.network.count("Commit", "→ ledger decides")  # the call could go on, but its time is over
        self.step = step = self._name(effect)
        fate = self._due(step)
        if fate is not None and fate.moment != "after":
            yield from self._befall(fate)
        if step in SILENT:
            self.history.said(
                self.name, f"{step}{f' {effect.seconds:.2f} s' if isinstance(effect, steps.Wait) else ''}"
            )
        doing = self._effects[type(effect)](effect)
        event = doing if isinstance(doing, steps.Event) else (yield from doing)
        if fate is not None and fate.moment == "after":
            yield from self._befall(fate)  # the event then tells an old time, as it may in the real driver
        return event

    def _due(self, step: str) -> Fate | None:
        """The attempt's fate, if this is the step it is bound to."""
        fate = self.fate
        if fate is None or fate.step != step:
            return None
        self._steps_seen += 1
        return fate if self._steps_seen == fate.nth else None

    def _name(self, effect: steps.Effect) -> str:
        if type(effect) is steps.Flush:
            return "Flush ledger" if self.batches and self.batches[-1].partition is self.ledger else "Flush rows"
        return type(effect).__name__

    def _befall(self, fate: Fate) -> Generator[None, Any, None]:
        """Let it happen: now, or ("during") a little later, mostly while this step's requests are under way, which take
        up to 20 ms."""
        self.network.count(self.step, f"{fate.kind} {fate.moment}")
        self.history.said(self.name, f"fault, {fate.kind} {fate.moment} {self.step}")
        if fate.moment == "during":
            self.clock.after(0.015 * self.history.random(), self._hit, self.attempts, fate)
        else:
            self._hit(self.attempts, fate, itself=True)
            yield self.sleep(fate.seconds)

    def _hit(self, attempt: int, fate: Fate, itself: bool = False) -> None:
        if self._process is None or attempt != self.attempts:
            return
        if fate.kind == "stop":
            self.stopped_until = self.clock.now + fate.seconds
        elif itself:  # a process cannot be ended while it is the one that runs
            self.clock.after(0.0, self._hit, attempt, fate)
        elif fate.kind == "kill":
            self._over("killed")
        else:
            self._continue(self._process.throw, Ended("terminated"))

    def _over(self, outcome: str) -> None:
        """End the process where it stands; nobody cleans up."""
        assert self._process is not None
        self._process.close()
        self._process = None
        self.outcomes.append(outcome)
        self.history.said(self.name, f"ended: {outcome}")
        self.history.attempt_ended(self)

    # effects: each answers as forebay.kafka.publish.driver does

    def _answer(self, failure: Failure | None) -> steps.Event:
        if failure is None:
            return steps.Done(self.clock.now)
        if failure.name == "_FATAL":  # the driver polls for its cause; one that stays unknown counts as fenced
            cause = self.client.fatal if self.client else None
            failure = cause or failures.with_action(failure, Action.FOLLOW)
        self.network.count(self.step, f"→ {failure.action.value}")
        self.history.said(self.name, f"{self.step} failed: {failure.name} → {failure.action.value}")
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
                event = self._ledger_event(self.position >= effect.offset)
                behind = event.reached and not event.complete
                return ((yield from self._keep_order()) if behind else None) or event
            if self.ledger.stable == stable:
                self.ledger.waiters.append((self, self.token))
                self.clock.after(effect.deadline - self.clock.now, self.resume, self.token, None)
                yield

    def _keep_order(self) -> Generator[None, Any, steps.Event | None]:
        """Rule C6, behind the barrier; what failed of it, if anything."""
        names = self.history.names
        if names is None or self.file not in names.files:
            return None
        names.decide(self.file, (self.name, self.transactions + 1), self.clock.now, self.ledger)
        if self._order is None:
            return None
        error, stable = yield self.send("ListOffsets", self._offset, False)
        if error is not None:
            return self._unread(error)
        self._read(stable)
        try:
            lanes = self._order.keep(cast("LedgerView", self.view.ledger))
        except SupersededError:
            raise Ended("superseded") from None
        for lane in lanes:
            failure = yield from fence(self, lane)
            if failure is not None:
                return self._answer(failure)
            self._order.fenced_in(lane)
            names.took(lane, self.clock.now)
        return None

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
        return steps.Ledger(
            self.clock.now, dict(view.chunks), view.complete is not None, view.lane, view.lane_free, reached
        )

    def _NewProducer(self, _: steps.NewProducer) -> steps.Event:
        self.client = Client(self, self.tid, self.history.timeout)
        return self._answer(None)

    def _Init(self, _: steps.Init) -> Doing:
        return self._answer((yield from self._open_client.init()))

    def _Begin(self, _: steps.Begin) -> steps.Event:
        self.transactions += 1
        self.batches = []
        return self._answer(self._open_client.begin())

    def _ProduceRows(self, effect: steps.ProduceRows) -> Doing:
        batches = batches_of(self.file, self.plan, effect.chunk, self.transaction, self.history.topics)
        failure = self._open_client.produce(batches)
        if failure is None:
            self.batches += batches
            yield self.sleep(self.history.pace * self.history.random())
            yield from self._open_client.deliver(int(self.history.random() * (len(batches) + 1)))
        return self._answer(failure)

    def _ProduceLedger(self, effect: steps.ProduceLedger) -> steps.Event:
        entry = self.own[effect.chunk] = entry_of(
            self.file, self.plan, effect.chunk, self.transaction, self.batches, self.clock.now
        )
        values: tuple[Entry, ...] = (entry,)
        if effect.last:
            complete = completion_of(self.file, self.plan, self.view.entries | self.own, entry)
            if complete is None:
                raise Ended("raised ReconcileError: the chunks do not add up")
            values = (entry, complete)
        batch = Batch(self.ledger, values)
        self.batches.append(batch)
        return self._answer(self._open_client.produce([batch]))

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
        """What closing does to an open transaction counts as an abort."""
        if self.client is not None:
            self.step = "Abort"
            yield from self.client.close()
            self.step, self.client = "Close", None
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
