"""Moves the leaders of partitions without restarting anybody, and asks who coordinates: requests of Kafka's protocol
for which confluent_kafka has no call."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

from tests.chaos.hanging import ask, text

FIND_COORDINATOR, ALTER_PARTITION_REASSIGNMENTS = 10, 45


def _compact(text: str) -> bytes:
    raw = text.encode()
    return bytes([len(raw) + 1]) + raw  # an unsigned varint, of one byte as long as names are short


def reassign(bootstrap: str, topic: str, partition: int, replicas: list[int]) -> int:
    """Ask for another order of a partition's replicas (KIP-455, version 0); its first is the preferred leader. The
    error code of the answer."""
    partitions = (
        struct.pack(">i", partition)
        + bytes([len(replicas) + 1])
        + b"".join(struct.pack(">i", r) for r in replicas)
        + b"\0"
    )
    topics = _compact(topic) + bytes([2]) + partitions + b"\0"
    body = struct.pack(">i", 10_000) + bytes([2]) + topics + b"\0"
    header = struct.pack(">hhi", ALTER_PARTITION_REASSIGNMENTS, 0, 1) + struct.pack(">h", 5) + b"chaos" + b"\0"
    host, port = bootstrap.split(",", maxsplit=1)[0].split(":")
    with socket.create_connection((host, int(port)), 10) as s:
        s.sendall(struct.pack(">i", len(header + body)) + header + body)
        size = struct.unpack(">i", s.recv(4, socket.MSG_WAITALL))[0]
        answer = s.recv(size, socket.MSG_WAITALL)
    return int(struct.unpack_from(">h", answer, 9)[0])  # correlation id 4, tags 1, throttle time 4


def elect(admin: Any, topics: list[tuple[str, int]]) -> None:
    """Make each partition's preferred replica its leader; one that is already is no error."""
    from confluent_kafka import ElectionType, TopicPartition

    admin.elect_leaders(ElectionType.PREFERRED, [TopicPartition(t, p) for t, p in topics]).result()


def coordinator(bootstrap: str, transactional_id: str) -> int:
    """The node that coordinates this id's transactions (FindCoordinator, version 1). Raises `TimeoutError` when no node
    is told within 20 s."""
    address, deadline = bootstrap.split(",", maxsplit=1)[0], time.monotonic() + 20
    while time.monotonic() < deadline:
        answer = ask(address, FIND_COORDINATOR, 1, text("chaos"), text(transactional_id) + b"\1")
        error, words = struct.unpack_from(">hh", answer, 4)  # behind the throttle time
        if not error:
            return int(struct.unpack_from(">i", answer, 8 + max(0, words))[0])
        time.sleep(0.1)
    raise TimeoutError(f"no coordinator of {transactional_id} is told, error {error}")
