"""KRaft's quorum, asked by Kafka's own protocol (DescribeQuorum, KIP-595), because librdkafka has no call for it.

It matters: a KRaft broker answers "who is the controller?" of the older requests with any broker that lives (KIP-631),
so what librdkafka calls controller is none. This speaks plaintext only; behind TLS or SASL the quorum stays unknown,
and is said to be.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from forebay.kafka.wire import Answer, ask
from forebay.model import Json

_DESCRIBE_QUORUM, _VERSION = 55, 1
_CORRELATION = 1
_TOPIC = b"__cluster_metadata"


@dataclass(frozen=True, slots=True)
class Replica(Json):
    """A node that holds the metadata log: `lag` in records behind the leader's end."""

    id: int
    log_end: int
    lag: int


@dataclass(frozen=True, slots=True)
class Quorum(Json):
    """Who decides: `leader` is the active controller; voters elect it, observers (brokers that are no controllers) only
    follow."""

    leader: int
    epoch: int
    high_watermark: int
    voters: tuple[Replica, ...]
    observers: tuple[Replica, ...]


def describe(bootstrap: str, timeout: float = 3.0) -> Quorum | None:
    """The quorum as the first answering broker of `host:port,…` tells it; None if none does, or it has none (ZooKeeper,
    no permission)."""
    return ask(bootstrap, _request(), _parse, timeout)


def _request() -> bytes:
    header = struct.pack(">hhih", _DESCRIBE_QUORUM, _VERSION, _CORRELATION, 7) + b"forebay" + b"\0"
    # compact arrays and strings are one longer than their length; \0 closes each structure (no tagged fields)
    partitions = b"\2" + struct.pack(">i", 0) + b"\0"
    body = b"\2" + bytes([len(_TOPIC) + 1]) + _TOPIC + partitions + b"\0" + b"\0"
    return struct.pack(">i", len(header + body)) + header + body


def _parse(answer: Answer) -> Quorum | None:
    answer.take(">i")  # correlation
    answer.tags()
    (error,) = answer.take(">h")
    if error or answer.varint() < 2:
        return None
    answer.skip(answer.varint() - 1)  # the topic's name
    answer.varint()  # one partition
    _, error, leader, epoch, high = answer.take(">ihiiq")
    if error:
        return None
    voters, observers = _replicas(answer), _replicas(answer)
    end = max((log_end for _, log_end in voters), default=0)

    def seen(replicas: list[tuple[int, int]]) -> tuple[Replica, ...]:
        return tuple(Replica(node, log_end, max(0, end - log_end)) for node, log_end in sorted(replicas))

    return Quorum(leader, epoch, high, seen(voters), seen(observers))


def _replicas(answer: Answer) -> list[tuple[int, int]]:
    replicas = []
    for _ in range(answer.varint() - 1):
        node, log_end, _fetched, _caught_up = answer.take(">iqqq")
        answer.tags()
        replicas.append((node, log_end))
    return replicas
