"""Reconcile's reading: exact offset ranges of a topic, read again as any read_committed consumer sees them, and
counted.

Between the first and the last offset of a range there may be transaction markers (never delivered), others' records and
aborted ones (never delivered either). With the header `ce_id` ours are known one by one; without headers only a count
is known, and a surplus is reported as foreign.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from operator import methodcaller
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from forebay.errors import ReconcileError, RetryableError, TopicMissingError
from forebay.kafka import client
from forebay.model import OffsetRange

if TYPE_CHECKING:
    import numpy as np
    from confluent_kafka import Consumer, Message

AT_ONCE = 1000  # messages a call: larger batches cost twice the CPU (measured)
FAR = 50_000  # offsets from which a gap between two ranges is jumped, not read
PATIENCE = 60.0  # seconds without any news after which reading gives up
_POLL = 0.1
_CONNECTING = 5.0

_SETTINGS = {
    "isolation.level": "read_committed",
    "max.partition.fetch.bytes": 10 << 20,
    "fetch.max.bytes": 64 << 20,
    "queued.max.messages.kbytes": 64 << 10,  # bounds what is fetched ahead of us, in KiB
    "fetch.wait.max.ms": 100,
    # default 1000: each time those KiB are full, it would look again a second later, long after they are empty
    "fetch.queue.backoff.ms": 5,
}

_partition, _offset, _headers, _error = (methodcaller(name) for name in ("partition", "offset", "headers", "error"))


@dataclass(frozen=True, slots=True, eq=False)
class RangeCount:
    """What one range holds: `found` records of ours and `foreign` ones between them.

    `rows` (int64) are the row numbers of ours in the order of their offsets, as their `ce_id` says; None where ids were
    not asked for. Then `found` is never more than the range's count, and where `foreign` is not 0 nothing shows which
    records are ours.
    """

    range: OffsetRange
    present: int
    foreign: int
    rows: np.ndarray | None
    expired: bool = False  # the log now begins behind the range's first offset: what was found is what is left

    @property
    def missing(self) -> int:
        return max(0, self.range.count - self.present)


@dataclass
class _Cursor:
    """Where reading stands in one partition."""

    ranges: list[OffsetRange]
    low: int = 0  # where the log begins
    next: int = 0  # position in `ranges`
    present: int = 0
    foreign: int = 0
    rows: list[np.ndarray] = field(default_factory=list)
    counts: list[RangeCount] = field(default_factory=list)

    @property
    def current(self) -> OffsetRange | None:
        return self.ranges[self.next] if self.next < len(self.ranges) else None

    @property
    def expected(self) -> int:
        """Records of ours to come before the next jump, if all are there: so many may be waited for at once."""
        count = -self.present
        for before, at in zip([None, *self.ranges[self.next :]], self.ranges[self.next :], strict=False):
            if before and at.first - before.last > FAR:
                break
            count += at.count
        return count


class RangeReader:
    """One consumer that reads ranges, for as many calls of `count` as there are; a context manager.

    It assigns partitions itself, joins no group and commits nothing. Memory: at most 64 MiB of fetched records and 8
    bytes per row number of one call. Not for several threads.
    """

    def __init__(self, config: client.Config, patience: float = PATIENCE) -> None:
        """`patience`: seconds without any news from the brokers (or of an open transaction's end) before `count`
        raises."""
        self._config = config
        self._patience = patience
        self._errors = client.ClientErrors()
        self._consumer: Consumer = client.consumer(config, self._errors, **_SETTINGS)
        self._asker = client.Asker(config, patience=patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._consumer.close()

    def count(
        self, ranges: Sequence[OffsetRange], ids: str | None = None, *, left: bool = False
    ) -> tuple[RangeCount, ...]:
        """What the ranges hold, in their order. They are those of one file, so they never overlap within a partition.

        `ids` is what the `ce_id` of the file's records begins with (`{fp16}:{generation}:`); None counts without
        headers. A range whose offsets are not known (`first` < 0) counts nothing. Of ranges that have expired, `left`
        counts what is left.

        Raises `ReconcileError` when a range has expired (without `left`), reaches beyond the log's end or overlaps
        another; `TopicMissingError`; `RetryableError` when an open transaction, or a silent broker, held reading up for
        longer than `patience`.
        """
        counts: dict[OffsetRange, RangeCount] = {}
        known = [r for r in ranges if r.first >= 0 and r.last >= r.first]
        for topic in sorted({r.topic for r in known}):
            cursors = _cursors([r for r in known if r.topic == topic])
            self._check_watermarks(topic, cursors, left)
            self._read(topic, cursors, ids.encode() if ids is not None else None)
            counts |= {count.range: count for cursor in cursors.values() for count in cursor.counts}
        return tuple(counts.get(r) or RangeCount(r, 0, 0, None) for r in ranges)

    def _check_watermarks(self, topic: str, cursors: dict[int, _Cursor], left: bool) -> None:
        lows, highs = self._watermarks(topic, cursors, earliest=True), self._watermarks(topic, cursors, earliest=False)
        for partition, cursor in cursors.items():
            first, last = cursor.ranges[0].first, cursor.ranges[-1].last
            where = {"topic": topic, "partition": partition}
            cursor.low = lows[partition]
            if lows[partition] > first and not left:
                raise ReconcileError(
                    f"re-reading `{topic}` partition {partition}: offsets {first} to {min(last, lows[partition] - 1)} "
                    "have expired, not been "
                    f"lost: the topic now begins at {lows[partition]} (its retention is over; reconcile sooner, "
                    "or raise retention.ms or "
                    "retention.bytes)",
                    **where,
                )
            if highs[partition] <= last:
                raise ReconcileError(
                    f"re-reading `{topic}` partition {partition}: the ledger names offset {last}, "
                    f"the topic ends before {highs[partition]} "
                    "(the topic was created anew, or its log was cut by an unclean election: "
                    "publish the file again as a new generation)",
                    **where,
                )

    def _watermarks(self, topic: str, partitions: dict[int, _Cursor], earliest: bool) -> dict[int, int]:
        """The log's start or end. Not the consumer's own question: that one ends at the first open transaction,
        whoever's it is."""
        from confluent_kafka import KafkaError, TopicPartition

        asked = [TopicPartition(topic, partition) for partition in partitions]
        with client.translate(f"re-reading `{topic}`", self._asker.errors, topic=topic), _missing_named(topic):
            offsets = self._asker.offsets(asked, earliest, final=frozenset({KafkaError._NOENT}))
        return {partition: offset for (_, partition), offset in offsets.items()}

    def _read(self, topic: str, cursors: dict[int, _Cursor], ids: bytes | None) -> None:
        from confluent_kafka import TopicPartition

        pending = dict(cursors)
        with client.translate(f"re-reading `{topic}`", self._errors, topic=topic):
            self._consumer.list_topics(
                topic, _CONNECTING
            )  # else librdkafka learns the leaders at its next tick, up to a second later
        self._consumer.assign([TopicPartition(topic, p, max(c.low, c.ranges[0].first)) for p, c in cursors.items()])
        heard = time.monotonic()
        try:
            while pending:
                missing = sum(cursor.expected for cursor in pending.values())
                messages = self._consumer.consume(max(1, min(AT_ONCE, missing)), _POLL)
                if self._take(topic, messages, pending, ids):
                    heard = time.monotonic()
                elif time.monotonic() - heard > self._patience:
                    raise self._held_up(topic, pending)
        finally:
            self._consumer.unassign()

    def _held_up(self, topic: str, pending: dict[int, _Cursor]) -> RetryableError:
        partition, cursor = next(iter(pending.items()))
        last = cursor.ranges[-1].last
        cause = f", last cause: {self._errors.cause.text}" if self._errors.cause else ""
        return RetryableError(
            f"re-reading `{topic}` partition {partition}: offset {last} could not be read within {self._patience:g} "
            f"s{cause} (another "
            "producer's open transaction holds readers back, or a broker is down; reconcile again)",
            topic=topic,
            partition=partition,
        )

    def _take(self, topic: str, messages: list[Message], pending: dict[int, _Cursor], ids: bytes | None) -> bool:
        """Count messages into the cursors; cursors that are through leave `pending`. False when nothing of it was
        news."""
        news = False
        for partition, run in groupby(messages, _partition):
            cursor = pending.get(partition)
            if cursor is None:
                continue  # fetched ahead before it was unassigned
            before = cursor.next, cursor.present, cursor.foreign
            at = self._feed(topic, cursor, list(run), ids)
            news = news or before != (cursor.next, cursor.present, cursor.foreign)
            self._go_on(topic, partition, cursor, at, pending)
        return news

    def _feed(self, topic: str, cursor: _Cursor, run: list[Message], ids: bytes | None) -> int:
        """Feed one partition's run of messages; returns the offset that comes next."""
        import numpy as np

        ends = [m for m in run if _error(m) is not None]
        data = [m for m in run if _error(m) is None] if ends else run
        at = 0
        if data:
            offsets = np.fromiter(map(_offset, data), np.int64, len(data))
            _count(cursor, offsets, _rows(data, ids) if ids is not None else None)
            at = int(offsets[-1]) + 1
        for end in ends:
            at = max(at, self._end(topic, end))
        _close(cursor, at, with_rows=ids is not None)
        return at

    def _end(self, topic: str, message: Message) -> int:
        """The offset of a partition's end event; any other error is raised."""
        from confluent_kafka import KafkaError, KafkaException

        error: Any = message.error()
        if error.code() == KafkaError._PARTITION_EOF:
            return message.offset() or 0
        with client.translate(f"re-reading `{topic}` partition {message.partition()}", self._errors, topic=topic):
            raise KafkaException(error)

    def _go_on(self, topic: str, partition: int, cursor: _Cursor, at: int, pending: dict[int, _Cursor]) -> None:
        from confluent_kafka import TopicPartition

        if cursor.current is None:
            del pending[partition]
            self._consumer.incremental_unassign(
                [TopicPartition(topic, partition)]
            )  # not `pause`: it outlives the assignment, and costs a second
        elif cursor.current.first - at > FAR:
            self._consumer.seek(TopicPartition(topic, partition, cursor.current.first))


def count_ranges(
    config: client.Config, ranges: Sequence[OffsetRange], ids: str | None = None, patience: float = PATIENCE
) -> tuple[RangeCount, ...]:
    """`RangeReader.count` of one call, on a consumer of its own."""
    with RangeReader(config, patience) as reader:
        return reader.count(ranges, ids)


@contextmanager
def _missing_named(topic: str) -> Iterator[None]:
    """librdkafka's `list_offsets` says `_NOENT` ("no leaders found") of a topic, or a partition, that does not
    exist."""
    from confluent_kafka import KafkaError, KafkaException

    try:
        yield
    except KafkaException as error:
        if error.args[0].code() != KafkaError._NOENT:
            raise
        raise TopicMissingError(
            f"re-reading `{topic}`: the topic, or a partition that the ledger names, does not exist (it was deleted, "
            "or this is another "
            "cluster)",
            topic=topic,
        ) from None


def _cursors(ranges: list[OffsetRange]) -> dict[int, _Cursor]:
    cursors: dict[int, _Cursor] = {}
    for at in sorted(ranges, key=lambda r: (r.partition, r.first)):
        cursor = cursors.setdefault(at.partition, _Cursor([]))
        if cursor.ranges and cursor.ranges[-1].last >= at.first:
            raise ReconcileError(
                f"re-reading `{at.topic}` partition {at.partition}: two ranges of one file overlap at offset "
                f"{at.first} (the ledger does "
                "not fit the topic; rebuild nothing from it before it is understood)",
                topic=at.topic,
                partition=at.partition,
            )
        cursor.ranges.append(at)
    return cursors


def _rows(data: list[Message], prefix: bytes) -> np.ndarray:
    """The row number of each message whose `ce_id` begins with the prefix; -1 for the others."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    ids = pa.array([_ce_id(headers) for headers in map(_headers, data)], pa.binary())
    pattern = f"^{re.escape(prefix.decode())}[0-9]{{1,18}}$"  # others may write what they like there
    ours = pc.fill_null(pc.match_substring_regex(ids, pattern=pattern), False)
    digits = pc.utf8_slice_codeunits(pc.cast(pc.filter(ids, ours), pa.string()), len(prefix))
    rows = np.full(len(data), -1, np.int64)
    rows[ours.to_numpy(zero_copy_only=False)] = pc.cast(digits, pa.int64()).to_numpy(zero_copy_only=False)
    return rows


def _ce_id(headers: Any) -> bytes | None:
    if not headers:
        return None
    if headers[0][0] == "ce_id":  # where forebay's own profiles put it
        return headers[0][1]
    return next((value for name, value in headers if name == "ce_id"), None)


def _count(cursor: _Cursor, offsets: np.ndarray, rows: np.ndarray | None) -> None:
    """Sort a run of records (rising offsets) into the cursor's ranges."""
    start = 0
    while start < len(offsets) and (current := cursor.current):
        start = int(offsets.searchsorted(current.first))
        end = int(offsets.searchsorted(current.last, side="right"))
        if rows is None:
            cursor.present += end - start
        else:
            ours = rows[start:end][rows[start:end] >= 0]
            cursor.present += len(ours)
            cursor.foreign += (end - start) - len(ours)
            cursor.rows.append(ours)
        if end == len(offsets) and offsets[-1] < current.last:
            return
        _close(cursor, current.last + 1, with_rows=rows is not None)
        start = end


def _close(cursor: _Cursor, at: int, with_rows: bool) -> None:
    """Close the ranges that lie wholly before offset `at`."""
    import numpy as np

    while (current := cursor.current) and current.last < at:
        present, foreign = cursor.present, cursor.foreign
        if not with_rows:
            present, foreign = min(present, current.count), max(0, present - current.count)
        rows = np.concatenate([np.empty(0, np.int64), *cursor.rows]) if with_rows else None
        cursor.counts.append(RangeCount(current, present, foreign, rows, expired=current.first < cursor.low))
        cursor.next, cursor.present, cursor.foreign, cursor.rows = cursor.next + 1, 0, 0, []
