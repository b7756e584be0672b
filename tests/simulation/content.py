"""What is published in the simulation: files, the plans that cut them, and the records that come of them. All of it is
plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tests.simulation.client import Batch
from tests.simulation.world import Partition

FILE = -1  # the chunk number of a completion record
DATA = 2  # data partitions; the quarantine partition comes after them
Transaction = tuple[str, int]  # worker, and the number of its transaction


class Row(NamedTuple):
    """A data or quarantine record: the row's id, and the transaction that wrote it."""

    file: int
    row: int
    chunk: int
    transaction: Transaction

    @property
    def label(self) -> str:
        return f"row {self.row}"


class Range(NamedTuple):
    """Where a chunk's rows went in one partition, as its ledger record says; `first` is -1 where a report did not
    say."""

    partition: Partition
    first: int
    last: int
    records: int


class Entry(NamedTuple):
    """A ledger record; another pipeline's where `file` is negative."""

    file: int
    chunk: int
    lane: int
    plan: str
    of: int
    transaction: Transaction
    rows: tuple[int, ...]
    published: int
    quarantined: int
    ranges: tuple[Range, ...]
    attempted: float = 0.0

    @property
    def label(self) -> str:
        return "completion record" if self.chunk == FILE else f"record of chunk {self.chunk}"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a file's rows are cut into chunks, and these into batches of (partition number, rows). A function of the file
    and its own name."""

    name: str
    chunks: tuple[tuple[int, ...], ...]
    batches: tuple[tuple[tuple[int, tuple[int, ...]], ...], ...]
    quarantined: frozenset[int]


@dataclass(frozen=True, slots=True)
class File:
    """A file to publish, of `rows` rows (numbered from 1). `corrects` is the number of the file whose name it took."""

    number: int
    lane: int
    rows: int
    corrects: int | None = None

    @property
    def name(self) -> int:
        """Which name it has: a number."""
        return self.number if self.corrects is None else self.corrects


def plan_of(file: File, name: str, chunks: int, quarantined: frozenset[int]) -> Plan:
    """Cut the rows into chunks as equal as may be. A row's partition depends on the row alone, as a key's does."""
    size = -(-file.rows // chunks) or 1
    parts = tuple(
        tuple(range(1 + size * n, 1 + min(file.rows, size * (n + 1)))) for n in range(max(1, -(-file.rows // size)))
    )
    return Plan(name, parts, tuple(_cut(rows, quarantined) for rows in parts), quarantined)


def _cut(rows: tuple[int, ...], quarantined: frozenset[int]) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Batches of two rows at most, those of the data before those of the quarantine, as the driver produces them."""
    places = [DATA if row in quarantined else row * 7 // 3 % DATA for row in rows]
    found = []
    for place in range(DATA + 1):
        own = [row for row, at in zip(rows, places, strict=True) if at == place]
        found += [(place, tuple(own[n : n + 2])) for n in range(0, len(own), 2)]
    return tuple(found)


def batches_of(
    file: File, plan: Plan, chunk: int, transaction: Transaction, topics: Sequence[Partition]
) -> list[Batch]:
    """A chunk's records."""
    number = file.number
    return [
        Batch(topics[place], tuple(Row(number, row, chunk, transaction) for row in rows))  # fmt: one line a batch
        for place, rows in plan.batches[chunk]
    ]


def entry_of(
    file: File, plan: Plan, chunk: int, transaction: Transaction, batches: Sequence[Batch], now: float = 0.0
) -> Entry:
    """A chunk's ledger record, with the ranges that the delivery reports of `batches` tell."""
    rows = plan.chunks[chunk]
    quarantined = sum(row in plan.quarantined for row in rows)
    return Entry(
        file.number,
        chunk,
        file.lane,
        plan.name,
        len(plan.chunks),
        transaction,
        rows,
        len(rows) - quarantined,
        quarantined,
        ranges_of(batches),
        now,
    )


def ranges_of(batches: Sequence[Batch]) -> tuple[Range, ...]:
    """First and last offset, and number of records, for each partition; first is -1 as soon as one report told no
    offset."""
    found: dict[Partition, Range] = {}
    for batch in batches:
        first, last, count = batch.offset, batch.offset + len(batch.values) - 1, len(batch.values)
        old = found.get(batch.partition)
        if old is not None:
            first = min(old.first, first)
            last, count = max(old.last, last), old.records + count
        found[batch.partition] = Range(batch.partition, first, last, count)
    return tuple(found.values())


def completion_of(file: File, plan: Plan, known: Mapping[int, Entry], entry: Entry) -> Entry | None:
    """The file's completion record, its totals those of its chunks; None where they do not add up (the driver's
    `ReconcileError`)."""
    rows = [row for _, chunk in sorted(known.items()) for row in chunk.rows]
    published, quarantined = sum(e.published for e in known.values()), sum(e.quarantined for e in known.values())
    if len(known) != len(plan.chunks) or len(rows) != file.rows or published + quarantined != file.rows:
        return None
    return entry._replace(chunk=FILE, rows=tuple(rows), published=published, quarantined=quarantined, ranges=())
