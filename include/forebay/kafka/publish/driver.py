"""Carries out the effects of the publish protocol (protocol.py) with librdkafka, and reports what came of them.

While a chunk is produced, the next one is encoded in a thread (DuckDB and librdkafka release the GIL).
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from forebay import events
from forebay.errors import BrokerUnavailableError
from forebay.kafka import client, failures
from forebay.kafka.failures import Action, Failure
from forebay.kafka.ledger.entries import LANES, quarantine_partition_of
from forebay.kafka.ledger.reader import LedgerReader, dump, partition_of
from forebay.kafka.publish import failpoints, lanes, steps
from forebay.kafka.publish.account import Account
from forebay.kafka.publish.order import Order
from forebay.kafka.publish.records import EncodedChunk
from forebay.kafka.publish.sender import Ranges, Sender
from forebay.model import Receipt

if TYPE_CHECKING:
    from forebay.kafka.publish.job import PublishJob

PRODUCER: client.Config = {
    "compression.type": "lz4",
    "linger.ms": 20,
    "batch.size": 1_000_000,
    "queue.buffering.max.messages": 2_000_000,
    "queue.buffering.max.kbytes": 262_144,
    "reconnect.backoff.ms": 10,  # how soon the connection to a coordinator is tried again: see `_warm`
}
FATAL = -150
QUEUE_FULL = -184
SHORT_INITS = 25
CALL = 3.0  # seconds a call into librdkafka may take: signals are heard, and error callbacks served, in between


class Driver:
    """Carries out one effect at a time, for one file. Leaving it aborts and destroys whatever is still open."""

    def __init__(self, job: PublishJob) -> None:
        timeout = job.pipeline.publish.transaction_timeout.total_seconds()
        self.task = steps.Task(job.plan.chunks, job.plan.plan_hash, timeout, random.random(), follow_for=job.follow_for)
        self._job = job
        self._reader = LedgerReader(job.config, job.pipeline, keep=job.keep)
        self._partition = partition_of(job.fingerprint, self._reader.view.partitions)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="forebay-encode")
        self._encoded: dict[int, Future[EncodedChunk]] = {}
        self._producer: Any = None
        self._errors = client.ClientErrors()
        self._spare: tuple[Any, client.ClientErrors] | None = None  # the next producer, not yet initialised
        self._earlier_fenced = False
        self._inits = 0  # calls of init_transactions of this instance
        self._order, self._account = Order(job), Account(job, self._reader)
        self._sender = Sender(None)
        self._outputs: Ranges | None = None
        self._quarantine: Ranges | None = None
        self._ledger_sent = False
        self._chunk = 0
        self._started = datetime.now(UTC)
        self._do: dict[type[steps.Effect], Callable[[Any], steps.Event]] = {
            steps.Look: self._look,
            steps.NewProducer: self._new_producer,
            steps.Init: self._init,
            steps.AskWatermark: self._ask_watermark,
            steps.ReadTo: self._read_to,
            steps.Begin: self._begin,
            steps.ProduceRows: self._produce_rows,
            steps.ProduceLedger: self._produce_ledger,
            steps.Flush: self._flush,
            steps.Commit: self._commit,
            steps.Abort: self._abort,
            steps.Close: self._close,
            steps.Wait: self._wait,
        }

    def __enter__(self) -> Driver:
        return self

    def __exit__(self, *_: object) -> None:
        """Also on SIGTERM, whose handler raises in the main thread: nothing stays open for the transaction timeout."""
        if self._producer is not None:
            self._abort(steps.Abort())
            self._close(steps.Close())
        if self._spare is not None:
            self._spare[0].close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._reader.close()

    def run(self, effect: steps.Effect) -> steps.Event:
        """Carry `effect` out. Kafka's errors come back as `Failed`; whatever cannot be a matter of the protocol is
        raised."""
        from confluent_kafka import KafkaException

        try:
            return self._do[type(effect)](effect)
        except KafkaException as error:
            return self._failed(effect, failures.classify(error.args[0], transactional=True))
        # the client's queue had no room for a minute: part of the chunk is sent, so the whole transaction is given up
        except BufferError:
            return self._failed(effect, failures.with_action(failures.of_code(QUEUE_FULL), Action.RENEW))
        except (
            SystemError
        ):  # confluent-kafka 2.16: flush of an instance with a fatal error "returned NULL without setting an exception"
            return self._failed(effect, failures.of_code(FATAL))
        except BrokerUnavailableError as error:  # from the ledger reader
            return self._failed(
                effect, Failure(-195, "_TRANSPORT", Action.RETRY, BrokerUnavailableError, error.message)
            )

    def _failed(self, effect: steps.Effect, failure: Failure) -> steps.Failed:
        failure = self._true_cause(failure)
        if failure.action == Action.FOLLOW:
            events.emit(events.PRODUCER_FENCED, uri=self._job.file.uri, chunk=self._chunk, lane=self._job.lane)
        elif failure.action in {Action.RENEW, Action.LEDGER}:
            events.emit(
                events.CHUNK_RETRIED,
                level=30,
                uri=self._job.file.uri,
                chunk=self._chunk,
                step=type(effect).__name__,
                cause=failure.name,
            )
        return steps.Failed(time.monotonic(), failure)

    def _true_cause(self, failure: Failure) -> Failure:
        """`_TIMED_OUT` may be refused credentials, `_PURGE_QUEUE` a missing right, `_FATAL` anything: polling tells, or
        asking the transaction. An `_FATAL` without a cause counts as fenced.
        """
        fatal = self._poll_for_fatal()
        if failure.action in {Action.RETRY, Action.LEDGER, Action.RENEW} and self._errors.refused:
            return self._errors.refused
        if fatal and failure.code == FATAL:
            return fatal
        cause = self._transaction_error() if failure.action == Action.RENEW or failure.code == FATAL else None
        if cause and cause.action in {Action.STOP, Action.FOLLOW}:
            return cause
        return failures.with_action(failure, Action.FOLLOW) if failure.code == FATAL else failure

    def _transaction_error(self) -> Failure | None:
        """What made the open transaction one that must be aborted, which its records' delivery reports (`_PURGE_QUEUE`)
        do not say.

        A second `begin_transaction` tells, and changes nothing (librdkafka, rdkafka_txnmgr.c,
        `rd_kafka_txn_require_states0`).
        """
        from confluent_kafka import KafkaException

        try:
            if self._producer is not None:
                self._producer.begin_transaction()
        except KafkaException as error:
            return failures.of_code(error.args[0].code(), error.args[0].str())
        except SystemError:
            return None
        return None

    def _poll_for_fatal(self) -> Failure | None:
        """Serve callbacks. confluent-kafka raises the cause of a fatal error instead of telling the error callback."""
        from confluent_kafka import KafkaException

        try:
            if self._producer is not None:
                self._producer.poll(0)
        except KafkaException as error:
            return failures.classify(error.args[0])
        except SystemError:
            return None
        return self._errors.fatal

    def _done(self) -> steps.Done:
        return steps.Done(time.monotonic())

    # the ledger

    def _look(self, _: steps.Look) -> steps.Event:
        self._reader.look()
        event = self._account.state(reached=True)
        missing = next((n for n in range(self.task.chunks) if n not in event.chunks), None)
        if missing is not None and not event.complete:
            self._warm()
            self._prefetch(missing)
        return event

    def _ask_watermark(self, effect: steps.AskWatermark) -> steps.Event:
        return steps.Watermark(time.monotonic(), self._reader.watermarks(effect.uncommitted)[self._partition])

    def _read_to(self, effect: steps.ReadTo) -> steps.Event:
        reached = self._reader.read_to({self._partition: effect.offset}, effect.deadline - time.monotonic())
        failpoints.hit("after_barrier", self._chunk)
        event = self._account.state(reached)
        if reached and not event.complete:
            self._behind_barrier(next((n for n in range(self.task.chunks) if n not in event.chunks), 0))
        return event

    def _behind_barrier(self, chunk: int) -> None:
        """Rule C6, and what the job asks."""
        job = self._job
        for lane in self._order.keep(self._reader.look()):
            lanes.fence(job.config, job.pipeline.transactional_id(lane), int(self.task.transaction_timeout * 1000))
            self._order.fenced_in(lane)
        if job.behind_barrier:
            job.behind_barrier(self._reader.view, chunk)

    def changed(self) -> tuple[str, ...]:
        """As `Account.changed`."""
        return self._account.changed()

    def receipts(self) -> tuple[Receipt, ...]:
        """As `Account.receipts`."""
        return self._account.receipts(self.task.barrier_timeout)

    # the producer

    def _warm(self) -> None:
        """Build the next producer ahead: it connects meanwhile, without touching the transactional id. Its init then
        takes 5 ms, not 25."""
        if self._spare is not None:
            return
        job = self._job
        own = {
            "transactional.id": job.transactional_id,
            "transaction.timeout.ms": int(self.task.transaction_timeout * 1000),
            "message.max.bytes": job.max_message_bytes,
        }
        errors = client.ClientErrors()
        self._spare = client.producer({**PRODUCER, **job.config}, errors, **own), errors

    def _new_producer(self, _: steps.NewProducer) -> steps.Event:
        self._warm()
        assert self._spare is not None
        (self._producer, self._errors), self._spare, self._inits = self._spare, None, 0
        return self._done()

    def _init(self, _: steps.Init) -> steps.Event:
        """In short calls at first: each one wakes librdkafka, whose coordinator thread may else sleep 500 ms before it
        looks for its address."""
        failpoints.hit("before_init", self._chunk)
        self._fence_earlier()
        self._inits += 1
        self._producer.init_transactions(0.02 if self._inits <= SHORT_INITS else 1.0)
        failpoints.hit("after_init", self._chunk)
        return self._done()

    def _fence_earlier(self) -> None:
        """Once an attempt, and before the barrier, which must see what became of those that are fenced here."""
        if not self._earlier_fenced:
            job, view = self._job, self._reader.view
            begun = any(entry.origin.lanes != LANES for entry in view.of_file(job.fingerprint, job.generation).values())
            lanes.fence_earlier(
                job.config, job.pipeline, view.topic_id, job.keep.folder if job.keep else None, begun=begun
            )
            self._earlier_fenced = True

    def _begin(self, _: steps.Begin) -> steps.Event:
        self._producer.begin_transaction()
        self._sender, self._outputs, self._quarantine = Sender(self._producer), None, None
        self._ledger_sent = False
        return self._done()

    def _prefetch(self, chunk: int) -> None:
        if chunk < self.task.chunks and chunk not in self._encoded:
            self._encoded[chunk] = self._pool.submit(self._job.encode, chunk)

    def _chunk_of(self, chunk: int) -> EncodedChunk:
        """The encoded chunk, waited for; the next one is begun."""
        for other in [n for n in self._encoded if n not in {chunk, chunk + 1}]:
            self._encoded.pop(other).cancel()
        self._prefetch(chunk)
        encoded = self._encoded[chunk].result()
        self._prefetch(chunk + 1)
        return encoded

    def _produce_rows(self, effect: steps.ProduceRows) -> steps.Event:
        self._chunk, self._started = effect.chunk, datetime.now(UTC)
        if effect.chunk + 1 < self.task.chunks:
            self._warm()
        job, encoded = self._job, self._chunk_of(effect.chunk)
        encoded.check(effect.chunk, job.plan.bounds(effect.chunk))
        self._outputs = self._sender.records(job.pipeline.topic.name, encoded.records, job.headers, effect.chunk)
        if len(encoded.quarantine):
            partition = self._quarantine_partition()
            self._quarantine = self._sender.quarantined(
                job.pipeline.quarantine_topic, partition, encoded.quarantine, job.headers
            )
        return self._done()

    def _quarantine_partition(self) -> int:
        topic = self._job.pipeline.quarantine_topic
        described = self._producer.list_topics(topic, 10).topics[topic]
        return quarantine_partition_of(self._job.fingerprint, max(1, len(described.partitions)))

    def _produce_ledger(self, effect: steps.ProduceLedger) -> steps.Event:
        encoded = self._chunk_of(effect.chunk)
        entry = self._account.entry(effect.chunk, encoded, self._outputs, self._quarantine, self._started)
        topic = self._job.pipeline.ledger_topic
        self._sender.ledger_record(topic, self._partition, entry.key, dump(entry.to_json()))
        if effect.last:
            complete = self._account.completion(entry)
            self._sender.ledger_record(topic, self._partition, complete.key, dump(complete.to_json()))
        self._ledger_sent = True
        return self._done()

    def _flush(self, _: steps.Flush) -> steps.Event:
        deadline = time.monotonic() + self.task.transaction_timeout
        while (left := self._producer.flush(0.5)) and self._sender.failure is None and time.monotonic() < deadline:
            pass
        if self._sender.failure is not None:
            return self._failed(_, self._sender.failure)
        failpoints.hit("after_ledger" if self._ledger_sent else "after_flush", self._chunk)
        return steps.Flushed(time.monotonic(), left)

    def _commit(self, effect: steps.Commit) -> steps.Event:
        failpoints.soon("during_commit", effect.chunk)
        self._producer.commit_transaction(CALL)
        failpoints.hit("after_commit", effect.chunk)
        if owner := self._job.origin.owner:
            self._reader.owned_by(owner)
        receipt = self._account.own[effect.chunk]
        fields = {"published": receipt.published, "quarantined": receipt.quarantined, "of": receipt.of}
        events.emit(events.CHUNK_COMMITTED, uri=self._job.file.uri, chunk=effect.chunk, **fields)
        return self._done()

    def _abort(self, _: steps.Abort) -> steps.Event:
        """As far as it goes: whatever stays open is ended by the next `init_transactions`, or by the broker at the
        timeout.

        An abort that overtakes the first produce is fatal (librdkafka issue 4849), so the first delivery is waited for.
        """
        from confluent_kafka import KafkaException

        with contextlib.suppress(KafkaException, SystemError):
            if not self._sender.acknowledged and self._sender.failure is None:
                self._producer.flush(1.0)
            self._producer.abort_transaction(CALL)
        return self._done()

    def _close(self, _: steps.Close) -> steps.Event:
        """Purge first, so that closing does not wait for a broker that is away. That closing cannot abort a fenced
        transaction is no news.

        Closing aborts a transaction that is still open, and waits for the broker's answer without end (none comes to
        who is refused): it is left alone after a while. Whatever it sends later bears an old epoch, and is fenced.
        """
        producer, self._producer = self._producer, None
        producer.purge()
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
            closing = threading.Thread(target=producer.close, name="forebay-close", daemon=True)
            closing.start()
            closing.join(CALL)
        return self._done()

    def _wait(self, effect: steps.Wait) -> steps.Event:
        time.sleep(effect.seconds)
        return self._done()
