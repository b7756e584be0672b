"""Ledgers of any length, made by hand: the records of files that nobody published."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from forebay.config.pipeline import Pipeline
from forebay.kafka.ledger.reader import (
    FILE,
    READ_TIMEOUT,
    ChunkEntry,
    Completion,
    FileEntry,
    Origin,
    dump,
    key,
    opened,
    partition_of,
)
from forebay.kafka.ledger.view import LedgerView
from forebay.model import Identity, OffsetRange, Receipt, SourceFile

_FP = "0123456789abcdef" * 4
_URI = "file:///drops/2013-01-05/partner-AAAAAAA.csv"
_SIZE = 918273645
_HASH = "fedcba9876543210" * 4


def fingerprint(number: int) -> str:
    """The fingerprint of the file of that number."""
    return hashlib.sha256(b"%d" % number).hexdigest()


def uri(number: int) -> str:
    return _URI.replace("AAAAAAA", f"{number:07d}")


def size(number: int) -> int:
    """In bytes; no two files have the same."""
    return 100_000_000 + number


def _templates(pipeline: str, partitions: int) -> tuple[bytes, bytes]:
    """The values of a chunk and of a completion record, with the four things to be replaced."""
    file = SourceFile(_URI, _SIZE, 1357344000.0)
    ranges = tuple(OffsetRange("flights", p, 100, 250, 150) for p in range(3))
    receipt = Receipt(
        fingerprint=_FP,
        generation=1,
        chunk=0,
        of=1,
        first_row=1,
        last_row=450,
        rows_in=450,
        published=450,
        quarantined=0,
        outputs=ranges,
        quarantine=(),
        content_hash=_HASH,
        plan_hash="d" * 64,
    )
    origin = Origin("cluster", "flights", "a" * 64, None, "b" * 64, None, "murmur2", 3, partitions, "0.1.0")
    identity = Identity("scheduled__2013-01-05T02:00:00+00:00", "00000000-0000-0000-0000-000000000000")
    now = datetime(2013, 1, 6, 2, tzinfo=UTC)
    chunk = ChunkEntry(pipeline, file, receipt, origin, identity, now, now)
    done = FileEntry(pipeline, file, _FP, 1, 1, 450, 450, 0, 0, "d" * 64, origin, Completion(), identity, now)
    return dump(chunk.to_json()), dump(done.to_json())


def records(pipeline: str, first: int, last: int, partitions: int = 1) -> Any:
    """(partition, key, value) of files `first` to `last` - 1: two records each, a chunk and the completion."""
    chunk, done = _templates(pipeline, partitions)
    for number in range(first, last):
        fp = fingerprint(number)
        partition, content = partition_of(fp, partitions), fingerprint(-number - 1)
        for what, template in ((0, chunk), (FILE, done)):
            value = (
                template.replace(_FP.encode(), fp.encode())
                .replace(b"AAAAAAA", b"%07d" % number)
                .replace(_HASH.encode(), content.encode())
            )
            yield partition, key(pipeline, fp, 1, what), value.replace(b"%d" % _SIZE, b"%d" % size(number))


def read(
    config: dict[str, Any], pipeline: Pipeline, fingerprint: str | None = None, timeout: float = READ_TIMEOUT
) -> LedgerView:
    """The whole ledger (or the partition of one file) in memory."""
    with opened(config, pipeline, fingerprint=fingerprint, timeout=timeout) as view:
        return view


def begun(view: LedgerView) -> list[tuple[str, int]]:
    """Content and generation of what is begun and not completed."""
    receipts = [chunks[min(chunks)].receipt for chunks in view.unfinished()]
    return [(receipt.fingerprint, receipt.generation) for receipt in receipts]


def fill(config: dict[str, Any], pipeline: str, topic: str, first: int, last: int, partitions: int = 1) -> None:
    """Write those files into a ledger topic, committed, in transactions of 100,000 records."""
    from confluent_kafka import Producer

    for start in range(first, last, 50_000):
        producer = Producer({**config, "transactional.id": f"fill-{topic}", "compression.type": "lz4", "linger.ms": 20})
        producer.init_transactions(60)
        producer.begin_transaction()
        for partition, raw_key, value in records(pipeline, start, min(last, start + 50_000), partitions):
            while True:
                try:
                    producer.produce(topic, value, raw_key, partition=partition)
                    break
                except BufferError:
                    producer.poll(0.1)
        assert producer.flush(120) == 0
        producer.commit_transaction(60)
        producer.close()
