"""What generated rows must become, and what an independent consumer sees of them. Uses nothing of forebay."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from tests.harness.checker import Anomaly, Expectation, Record, check
from tests.harness.readers import KEYS, prefix_of, read, topics_of, value_of


def expected(name: str, rows: int, partitions: int, quarantine_every: int = 0, generation: int = 1) -> Expectation:
    """What the generated file of that name must become."""
    fingerprint = hashlib.sha256(name.encode()).hexdigest()
    prefix = prefix_of(fingerprint, generation)
    return Expectation(
        fingerprint=fingerprint,
        rows=rows,
        aside=frozenset(range(quarantine_every, rows + 1, quarantine_every)) if quarantine_every else frozenset(),
        key=lambda row: b"%d" % (row % KEYS),
        partition=lambda row: row % KEYS % partitions,
        value_ok=lambda row, value: value == value_of(prefix, row),
        generation=generation,
    )


def look(
    config: dict[str, Any],
    pipeline: str,
    rows: int,
    partitions: int = 4,
    quarantine_every: int = 0,
    name: str | None = None,
) -> list[Anomaly]:
    """Read everything committed and compare: none found means exactly once.

    `name` looks at one of several generated files; without it, nothing else may be there but the file of the default
    name.
    """
    want = expected(name or "file", rows, partitions, quarantine_every)
    records = read(config, topics_of(pipeline, f"{pipeline}.data"))
    return [*check(want, records), *([] if name else strangers(records, (want.prefix,)))]


def strangers(records: Iterable[Record], known: tuple[str, ...]) -> list[Anomaly]:
    """Records of rows whose ids begin with none of `known`."""
    alien = [r for r in records if r.topic != "ledger" and not r.ce_id.startswith(known)]
    return [Anomaly("aborted-read", "I3", f"{len(alien)} records of no file, such as {alien[0]}")] if alien else []


def kinds(anomalies: Iterable[Anomaly]) -> set[tuple[str, str]]:
    """The names of anomalies, each with the topic it was seen in."""
    return {(anomaly.name, anomaly.topic) for anomaly in anomalies}
