"""doctor's checks of what a publication does: is it the known ledger, may this principal write and read, is a
transaction open on the ledger?"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from forebay.errors import LedgerError, PreflightError
from forebay.kafka import client, topics
from forebay.kafka.doctor.findings import CALL, ClusterFacts, Finding, Level
from forebay.kafka.ledger import owner
from forebay.kafka.ledger.guard import Guard
from forebay.kafka.ledger.reader import LedgerReader

LAG = 2.0  # seconds that a commit's markers may take


def ledger(seen: ClusterFacts) -> Iterator[Finding]:
    """Whether it is the ledger that was used before; nothing is remembered by looking."""
    name, described = seen.pipeline.ledger_topic, seen.described.get(seen.pipeline.ledger_topic)
    guard = Guard(seen.keep, seen.pipeline.pipeline)
    try:
        if described is None:
            guard.missing(lambda: client.connect_check(seen.config))
            return
        reader = LedgerReader(seen.config, seen.pipeline)
        ends = reader.watermarks()
        reader.close()
        topic_id = str(described.topic_id)
        if guard.known(topic_id):
            guard.check(topic_id, len(described.partitions), lambda: client.connect_check(seen.config))
            guard.check_ends(topic_id, ends)
            yield Finding(Level.OK, "ledger", f"`{name}` is the one that was used before")
        else:
            guard.refuse_other(topic_id, lambda: client.connect_check(seen.config))
            yield Finding(Level.OK, "ledger", f"`{name}` was not used from here yet")
        _whose(seen, topic_id if guard.known(topic_id) else None)
    except (LedgerError, PreflightError) as error:
        yield Finding(Level.FAIL, "ledger", error.message)


def _whose(seen: ClusterFacts, known: str | None) -> None:
    """Raises `PreflightError` for another project's ledger. One never used from here is read into a copy that does not
    stay."""
    with tempfile.TemporaryDirectory() as scratch:
        keep = seen.keep if known else replace(seen.keep, folder=Path(scratch))
        with contextlib.closing(LedgerReader(seen.config, seen.pipeline, keep=keep)) as reader:
            owner.check(reader.look(), seen.pipeline, keep)


def rights(seen: ClusterFacts) -> Iterator[Finding]:
    """A transaction that writes one record to each topic and is aborted: it asks for every right that publishing needs
    (F23).

    Its transactional.id is a lane's neighbour: a lane's own would fence a publisher at work.
    """
    wanted = topics.wanted(seen.pipeline)
    if any(topic.name not in seen.described for topic in wanted):
        yield Finding(Level.OK, "rights", "not tried: the topics are not there yet")
        return
    lane = f"forebay.{seen.pipeline.pipeline}.doctor"
    with client.translate(f"trying a transaction as `{lane}`", seen.errors):
        refused = _try(seen, lane, wanted)
    for name, error in refused.items():
        yield Finding(
            Level.FAIL,
            "rights",
            f"writing to `{name}` was refused: {error.str()}",
            "every transaction would fail",
            f"grant Write and Describe on `{name}`",
        )
    yield from _may_read(seen)
    if not refused:
        yield Finding(
            Level.OK, "rights", f"a transaction as `{lane}` could write to all {len(wanted)} topics; it was aborted"
        )


def _try(seen: ClusterFacts, lane: str, wanted: tuple[topics.Topic, ...]) -> dict[str, Any]:
    """The error of each topic that refused a record, each tried in a transaction of its own, which is aborted.

    One transaction for all would not do: the coordinator refuses a request that names several topics as a whole, its
    transaction never begins, and the abort fails with `INVALID_TXN_STATE` before any delivery report has told which
    topic it was.
    """
    refused: dict[str, Any] = {}
    for topic in wanted:
        producer = client.producer(
            seen.config, seen.errors, **{"transactional.id": lane, "transaction.timeout.ms": 10_000}
        )
        try:
            producer.init_transactions(CALL)
            _write_and_abort(producer, refused, topic.name)
        finally:
            refusals = dict(refused)
            with contextlib.suppress(
                Exception
            ):  # of an instance with a fatal error, any call may raise that error again
                producer.purge()
                producer.close()
            refused = refusals
    return refused


def _write_and_abort(producer: Any, refused: dict[str, Any], name: str) -> None:
    from confluent_kafka import KafkaException

    try:
        producer.begin_transaction()
        producer.produce(name, b"doctor", b"doctor", partition=0, on_delivery=_note(refused, name))
        producer.flush(CALL)
        producer.abort_transaction(CALL)
    except KafkaException as error:
        refused.setdefault(name, error.args[0])


def _note(refused: dict[str, Any], name: str) -> Callable[[Any, Any], None]:
    def delivered(error: Any, _: Any) -> None:
        if error:
            refused[name] = error

    return delivered


def _may_read(seen: ClusterFacts) -> Iterator[Finding]:
    """`reconcile` reads what was published; the ledger is read by everything."""
    for topic in topics.wanted(seen.pipeline):
        answer = _read_one(seen, topic.name)
        if answer == "GROUP_AUTHORIZATION_FAILED":
            group = client.CONSUMER["group.id"]
            yield Finding(
                Level.FAIL,
                "rights",
                f"reading as consumer group `{group}` was refused",
                "the ledger cannot be read",
                f"grant Read on the consumer group `{group}`",
            )
            return
        if answer == "TOPIC_AUTHORIZATION_FAILED":
            yield Finding(
                Level.FAIL,
                "rights",
                f"reading `{topic.name}` was refused",
                "what was published cannot be proved",
                f"grant Read and Describe on `{topic.name}`",
            )
        elif answer is None:
            yield Finding(
                Level.WARN,
                "rights",
                f"reading `{topic.name}` was not answered within {CALL:g} s",
                "whether it may be read stays unknown",
                "run doctor again",
            )


def _read_one(seen: ClusterFacts, topic: str) -> str | None:
    """`read` when a record, or the partition's end, came; the name of the error that refused it; None when nothing
    came."""
    from confluent_kafka import TopicPartition

    consumer = client.consumer(seen.config, seen.errors, **{"auto.offset.reset": "latest"})
    deadline = time.monotonic() + CALL
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        while time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is None:
                continue
            error = message.error()
            if error is None or error.name() == "_PARTITION_EOF":
                return "read"
            if error.name() in {"TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED"}:
                return str(error.name())
    finally:
        consumer.close()
    return None


def open_transactions(seen: ClusterFacts) -> Iterator[Finding]:
    """Whether somebody's open transaction holds back the ledger's end."""
    if seen.pipeline.ledger_topic not in seen.described:
        return
    reader = LedgerReader(seen.config, seen.pipeline)
    try:
        deadline = time.monotonic() + LAG
        while lag := _lag(reader):
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
    finally:
        reader.close()
    for partition, records in lag.items():
        yield Finding(
            Level.WARN,
            "open transactions",
            f"`{reader.topic}` partition {partition}: a transaction is open, {records} offsets are held back",
            "publishing waits for it; it may be a publisher at work",
            "look again in a minute; if it stays: `kafka-transactions.sh find-hanging`",
        )
    if not lag:
        yield Finding(Level.OK, "open transactions", "none on the ledger")


def _lag(reader: LedgerReader) -> dict[int, int]:
    """How many offsets of each partition lie behind an open transaction."""
    stable, end = reader.watermarks(uncommitted=False), reader.watermarks()
    return {p: end[p] - stable[p] for p in end if end[p] > stable[p]}
