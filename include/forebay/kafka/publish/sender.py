"""The hot loop: hands the records of a chunk to librdkafka, and learns where they went.

Measured on the bare call (tests of speed, docs/benchmarks.md): a callback per record costs a third, headers more than
half. So callbacks go to the first and last record of each partition only, and each profile of headers has a loop of its
own. Records without headers and times go by the thousand where librdkafka can be asked for it (batch.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from forebay.kafka import failures
from forebay.kafka.failures import Action, Failure
from forebay.kafka.publish import batch, failpoints
from forebay.kafka.publish.records import Header, Headers, Quarantined, Records, numbers
from forebay.model import OffsetRange

if TYPE_CHECKING:
    import numpy as np
    from confluent_kafka import KafkaError, Message

SLICE = (
    2_000  # records turned into Python objects at a time (small enough for the caches), and between two calls of poll
)
QUEUE_FULL_FOR = 60.0  # seconds without room in the client's queue before the chunk counts as failed
NOW = 0  # a record's time for librdkafka: that of publishing
UNKNOWN = -1  # an offset that no delivery report told (F16)


class Ranges:
    """The offset range of each partition of one topic, from the delivery reports of its first and last record."""

    def __init__(self, topic: str, partitions: np.ndarray) -> None:
        import numpy as np

        self.topic = topic
        self.counts = np.bincount(partitions) if len(partitions) else np.zeros(0, np.int64)
        position = np.arange(len(partitions))
        first, last = np.zeros(len(self.counts), np.int64), np.zeros(len(self.counts), np.int64)
        first[partitions[::-1]] = position[::-1]  # of several writes to one place the last one stays
        last[partitions] = position
        present = self.counts > 0
        self.marks: list[int] = np.unique(np.concatenate([first[present], last[present]])).tolist()
        self._seen: dict[int, list[int]] = {}

    def delivered(self, partition: int | None, offset: int | None) -> None:
        """Take up the delivery report of a marked record."""
        self._seen.setdefault(-1 if partition is None else partition, []).append(
            UNKNOWN if offset is None or offset < 0 else offset
        )

    def all(self) -> tuple[OffsetRange, ...]:
        """A range for each partition that got records; not complete where a report came without an offset, or has not
        come."""
        return tuple(self._range(p, int(count)) for p, count in enumerate(self.counts) if count)

    def _range(self, partition: int, count: int) -> OffsetRange:
        seen = self._seen.get(partition, [])
        known = UNKNOWN not in seen and len(seen) == min(count, 2)
        return OffsetRange(self.topic, partition, min(seen, default=UNKNOWN), max(seen, default=UNKNOWN), count, known)


class Sender:
    """Produces into one open transaction. `failure` is the first failed delivery report, None so far.

    Keep it until the transaction is committed, or its producer closed: it holds what was lent to librdkafka.
    """

    def __init__(self, producer: Any, patience: float = QUEUE_FULL_FOR) -> None:
        self._producer = producer
        self._patience = patience
        self.failure: Failure | None = None
        self.acknowledged = 0  # good delivery reports of marked records
        self._lent: list[batch.BatchTopic] = []

    def records(self, topic: str, records: Records, headers: Headers, chunk: int) -> Ranges:
        """Produce a chunk's records in order. Raises `KafkaException`, and `BufferError` when there was no room for too
        long."""
        partitions = numbers(records.partitions)
        if headers.profile == "none":
            with batch.opened(self._producer, topic, records, partitions) as lent:
                if lent is not None:
                    self._lent.append(lent)
                    return self._in_order(topic, records, headers, chunk, batch.SLICE, partial(self._send_batch, lent))
        loop = self._loop_for(records, headers)

        def send(start: int, stop: int) -> None:
            loop(topic, _rows(records, partitions, headers, start, stop))

        return self._in_order(topic, records, headers, chunk, SLICE, send)

    def _in_order(
        self, topic: str, records: Records, headers: Headers, chunk: int, most: int, send: Callable[[int, int], None]
    ) -> Ranges:
        """All records, slice by slice; `send` is given those between the marked ones, which are produced one by one."""
        partitions = numbers(records.partitions)
        ranges = Ranges(topic, partitions)
        marks = iter([*ranges.marks, len(records)])
        mark = next(marks)
        size = max(1, min(most, -(-len(records) // 2)))
        for start in range(0, len(records), size):
            at, end = start, min(start + size, len(records))
            while mark < end:
                send(at, mark)
                self._marked(topic, next(_rows(records, partitions, headers, mark, mark + 1)), ranges)
                at, mark = mark + 1, next(marks)
            send(at, end)
            self._producer.poll(0)
            if 2 * end >= len(records):
                self._midway(chunk)
        return ranges

    def quarantined(self, topic: str, partition: int, rows: Quarantined, headers: Headers) -> Ranges:
        """Produce a chunk's quarantined rows, each with its id, its origin and its reasons as headers."""
        import numpy as np

        ranges = Ranges(topic, np.full(len(rows), partition, np.int64))
        ids = [headers.id_of(row) for row in numbers(rows.rows).tolist()]
        keys = ids if rows.keys is None else rows.keys.to_pylist()
        for at, value in enumerate(rows.values.to_pylist()):
            own: list[Header] = [("ce_id", ids[at]), *headers.constants, *rows.reasons[at]]
            row = (value, keys[at], partition, 0, own)
            if at in ranges.marks:
                self._marked(topic, row, ranges)
            else:
                self._patiently(topic, row)
        return ranges

    def ledger_record(self, topic: str, partition: int, key: bytes, value: bytes) -> None:
        """Produce a single record, and hear of its delivery."""
        self._patiently(topic, (value, key, partition), on_delivery=self._report(None))

    def _loop_for(self, records: Records, headers: Headers) -> Callable[[str, Iterable[tuple[Any, ...]]], None]:
        if headers.profile != "none":
            return self._send_headed
        return self._send if records.timestamps is None else self._send_timed

    def _send_batch(self, lent: batch.BatchTopic, start: int, stop: int) -> None:
        """Records `start` to `stop`, waiting for room in the client's queue. Raises `BufferError` when there is none
        for too long."""
        deadline = time.monotonic() + self._patience
        while start < stop:
            taken = lent.send(start, stop)
            start += taken
            if taken:
                deadline = time.monotonic() + self._patience
            elif time.monotonic() > deadline:
                raise BufferError
            else:
                self._producer.poll(0.05)

    # three loops that differ in the call only: a shared one would cost a third of the speed

    def _send(self, topic: str, rows: Iterable[tuple[Any, ...]]) -> None:
        produce = self._producer.produce
        for value, key, partition in rows:
            try:
                produce(topic, value, key, partition)
            except BufferError:
                self._patiently(topic, (value, key, partition))

    def _send_timed(self, topic: str, rows: Iterable[tuple[Any, ...]]) -> None:
        produce = self._producer.produce
        for value, key, partition, timestamp in rows:
            try:
                produce(topic, value, key, partition, timestamp=timestamp)
            except BufferError:
                self._patiently(topic, (value, key, partition, timestamp))

    def _send_headed(self, topic: str, rows: Iterable[tuple[Any, ...]]) -> None:
        produce = self._producer.produce
        for value, key, partition, timestamp, headers in rows:
            try:
                produce(topic, value, key, partition, timestamp=timestamp, headers=headers)
            except BufferError:
                self._patiently(topic, (value, key, partition, timestamp, headers))

    def _marked(self, topic: str, row: tuple[Any, ...], ranges: Ranges) -> None:
        self._patiently(topic, row, on_delivery=self._report(ranges))

    def _patiently(self, topic: str, row: tuple[Any, ...], **extra: Any) -> None:
        """Produce one record, waiting for room in the client's queue. Raises `BufferError` when there is none for too
        long."""
        named = dict(zip(("timestamp", "headers"), row[3:], strict=False))
        deadline = time.monotonic() + self._patience
        while True:
            try:
                self._producer.produce(topic, *row[:3], **named, **extra)
                return
            except BufferError:
                if time.monotonic() > deadline:
                    raise
                self._producer.poll(0.05)

    def _report(self, ranges: Ranges | None) -> Callable[[KafkaError | None, Message], None]:
        def report(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self.acknowledged += 1
                if ranges is not None:
                    ranges.delivered(message.partition(), message.offset())
            elif self.failure is None:
                self.failure = delivery_failure(error)

        return report

    def _midway(self, chunk: int) -> None:
        if failpoints.armed("mid_produce", chunk):
            self._producer.flush(10)  # what was produced so far lies on the broker then
            failpoints.hit("mid_produce", chunk)


def delivery_failure(error: KafkaError) -> Failure:
    """What a failed delivery report asks for: at least a new instance, for this transaction cannot commit."""
    failure = failures.classify(error)
    hard = {Action.RENEW, Action.FOLLOW, Action.DATA, Action.STOP}
    return failure if failure.action in hard else failures.with_action(failure, Action.RENEW)


def _rows(
    records: Records, partitions: np.ndarray, headers: Headers, start: int, stop: int
) -> Iterator[tuple[Any, ...]]:
    """Records `start` to `stop` as the arguments of the loop that `headers` and timestamps ask for."""
    size = stop - start
    values, keys = records.values.slice(start, size).to_pylist(), records.keys.slice(start, size).to_pylist()
    places = partitions[start:stop].tolist()
    times = None if records.timestamps is None else records.timestamps.slice(start, size).fill_null(NOW).to_pylist()
    if headers.profile == "none":
        return (
            zip(values, keys, places, strict=True) if times is None else zip(values, keys, places, times, strict=True)
        )
    rows = numbers(records.rows.slice(start, size)).tolist()
    row_id, constants = headers.row_id, headers.constants
    own = ([("ce_id", b"%b%d" % (row_id, row)), *constants] for row in rows)
    return zip(values, keys, places, [NOW] * len(values) if times is None else times, own, strict=True)
