"""Records by `rd_kafka_produce_batch`: the same on the topic as by `produce`, and given up for `produce` wherever it
cannot be trusted."""

from __future__ import annotations

import ctypes
import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import confluent_kafka
import numpy as np
import pyarrow as pa
import pytest
from confluent_kafka import KafkaException

from forebay.errors import FatalError
from forebay.kafka import client, topics
from forebay.kafka.publish import batch
from forebay.kafka.publish.job import PublishJob
from forebay.kafka.publish.publisher import publish_file
from forebay.kafka.publish.records import Headers, Records
from forebay.kafka.publish.sender import Sender
from tests.harness.generated import make_job, make_pipeline
from tests.harness.judge import look
from tests.support.kafka import Cluster, create_topic, fresh, read_all

BARE = Headers("none", b"", ())


@pytest.fixture
def found_out_anew() -> Iterator[None]:
    """Whether the call is usable is found out once per process: here it is found out again, before and after."""
    batch.usable.cache_clear()
    yield
    batch.usable.cache_clear()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """What goes by the batch call: from, to, taken."""
    calls: list[tuple[int, int, int]] = []
    send = batch.BatchTopic.send

    def told(self: batch.BatchTopic, start: int, stop: int) -> int:
        taken = send(self, start, stop)
        calls.append((start, stop, taken))
        return taken

    monkeypatch.setattr(batch.BatchTopic, "send", told)
    return calls


def odd(column: pa.Array) -> pa.ChunkedArray:
    """The same values, in pieces that begin and end anywhere in their buffers."""
    padded = pa.concat_arrays([column[:7], column])[7:]
    return pa.chunked_array([padded[:1], padded[1:1], padded[1:5], padded[5:]])


def records_of(values: list[bytes], keys: list[bytes], partitions: list[int]) -> Records:
    rows = pa.array(range(1, len(values) + 1), pa.int64())
    return Records(
        odd(pa.array(values, pa.binary())), odd(pa.array(keys, pa.binary())), pa.array(partitions, pa.int32()), rows
    )


def awkward(count: int) -> Records:
    """Values of many lengths, some empty, some larger than librdkafka copies into its batches (64 KiB)."""
    sizes = [(0, 1, 40, 300, 70_000)[n % 5] if n % 500 < 5 else n % 90 for n in range(count)]
    values = [(b"%06d-" % n + "Zürich€".encode() * (size // 7 + 1))[:size] for n, size in enumerate(sizes)]
    return records_of(
        values, [b"" if n % 11 == 0 else b"k%d" % (n % 97) for n in range(count)], [n % 97 % 4 for n in range(count)]
    )


def job_of(kafka: Cluster, rows: int, chunk: int, **more: Any) -> PublishJob:
    pipeline = make_pipeline(fresh("batch").lower(), timeout="10s")
    topics.ensure(kafka.config, pipeline)
    return make_job(kafka.config, pipeline, rows, chunk, headers="none", **more)


# what it finds out about itself


def test_it_is_usable_with_the_pinned_client() -> None:
    assert batch.usable() is not None


def refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    match name:
        case "told so":
            monkeypatch.setenv("FOREBAY_PRODUCE", "loop")
        case "another version":
            monkeypatch.setattr(confluent_kafka, "version", lambda: "2.17.0")
        case "another librdkafka":
            monkeypatch.setattr(confluent_kafka, "libversion", lambda: ("9.9.9", 1))
        case "another layout":
            monkeypatch.setattr(batch, "_FIELDS", tuple((n, t, 4 if n == "err" else at) for n, t, at in batch._FIELDS))
            monkeypatch.setattr(batch, "_layout", batch._layout.__wrapped__)
        case "no handle":
            monkeypatch.setattr(batch, "_handle", lambda producer: None)
        case "no such function":
            monkeypatch.setattr(batch, "_declared", lambda library: library.no_such_function)


REFUSED = ["told so", "another version", "another librdkafka", "another layout", "no handle", "no such function"]


@pytest.mark.usefixtures("found_out_anew")
@pytest.mark.parametrize("reason", REFUSED)
def test_it_is_not_usable(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(reason, monkeypatch)
    assert batch.usable() is None


def test_where_values_lie() -> None:
    values = [b"", b"a", b"bcd", b"", b"e" * 100, *(b"%d" % n for n in range(50))]
    lies = batch._Bytes.of(odd(pa.array(values, pa.binary())))
    for start, stop in ((0, 1), (0, 55), (1, 7), (4, 6), (5, 55), (54, 55)):
        address, length = np.zeros(stop - start, "u8"), np.zeros(stop - start, "u8")
        lies.into(address, length, start, stop)
        assert [ctypes.string_at(int(a), int(n)) for a, n in zip(address, length, strict=True)] == values[start:stop]


@pytest.mark.parametrize(
    "column", [pa.array([b"a", None], pa.binary()), pa.array(["a"]), pa.array([b"a"], pa.large_binary())]
)
def test_other_columns_do_not_go_that_way(column: pa.Array) -> None:
    assert not batch._fits(column)


def test_which_were_taken() -> None:
    full = batch._QUEUE_FULL
    assert batch._prefix(np.array([0, 0, full, full], "i4"), 2) == 2
    assert batch._prefix(np.array([full, full], "i4"), 0) == 0
    with pytest.raises(BufferError, match="left out between others"):
        batch._prefix(np.array([0, full, 0], "i4"), 2)
    with pytest.raises(KafkaException, match="MSG_SIZE_TOO_LARGE"):
        batch._prefix(np.array([0, 10, 0], "i4"), 2)


# on a topic


@pytest.mark.kafka
@pytest.mark.usefixtures("found_out_anew")
def test_the_same_lies_on_the_topic_as_by_produce(
    kafka: Cluster, sent: list[tuple[int, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    records = awkward(9_000)

    def lies(topic: str) -> tuple[Any, Any]:
        create_topic(kafka.config, topic, partitions=4)
        producer = client.producer(kafka.config, None, **{"enable.idempotence": True})
        sender = Sender(producer)
        ranges = sender.records(topic, records, BARE, 0)
        assert producer.flush(30) == 0
        assert (sender.failure, sender.acknowledged) == (None, len(ranges.marks))
        found = sorted(
            (m.partition(), m.offset(), m.key(), m.value(), m.headers()) for m in read_all(kafka.config, topic)
        )
        return found, [(r.partition, r.first, r.last, r.count, r.complete) for r in ranges.all()]

    by_batch = lies(fresh("batch"))
    assert sum(taken for *_, taken in sent) == 9_000 - 8  # all but the first and the last of each partition
    sent.clear()
    refused("told so", monkeypatch)
    batch.usable.cache_clear()
    assert lies(fresh("loop")) == by_batch
    assert sent == []
    assert len(by_batch[0]) == 9_000


@pytest.mark.kafka
@pytest.mark.parametrize("profile", ["none", "minimal"])
def test_it_is_taken_for_records_without_headers(
    kafka: Cluster, sent: list[tuple[int, int, int]], profile: str
) -> None:
    job = job_of(kafka, 1_000, 600)
    publish_file(dataclasses.replace(job, headers=dataclasses.replace(job.headers, profile=profile)))
    assert bool(sent) == (profile == "none")
    assert look(kafka.config, job.pipeline.pipeline, 1_000) == []


@pytest.mark.kafka
def test_a_full_queue_takes_a_part_and_the_rest_follows_in_order(
    kafka: Cluster, sent: list[tuple[int, int, int]]
) -> None:
    job = job_of(kafka, 9_000, 5_000, quarantine_every=3)
    config = kafka.config | {"queue.buffering.max.messages": 500, "batch.num.messages": 100}
    publish_file(dataclasses.replace(job, config=config))
    assert any(0 < taken < min(stop - start, batch.SLICE) for start, stop, taken in sent)
    assert look(kafka.config, job.pipeline.pipeline, 9_000, quarantine_every=3) == []


@pytest.mark.kafka
def test_a_queue_without_room_for_too_long_is_said(kafka: Cluster) -> None:
    topic = fresh("batch")
    create_topic(kafka.config, topic, partitions=4)
    producer = client.producer(kafka.config, None, **{"queue.buffering.max.messages": 20, "linger.ms": 60_000})
    with pytest.raises(BufferError):
        Sender(producer, patience=0.2).records(topic, awkward(100), BARE, 0)
    producer.purge()
    producer.close()


@pytest.mark.kafka
def test_a_record_that_is_too_large_ends_the_file(kafka: Cluster) -> None:
    job = job_of(kafka, 10, 10)
    chunk = job.encode(0)
    values = pa.array([*chunk.records.values.to_pylist()[:-5], *[b"x" * 5000] * 5], pa.binary())
    chunk = dataclasses.replace(chunk, records=dataclasses.replace(chunk.records, values=values))
    with pytest.raises(FatalError, match="MSG_SIZE_TOO_LARGE"):
        publish_file(dataclasses.replace(job, max_message_bytes=1000, encode=lambda _: chunk))
    assert read_all(kafka.config, job.pipeline.topic.name) == []


@pytest.mark.kafka
def test_a_partition_that_is_not_there_is_left_to_produce(kafka: Cluster, sent: list[tuple[int, int, int]]) -> None:
    topic = fresh("batch")
    create_topic(kafka.config, topic, partitions=2)
    producer = client.producer(kafka.config)
    producer.list_topics(topic, 10)
    with pytest.raises(KafkaException, match="UNKNOWN_PARTITION"):
        Sender(producer).records(topic, awkward(10), BARE, 0)
    assert sent == []
    producer.purge()


@pytest.mark.kafka
def test_what_was_lent_may_go_once_the_producer_is_closed(kafka: Cluster) -> None:
    """In a process of its own: if librdkafka still read the values, it would read freed memory."""
    topic = fresh("batch")
    create_topic(kafka.config, topic, partitions=4)
    code = f"""
import gc
from forebay.kafka import client
from forebay.kafka.publish.sender import Sender
from tests.kafka.test_batch import BARE, awkward
for turn in range(3):
    producer = client.producer({{"bootstrap.servers": {kafka.bootstrap!r}}}, **{{"linger.ms": 5}})
    sender = Sender(producer)
    sender.records({topic!r}, awkward(20_000), BARE, 0)
    assert sender._lent
    producer.purge()
    producer.close()
    del sender
    gc.collect()
    waste = [bytes(1000) for _ in range(20_000)]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
