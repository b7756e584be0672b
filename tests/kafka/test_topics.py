"""The pipeline's topics are checked or made, and nothing else is touched."""

from __future__ import annotations

import socket
import time

import pytest

from forebay.config.pipeline import Pipeline
from forebay.encoding.quarantine_rows import HEADER_ROOM
from forebay.errors import BrokerUnavailableError, LedgerError, PreflightError, TopicMissingError
from forebay.kafka import topics
from forebay.kafka.publish.records import Headers
from forebay.model import Identity, SourceFile
from tests.harness.generated import make_pipeline
from tests.support.kafka import Cluster, create_topic, fresh

pytestmark = pytest.mark.kafka


def named(manage: str = "create", **publish: int) -> Pipeline:
    pipeline = make_pipeline(fresh("p").lower(), 3, "60s", **publish)
    return pipeline.model_copy(
        update={"topic": pipeline.topic.model_copy(update={"manage": manage, "config": {"retention.ms": 3_600_000}})}
    )


def test_missing_topics_are_created_as_the_pipeline_says(kafka: Cluster) -> None:
    pipeline = named(ledger_partitions=2)
    topics.ensure(kafka.config, pipeline)
    made = kafka.admin().list_topics(timeout=10).topics
    assert [
        len(made[name].partitions) for name in (pipeline.topic.name, pipeline.ledger_topic, pipeline.quarantine_topic)
    ] == [3, 2, 1]
    data, ledger = (topics.settings_of(kafka.config, name) for name in (pipeline.topic.name, pipeline.ledger_topic))
    assert (data["retention.ms"], data["cleanup.policy"]) == ("3600000", "delete")
    assert (ledger["retention.ms"], ledger["cleanup.policy"]) == ("-1", "compact")
    topics.ensure(kafka.config, pipeline)


def test_check_creates_nothing_and_says_the_way_out(kafka: Cluster) -> None:
    pipeline = named("check")
    with pytest.raises(TopicMissingError) as caught:
        topics.ensure(kafka.config, pipeline)
    assert caught.value.message == (
        f"checking topics: data topic `{pipeline.topic.name}` does not exist (create it with 3 partitions, "
        "or set `topic.manage: create`)"
    )
    assert pipeline.topic.name not in kafka.admin().list_topics(timeout=10).topics


@pytest.mark.parametrize("silent", [False, True], ids=["refused", "silent"])
def test_brokers_out_of_reach_are_said_within_fifteen_seconds(silent: bool) -> None:
    """One that refuses, and one that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1] if silent else 1}"
        began = time.monotonic()
        with pytest.raises(BrokerUnavailableError):
            topics.ensure({"bootstrap.servers": address}, named())
    assert time.monotonic() - began < 15


def test_off_looks_at_nothing() -> None:
    topics.ensure({"bootstrap.servers": "127.0.0.1:1"}, named("off"))


def test_another_partition_count_is_refused(kafka: Cluster) -> None:
    pipeline = named()
    create_topic(kafka.config, pipeline.topic.name, 5)
    with pytest.raises(PreflightError, match=f"`{pipeline.topic.name}` has 5 partitions, the pipeline says 3"):
        topics.ensure(kafka.config, pipeline)


def test_a_grown_ledger_is_refused(kafka: Cluster) -> None:
    pipeline = named()
    create_topic(kafka.config, pipeline.ledger_topic, 2, cleanup_policy="compact")
    with pytest.raises(LedgerError, match=r"has 2 partitions, `publish\.ledger_partitions` says 1"):
        topics.ensure(kafka.config, pipeline)


@pytest.mark.parametrize("policy", ["delete", "compact,delete"])
def test_a_ledger_that_forgets_is_refused(kafka: Cluster, policy: str) -> None:
    pipeline = named()
    create_topic(kafka.config, pipeline.ledger_topic, 1, cleanup_policy=policy)
    with pytest.raises(LedgerError, match=f"has `cleanup.policy={policy}`, it must be `compact`"):
        topics.ensure(kafka.config, pipeline)


def test_max_message_bytes_is_the_topics_own(kafka: Cluster) -> None:
    name = create_topic(kafka.config, fresh("small"), max_message_bytes=2000)
    assert topics.max_message_bytes(topics.settings_of(kafka.config, name)) == 2000


def test_a_record_that_fits_by_the_bound_is_accepted_and_a_larger_one_is_not(kafka: Cluster) -> None:
    """The bound is checked against the broker itself: what we let through must never abort a chunk."""
    from confluent_kafka import KafkaException, Producer

    name = create_topic(kafka.config, fresh("small"), max_message_bytes=2000)
    file, identity = (
        SourceFile("s3://partner-drops/2026/01/05/orders.csv", 10, 0.0, "v7"),
        Identity("scheduled", "0" * 36),
    )
    headers = Headers.of("standard", name, file, "ab" * 32, 1, identity)
    own = [("ce_id", headers.row_id + b"9007199254740992"), *headers.constants]
    fits = 2000 - HEADER_ROOM - len(b"k" * 5)
    reports: list[object] = []
    producer = Producer({**kafka.config, "enable.idempotence": True})
    producer.produce(name, b"v" * fits, b"k" * 5, headers=[*own], on_delivery=lambda error, _: reports.append(error))
    assert producer.flush(10) == 0
    producer.produce(name, b"v" * 2000, b"k" * 5, headers=[*own], on_delivery=lambda error, _: reports.append(error))
    assert producer.flush(10) == 0
    assert reports[0] is None
    assert reports[1] is not None
    assert KafkaException(reports[1]).args[0].name() == "MSG_SIZE_TOO_LARGE"
