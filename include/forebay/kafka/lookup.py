"""One record by its place in the log."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from forebay.errors import BrokerUnavailableError, FatalError
from forebay.kafka import client, failures

PATIENCE = 15.0  # seconds without news from the broker
SETTINGS: client.Config = {"fetch.wait.max.ms": 10}  # what is asked for is there, or will never be
_EOF = -191


@dataclass(frozen=True, slots=True)
class Found:
    """A committed record: key and value as bytes, headers as text, `timestamp` in milliseconds since the epoch."""

    key: bytes | None
    value: bytes | None
    headers: dict[str, str]
    timestamp: int


def find(config: client.Config, topic: str, partition: int, offset: int) -> Found:
    """The committed record at exactly that offset.

    Raises `FatalError` when there is none: a transaction marker, an aborted record, compacted, expired, or beyond the
    log's end.
    """
    from confluent_kafka import TopicPartition

    errors = client.ClientErrors()
    doing = f"reading `{topic}` partition {partition} offset {offset}"
    consumer = client.consumer(config, errors, **SETTINGS)
    with client.translate(doing, errors, topic=topic):
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=PATIENCE)
            if offset < low:
                raise FatalError(f"{doing}: it has expired, not been lost: the partition now begins at offset {low}")
            if offset >= high:
                raise FatalError(
                    f"{doing}: the partition's committed records end before offset {high} (it was never written, "
                    "or not committed yet)"
                )
            consumer.assign([TopicPartition(topic, partition, offset)])
            return _first(consumer, doing, offset)
        finally:
            consumer.close()


def _first(consumer: Any, doing: str, offset: int) -> Found:
    """The first record that comes from there on, if it is the one. Markers and aborted records take offsets, and are
    never delivered."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        message = consumer.poll(0.1)
        if message is None:
            continue
        error = message.error()
        if error is None and message.offset() == offset:
            return _found(message)
        if error is None or error.code() == _EOF:
            raise FatalError(
                f"{doing}: there is no record (a transaction marker, an aborted record, or one compacted away)"
            )
        failure = failures.classify(error)
        if failure.action != failures.Action.RETRY:
            raise failure.exception(doing)
    raise BrokerUnavailableError(f"{doing}: the broker did not answer in {PATIENCE:g} s (try again)")


def _found(message: Any) -> Found:
    headers = {name: value.decode("utf-8", "replace") for name, value in message.headers() or [] if value is not None}
    return Found(message.key(), message.value(), headers, message.timestamp()[1])
