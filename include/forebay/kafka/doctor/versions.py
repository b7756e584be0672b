"""How old a broker is, asked by Kafka's own protocol (ApiVersions, KIP-584), because librdkafka does not pass the
answer on.

A broker does not tell its version. It tells the highest `metadata.version` it knows, and each release raised that.
Plaintext only, as in quorum.py.
"""

from __future__ import annotations

import struct

from forebay.kafka.wire import Answer, ask

_API_VERSIONS, _VERSION = 18, 3
_CORRELATION = 1
_RELEASES = (
    (26, "4.1"),
    (22, "4.0"),
    (21, "3.9"),
    (20, "3.8"),
    (15, "3.7"),
    (12, "3.6"),
    (9, "3.5"),
    (8, "3.4"),
    (4, "3.3"),
    (1, "3.0"),
)
"""The first `metadata.version` level of each release (org.apache.kafka.server.common.MetadataVersion)."""
AT_LEAST_3_7, AT_LEAST_3_6 = 15, 12


def metadata_level(bootstrap: str, timeout: float = 3.0) -> int | None:
    """The highest metadata.version of the first answering broker of `host:port,…`; 0 if it knows none; None if none
    answers in plaintext."""
    return ask(bootstrap, _request(), _level, timeout)


def release(level: int) -> str:
    """The oldest release that knows this level: `3.6`; the newest one known here stands for all later ones."""
    return next((name for first, name in _RELEASES if level >= first), "before 3.0")


def _request() -> bytes:
    name, version = b"\x08forebay", b"\x020"  # compact strings: one longer than their length
    header = struct.pack(">hhih", _API_VERSIONS, _VERSION, _CORRELATION, 7) + b"forebay" + b"\0"
    body = header + name + version + b"\0"
    return struct.pack(">i", len(body)) + body


def _level(answer: Answer) -> int:
    answer.take(">i")  # correlation; this answer's header has no tags, whatever its version
    (error,) = answer.take(">h")
    if error:
        raise ValueError("refused")
    for _ in range(answer.varint() - 1):
        answer.take(">hhh")
        answer.tags()
    answer.take(">i")  # throttle time
    for _ in range(answer.varint()):
        tag, size = answer.varint(), answer.varint()
        if tag == 0:
            return _supported(answer)
        answer.skip(size)
    return 0


def _supported(answer: Answer) -> int:
    level = 0
    for _ in range(answer.varint() - 1):
        name = answer.text()
        _, highest = answer.take(">hh")
        answer.tags()
        level = highest if name == "metadata.version" else level
    return level
