"""What an independent consumer sees of generated rows (worker.py), compared with what must be there. Uses nothing of
forebay's client code."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.support.kafka import read_all

KEYS = 97


@dataclass
class ClusterFacts:
    """Anomalies by name; all empty means exactly once. Lists hold row numbers (a few of them)."""

    lost: list[int] = field(default_factory=list)
    duplicated: list[int] = field(default_factory=list)
    disordered: list[int] = field(default_factory=list)
    misplaced: list[int] = field(default_factory=list)
    quarantine_lost: list[int] = field(default_factory=list)
    quarantine_duplicated: list[int] = field(default_factory=list)
    ledger_duplicated: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    complete: bool = False

    @property
    def anomalies(self) -> dict[str, Any]:
        found = {name: value for name, value in vars(self).items() if name != "complete" and value}
        return found if self.complete else found | {"incomplete": True}


def look(
    config: dict[str, Any],
    pipeline: str,
    rows: int,
    partitions: int = 4,
    quarantine_every: int = 0,
    name: str | None = None,
) -> ClusterFacts:
    """Read everything committed and compare: each row once, in order within its partition, ledger ranges holding what
    they say.

    `name` looks at one of several generated files only.
    """
    seen = ClusterFacts()
    fp = "" if name is None else hashlib.sha256(name.encode()).hexdigest()
    records = [
        m
        for m in read_all(config, f"{pipeline}.data")
        if not fp or dict(m.headers())["ce_id"].startswith(fp[:16].encode())
    ]
    numbers = [json.loads(m.value())["row"] for m in records]
    aside = {n for n in range(1, rows + 1) if quarantine_every and n % quarantine_every == 0}
    counts = Counter(numbers)
    seen.lost = [n for n in range(1, rows + 1) if n not in aside and not counts[n]][:5]
    seen.duplicated = [n for n, times in counts.items() if times > 1][:5]
    last: dict[int, int] = {}
    for message, number in zip(records, numbers, strict=True):
        if last.get(message.partition(), 0) >= number:
            seen.disordered.append(number)
        last[message.partition()] = number
        if (
            message.partition() != number % KEYS % partitions
            or message.key() != b"%d" % (number % KEYS)
            or number in aside
        ):
            seen.misplaced.append(number)
    quarantined = [
        m for m in read_all(config, f"forebay.{pipeline}.quarantine") if m.key().startswith(fp[:16].encode())
    ]
    set_aside = Counter(json.loads(m.value())["row"] for m in quarantined)
    seen.quarantine_lost = [n for n in aside if not set_aside[n]][:5]
    seen.quarantine_duplicated = [n for n, times in set_aside.items() if times > 1 or n not in aside][:5]
    entries = [m for m in read_all(config, f"forebay.{pipeline}.ledger") if fp.encode() in m.key()]
    _ledger(seen, entries, records, rows)
    return seen


def _ledger(seen: ClusterFacts, entries: list[Any], records: list[Any], rows: int) -> None:
    """Each chunk once; its ranges hold exactly its rows; the completion record's totals are the sum."""
    keys = Counter(m.key() for m in entries)
    seen.ledger_duplicated = [k.decode() for k, times in keys.items() if times > 1]
    by_offset = {(m.partition(), m.offset()): json.loads(m.value())["row"] for m in records}
    total = 0
    for message in entries:
        value, chunk = json.loads(message.value()), json.loads(message.key())["chunk"]
        if chunk == "FILE":
            seen.complete = value["rows_in"] == rows == value["published"] + value["quarantined"]
            continue
        total += value["rows"]["in"]
        for place in value["outputs"]:
            inside = [by_offset.get((place["partition"], o)) for o in range(place["first"], place["last"] + 1)]
            own = [n for n in inside if n is not None and value["rows"]["first"] <= n <= value["rows"]["last"]]
            if len(own) != place["count"] or not place["complete"] or inside[0] not in own or inside[-1] not in own:
                seen.torn.append(f"chunk {chunk} partition {place['partition']}: {len(own)} of {place['count']}")
    if total != rows:
        seen.torn.append(f"ledger counts {total} rows of {rows}")
