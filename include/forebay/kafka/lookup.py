"""One record by its place in the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from forebay.errors import BrokerUnavailableError, FatalError
from forebay.kafka import client

PATIENCE = 15.0  # seconds without news from the broker


@dataclass(frozen=True, slots=True)
class Found:
    """A committed record: key and value as bytes, headers as text, `timestamp` in milliseconds since the epoch. `before` counts the
    committed records from the offset that was asked for as `since` up to this one."""

    key: bytes | None
    value: bytes | None
    headers: dict[str, str]
    timestamp: int
    before: int


def find(config: client.Config, topic: str, partition: int, offset: int, since: int | None = None) -> Found:
    """The committed record at exactly that offset.

    Raises `FatalError` when there is none: a transaction marker, an aborted record, compacted, expired, or beyond the log's end.
    """
    from confluent_kafka import TopicPartition

    errors = client.ClientErrors()
    doing = f"reading `{topic}` partition {partition} offset {offset}"
    consumer = client.consumer(config, errors, **{"auto.offset.reset": "earliest"})
    with client.translate(doing, errors, topic=topic):
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=PATIENCE)
            if not low <= offset < high:
                raise FatalError(
                    f"{doing}: the partition holds committed offsets {low} to {high - 1} (it has expired, or was never written)"
                )
            consumer.assign([TopicPartition(topic, partition, max(low, since if since is not None else offset))])
            return _scan(consumer, doing, offset)
        finally:
            consumer.close()


def _scan(consumer: Any, doing: str, offset: int) -> Found:
    before = 0
    while messages := consumer.consume(500, PATIENCE):
        for message in messages:
            if message.error() is None and message.offset() == offset:
                return _found(message, before)
            if message.offset() >= offset:
                raise FatalError(f"{doing}: there is no record (a transaction marker, an aborted record, or one compacted away)")
            before += message.error() is None
    raise BrokerUnavailableError(f"{doing}: the broker did not answer in {PATIENCE:g} s (try again)")


def _found(message: Any, before: int) -> Found:
    headers = {name: value.decode("utf-8", "replace") for name, value in message.headers() or [] if value is not None}
    return Found(message.key(), message.value(), headers, message.timestamp()[1], before)
