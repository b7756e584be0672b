"""Publishing generated rows to a real broker, in this process; kills and races are in tests/guarantees."""

from __future__ import annotations

import dataclasses
import json
import socket
import time
from typing import Any

import pyarrow as pa
import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from forebay import events
from forebay.errors import (
    BrokerUnavailableError,
    FatalError,
    NotAuthorizedError,
    PlanChangedError,
    ReconcileError,
    TopicMissingError,
)
from forebay.kafka import topics
from forebay.kafka.ledger.reader import Completion
from forebay.kafka.ledger.view import LedgerView
from forebay.kafka.publish import failpoints
from forebay.kafka.publish.job import PublishJob
from forebay.kafka.publish.publisher import publish_file
from forebay.kafka.publish.records import EncodedChunk, Records
from tests.harness.generated import make_job, make_pipeline
from tests.harness.judge import look
from tests.support import ledger as made
from tests.support.kafka import Cluster, fresh, read_all


def ready(kafka: Cluster, rows: int = 100, chunk: int = 40, **more: Any) -> PublishJob:
    """A job whose topics exist."""
    pipeline = make_pipeline(more.pop("pipeline", fresh("pub").lower()), timeout="10s")
    topics.ensure(kafka.config, pipeline)
    return make_job(kafka.config, pipeline, rows, chunk, **more)


def view_of(job: PublishJob) -> LedgerView:
    return made.read(job.config, job.pipeline)


@pytest.mark.kafka
def test_every_row_is_published_once_and_the_ledger_says_where(kafka: Cluster) -> None:
    job = ready(kafka, 1000, 300, quarantine_every=10)
    receipts = publish_file(job)
    assert [(r.chunk, r.first_row, r.last_row, r.published, r.quarantined) for r in receipts] == [
        (0, 1, 300, 270, 30),
        (1, 301, 600, 270, 30),
        (2, 601, 900, 270, 30),
        (3, 901, 1000, 90, 10),
    ]
    assert look(kafka.config, job.pipeline.pipeline, 1000, quarantine_every=10) == []
    view = view_of(job)
    assert view.receipts(job.fingerprint) == receipts
    entry = view.file(job.fingerprint)
    assert entry is not None
    assert (entry.rows_in, entry.published, entry.quarantined, entry.rejected, entry.chunks) == (1000, 900, 100, 0, 4)


@pytest.mark.kafka
def test_publishing_again_publishes_nothing(kafka: Cluster) -> None:
    job = ready(kafka)
    first = publish_file(job)
    told: list[str] = []
    stop = events.listen(lambda name, fields: told.append(f"{name} {fields.get('chunk')}"))
    assert publish_file(job) == first
    stop()
    assert told == ["chunk.skipped 0", "chunk.skipped 1", "chunk.skipped 2"]
    assert look(kafka.config, job.pipeline.pipeline, 100) == []


@pytest.mark.kafka
def test_an_empty_file_is_complete_with_a_ledger_record_only(kafka: Cluster) -> None:
    job = ready(kafka, 0)
    (receipt,) = publish_file(job)
    assert (receipt.rows_in, receipt.outputs, receipt.quarantine) == (0, (), ())
    assert view_of(job).file(job.fingerprint) is not None
    assert read_all(kafka.config, job.pipeline.topic.name) == []


@pytest.mark.kafka
def test_a_chunk_of_quarantined_rows_only(kafka: Cluster) -> None:
    job = ready(kafka, 10, 5, quarantine_every=1)
    assert [(r.published, r.quarantined) for r in publish_file(job)] == [(0, 5), (0, 5)]
    aside = read_all(kafka.config, job.pipeline.quarantine_topic)
    assert [json.loads(m.value())["row"] for m in aside] == list(range(1, 11))
    assert dict(aside[2].headers())["q_rule"] == b"every nth"
    assert aside[2].key() == dict(aside[2].headers())["ce_id"] == f"{job.fingerprint[:16]}:1:3".encode()


@pytest.mark.kafka
@pytest.mark.parametrize("profile", ["standard", "minimal", "none"])
def test_records_carry_the_headers_of_the_profile(kafka: Cluster, profile: str) -> None:
    job = ready(kafka, 20, 20, headers=profile)
    publish_file(job)
    for message in read_all(kafka.config, job.pipeline.topic.name):
        row = json.loads(message.value())["row"]
        expected = {"none": None}.get(
            profile, [("ce_id", f"{job.fingerprint[:16]}:1:{row}".encode()), *job.headers.constants]
        )
        assert message.headers() == expected


@pytest.mark.kafka
@pytest.mark.parametrize("profile", ["minimal", "none"])
def test_records_carry_the_timestamps_given(kafka: Cluster, profile: str) -> None:
    job = ready(kafka, 30, 30, headers=profile)
    times = pa.array([1_600_000_000_000 + n for n in range(1, 31)], pa.int64())
    plain = job.encode
    encode = lambda n: dataclasses.replace(plain(n), records=dataclasses.replace(plain(n).records, timestamps=times))  # noqa: E731
    publish_file(dataclasses.replace(job, encode=encode))
    messages = read_all(kafka.config, job.pipeline.topic.name)
    assert len(messages) == 30
    assert all(m.timestamp()[1] == 1_600_000_000_000 + json.loads(m.value())["row"] for m in messages)


@pytest.mark.kafka
@pytest.mark.parametrize("profile", ["minimal", "none"])
def test_a_chunk_larger_than_the_clients_queue_waits_for_room(kafka: Cluster, profile: str) -> None:
    job = ready(kafka, 9_000, 5_000, headers=profile, quarantine_every=3)
    config = kafka.config | {"queue.buffering.max.messages": 500, "batch.num.messages": 100}
    publish_file(dataclasses.replace(job, config=config))
    assert look(kafka.config, job.pipeline.pipeline, 9_000, quarantine_every=3) == []


@pytest.mark.kafka
def test_chunked_and_sliced_arrays_are_published_as_they_read(kafka: Cluster) -> None:
    job = ready(kafka, 5000, 5000)
    whole = job.encode(0)

    def odd(array: pa.Array) -> pa.ChunkedArray:
        padded = pa.concat_arrays([array[:7], array])[7:]
        return pa.chunked_array([padded[:1], padded[1:1], padded[1:3333], padded[3333:]])

    records = Records(*(odd(getattr(whole.records, n)) for n in ("values", "keys", "partitions", "rows")))
    publish_file(dataclasses.replace(job, encode=lambda _: dataclasses.replace(whole, records=records)))
    assert look(kafka.config, job.pipeline.pipeline, 5000) == []


@pytest.mark.kafka
def test_a_new_generation_publishes_again_with_its_reason(kafka: Cluster) -> None:
    job = ready(kafka, 10, 10)
    publish_file(job)
    again = make_job(
        kafka.config,
        job.pipeline,
        10,
        10,
        generation=2,
        completion=Completion(reason="consumer lost them", decided_by="ada"),
    )
    publish_file(again)
    assert len(read_all(kafka.config, job.pipeline.topic.name)) == 20
    view = view_of(job)
    assert view.generations(job.fingerprint) == (1, 2)
    latest = view.file(job.fingerprint)
    assert latest is not None
    assert (latest.generation, latest.completion.reason, latest.completion.decided_by) == (
        2,
        "consumer lost them",
        "ada",
    )


@pytest.mark.kafka
def test_another_plan_stops_a_begun_file_and_leaves_it_as_it_is(kafka: Cluster) -> None:
    job = ready(kafka, 100, 40)
    encode = job.encode

    def broken(chunk: int) -> EncodedChunk:
        if chunk == 1:
            raise FatalError("the disk is gone")
        return encode(chunk)

    with pytest.raises(FatalError, match="the disk is gone"):
        publish_file(dataclasses.replace(job, encode=broken))
    with pytest.raises(PlanChangedError) as caught:
        publish_file(make_job(kafka.config, job.pipeline, 100, 30))
    assert caught.value.message.startswith(
        "publishing `file:///generated/file`: part of it is committed under another plan than `generated-30`"
    )
    assert len(read_all(kafka.config, job.pipeline.topic.name)) == 40
    publish_file(job)
    assert look(kafka.config, job.pipeline.pipeline, 100) == []


@pytest.mark.kafka
def test_control_without_the_plan_check_rows_overlap(kafka: Cluster) -> None:
    from forebay.kafka.publish.steps import Protections

    job = ready(kafka, 100, 40)
    encode = job.encode
    with pytest.raises(IndexError):
        publish_file(dataclasses.replace(job, encode=lambda n: encode(n) if n == 0 else [][n]))
    with pytest.raises(ReconcileError):  # the totals would not add up; by then the middle chunks are out
        publish_file(make_job(kafka.config, job.pipeline, 100, 30), Protections(check_plan=False))
    found = look(kafka.config, job.pipeline.pipeline, 100)
    assert {row for anomaly in found if anomaly.name == "duplicate" for row in anomaly.rows} <= set(range(31, 41))
    assert len(read_all(kafka.config, job.pipeline.topic.name)) > 40 + 30


@pytest.mark.kafka
def test_a_failed_encode_leaves_no_transaction_open(kafka: Cluster) -> None:
    job = ready(kafka, 100, 40)
    with pytest.raises(IndexError):
        publish_file(dataclasses.replace(job, encode=lambda n: [][n]))
    began = time.monotonic()
    assert read_all(kafka.config, job.pipeline.topic.name) == []
    publish_file(job)
    assert time.monotonic() - began < 8


@pytest.mark.kafka
def test_a_record_that_is_too_large_ends_the_file_with_nothing_visible(kafka: Cluster) -> None:
    job = ready(kafka, 10, 10)
    with pytest.raises(FatalError, match="MSG_SIZE_TOO_LARGE"):
        publish_file(dataclasses.replace(job, config=kafka.config, max_message_bytes=1000, encode=lambda _: big(job)))
    assert read_all(kafka.config, job.pipeline.topic.name) == []


def big(job: PublishJob) -> EncodedChunk:
    chunk = job.encode(0)
    values = pa.array([*chunk.records.values.to_pylist()[:-1], b"x" * 5000], pa.binary())
    return dataclasses.replace(chunk, records=dataclasses.replace(chunk.records, values=values))


@pytest.mark.kafka
def test_a_missing_data_topic_is_said(kafka: Cluster) -> None:
    job = ready(kafka)
    admin = kafka.admin()
    admin.delete_topics([job.pipeline.topic.name])[job.pipeline.topic.name].result(30)
    config = kafka.config | {"topic.metadata.propagation.max.ms": 500}
    with pytest.raises(TopicMissingError, match="publishing `file:///generated/file` chunk 0"):
        publish_file(dataclasses.replace(job, config=config))


@pytest.mark.kafka
def test_a_missing_ledger_is_said(kafka: Cluster) -> None:
    pipeline = make_pipeline(fresh("pub").lower())
    with pytest.raises(TopicMissingError, match=f"reading ledger `{pipeline.ledger_topic}`"):
        publish_file(make_job(kafka.config, pipeline, 1, 1))


def test_an_unreachable_broker_is_said() -> None:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{s.getsockname()[1]}"
    job = make_job({"bootstrap.servers": address}, make_pipeline("unreachable"), 1, 1)
    began = time.monotonic()
    with pytest.raises(BrokerUnavailableError, match="reading ledger"):
        publish_file(job)
    assert time.monotonic() - began < 15


@pytest.mark.kafka
def test_wrong_credentials_are_said_within_seconds(kafka: Cluster) -> None:
    pipeline = ready(kafka).pipeline
    began = time.monotonic()
    with pytest.raises(NotAuthorizedError):
        publish_file(make_job(kafka.sasl("bob", "wrong"), pipeline, 1, 1))
    assert time.monotonic() - began < 20


@pytest.mark.kafka
def test_a_principal_without_permission_is_refused(kafka: Cluster) -> None:
    pipeline = ready(kafka).pipeline
    with pytest.raises((NotAuthorizedError, TopicMissingError)):
        publish_file(make_job(kafka.sasl("bob"), pipeline, 1, 1))


@pytest.mark.kafka
def test_two_files_of_one_lane_share_a_ledger(kafka: Cluster) -> None:
    job = ready(kafka, 50, 20, name="a")
    publish_file(job)
    publish_file(make_job(kafka.config, job.pipeline, 60, 20, name="b"))
    view = view_of(job)
    assert sorted(e.file.name for e in view.entries()) == ["a", "b"]
    assert [e.file.name for e in view.by_uri("file:///generated/b")] == ["b"]
    assert view.has_size(50)
    assert [len(view.of_file(e.fingerprint)) for e in view.entries()] == [3, 3]
    own = made.read(kafka.config, job.pipeline, job.fingerprint)
    assert [e.fingerprint for e in own.entries()] == [job.fingerprint]


@pytest.mark.kafka
@pytest.mark.parametrize("step", ["after_flush", "after_ledger"])
def test_a_right_that_is_taken_away_in_mid_transaction_is_named_at_once(
    kafka: Cluster, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's instance is dead then, and flush does not say of what: taken for fenced, it was followed for half a
    minute before anybody was told."""
    job = ready(kafka)
    name, admin = job.pipeline.pipeline, AdminClient(kafka.config)
    kinds = {"forebay": ResourceType.GROUP, f"{name}.data": ResourceType.TOPIC, f"forebay.{name}.": ResourceType.TOPIC}
    may = [_allow(kind, of, AclOperation.ALL) for of, kind in kinds.items()]
    may += [
        _allow(ResourceType.TRANSACTIONAL_ID, f"forebay.{name}.", word)
        for word in (AclOperation.DESCRIBE, AclOperation.WRITE)
    ]
    for given in admin.create_acls(may).values():
        given.result(20)

    def hit(place: str, _chunk: int | None = None) -> None:
        if place == step:
            last = may[-1]
            gone = AclBindingFilter(
                last.restype,
                last.name,
                last.resource_pattern_type,
                last.principal,
                last.host,
                last.operation,
                last.permission_type,
            )
            admin.delete_acls([gone])[gone].result(20)
            time.sleep(0.3)  # until the broker's own copy of its metadata has it

    monkeypatch.setattr(failpoints, "hit", hit)
    began = time.monotonic()
    with pytest.raises(NotAuthorizedError, match="TRANSACTIONAL_ID_AUTHORIZATION_FAILED"):
        publish_file(dataclasses.replace(job, config=kafka.sasl("bob")))
    assert time.monotonic() - began < 20
    assert read_all(kafka.config, f"{name}.data") == []


def _allow(kind: ResourceType, name: str, operation: AclOperation) -> AclBinding:
    return AclBinding(kind, name, ResourcePatternType.PREFIXED, "User:bob", "*", operation, AclPermissionType.ALLOW)
