"""A producer instance as librdkafka is one: its transaction states, its own retries, and the errors that it raises.

The calls are generators: they yield while they wait, and return the `Failure` that the driver would get from
`failures.classify` (the table of the product, so that it is under test too), or None. Requests of one instance go out
one after the other.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import cache
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError

from forebay.kafka import failures
from forebay.kafka.failures import Failure
from forebay.kafka.publish.sender import delivery_failure
from tests.simulation.world import Partition

if TYPE_CHECKING:
    from tests.simulation.workers import Worker

Call = Generator[None, Any, Failure | None]
CALL = 3.0  # seconds that the driver gives one call
BACKOFF = 0.1, 1.0  # librdkafka's retry.backoff.ms and retry.backoff.max.ms

# what librdkafka tries again by itself, in transactional requests and in Produce
PASSING = {"_TIMED_OUT", "_TRANSPORT"}
RETRIED = PASSING | {
    "CONCURRENT_TRANSACTIONS",
    "NOT_COORDINATOR",
    "COORDINATOR_NOT_AVAILABLE",
    "COORDINATOR_LOAD_IN_PROGRESS",
}
RESENT = PASSING | {
    "NOT_LEADER_FOR_PARTITION",
    "LEADER_NOT_AVAILABLE",
    "REQUEST_TIMED_OUT",
    "KAFKA_STORAGE_ERROR",
    "NOT_ENOUGH_REPLICAS",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
}
FATAL = {
    "PRODUCER_FENCED",
    "INVALID_PRODUCER_EPOCH",
    "INVALID_TXN_STATE",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    # "commit succeeded on the broker but the transaction had already failed locally" (rdkafka_txnmgr.c)
    "_MSG_TIMED_OUT",
}


class RaisedError:
    """A `KafkaError` as far as forebay looks at one: code, words, and (only when a call raised it) one flag."""

    def __init__(self, name: str, flag: str = "") -> None:
        self._name, self._flag = name, flag

    def code(self) -> int:
        code: int = getattr(KafkaError, self._name)
        return code

    def str(self) -> str:
        return self._name

    def fatal(self) -> bool:
        return self._flag == "fatal"

    def retriable(self) -> bool:
        return self._flag == "retriable"

    def txn_requires_abort(self) -> bool:
        return self._flag == "abort"


@cache
def raised(name: str, flag: str = "") -> Failure:
    """What the driver makes of an error that a transactional call, or `produce`, raised."""
    return failures.classify(RaisedError(name, flag), transactional=True)  # type: ignore[arg-type]


@cache
def heard(name: str, flag: str = "") -> Failure:
    """What it makes of an error that the error callback told."""
    return failures.classify(RaisedError(name, flag))  # type: ignore[arg-type]


@cache
def undelivered(name: str) -> Failure:
    """What it makes of a failed delivery report."""
    return delivery_failure(RaisedError(name))  # type: ignore[arg-type]


class Batch:
    """Records of one partition that travel together; `offset` is where they went, -1 where the report did not say."""

    __slots__ = ("offset", "partition", "values")

    def __init__(self, partition: Partition, values: tuple[Any, ...]) -> None:
        self.partition, self.values = partition, values
        self.offset = -1


class Client:
    """One producer instance. Transaction states: "ready", "open", "abortable", "committing"; `fatal` is the true cause
    once it is broken."""

    __slots__ = (
        "added",
        "deadline",
        "epoch",
        "fatal",
        "in_doubt",
        "lost",
        "pid",
        "queue",
        "sequences",
        "state",
        "tid",
        "timeout",
        "worker",
    )

    def __init__(self, worker: Worker, tid: str, timeout: float) -> None:
        self.worker, self.tid, self.timeout = worker, tid, timeout
        self.pid = self.epoch = -1
        self.state = "ready"
        self.fatal: Failure | None = None
        self.lost: Failure | None = None  # the first failed delivery report of an abortable transaction
        self.in_doubt = False  # a batch may or may not have arrived
        self.added: list[Partition] = []
        self.queue: list[Batch] = []
        self.sequences: dict[Partition, int] = {}
        self.deadline = 0.0

    def init(self) -> Call:
        """`init_transactions` for three seconds. Called again it asks again, which the coordinator answers with a newer
        epoch."""
        worker, deadline, backoff = self.worker, self.worker.clock.now + CALL, BACKOFF[0]
        while True:
            error, value = yield worker.send("InitProducerId", worker.coordinator.init, self.tid, self.timeout)
            if error is None:
                self.pid, self.epoch = value
                self.sequences = {}
                return None
            if error not in RETRIED:
                return self._broken(error)
            if worker.clock.now >= deadline:
                return raised("_TIMED_OUT", "retriable")
            yield worker.sleep(backoff)
            backoff = min(BACKOFF[1], 2 * backoff)

    def begin(self) -> Failure | None:
        """`begin_transaction`: local."""
        if self.fatal is not None:
            return raised("_FATAL")
        if self.state != "ready":
            return raised("_STATE")
        self.state, self.added, self.queue, self.in_doubt = "open", [], [], False
        return None

    def produce(self, batches: list[Batch]) -> Failure | None:
        """`produce`: local. On a broken instance it raises `_FATAL` without a flag."""
        if self.fatal is not None:
            return raised("_FATAL")
        if self.state not in {"open", "abortable"}:
            return raised("_STATE")
        self.queue += batches
        self.deadline = self.worker.clock.now + self.worker.message_timeout
        return None

    def deliver(self, count: int) -> Call:
        """Send up to `count` batches of the queue; the failure of the first one that cannot be delivered."""
        while count and self.queue and self.state == "open":
            error = (yield from self._register()) or (yield from self._send(self.queue[0]))
            if error is not None:
                return self._undelivered(error)
            self.queue.pop(0)
            count -= 1
        return None

    def _register(self) -> Generator[None, Any, str | None]:
        """AddPartitionsToTxn for all that is queued and new to the transaction."""
        new = list(dict.fromkeys(b.partition for b in self.queue if b.partition not in self.added))
        if not new:
            return None
        worker = self.worker
        error = yield from self._again(
            RETRIED, "AddPartitions", worker.coordinator.add, self.tid, self.pid, self.epoch, new
        )
        if error is None:
            self.added += new
        return error

    def _send(self, batch: Batch) -> Generator[None, Any, str | None]:
        """One batch, again and again under the same sequence number, until it is acknowledged or its time is over."""
        partition, worker = batch.partition, self.worker
        sequence = self.sequences.get(partition, 0)
        backoff = BACKOFF[0]
        self.in_doubt = True
        while True:
            args = (self.tid, self.pid, self.epoch, partition, sequence, batch.values)
            error, offset = yield worker.send("Produce", worker.coordinator.produce, *args)
            if error is None or error == "DUPLICATE_SEQUENCE_NUMBER":  # a success whose offset nobody knows (rule F16)
                batch.offset = -1 if error else offset
                self.sequences[partition] = sequence + len(batch.values)
                self.in_doubt = False
                return None
            if error not in RESENT:
                return str(error)
            if worker.clock.now >= self.deadline:
                return "_MSG_TIMED_OUT"
            yield worker.sleep(backoff)
            backoff = min(BACKOFF[1], 2 * backoff)

    def _again(self, retried: set[str], api: str, apply: Any, *args: Any) -> Generator[None, Any, str | None]:
        """A request, until it is answered otherwise than by a passing trouble, or the messages' time is over."""
        backoff = BACKOFF[0]
        while True:
            error, _ = yield self.worker.send(api, apply, *args)
            if error not in retried:
                return error
            if self.worker.clock.now >= self.deadline:
                return "_MSG_TIMED_OUT"
            yield self.worker.sleep(backoff)
            backoff = min(BACKOFF[1], 2 * backoff)

    def _undelivered(self, error: str) -> Failure:
        if error in {"PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH", "INVALID_PRODUCER_ID_MAPPING"}:
            self._broken(error)
            return raised("_FATAL")
        self.state, self.lost = "abortable", undelivered(error)
        return self.lost

    def _broken(self, error: str) -> Failure:
        """A fatal error. librdkafka calls both ways of being fenced `_FENCED`."""
        name = "_FENCED" if error in {"PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH"} else error
        self.fatal = heard(name, "fatal")
        return raised(name, "fatal")

    def commit(self) -> Call:
        """`commit_transaction` for three seconds; called again it goes on where it was."""
        worker, deadline, backoff = self.worker, self.worker.clock.now + CALL, BACKOFF[0]
        if self.fatal is not None:
            return raised(self.fatal.name, "fatal")
        if self.state == "abortable" or self.queue:
            self.state = "abortable"
            return raised("_INCONSISTENT", "abort")
        self.state = "committing"
        while self.added:  # else there is nothing to commit
            error, _ = yield worker.send("EndTxn", worker.coordinator.end, self.tid, self.pid, self.epoch, True)
            if error is None:
                break
            if error in FATAL:
                return self._broken(error)
            if error not in RETRIED:
                self.state = "abortable"
                return raised(error, "abort")
            if worker.clock.now >= deadline:
                return raised("_TIMED_OUT", "retriable")
            yield worker.sleep(backoff)
            backoff = min(BACKOFF[1], 2 * backoff)
        self.state = "ready"
        return None

    def close(self) -> Call:
        """`Producer.close` aborts what is open. Whether it does so while a commit is under way is not documented:
        histories differ in it."""
        if self.state == "committing" and self.worker.history.close_aborts:
            self.state = "abortable"
        return (yield from self.abort())

    def abort(self) -> Call:
        """`abort_transaction`, for three seconds. While a commit is under way, and on a broken instance, it does
        nothing."""
        if self.fatal is not None or self.state not in {"open", "abortable"}:
            return None
        worker, deadline, backoff = self.worker, self.worker.clock.now + CALL, BACKOFF[0]
        self.queue = []
        while self.added:
            error, _ = yield worker.send("EndTxn", worker.coordinator.end, self.tid, self.pid, self.epoch, False)
            if error is None:
                break
            if error in FATAL:
                return self._broken(error)
            if error not in RETRIED or worker.clock.now >= deadline:
                self.state = "abortable"
                return raised(error, "abort")
            yield worker.sleep(backoff)
            backoff = min(BACKOFF[1], 2 * backoff)
        self.state = "ready"
        if self.in_doubt:
            return (yield from self.init())  # KIP-360: the epoch is bumped, for sequence numbers are in doubt
        return None
