"""Reading exact offset ranges again: counts and ids, with everything that may lie between them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from forebay.errors import BrokerUnavailableError, ReconcileError, RetryableError, TopicMissingError
from forebay.kafka import reader
from forebay.kafka.reader import RangeCount, RangeReader, count_ranges
from forebay.model import OffsetRange
from tests.support.kafka import Cluster, create_topic, fresh, read_all

pytestmark = pytest.mark.kafka

OURS = "0123456789abcdef:1:"


@contextmanager
def transaction(config: dict[str, Any], commit: bool = True) -> Iterator[Any]:
    """A producer within an open transaction; committed, or aborted, afterwards."""
    from confluent_kafka import Producer

    producer = Producer({**config, "transactional.id": fresh("tx"), "log_level": 0})
    producer.init_transactions(30)
    producer.begin_transaction()
    yield producer
    assert producer.flush(30) == 0
    if commit:
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)


def send(producer: Any, topic: str, rows: Iterable[int], partition: int = 0, prefix: str | None = OURS) -> None:
    """Records with `ce_id` headers as forebay's `minimal` profile has them; none without a prefix."""
    for row in rows:
        headers = [("ce_id", f"{prefix}{row}".encode()), ("ce_source", b"hash")] if prefix else None
        producer.produce(topic, b"v%d" % row, partition=partition, headers=headers)


def rows(count: RangeCount) -> list[int]:
    assert count.rows is not None
    assert count.rows.dtype == np.int64
    return count.rows.tolist()


def summary(count: RangeCount) -> tuple[int, int, int]:
    return count.present, count.foreign, count.missing


def test_whole_ranges_of_several_partitions_are_counted_with_their_rows(kafka: Cluster, topic_name: str) -> None:
    create_topic(kafka.config, topic_name, partitions=3)
    with transaction(kafka.config) as producer:
        for partition in range(3):
            send(producer, topic_name, range(partition + 1, 3001, 3), partition)
    ranges = [OffsetRange(topic_name, p, 0, 999, 1000) for p in (2, 0, 1)]
    counts = count_ranges(kafka.config, ranges, OURS)
    assert [count.range for count in counts] == ranges
    assert [rows(count) for count in counts] == [list(range(p + 1, 3001, 3)) for p in (2, 0, 1)]
    assert all(summary(count) == (1000, 0, 0) for count in counts)


def test_without_ids_the_count_alone_is_compared(kafka: Cluster, topic_name: str) -> None:
    create_topic(kafka.config, topic_name)
    with transaction(kafka.config) as producer:
        send(producer, topic_name, range(1, 2501), prefix=None)
    (count,) = count_ranges(kafka.config, [OffsetRange(topic_name, 0, 0, 2499, 2500)])
    assert summary(count) == (2500, 0, 0)
    assert count.rows is None


def test_ranges_with_markers_and_other_files_between_them(kafka: Cluster, topic_name: str) -> None:
    create_topic(kafka.config, topic_name)
    for chunk in range(4):
        with transaction(kafka.config) as producer:
            send(producer, topic_name, range(chunk * 10 + 1, chunk * 10 + 11))
        with transaction(kafka.config) as producer:
            send(producer, topic_name, range(1, 6), prefix="ffffffffffffffff:1:")
    # each chunk: 10 records, a marker, 5 of another file, a marker
    ranges = [OffsetRange(topic_name, 0, chunk * 17, chunk * 17 + 9, 10) for chunk in range(4)]
    counts = count_ranges(kafka.config, ranges, OURS)
    assert [rows(count) for count in counts] == [list(range(c * 10 + 1, c * 10 + 11)) for c in range(4)]
    assert {summary(count) for count in counts} == {(10, 0, 0)}


def test_others_records_within_a_range_are_foreign(kafka: Cluster, topic_name: str) -> None:
    create_topic(kafka.config, topic_name)
    with transaction(kafka.config) as ours, transaction(kafka.config) as theirs:
        send(ours, topic_name, [1, 2])
        ours.flush(30)
        send(theirs, topic_name, [1], prefix="ffffffffffffffff:1:")
        send(theirs, topic_name, [3], prefix=OURS.replace(":1:", ":2:"))
        send(theirs, topic_name, [4], prefix=None)
        theirs.produce(topic_name, b"odd", headers=[("ce_id", OURS.encode() + b"\xff\xfe")], partition=0)
        theirs.produce(topic_name, b"null", headers=[("ce_id", None), ("x", b"y")], partition=0)
        theirs.flush(30)
        send(ours, topic_name, [3])
        ours.flush(30)  # before the other's marker
    at = OffsetRange(topic_name, 0, 0, 7, 3)
    (count,) = count_ranges(kafka.config, [at], OURS)
    assert (rows(count), summary(count)) == ([1, 2, 3], (3, 5, 0))
    (blind,) = count_ranges(kafka.config, [at])
    assert (summary(blind), blind.rows) == ((3, 5, 0), None), "eight records cannot prove which three are ours"


def test_the_header_is_found_where_others_put_theirs_first(kafka: Cluster, topic_name: str) -> None:
    create_topic(kafka.config, topic_name)
    with transaction(kafka.config) as producer:
        producer.produce(
            topic_name,
            b"v",
            partition=0,
            headers=[("traceparent", b"t"), ("ce_id", OURS.encode() + b"9007199254740993")],
        )
    (count,) = count_ranges(kafka.config, [OffsetRange(topic_name, 0, 0, 0, 1)], OURS)
    assert rows(count) == [9007199254740993]


def test_an_aborted_transaction_is_not_counted(kafka: Cluster, topic_name: str) -> None:
    create_topic(kafka.config, topic_name)
    with transaction(kafka.config, commit=False) as producer:
        send(producer, topic_name, range(1, 11))
    with transaction(kafka.config) as producer:
        send(producer, topic_name, [1])
    for ids in (OURS, None):
        (count,) = count_ranges(kafka.config, [OffsetRange(topic_name, 0, 0, 9, 10)], ids)
        assert summary(count) == (0, 0, 10)


def test_an_aborted_transaction_at_the_end_of_the_log_is_missing_not_awaited(kafka: Cluster, topic_name: str) -> None:
    create_topic(kafka.config, topic_name)
    with transaction(kafka.config) as producer:
        send(producer, topic_name, [1, 2])
    with transaction(kafka.config, commit=False) as producer:
        send(producer, topic_name, [3, 4])
    began = time.monotonic()
    (count,) = count_ranges(kafka.config, [OffsetRange(topic_name, 0, 0, 4, 4)], OURS)
    assert (rows(count), count.missing) == ([1, 2], 2)
    assert time.monotonic() - began < 10


def test_a_record_that_is_twice_there_shows_in_the_rows(kafka: Cluster, topic_name: str) -> None:
    create_topic(kafka.config, topic_name)
    with transaction(kafka.config) as producer:
        send(producer, topic_name, [1, 2, 2, 3])
    (count,) = count_ranges(kafka.config, [OffsetRange(topic_name, 0, 0, 3, 3)], OURS)
    assert (rows(count), count.present) == ([1, 2, 2, 3], 4)


def test_an_open_transaction_is_waited_for(kafka: Cluster, topic_name: str) -> None:
    create_topic(kafka.config, topic_name)
    with transaction(kafka.config) as theirs:
        send(theirs, topic_name, [7], prefix=None)
        theirs.flush(30)
        with transaction(kafka.config) as ours:
            send(ours, topic_name, [1, 2])
        # committed, but behind another's open transaction: visible only when that one ends
        with pytest.raises(RetryableError, match="open transaction holds readers back"):
            count_ranges(kafka.config, [OffsetRange(topic_name, 0, 1, 2, 2)], OURS, patience=1.5)
        timer = threading.Timer(1.0, theirs.commit_transaction, (30,))
        timer.start()
        (count,) = count_ranges(kafka.config, [OffsetRange(topic_name, 0, 1, 2, 2)], OURS, patience=20)
        timer.join()
        theirs.begin_transaction()
    assert rows(count) == [1, 2]


def test_an_expired_range_is_said_to_be_expired_not_lost(kafka: Cluster, topic_name: str) -> None:
    from confluent_kafka import TopicPartition

    create_topic(kafka.config, topic_name)
    with transaction(kafka.config) as producer:
        send(producer, topic_name, range(1, 21))
    admin = kafka.admin()
    for future in admin.delete_records([TopicPartition(topic_name, 0, 15)]).values():
        future.result()
    with pytest.raises(ReconcileError, match="offsets 0 to 9 have expired, not been lost: the topic now begins at 15"):
        count_ranges(kafka.config, [OffsetRange(topic_name, 0, 0, 9, 10)], OURS)
    (count,) = count_ranges(kafka.config, [OffsetRange(topic_name, 0, 15, 19, 5)], OURS)
    assert rows(count) == [16, 17, 18, 19, 20]


def test_a_range_beyond_the_end_of_the_log_is_an_error(kafka: Cluster, topic_name: str) -> None:
    create_topic(kafka.config, topic_name)
    with transaction(kafka.config) as producer:
        send(producer, topic_name, [1])
    with pytest.raises(ReconcileError, match="the ledger names offset 9, the topic ends before 2"):
        count_ranges(kafka.config, [OffsetRange(topic_name, 0, 0, 9, 10)], OURS)


def test_overlapping_ranges_are_an_error(kafka: Cluster, topic_name: str) -> None:
    overlapping = [OffsetRange(topic_name, 0, 0, 9, 10), OffsetRange(topic_name, 0, 9, 12, 4)]
    with pytest.raises(ReconcileError, match="two ranges of one file overlap at offset 9"):
        count_ranges(kafka.config, overlapping, OURS)


def test_a_topic_that_is_gone_is_named(kafka: Cluster) -> None:
    with pytest.raises(TopicMissingError, match="no-such-topic"):
        count_ranges(kafka.config, [OffsetRange("no-such-topic", 0, 0, 0, 1)], OURS)


def test_no_broker_is_an_error_within_the_patience() -> None:
    began = time.monotonic()
    with pytest.raises(BrokerUnavailableError):
        count_ranges({"bootstrap.servers": "127.0.0.1:1"}, [OffsetRange("t", 0, 0, 0, 1)], OURS, patience=1.0)
    assert time.monotonic() - began < 10


def test_a_range_whose_offsets_are_unknown_counts_nothing(kafka: Cluster) -> None:
    (count,) = count_ranges(kafka.config, [OffsetRange("t", 0, -1, -1, 5, complete=False)], OURS)
    assert summary(count) == (0, 0, 5)


def test_one_reader_counts_again_and_over_several_topics(kafka: Cluster, topic_name: str) -> None:
    data, quarantine = (
        create_topic(kafka.config, topic_name, partitions=2),
        create_topic(kafka.config, fresh("quarantine")),
    )
    with transaction(kafka.config) as producer:
        send(producer, data, [1, 3], partition=0)
        send(producer, data, [4], partition=1)
        send(producer, quarantine, [2])
    ranges = [OffsetRange(quarantine, 0, 0, 0, 1), OffsetRange(data, 0, 0, 1, 2), OffsetRange(data, 1, 0, 0, 1)]
    with RangeReader(kafka.config) as again:
        for _ in range(3):
            assert [rows(count) for count in again.count(ranges, OURS)] == [[2], [1, 3], [4]]


def test_far_ranges_are_jumped_to(kafka: Cluster, topic_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "FAR", 100)
    create_topic(kafka.config, topic_name, partitions=2)
    with transaction(kafka.config) as producer:
        for partition in range(2):
            send(producer, topic_name, range(5000), partition)
    ranges = [OffsetRange(topic_name, p, at, at + 9, 10) for p in range(2) for at in range(0, 5000, 990)]
    counts = count_ranges(kafka.config, ranges, OURS)
    assert [rows(count) for count in counts] == [list(range(r.first, r.last + 1)) for r in ranges]


def test_nothing_is_committed_for_any_group(kafka: Cluster, topic_name: str) -> None:
    create_topic(kafka.config, topic_name)
    with transaction(kafka.config) as producer:
        send(producer, topic_name, [1])
    count_ranges(kafka.config, [OffsetRange(topic_name, 0, 0, 0, 1)], OURS)
    listed = kafka.admin().list_consumer_groups().result().valid
    assert "forebay" not in {group.group_id for group in listed}


def test_it_agrees_with_a_plain_consumer(kafka: Cluster, topic_name: str) -> None:
    create_topic(kafka.config, topic_name, partitions=4)
    shuffled = np.random.default_rng(7).permutation(4000) + 1
    with transaction(kafka.config) as producer:
        for row in shuffled.tolist():
            send(producer, topic_name, [row], partition=row % 4)
    seen = read_all(kafka.config, topic_name)
    ranges = [OffsetRange(topic_name, p, 0, 999, 1000) for p in range(4)]
    for partition, count in enumerate(count_ranges(kafka.config, ranges, OURS)):
        assert rows(count) == [int(m.value()[1:]) for m in seen if m.partition() == partition]
