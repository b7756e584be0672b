"""One history: a scenario drawn from a seed, played to its end, and judged. The same seed gives the same history, to
the last digit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from forebay.kafka.publish.job import PublishJob
from forebay.kafka.publish.order import Order
from forebay.kafka.publish.protocol import Publication
from forebay.kafka.publish.steps import Outcome, Protections, Task
from tests.simulation.content import DATA, Entry, File, Plan, Row, plan_of
from tests.simulation.fates import LOCAL, STEPS, Fate
from tests.simulation.invariants import Checker, Violated
from tests.simulation.names import Names
from tests.simulation.network import Network
from tests.simulation.workers import Worker
from tests.simulation.world import Clock, Coordinator, Partition

SETTLED = 300.0  # seconds after the last fault in which everything must have come to its end
FATED = (*STEPS, "Abort", "Abort")  # few attempts come to an abort
CORRECTED = 0.2  # share of histories in which the first file's name gets other bytes
RESTLESS = 0.3  # share of histories in which settings are changed
MOMENTS = ("before", "after", "during")


@dataclass(frozen=True, slots=True)
class Options:
    """What a history is played with. Tests weaken the protocol, or the brokers, to see that the checker finds the
    harm."""

    protections: Protections = field(default_factory=Protections)
    publication: Callable[[Task, Protections], Any] = Publication
    verification: bool = True  # KIP-890 part 1
    change_plan: float = 0.1  # how often attempts come with different plans
    order: Callable[[PublishJob], Order] = Order  # rule C6
    fixed_ids: bool = (
        True  # a file's transactional.id hangs on nothing that can be set; else it moves with a setting, as it did once
    )


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a history. `counts`: (step, fault) → how often; `held`: seconds that each committed transaction held
    the ledger partition."""

    seed: int
    violation: Violated | None
    counts: dict[tuple[str, str], int]
    outcomes: tuple[str, ...]
    held: tuple[float, ...]
    seconds: float
    timeline: tuple[str, ...]


class History:
    """The cast and the stage of one history."""

    def __init__(self, seed: int, options: Options, traced: bool = False) -> None:
        rng = Random(seed)
        self.seed = seed
        self.random = random = rng.random
        self.options = options
        self.protections, self.publication = options.protections, options.publication
        self.timeline: list[str] | None = [] if traced else None
        self.clock = Clock()
        self.quiet = 3.0 * 40.0 ** random()
        self.network = Network(self.clock, rng, self.quiet)
        self.coordinator = Coordinator(self.clock, self.network.delay, options.verification)
        self.timeout = (5.0, 10.0, 20.0)[int(random() * 3)]
        self.message_timeout = self.timeout * (0.9 if random() < 0.8 else 1.5)
        self.tries = (3, 8)[int(random() * 2)]  # of one attempt at one chunk
        self.follow_for = 60.0 + 120.0 * random()
        self.pace = 0.2 * 50.0 ** random()  # seconds that a chunk's rows take at most, sometimes more than the timeout
        self.doom = (0.3, 0.6, 0.9)[int(random() * 3)]  # how many attempts meet a fate
        self.close_aborts, self.snapshot = seed % 3 == 0, seed % 2 == 0
        self.settings = Random(
            f"settings/{seed}"
        ).random  # of its own: whether settings change shifts nothing else of a history
        self.restless = self.settings() < RESTLESS
        self.corrected = Random(f"contents/{seed}").random() < CORRECTED  # shifts nothing of the other histories
        self.topics = [*(Partition(f"data-{n}", self.clock) for n in range(DATA)), Partition("quarantine", self.clock)]
        self.ledger = Partition("ledger", self.clock)
        self.files = self._files()
        self.names = self._correction() if self.corrected else None
        self.checker = Checker(self.files, self.topics, self.ledger, self.names)
        self.known_plans: dict[int, list[Plan]] = {file.number: [] for file in self.files}
        self.workers = [worker for file in self.files if file.corrects is None for worker in self._workers(file)]
        if self.names is not None:
            self.clock.after(0.02 * 1000.0 ** random(), self._correct, self._corrector())
        self._plan_strangers()
        if random() < 0.3:
            self.clock.after(self.quiet * random(), self._compact)
        if traced:
            self._trace()

    # the scenario

    def _files(self) -> list[File]:
        """One file, or two; these on one lane or on two, and on one ledger partition."""
        random = self.random
        first = File(0, 0, 1 + int(random() * 9) if random() < 0.95 else 0)
        if random() < 0.7:
            return [first]
        return [first, File(1, int(random() * 2), 1 + int(random() * 5))]

    def _correction(self) -> Names:
        """Another content of the first file's name, in its lane or in another."""
        content = File(2, int(self.random() * 4), 1 + int(self.random() * 5), corrects=0)
        self.files.append(content)
        return Names([self.files[0], content])

    def _corrector(self) -> Worker:
        """The place where the correction's task runs."""
        file = self.files[-1]
        plans = self._plans(file)
        self.known_plans[file.number] += plans
        worker = Worker(self, "C1", file, plans[0])
        self.workers.append(worker)
        return worker

    def _correct(self, worker: Worker) -> None:
        """The name gets other bytes, and a run lists them; who publishes the older ones may stand still."""
        assert self.names is not None
        self.names.now = worker.file
        self.network.count("names", "corrected")
        if any(w.file.number == 0 and self.clock.now < w.stopped_until for w in self.workers):
            self.network.count("names", "corrected while a publisher of the older bytes stood still")
        self.said(worker.name, f"the name of file 0 has the bytes of file {worker.file.number} now")
        worker.start()

    def _workers(self, file: File) -> list[Worker]:
        """Two or three places where the file's task runs: a schedule and a backfill, or a first copy that Airflow lost
        sight of."""
        random = self.random
        plans = self._plans(file)
        self.known_plans[file.number] += plans
        workers = []
        for n in range(2 + int(random() * 2) if file.number == 0 else 1):
            plan = plans[int(random() * len(plans))]
            workers.append(Worker(self, f"{'AB'[file.number]}{n + 1}", file, plan))
            self.clock.after(0.02 * 1000.0 ** random() if n else 0.0, workers[-1].start)
        return workers

    def _plans(self, file: File) -> list[Plan]:
        random = self.random
        chunks = 1 + int(random() * 4)
        quarantined = frozenset(row for row in range(1, file.rows + 1) if random() < 0.15)
        plans = [plan_of(file, "P", chunks, quarantined)]
        if random() < self.options.change_plan:
            plans.append(plan_of(file, "Q", 1 + int(random() * 4), frozenset()))
        return plans

    def _plan_strangers(self) -> None:
        """Other pipelines' transactions on the ledger partition or a data partition, which end late or never."""
        for n in range(int(self.random() * 3)):
            partition = self.ledger if self.random() < 0.7 else self.topics[int(self.random() * len(self.topics))]
            self.clock.after(self.quiet * self.random(), self._stranger, f"stranger{n + 1}", partition)

    def _stranger(self, tid: str, partition: Partition) -> None:
        _, (pid, epoch) = self.coordinator.init(tid, self.timeout * 0.5 * 16.0 ** self.random())
        self.coordinator.add(tid, pid, epoch, [partition])
        value = (
            Entry(-1, 0, -1, "S", 2, (tid, 1), (), 0, 0, ()) if partition is self.ledger else Row(-1, 1, 0, (tid, 1))
        )
        self.coordinator.produce(tid, pid, epoch, partition, 0, (value,))
        self.network.count("strangers", "opened a transaction")
        self.said(tid, f"opened a transaction on {partition.name}")
        end = self.random()
        if end < 0.7:  # else it dies, and its timeout ends it
            self.clock.after(0.1 * 200.0 ** self.random(), self.coordinator.end, tid, pid, epoch, end < 0.35)

    def _compact(self) -> None:
        gone = self.ledger.compact(lambda entry: (entry.file, entry.chunk))
        self.network.count("ledger", "compacted")
        self.said("broker", f"compacted the ledger: {gone} records went")

    def fate(self) -> Fate | None:
        """What befalls the next attempt, if anything."""
        random = self.random
        if self.clock.now >= self.quiet or random() >= self.doom:
            return None
        kind = ("kill", "kill", "stop", "stop", "terminate")[int(random() * 5)]
        step = FATED[int(random() * len(FATED))]
        seconds = 0.1 * 500.0 ** random() if kind == "stop" else 0.0
        moment = MOMENTS[int(random() * (2 if step in LOCAL else 3))]
        return Fate(kind, step, 1 + int(5 * random() ** 3), moment, seconds)

    def change_settings(self, worker: Worker) -> None:
        """Between two attempts somebody edits the pipeline: how many files work at once, or what decides how the file
        is cut."""
        random = self.settings
        if not self.restless or self.clock.now >= self.quiet or random() >= 0.5:
            return
        if random() < 0.7:
            worker.setting = int(random() * 64)
            self.network.count("settings", "changed, of no effect on identity")
        else:
            number = worker.file.number
            plan = plan_of(worker.file, f"R{len(self.known_plans[number])}", 1 + int(random() * 4), frozenset())
            self.known_plans[number].append(plan)
            worker.plan = plan
            self.network.count("settings", "changed, to another plan")
        self.said(worker.name, f"settings changed: plan {worker.plan.name}, setting {worker.setting}")

    def id_of(self, worker: Worker) -> str:
        """The transactional.id that an attempt publishes under."""
        return f"lane{worker.file.lane}" + ("" if self.options.fixed_ids else f"/{worker.setting}")

    def attempt_ended(self, worker: Worker) -> None:
        """What Airflow and its operators do: try again until an attempt succeeds, with the plan that the file was begun
        with."""
        outcome = worker.outcomes[-1]
        if outcome == "superseded":
            self.network.count("names", f"superseded: {'the older' if worker.file.corrects is None else 'the newer'}")
            worker.listing = None  # its run fails; the next one lists the name anew
        if outcome == Outcome.DONE and (self.clock.now >= self.quiet or self.random() < 0.8):
            worker.finished = True
            return
        if outcome == Outcome.LEDGER_HOLE:
            raise Violated("I8", f"{worker.name} found a hole in the ledger")
        if outcome == Outcome.PLAN_CHANGED:
            worker.plan = self._begun_with(worker)
        self.clock.after(0.2 * 50.0 ** self.random(), worker.start)

    def _begun_with(self, worker: Worker) -> Plan:
        name = next(e.plan for _, e in self.ledger.committed() if e.file == worker.file.number)
        return next(plan for plan in self.known_plans[worker.file.number] if plan.name == name)

    # playing it

    def play(self) -> Result:
        """Let it happen, and judge it."""
        violation = None
        try:
            self._to_the_end()
        except Violated as error:
            violation = error
            self.said("checker", str(error))
        outcomes = tuple(outcome for worker in self.workers for outcome in worker.outcomes)
        held = tuple(seconds for pid, committed, seconds in self.ledger.held if committed and pid in self._own_pids())
        return Result(
            self.seed, violation, self.network.counts, outcomes, held, self.clock.now, tuple(self.timeline or ())
        )

    def _own_pids(self) -> list[int]:
        return [txn.pid for txn in self.coordinator.transactions.values() if txn.tid.startswith("lane")]

    def _to_the_end(self) -> None:
        ended = self.clock.run(self.quiet + SETTLED)
        waiting = [worker for worker in self.workers if not worker.finished]
        if waiting or not ended:
            words = (
                ", ".join(f"{w.name} ({w.attempts} attempts, last: {w.outcomes[-1:]})" for w in waiting)
                or "the brokers"
            )
            raise Violated("I9", f"{SETTLED:g} s after the last fault these have not come to their end: {words}")
        self.checker.at_the_end(self.coordinator)

    # telling it

    def said(self, who: str, what: str) -> None:
        """A line of the timeline, if there is one."""
        if self.timeline is not None:
            self.timeline.append(f"{self.clock.now:10.3f}  {who:<9} {what}")

    def _trace(self) -> None:
        self.network.note = self.said
        self.coordinator.note = lambda text: self.said("broker", text)
        names = [f"{f.number}: {f.rows} rows, lane {f.lane}" for f in self.files]
        kinds = ", ".join(self.network.kinds) if self.network.rate else "none"
        self.said(
            "scenario",
            f"files {'; '.join(names)}; transaction timeout {self.timeout:g} s; faults until {self.quiet:.1f} s",
        )
        self.said(
            "scenario",
            f"{self.network.rate:.0%} of requests meet a fault, of: {kinds}; a fate for {self.doom:.0%} of attempts",
        )


def play(seed: int, options: Options | None = None, traced: bool = False) -> Result:
    """Play the history of one seed."""
    return History(seed, options or Options(), traced).play()
