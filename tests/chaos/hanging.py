"""A transaction that truly hangs (KAFKA-9144, KIP-664, KIP-890): a late write of a transactional batch to a partition
that no coordinator knows of.

Brokers from 3.6 on refuse it, unless `transaction.partition.verification.enable` is switched off. Three requests that
confluent_kafka has no call for, written by hand: Produce (version 3) of one transactional batch, and WriteTxnMarkers
(version 1), by which `kafka-transactions.sh abort` ends it.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

PRODUCE, WRITE_TXN_MARKERS = 0, 27


def text(words: str) -> bytes:
    return struct.pack(">h", len(words)) + words.encode()


def ask(address: str, key: int, version: int, header: bytes, body: bytes) -> bytes:
    """One request on a connection of its own; the answer without its length and correlation id."""
    request = struct.pack(">hhi", key, version, 1) + header + body
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), 10) as s:
        s.sendall(struct.pack(">i", len(request)) + request)
        size = struct.unpack(">i", s.recv(4, socket.MSG_WAITALL))[0]
        return s.recv(size, socket.MSG_WAITALL)[4:]


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def _batch(producer: int, epoch: int, key: bytes, value: bytes) -> bytes:
    """A record batch (magic 2) of one record, transactional; key and value shorter than 64 bytes, so that each length
    is one varint byte."""
    fields = b"\0\0\0" + bytes([2 * len(key)]) + key + bytes([2 * len(value)]) + value + b"\0"
    record, now = bytes([2 * len(fields)]) + fields, int(time.time() * 1000)
    checked = struct.pack(">hiqqqhii", 0x10, 0, now, now, producer, epoch, 0, 1) + record
    rest = struct.pack(">iBI", 0, 2, _crc32c(checked)) + checked
    return struct.pack(">qi", 0, len(rest)) + rest


def leave(address: str, topic: str, partition: int, producer: int, epoch: int = 0) -> int:
    """Write a transactional record of that producer id to the partition; its transaction is never ended. The error code
    of the answer."""
    batch = _batch(producer, epoch, b"hanging", b"{}")
    body = text("hanging") + struct.pack(">hi", -1, 10_000) + struct.pack(">i", 1) + text(topic)
    body += struct.pack(">ii", 1, partition) + struct.pack(">i", len(batch)) + batch
    answer = ask(address, PRODUCE, 3, text("chaos"), body)
    return int(struct.unpack_from(">h", answer, 4 + 2 + len(topic) + 4 + 4)[0])


def end(address: str, topic: str, partition: int, producer: int, epoch: int = 0) -> None:
    """Abort it from outside: the marker that its coordinator would write."""
    name = bytes([len(topic) + 1]) + topic.encode()
    topics = bytes([2]) + name + bytes([2]) + struct.pack(">i", partition) + b"\0"
    marker = struct.pack(">qhB", producer, epoch, 0) + topics + struct.pack(">i", 0) + b"\0"
    ask(address, WRITE_TXN_MARKERS, 1, text("chaos") + b"\0", bytes([2]) + marker + b"\0")


def verification(admin: Any, on: bool) -> None:
    """Switch the broker's check of transactional writes (KIP-890, part 1) on or off, for broker 1."""
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

    entry = ConfigEntry(
        "transaction.partition.verification.enable", str(on).lower(), incremental_operation=AlterConfigOpType.SET
    )
    change = ConfigResource(ResourceType.BROKER, "1", incremental_configs=[entry])
    for future in admin.incremental_alter_configs([change]).values():
        future.result(20)
    time.sleep(0.5)
