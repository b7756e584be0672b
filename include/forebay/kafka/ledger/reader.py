"""The ledger: one compacted Kafka topic per pipeline, written in the data's own transaction; the only truth of what was
published.

entries.py has its records, view.py what is asked of those that were read. Nothing is ever updated or deleted. Readers
read committed records up to the *uncommitted* high watermark (rule C2): the last stable offset, which
`Consumer.get_watermark_offsets` and `PARTITION_EOF` give, would hide committed records behind anybody's open
transaction.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from forebay import events
from forebay.errors import BrokerUnavailableError, ConfigError, LedgerError, TopicMissingError
from forebay.kafka import client, failures
from forebay.kafka.ledger.entries import (
    FILE,
    VERSION,
    ChunkEntry,
    Completion,
    FileEntry,
    Origin,
    Owner,
    Record,
    dump,
    key,
    lane_of,
    partition_of,
)
from forebay.kafka.ledger.guard import Guard, Known, LedgerHome, Tail, now
from forebay.kafka.ledger.memory import MemoryView
from forebay.kafka.ledger.view import LedgerView

if TYPE_CHECKING:
    from confluent_kafka import TopicPartition

    from forebay.config.pipeline import Pipeline

__all__ = [
    "FILE",
    "READ_TIMEOUT",
    "VERSION",
    "ChunkEntry",
    "Completion",
    "FileEntry",
    "LedgerReader",
    "Origin",
    "accept",
    "blocked",
    "dump",
    "key",
    "lane_of",
    "opened",
    "partition_of",
]

STALLED = 3.0  # seconds without a record, in the midst of a long ledger, that a busy broker is given
READ_TIMEOUT = 85.0  # seconds: default transaction timeout, the broker's sweep and a margin
_EOF = -191
CONSUMER: client.Config = {
    "fetch.wait.max.ms": 10,
    "fetch.error.backoff.ms": 50,
    "queued.max.messages.kbytes": 16_384,
    "fetch.queue.backoff.ms": 10,  # default 1 s: each time that these 16 MB were full, while a long ledger is read
}


class LedgerReader:
    """Follows some partitions of a ledger topic; keeps its place, so that asking again costs only what is new.

    With `keep` it begins where the local copy ends (cache.py), and refuses a topic that has lost what was seen of it
    (guard.py).
    """

    view: LedgerView

    def __init__(
        self, config: client.Config, pipeline: Pipeline, fingerprint: str | None = None, keep: LedgerHome | None = None
    ) -> None:
        """All partitions, or only that of one file. Raises `TopicMissingError` if there is no ledger topic,
        `LedgerError` if there was one."""
        self.topic = pipeline.ledger_topic
        self._errors = client.ClientErrors()
        self._asker = client.Asker(config, self._errors)
        self._doing = f"reading ledger `{self.topic}`"
        self._pipeline, self._only, self._keep = pipeline, fingerprint, keep
        self._guard = Guard(keep, pipeline.pipeline) if keep else None
        count, self._topic_id = self._guarded()
        self.partitions = list(range(count)) if fingerprint is None else [partition_of(fingerprint, count)]
        self._count = count
        self.view = self._open(copies=2)
        self._config = config
        self._consumer: Any = None
        self._at: dict[int, int] = {}
        self._expected: dict[int, list[tuple[Tail, bool]]] = {}
        self._last: dict[int, tuple[int, bytes]] = {}

    def _open(self, copies: int) -> LedgerView:
        """The local copy's view; in memory where there is none, or after the last of `copies` was lost."""
        from forebay.kafka.ledger import cache

        self._copies = copies
        name = self._pipeline.pipeline
        if self._keep and copies:
            view = cache.open_view(self._keep.folder, name, self._topic_id, self._count)
            if view:
                return view
        return MemoryView(name, self._count, self._topic_id, self._only)

    def owned_by(self, owner: Owner) -> None:
        """Remember whose the ledger is, now that a record of this project says so: a source edited here, and edited
        back, is no other project."""
        if self._guard and self._guard.owner(self._topic_id) != owner:
            self._guard.owned(self._topic_id, owner)

    def _cluster_id(self) -> str:
        with client.translate(self._doing, self._errors):
            return str(self._asker.ask(lambda admin, within: admin.describe_cluster(request_timeout=within)).cluster_id)

    def _guarded(self) -> tuple[int, str]:
        """Partition count and id of the topic, which is the one that was used before."""
        try:
            count, topic_id = self._describe()
        except TopicMissingError:
            if self._guard:
                self._guard.missing(self._cluster_id)
            raise
        if self._guard:
            self._guard.check(topic_id, count, self._cluster_id)
        return count, topic_id

    def _describe(self) -> tuple[int, str]:
        from confluent_kafka import TopicCollection

        with client.translate(self._doing, self._errors, topic=self.topic):
            topics = TopicCollection([self.topic])
            described = self._asker.ask(lambda admin, within: admin.describe_topics(topics, request_timeout=within))[
                self.topic
            ]
        return len(described.partitions), str(described.topic_id)

    def _start(self) -> None:
        """Assign from the beginning, or where the local copy ends.

        Compaction never moves the log's start, so a start above 0 means that records were deleted.
        """
        for p, offset in self._offsets(earliest=True).items():
            if offset > (self._guard.low(self._topic_id, p) if self._guard else 0):
                raise LedgerError(
                    f"{self._doing}: partition {p} begins at offset {offset} (its past was deleted: "
                    "restore the ledger from a backup)"
                )
        held = self.view.positions()
        self._at = {p: held.get(p, 0) for p in self.partitions}
        self._expected = {p: self._to_see_again(p) for p in self.partitions}
        first = {p: min([self._at[p], *(tail.offset for tail, _ in self._expected[p])]) for p in self.partitions}
        self._consumer = client.consumer(self._config, self._errors, **CONSUMER)
        self._consumer.assign([self._tp(p, first[p]) for p in self.partitions])

    def _to_see_again(self, partition: int) -> list[tuple[Tail, bool]]:
        """Records that must still be there, by offset; True with those that the guard remembers, False with the local
        copy's last one."""
        if not self._keep or not self._guard:
            return []
        known = [(self._guard.tail(self._topic_id, partition), True), (self.view.tail(partition), False)]
        return sorted(((tail, guarded) for tail, guarded in known if tail), key=lambda item: item[0].offset)

    def _begin_again(self) -> None:
        """Throw the local cache away and read from the beginning."""
        self.view.discard()
        self._stop()
        self.view = self._open(self._copies - 1)

    def _tp(self, partition: int, offset: int = -1001) -> TopicPartition:
        from confluent_kafka import TopicPartition

        return TopicPartition(self.topic, partition, offset)

    def _offsets(self, earliest: bool = False, uncommitted: bool = True) -> dict[int, int]:
        """The partitions' first or end offsets."""
        with client.translate(self._doing, self._errors, topic=self.topic):
            offsets = self._asker.offsets(map(self._tp, self.partitions), earliest, uncommitted)
        return {partition: offset for (_, partition), offset in offsets.items()}

    def watermarks(self, uncommitted: bool = True) -> dict[int, int]:
        """End offset of each partition: the high watermark, or (not `uncommitted`) the last stable offset."""
        ends = self._offsets(uncommitted=uncommitted)
        if self._guard:
            self._guard.check_ends(self._topic_id, ends)
        return ends

    def read_to(self, offsets: dict[int, int], timeout: float, most: int | None = None) -> bool:
        """Read committed records until every partition has been read up to its offset, or about `most` records were
        read.

        False when `timeout` seconds were not enough, and then nothing came any more (a long ledger takes its time, an
        open transaction blocks).
        """
        from forebay.kafka.ledger.cache import CacheLostError

        while True:
            try:
                return self._read_to(offsets, timeout, most)
            except CacheLostError:
                self._begin_again()

    def _read_to(self, offsets: dict[int, int], timeout: float, most: int | None) -> bool:
        if self._consumer is None:
            self._start()
        deadline, left = time.monotonic() + timeout, sys.maxsize if most is None else most
        with client.translate(self._doing, self._errors, topic=self.topic):
            while not self._reached(offsets) and left > 0:
                first = self._consumer.poll(0.1)  # `consume` would wait its whole timeout for a thousandth message
                if first is None and time.monotonic() > deadline:
                    break
                messages = [first, *self._consumer.consume(1000, 0)] if first else []
                self._take(messages)
                left -= len(messages)
                deadline = max(deadline, time.monotonic() + STALLED) if messages else deadline
                self.view.reached(self._at, force=False)
        self.view.reached(self._at)
        return self._reached(offsets)

    def _reached(self, offsets: dict[int, int]) -> bool:
        return all(self._at[p] >= offset and not self._expected[p] for p, offset in offsets.items())

    def _take(self, messages: list[Any]) -> None:
        """Records, and partitions' ends. What comes before an error is taken up; the place moves on only with it."""
        at, records = dict(self._at), list[Record]()
        try:
            for message in messages:
                if message.error() is not None:
                    self._take_end(message, at)
                    continue
                partition, offset, key = message.partition(), message.offset(), message.key()
                if self._expected[partition]:
                    self._see_again(partition, offset, key)
                if offset >= at[partition]:
                    records.append((key, message.value(), partition, offset))
                    at[partition] = offset + 1
        finally:
            self.view.add(records)
            self._at.update(at)
            self._last.update({partition: (offset, key) for key, _, partition, offset in records})

    def _take_end(self, message: Any, at: dict[int, int]) -> None:
        """A partition's end, whose offset lies past transaction markers, as the watermark does; or an error."""
        error, partition, offset = message.error(), message.partition(), message.offset()
        if error.code() == _EOF:
            self._see_again(partition, offset - 1, None)
            at[partition] = max(at[partition], offset)
        elif failures.classify(error).action != failures.Action.RETRY:
            raise failures.classify(error).exception(self._doing, topic=self.topic)

    def _see_again(self, partition: int, offset: int, key: bytes | None) -> None:
        """Hold a record (or, without a key, the partition's end behind it) against those that must still be there."""
        from forebay.kafka.ledger.cache import CacheLostError

        expected = self._expected[partition]
        while expected and offset >= expected[0][0].offset:
            tail, guarded = expected.pop(0)
            if key is not None and Tail.of(offset, key) == tail:
                continue
            if guarded and self._guard:
                raise self._guard.rewritten(partition, tail.offset)
            raise CacheLostError(f"{self._doing}: the local copy is of another past (try again)")

    def look(self, timeout: float = 30.0) -> LedgerView:
        """What is committed by now, without waiting for open transactions."""
        if not self.read_to(self.watermarks(uncommitted=False), timeout):
            raise BrokerUnavailableError(
                f"{self._doing}: the broker did not deliver committed records in {timeout:g} s (try again)"
            )
        return self.view

    def close(self) -> None:
        """Remember how far the ledger was seen, and let go of it."""
        if self._guard and not any(self._expected.values()):
            with contextlib.suppress(ConfigError):  # the next reader remembers it
                self._guard.saw(self._topic_id, self._at, {p: Tail.of(*last) for p, last in self._last.items()})
        self._stop()
        self.view.close()

    def _stop(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None


@contextlib.contextmanager
def opened(
    config: client.Config,
    pipeline: Pipeline,
    keep: LedgerHome | None = None,
    fingerprint: str | None = None,
    timeout: float = READ_TIMEOUT,
) -> Iterator[LedgerView]:
    """The ledger of a pipeline (or only the partition of one file), up to its uncommitted high watermark at the time of
    the call.

    With `keep` from the local copy, in bounded memory; without, all in memory. Waits for transactions that are open on
    it, `timeout` seconds at most. Raises `TopicMissingError`; `LedgerError` when the topic was trimmed, repartitioned,
    or is not the one that was used before, or a transaction stays open; `BrokerUnavailableError`.
    """
    reader = LedgerReader(config, pipeline, fingerprint, keep)
    try:
        if not reader.read_to(reader.watermarks(), timeout):
            raise LedgerError(blocked(reader.topic, timeout), topic=reader.topic)
        events.emit(events.LEDGER_READ, level=10, topic=reader.topic)
        yield reader.view
    finally:
        reader.close()


def accept(config: client.Config, pipeline: Pipeline, keep: LedgerHome, reason: str) -> str | None:
    """Go on with the pipeline's ledger topic as it is now, or with a new one if there is none (then None), by a
    person's decision."""
    from forebay.kafka.ledger import cache

    guard = Guard(keep, pipeline.pipeline)
    cache.drop(keep.folder, pipeline.pipeline)
    try:
        reader = LedgerReader(config, pipeline)
    except TopicMissingError:
        guard.forget(client.connect_check(config), reason)
        return None
    low = {str(p): offset for p, offset in reader._offsets(earliest=True).items() if offset}
    topic_id, cluster = reader.view.topic_id, reader._cluster_id()
    guard.accept(Known(topic_id, cluster, keep.place, len(reader.partitions), now(), low=low), reason)
    return topic_id


def blocked(topic: str, timeout: float) -> str:
    """The words for a ledger that an open transaction blocks."""
    return (
        f"reading ledger `{topic}`: a transaction has been open on it for more than {timeout:g} s "
        "(find it with `kafka-transactions.sh find-hanging`, end it with `abort`; nothing was published meanwhile)"
    )
