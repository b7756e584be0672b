"""The consumers that feed the checker: plain confluent_kafka, live in a thread (`Watcher`) or once (`read`), and
Kafka's Java one (`read_java`)."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from typing import Any

from tests.harness.checker import Record

EOF = -191
KEYS = 97
"""How many keys generated rows have."""
Topics = dict[str, str]
"""Topic name → `data`, `ledger` or `quarantine`."""


def topics_of(pipeline: str, data: str) -> Topics:
    return {data: "data", f"forebay.{pipeline}.ledger": "ledger", f"forebay.{pipeline}.quarantine": "quarantine"}


def ends(admin: Any, partitions: list[Any], committed: bool, patience: float = 60.0) -> dict[tuple[str, int], int]:
    """End offset of each partition: the last stable offset (`committed`) or the high watermark. Asked again while
    leaders are away."""
    from confluent_kafka import IsolationLevel, KafkaException
    from confluent_kafka.admin import OffsetSpec

    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    deadline = time.monotonic() + patience
    while True:
        asked = admin.list_offsets(
            {tp: OffsetSpec.latest() for tp in partitions}, isolation_level=level, request_timeout=5
        )
        try:
            found = {(tp.topic, tp.partition): future.result(10).offset for tp, future in asked.items()}
            if min(found.values()) >= 0:  # librdkafka 2.16 gives -1001, and no error, when no leader answered in time
                return found
        except (KafkaException, TimeoutError):
            if time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            raise TimeoutError(f"no end of {partitions} within {patience:g} s")
        with contextlib.suppress(KafkaException):
            admin.list_topics(
                timeout=20
            )  # librdkafka's admin client keeps a stale leader epoch for minutes (FENCED_LEADER_EPOCH)
            time.sleep(0.2)


def _known(admin: Any, topics: Topics) -> Any:
    """The topics' metadata, waited for: a new topic is unknown, or without leaders, for a moment."""
    deadline = time.monotonic() + 30
    while True:
        known = admin.list_topics(timeout=20).topics
        if all(
            t in known and known[t].partitions and all(p.leader >= 0 for p in known[t].partitions.values())
            for t in topics
        ):
            return known
        if time.monotonic() > deadline:
            raise TimeoutError(f"topics {list(topics)} never came to be")
        time.sleep(0.05)


class Watcher:
    """Reads all partitions of some topics from their beginning, read_committed, in a thread until it is closed;
    `records` in order of arrival."""

    def __init__(self, config: dict[str, Any], topics: Topics) -> None:
        from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
        from confluent_kafka.admin import AdminClient

        own: dict[str, Any] = {
            "group.id": f"watcher-{uuid.uuid4().hex}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
        quick: dict[str, Any] = {
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            "reconnect.backoff.max.ms": 500,
            "fetch.error.backoff.ms": 50,
        }
        quiet: dict[str, Any] = {"log_level": 0, "error_cb": lambda _: None}
        self._consumer = Consumer({**config, **own, **quick, **quiet})
        self._admin = AdminClient({**config, **quiet})
        self._topics = topics
        known = _known(self._admin, topics)
        self.partitions = [TopicPartition(t, p) for t in topics for p in known[t].partitions]
        self._consumer.assign([TopicPartition(tp.topic, tp.partition, OFFSET_BEGINNING) for tp in self.partitions])
        self._at = {(tp.topic, tp.partition): 0 for tp in self.partitions}
        self.records: list[Record] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._read, name="watcher", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._end.is_set():
            for message in self._consumer.consume(5_000, 0.1):
                self._take(message)

    def _take(self, message: Any) -> None:
        where = message.topic(), message.partition()
        if message.error() is None:
            self.records.append(record_of(self._topics, message))
            self._at[where] = message.offset() + 1
        elif message.error().code() == EOF:
            self._at[where] = max(self._at[where], message.offset())

    def lag(self) -> dict[tuple[str, int], tuple[int, int]]:
        """(last stable offset, high watermark) of each partition where they differ: somebody's transaction is open
        there."""
        stable, high = ends(self._admin, self.partitions, True), ends(self._admin, self.partitions, False)
        return {where: (stable[where], high[where]) for where in stable if stable[where] < high[where]}

    def settled(self, timeout: float) -> bool:
        """Whether every transaction has ended within `timeout` seconds (I9)."""
        deadline = time.monotonic() + timeout
        while self.lag():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def catch_up(self, timeout: float = 60.0) -> bool:
        """Wait until all that is committed by now was read."""
        wanted, deadline = ends(self._admin, self.partitions, True), time.monotonic() + timeout
        while any(self._at[where] < offset for where, offset in wanted.items()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def close(self) -> None:
        self._end.set()
        self._thread.join(20)
        self._consumer.close()


def record_of(topics: Topics, message: Any) -> Record:
    key, value, headers = message.key() or b"", message.value() or b"", dict(message.headers() or [])
    row_id = headers.get("ce_id") or id_in(value)
    return Record(topics[message.topic()], message.partition(), message.offset(), row_id.decode(), key, value)


def prefix_of(fingerprint: str, generation: int) -> bytes:
    """What the ids of a file's rows begin with."""
    return f"{fingerprint[:16]}:{generation}:".encode()


def value_of(prefix: bytes, row: int) -> bytes:
    """The value of a generated row; it names file, generation and row, for records that have no headers."""
    return b'{"id":"%b%d","row":%d}' % (prefix, row, row)


def id_in(value: bytes) -> bytes:
    """The id that `value_of` put into a value; empty for others."""
    return value[7 : value.index(b'"', 7)] if value.startswith(b'{"id":"') else b""


def read(config: dict[str, Any], topics: Topics) -> list[Record]:
    """All that is committed now, by a consumer of its own."""
    reader = Watcher(config, topics)
    try:
        if not reader.catch_up():
            raise TimeoutError(f"reading {list(topics)}: the end was never reached")
        return list(reader.records)
    finally:
        reader.close()
