"""Kafka's own protocol, for the few questions that librdkafka has no call for. It speaks plaintext only, without TLS or
SASL."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_LARGEST_ANSWER = 1 << 20


def ask(bootstrap: str, request: bytes, parse: Callable[[Answer], T], timeout: float) -> T | None:
    """What the first broker of `host:port,…` that answers says; None if none does in plaintext. `timeout` is in
    seconds, for each broker."""
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout) as connection:
                connection.sendall(request)
                return parse(Answer(_receive(connection)))
        except (OSError, ValueError, struct.error, IndexError):
            continue
    return None


def _receive(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as stream:
        (size,) = struct.unpack(">i", stream.read(4))
        if not 0 < size < _LARGEST_ANSWER:  # not a Kafka listener, or one that expects TLS
            raise ValueError("not an answer")
        return stream.read(size)


class Answer:
    """A cursor over an answer's bytes."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, form: str) -> tuple[int, ...]:
        values = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return values

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def skip(self, count: int) -> None:
        self._at += count

    def text(self) -> str:
        """A compact string."""
        size = self.varint() - 1
        self._at += size
        return self._data[self._at - size : self._at].decode()

    def tags(self) -> None:
        for _ in range(self.varint()):
            self.varint()
            self.skip(self.varint())
