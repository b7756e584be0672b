"""The ledger: what its records say, and what makes it refuse."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.errors import LedgerError, TopicMissingError
from forebay.kafka.ledger import reader as ledger_reader
from forebay.kafka.ledger.memory import MemoryView
from forebay.kafka.ledger.reader import ChunkEntry, Completion, FileEntry, Origin
from forebay.model import Identity, OffsetRange, Receipt, SourceFile
from tests.harness.generated import make_pipeline
from tests.support.kafka import Cluster, create_topic, fresh
from tests.support.ledger import begun, read

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
WHO = Identity("run-1", "0190-run", "flights", "publish", 3, 2, backfill=True)
ORIGIN = Origin("cluster", "flights", "abc", None, "def", None, "murmur2", 6, 1, "0.1.0")


def receipt(fp: str = "a" * 64, chunk: int = 0, of: int = 2, generation: int = 1) -> Receipt:
    outputs = (OffsetRange("flights", 0, 5, 9, 4), OffsetRange("flights", 3, -1, 7, 3, complete=False))
    aside = (OffsetRange("forebay.flights.quarantine", 0, 1, 1, 1),)
    return Receipt(fp, generation, chunk, of, chunk * 8 + 1, chunk * 8 + 8, 8, 7, 1, outputs, aside, "c" * 64, "plan")


def chunk_entry(
    fp: str = "a" * 64, chunk: int = 0, generation: int = 1, uri: str = "s3://b/ä.csv", partitions: int = 1
) -> ChunkEntry:
    origin = Origin(**{**ORIGIN.to_json(), "ledger_partitions": partitions})
    return ChunkEntry(
        "flights",
        SourceFile(uri, 99, 1.5, "etag", "v1"),
        receipt(fp, chunk, generation=generation),
        origin,
        WHO,
        NOW,
        NOW,
    )


def file_entry(fp: str = "a" * 64, generation: int = 1, uri: str = "s3://b/ä.csv", size: int = 99) -> FileEntry:
    done = Completion("again", "b" * 64, None, "publish all", "ada", "known defect")
    return FileEntry(
        "flights", SourceFile(uri, size, 1.5), fp, generation, 2, 16, 14, 2, 0, "plan", ORIGIN, done, WHO, NOW
    )


def add(view: MemoryView, *entries: ChunkEntry | FileEntry) -> MemoryView:
    for entry in entries:
        view.add([(entry.key, ledger_reader.dump(entry.to_json()), 0, 0)])
    return view


def test_a_chunks_record() -> None:
    entry = chunk_entry()
    assert json.loads(entry.key) == {"pipeline": "flights", "fp": "a" * 64, "generation": 1, "chunk": 0}
    value = json.loads(ledger_reader.dump(entry.to_json()))
    assert value["file"] == {
        "fp": "a" * 64,
        "uri": "s3://b/ä.csv",
        "size": 99,
        "mtime": 1.5,
        "etag": "etag",
        "version": "v1",
    }
    assert value["rows"] == {"first": 1, "last": 8, "in": 8, "published": 7, "quarantined": 1, "rejected": 0}
    assert value["outputs"][1] == {
        "topic": "flights",
        "partition": 3,
        "first": -1,
        "last": 7,
        "count": 3,
        "complete": False,
    }
    assert (value["suite"], value["partition_count"], value["ledger_partitions"]) == (
        {"name": "flights", "hash": "abc"},
        6,
        1,
    )
    assert value["run"]["try_number"] == 2
    assert value["v"] == 1


def test_records_read_back_as_they_were_written() -> None:
    for entry in (chunk_entry(), file_entry()):
        assert type(entry).from_json(json.loads(ledger_reader.dump(entry.to_json()))) == entry


def test_keys_of_a_later_version_are_ignored_but_a_later_version_is_not() -> None:
    value = chunk_entry().to_json() | {"colour": "blue"}
    assert ChunkEntry.from_json(value) == chunk_entry()
    whole = file_entry().to_json() | {"colour": "blue"}
    whole["origin"]["colour"] = "red"
    assert FileEntry.from_json(whole) == file_entry()
    with pytest.raises(LedgerError, match="record of version 2"):
        MemoryView("flights", 1).add([(chunk_entry().key, ledger_reader.dump(value | {"v": 2}), 0, 0)])


def test_questions_to_a_view() -> None:
    view = add(MemoryView("flights", 1), chunk_entry(chunk=1), chunk_entry(), file_entry(), chunk_entry(generation=2))
    view = add(view, file_entry("b" * 64, uri="s3://b/2.csv", size=5), file_entry(generation=3))
    assert [r.chunk for r in view.receipts("a" * 64)] == [0, 1]
    assert (view.generations("a" * 64), view.started("a" * 64)) == ((1, 3), (1, 2))
    latest, second = view.file("a" * 64), view.file("a" * 64, 2)
    assert (latest.generation if latest else None, second) == (3, None)
    assert [e.fingerprint[0] for e in view.by_uri("s3://b/2.csv")] == ["b"]
    assert (view.has_size(5), view.has_size(6)) == (True, False)
    assert [e.fingerprint[0] + str(e.generation) for e in view.entries()] == ["a1", "b1", "a3"]
    assert [sorted(chunks) for chunks in view.unfinished()] == [[0]]  # generation 2
    assert view.of_file("c" * 64) == {}


def test_a_view_of_one_file_keeps_only_that_file() -> None:
    view = add(MemoryView("flights", 1, only="a" * 64), chunk_entry(), file_entry("b" * 64))
    assert (begun(view), list(view.entries())) == ([("a" * 64, 1)], [])


def test_another_partition_count_than_the_record_was_written_with_is_refused() -> None:
    with pytest.raises(LedgerError, match="written with 2 partitions and has 1"):
        add(MemoryView("flights", 1), chunk_entry(partitions=2))


@given(st.binary(min_size=32, max_size=32).map(bytes.hex), st.integers(1, 64))
def test_lane_and_partition_use_different_digits_and_stay_in_range(fingerprint: str, count: int) -> None:
    assert ledger_reader.lane_of(fingerprint) == int(fingerprint[:8], 16) % 64
    assert ledger_reader.partition_of(fingerprint, count) == int(fingerprint[8:16], 16) % count


# with a broker


def made(kafka: Cluster, partitions: int = 1) -> Any:
    pipeline = make_pipeline(fresh("led").lower(), ledger_partitions=partitions)
    create_topic(kafka.config, pipeline.ledger_topic, partitions, cleanup_policy="compact")
    return pipeline


def write(
    kafka: Cluster, topic: str, *entries: ChunkEntry | FileEntry, commit: bool = True, partitions: int = 1
) -> Any:
    from confluent_kafka import Producer

    producer = Producer({**kafka.config, "transactional.id": fresh("w"), "transaction.timeout.ms": 30_000})
    producer.init_transactions(30)
    producer.begin_transaction()
    for entry in entries:
        fp = json.loads(entry.key)["fp"]
        producer.produce(
            topic, ledger_reader.dump(entry.to_json()), entry.key, partition=ledger_reader.partition_of(fp, partitions)
        )
    assert producer.flush(30) == 0
    if commit:
        producer.commit_transaction(30)
    return producer


@pytest.mark.kafka
def test_all_partitions_are_read_or_only_that_of_a_file(kafka: Cluster) -> None:
    pipeline = made(kafka, 3)
    fingerprints = [f"{n:064x}".replace("0", "a", 8) for n in range(6)] + [
        f"00000000{n:08x}" + "0" * 48 for n in range(6)
    ]
    write(kafka, pipeline.ledger_topic, *[chunk_entry(fp, partitions=3) for fp in fingerprints], partitions=3)
    assert {fp for fp, _ in begun(read(kafka.config, pipeline))} == set(fingerprints)
    for fp in fingerprints:
        assert begun(read(kafka.config, pipeline, fp)) == [(fp, 1)]


@pytest.mark.kafka
def test_an_empty_ledger_is_read_at_once(kafka: Cluster) -> None:
    pipeline = made(kafka, 2)
    began = time.monotonic()
    view = read(kafka.config, pipeline)
    assert (begun(view), view.partitions) == ([], 2)
    assert len(view.topic_id) > 10
    assert time.monotonic() - began < 15


@pytest.mark.kafka
def test_reading_waits_for_an_open_transaction_and_fails_closed(kafka: Cluster) -> None:
    pipeline = made(kafka)
    holder = write(kafka, pipeline.ledger_topic, chunk_entry("d" * 64), commit=False)
    write(kafka, pipeline.ledger_topic, chunk_entry())
    with pytest.raises(LedgerError, match=r"a transaction has been open on it for more than 1 s .*find-hanging"):
        read(kafka.config, pipeline, timeout=1)
    reader = ledger_reader.LedgerReader(kafka.config, pipeline)
    assert begun(reader.look()) == []
    holder.abort_transaction(30)
    assert begun(read(kafka.config, pipeline)) == [("a" * 64, 1)]
    assert begun(reader.look()) == [("a" * 64, 1)]  # the same reader goes on where it was
    reader.close()


@pytest.mark.kafka
def test_what_was_aborted_is_not_in_the_ledger(kafka: Cluster) -> None:
    pipeline = made(kafka)
    write(kafka, pipeline.ledger_topic, chunk_entry(), commit=False).abort_transaction(30)
    assert begun(read(kafka.config, pipeline)) == []


@pytest.mark.kafka
def test_a_missing_ledger_is_no_empty_one(kafka: Cluster) -> None:
    pipeline = make_pipeline(fresh("led").lower())
    with pytest.raises(TopicMissingError, match=f"reading ledger `{pipeline.ledger_topic}`"):
        read(kafka.config, pipeline)


@pytest.mark.kafka
def test_a_trimmed_ledger_is_refused(kafka: Cluster) -> None:
    from confluent_kafka import TopicPartition

    pipeline = make_pipeline(fresh("led").lower())
    create_topic(
        kafka.config, pipeline.ledger_topic, 1, cleanup_policy="compact,delete"
    )  # records of a purely compacted topic cannot be deleted
    write(kafka, pipeline.ledger_topic, chunk_entry(), file_entry())
    admin = kafka.admin()
    for future in admin.delete_records([TopicPartition(pipeline.ledger_topic, 0, 1)]).values():
        future.result(30)
    with pytest.raises(LedgerError, match="partition 0 begins at offset 1"):
        read(kafka.config, pipeline)


@pytest.mark.kafka
def test_reading_goes_past_markers_at_the_end(kafka: Cluster) -> None:
    """The watermark lies behind the commit's marker, where a consumer's position never comes; so do those of aborted
    transactions."""
    pipeline = made(kafka)
    for n in range(5):
        write(kafka, pipeline.ledger_topic, chunk_entry(f"{n}" * 64))
        write(kafka, pipeline.ledger_topic, chunk_entry("f" * 64), commit=False).abort_transaction(30)
    assert len(begun(read(kafka.config, pipeline, timeout=10))) == 5
