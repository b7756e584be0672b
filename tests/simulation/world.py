"""A small model of Kafka's brokers: a clock, partition logs, and the transaction coordinator under the old protocol
(TV1).

The rules are Kafka's own (`TransactionCoordinator.scala`, `ProducerAppendInfo.java`, KIP-98, KIP-360, KIP-890 part 1).
Nothing here is random and nothing is lost: that is network.py's. Requests answer with `(error, value)`, the error being
librdkafka's name of the code, or None.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import ceil
from typing import Any

from forebay.kafka.publish.steps import SWEEP

Answer = tuple[str | None, Any]
OK: Answer = (None, None)
OPEN, COMMITTED, ABORTED, MARKER, CLEANED = range(5)  # what becomes of an offset
EMPTY, ONGOING, PREPARE_COMMIT, PREPARE_ABORT, COMPLETE_COMMIT, COMPLETE_ABORT = range(6)
STATES = ("Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort")
RETAINED = 5  # batches of a producer that a partition remembers to recognise duplicates


class Clock:
    """Simulated time in seconds, and what is to happen when. Events of one moment happen in the order they were
    planned."""

    __slots__ = ("_count", "_heap", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[..., Any], tuple[Any, ...]]] = []
        self._count = 0

    def after(self, delay: float, call: Callable[..., Any], *args: Any) -> None:
        """Plan `call(*args)` in `delay` seconds."""
        self._count += 1
        heappush(self._heap, (self.now + delay, self._count, call, args))

    def run(self, until: float) -> bool:
        """Let everything happen that is planned, up to a time; False when something was left."""
        heap = self._heap
        while heap:
            if heap[0][0] > until:
                return False
            self.now, _, call, args = heappop(heap)
            call(*args)
        return True


class Producer:
    """What a partition knows of one producer id."""

    __slots__ = ("batches", "epoch", "next")

    def __init__(self, epoch: int, sequence: int = 0) -> None:
        self.epoch = epoch
        self.next = sequence
        self.batches: list[tuple[int, int]] = []  # (first sequence, first offset)

    def bump(self, epoch: int) -> None:
        self.epoch, self.next, self.batches = epoch, 0, []


class Partition:
    """One partition's log. `values[offset]` is what was appended (None for a marker), `states[offset]` what became of
    it.

    `watch(offset, value)` hears of each record when a read_committed reader could first read it, `appended(offset,
    value)` of each append.
    """

    __slots__ = (
        "appended",
        "clock",
        "held",
        "name",
        "open",
        "producers",
        "since",
        "stable",
        "states",
        "values",
        "waiters",
        "watch",
    )

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self.values: list[Any] = []
        self.states: list[int] = []
        self.open: dict[int, list[int]] = {}  # producer id → offsets of its open transaction
        self.since: dict[int, float] = {}  # producer id → when that began here
        self.producers: dict[int, Producer] = {}
        self.stable = 0
        self.held: list[
            tuple[int, bool, float]
        ] = []  # (producer id, committed?, seconds) of each transaction that has ended here
        self.waiters: list[tuple[Any, int]] = []  # (process, token) to wake when the last stable offset moves
        self.watch: Callable[[int, Any], None] | None = None
        self.appended: Callable[[int, Any], None] | None = None

    @property
    def high(self) -> int:
        """The high watermark: replication takes no time in this model."""
        return len(self.values)

    def append(self, pid: int, epoch: int, sequence: int, values: tuple[Any, ...]) -> Answer:
        """A transactional batch → its first offset. Idempotent: a batch that is known is answered, not appended
        again."""
        known = self.producers.get(pid)
        if known is None:
            known = self.producers[pid] = Producer(epoch, sequence)
        elif epoch < known.epoch:
            return "INVALID_PRODUCER_EPOCH", None
        elif epoch > known.epoch:
            if sequence:
                return "OUT_OF_ORDER_SEQUENCE_NUMBER", None
            known.bump(epoch)
        else:
            for first, offset in known.batches:
                if first == sequence:
                    return None, offset
            if sequence != known.next:
                return "OUT_OF_ORDER_SEQUENCE_NUMBER", None
        return None, self._write(pid, known, sequence, values)

    def _write(self, pid: int, known: Producer, sequence: int, values: tuple[Any, ...]) -> int:
        first = len(self.values)
        known.next = sequence + len(values)
        known.batches = [*known.batches[1 - RETAINED :], (sequence, first)]
        offsets = self.open.get(pid)
        if offsets is None:
            offsets = self.open[pid] = []
            self.since[pid] = self.clock.now
        for value in values:
            offsets.append(len(self.values))
            self.values.append(value)
            self.states.append(OPEN)
            if self.appended is not None:
                self.appended(offsets[-1], value)
        return first

    def ongoing(self, pid: int, epoch: int) -> bool:
        """Whether that producer has a transaction open here (then KIP-890 asks the coordinator no more)."""
        return pid in self.open and self.producers[pid].epoch == epoch

    def mark(self, pid: int, epoch: int, commit: bool) -> bool:
        """A transaction marker. False when it is refused, for a newer epoch is known here."""
        known = self.producers.get(pid)
        if known is None:
            self.producers[pid] = Producer(epoch)
        elif epoch < known.epoch:
            return False
        elif epoch > known.epoch:
            known.bump(epoch)
        self.values.append(None)
        self.states.append(MARKER)
        offsets = self.open.pop(pid, None)
        if offsets:
            self.held.append((pid, commit, self.clock.now - self.since.pop(pid)))
            became = COMMITTED if commit else ABORTED
            for offset in offsets:
                self.states[offset] = became
        self._advance()
        return True

    def _advance(self) -> None:
        """Move the last stable offset to the first open transaction, and show what lies before it."""
        end = min(offsets[0] for offsets in self.open.values()) if self.open else len(self.values)
        if end == self.stable:
            return
        start, self.stable = self.stable, end
        if self.watch is not None:
            for offset in range(start, end):
                if self.states[offset] == COMMITTED:
                    self.watch(offset, self.values[offset])
        waiters, self.waiters = self.waiters, []
        for process, token in waiters:
            self.clock.after(0.001, process.resume, token, None)

    def committed(self, start: int = 0, end: int | None = None) -> list[tuple[int, Any]]:
        """What a read_committed reader finds from `start` up to the last stable offset (or `end`)."""
        stop = self.stable if end is None else min(end, self.stable)
        return [(at, self.values[at]) for at in range(start, stop) if self.states[at] == COMMITTED]

    def compact(self, key: Callable[[Any], Any]) -> int:
        """Clean the stable part: aborted records go, and of those with one key all but the last. Offsets stay. → how
        many went"""
        gone, seen = 0, set()
        for at in range(self.stable - 1, -1, -1):
            if self.states[at] == COMMITTED and key(self.values[at]) not in seen:
                seen.add(key(self.values[at]))
            elif self.states[at] in {COMMITTED, ABORTED}:
                self.values[at], self.states[at] = None, CLEANED
                gone += 1
        return gone


class Transaction:
    """What the coordinator keeps of one transactional.id."""

    __slots__ = ("epoch", "partitions", "pid", "started", "state", "tid", "timeout", "unwritten")

    def __init__(self, tid: str, pid: int) -> None:
        self.tid = tid
        self.pid = pid
        self.epoch = -1
        self.state = EMPTY
        self.partitions: list[Partition] = []
        self.started = 0.0
        self.timeout = 60.0
        self.unwritten = 0  # markers that are still to be written

    def __str__(self) -> str:
        return f"{self.tid} (pid {self.pid}, epoch {self.epoch})"


class Coordinator:
    """The transaction coordinator as a TV1 client meets it: it knows a transaction by (producer id, epoch) and by
    nothing else.

    `delay(what)` says how long a marker, or a sweep, takes to come about; `note(text)` hears of what is decided.
    """

    __slots__ = ("clock", "delay", "note", "transactions", "verification")

    def __init__(self, clock: Clock, delay: Callable[[str], float] | None = None, verification: bool = True) -> None:
        self.clock = clock
        self.delay = delay or (lambda _: 0.01)
        self.verification = verification
        self.transactions: dict[str, Transaction] = {}
        self.note: Callable[[str], None] | None = None

    def init(self, tid: str, timeout: float) -> Answer:
        """InitProducerId → (pid, epoch). An open transaction of the id is fenced and aborted first; the caller has to
        come again."""
        txn = self.transactions.get(tid)
        if txn is None:
            txn = self.transactions[tid] = Transaction(tid, len(self.transactions) + 1)
        if txn.state in {PREPARE_COMMIT, PREPARE_ABORT}:
            return "CONCURRENT_TRANSACTIONS", None
        if txn.state == ONGOING:
            self._fence(txn, "a new owner")
            return "CONCURRENT_TRANSACTIONS", None
        txn.epoch += 1
        txn.timeout = timeout
        txn.state = EMPTY
        return None, (txn.pid, txn.epoch)

    def add(self, tid: str, pid: int, epoch: int, partitions: list[Partition]) -> Answer:
        """AddPartitionsToTxn. The transaction, and its timeout, begins with the first one."""
        error, txn = self._known(tid, pid, epoch)
        if txn is None:
            return error, None
        if txn.state in {PREPARE_COMMIT, PREPARE_ABORT}:
            return "CONCURRENT_TRANSACTIONS", None
        if txn.state != ONGOING:
            txn.state, txn.partitions, txn.started = ONGOING, [], self.clock.now
            self._plan_sweep(txn)
        txn.partitions += [p for p in partitions if p not in txn.partitions]
        return OK

    def end(self, tid: str, pid: int, epoch: int, commit: bool) -> Answer:
        """EndTxn v1. It is answered as soon as it is decided; the markers follow."""
        error, txn = self._known(tid, pid, epoch)
        if txn is None:
            return error, None
        if txn.state == ONGOING:
            self._decide(txn, commit)
            return OK
        if txn.state == (COMPLETE_COMMIT if commit else COMPLETE_ABORT):
            return OK
        if txn.state == (PREPARE_COMMIT if commit else PREPARE_ABORT):
            return "CONCURRENT_TRANSACTIONS", None
        return "INVALID_TXN_STATE", None

    def produce(
        self, tid: str, pid: int, epoch: int, partition: Partition, sequence: int, values: tuple[Any, ...]
    ) -> Answer:
        """Produce v10. KIP-890 part 1: the first batch of a transaction in a partition is verified with the
        coordinator."""
        if self.verification and not partition.ongoing(pid, epoch):
            error = self._verify(tid, pid, epoch, partition)
            if error:
                return error, None
        return partition.append(pid, epoch, sequence, values)

    def _verify(self, tid: str, pid: int, epoch: int, partition: Partition) -> str | None:
        """As old clients hear it: TRANSACTION_ABORTABLE and a transaction that is just ending have older names."""
        error, txn = self._known(tid, pid, epoch)
        if txn is None:
            return "INVALID_PRODUCER_EPOCH" if error == "PRODUCER_FENCED" else error
        if txn.state in {PREPARE_COMMIT, PREPARE_ABORT}:
            return "NOT_ENOUGH_REPLICAS"
        return None if txn.state == ONGOING and partition in txn.partitions else "INVALID_TXN_STATE"

    def _known(self, tid: str, pid: int, epoch: int) -> tuple[str | None, Transaction | None]:
        txn = self.transactions.get(tid)
        if txn is None or txn.pid != pid:
            return "INVALID_PRODUCER_ID_MAPPING", None
        if txn.epoch != epoch:
            return "PRODUCER_FENCED", None
        return None, txn

    def _fence(self, txn: Transaction, why: str) -> None:
        txn.epoch += 1  # this epoch is never given to anybody
        self._decide(txn, commit=False, why=why)

    def _decide(self, txn: Transaction, commit: bool, why: str = "") -> None:
        txn.state = PREPARE_COMMIT if commit else PREPARE_ABORT
        txn.unwritten = len(txn.partitions)
        if self.note is not None:
            names = ", ".join(p.name for p in txn.partitions)
            self.note(
                f"{'commit' if commit else 'abort'} of {txn} decided{f' for {why}' if why else ''}; "
                f"markers to {names or 'nobody'}"
            )
        for partition in txn.partitions:
            self.clock.after(self.delay("marker"), self._marker, txn, partition, commit)
        if not txn.partitions:
            self._complete(txn)

    def _marker(self, txn: Transaction, partition: Partition, commit: bool) -> None:
        wait = self.delay("outage")
        if wait:
            self.clock.after(wait, self._marker, txn, partition, commit)
            return
        partition.mark(txn.pid, txn.epoch, commit)
        if self.note is not None:
            self.note(
                f"{'commit' if commit else 'abort'} marker of {txn} in {partition.name}: LSO {partition.stable}, "
                f"HW {partition.high}"
            )
        txn.unwritten -= 1
        if not txn.unwritten:
            self._complete(txn)

    def _complete(self, txn: Transaction) -> None:
        txn.state = COMPLETE_COMMIT if txn.state == PREPARE_COMMIT else COMPLETE_ABORT
        txn.partitions = []

    def _plan_sweep(self, txn: Transaction) -> None:
        """Transactions that have timed out are looked for every ten seconds: plan the look that will find this one."""
        tick = SWEEP * ceil((txn.started + txn.timeout) / SWEEP)
        self.clock.after(tick - self.clock.now, self._sweep, txn, txn.started)

    def _sweep(self, txn: Transaction, started: float) -> None:
        if txn.state != ONGOING or txn.started != started:
            return
        wait = self.delay("outage")
        if wait:
            self.clock.after(wait, self._sweep, txn, started)
        else:
            self._fence(txn, "its timeout")
