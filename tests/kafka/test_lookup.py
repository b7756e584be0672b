"""One record by its place: found at once, and what is not there is told for what it is. Written and judged by raw
clients."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from forebay.errors import BrokerUnavailableError, FatalError
from forebay.kafka import lookup
from tests.support.kafka import Cluster, create_topic, delete_records, read_all

pytestmark = pytest.mark.kafka
SOON = 3.0
"""Seconds; it takes 0.1 s on a quiet machine, and took 15 s where it waited for a full batch."""


@contextmanager
def transaction(config: dict[str, Any], name: str, values: list[bytes], topic: str) -> Iterator[Any]:
    """An open transaction that has written these values; ends as its user says."""
    from confluent_kafka import Producer

    producer = Producer({**config, "transactional.id": name})
    producer.init_transactions(30)
    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, key=value)
    assert producer.flush(30) == 0
    yield producer


@pytest.fixture
def log(kafka: Cluster, topic_name: str) -> str:
    """Offsets 0–2 committed, 3 their marker, 4–5 aborted, 6 that marker, 7 committed, 8 its marker."""
    topic = create_topic(kafka.config, topic_name)
    with transaction(kafka.config, topic, [b"a", b"b", b"c"], topic) as producer:
        producer.commit_transaction(30)
    with transaction(kafka.config, topic, [b"x", b"y"], topic) as producer:
        producer.abort_transaction(30)
    with transaction(kafka.config, topic, [b"d"], topic) as producer:
        producer.commit_transaction(30)
    assert [(m.offset(), m.value()) for m in read_all(kafka.config, topic)] == [
        (0, b"a"),
        (1, b"b"),
        (2, b"c"),
        (7, b"d"),
    ]
    return topic


@pytest.mark.parametrize(("offset", "value"), [(0, b"a"), (2, b"c"), (7, b"d")])
def test_a_record_is_found_at_once(log: str, kafka: Cluster, offset: int, value: bytes) -> None:
    began = time.monotonic()
    found = lookup.find(kafka.config, log, 0, offset)
    assert (found.key, found.value) == (value, value)
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        (3, "a transaction marker"),
        (4, "an aborted record"),
        (6, "a transaction marker"),
        (8, "a transaction marker"),
        (9, "never written"),
    ],
)
def test_an_offset_without_a_record_is_told_at_once(log: str, kafka: Cluster, offset: int, words: str) -> None:
    began = time.monotonic()
    with pytest.raises(FatalError, match=words):
        lookup.find(kafka.config, log, 0, offset)
    assert time.monotonic() - began < SOON


def test_what_has_expired_is_not_called_lost(log: str, kafka: Cluster) -> None:
    delete_records(kafka.config, log, {0: 2})
    with pytest.raises(FatalError, match="it has expired, not been lost: the partition now begins at offset 2"):
        lookup.find(kafka.config, log, 0, 1)
    assert lookup.find(kafka.config, log, 0, 2).value == b"c"


def test_a_record_behind_an_open_transaction_is_not_there_yet(log: str, kafka: Cluster) -> None:
    with transaction(kafka.config, f"{log}-open", [b"e"], log) as producer:
        with pytest.raises(FatalError, match="not committed yet"):
            lookup.find(kafka.config, log, 0, 9)
        producer.commit_transaction(30)
    assert lookup.find(kafka.config, log, 0, 9).value == b"e"


def test_a_topic_or_partition_that_is_not_there_is_an_error(log: str, kafka: Cluster) -> None:
    with pytest.raises((FatalError, BrokerUnavailableError)):
        lookup.find(kafka.config, log, 7, 0)
