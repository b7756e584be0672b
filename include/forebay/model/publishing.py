"""What is published: chunks, and the places of their records."""

from __future__ import annotations

from dataclasses import dataclass, field

from forebay.model.json import Json


@dataclass(frozen=True, slots=True)
class OffsetRange(Json):
    """`count` records of ours between offsets `first` and `last` of a partition; others' records may lie between them.

    `complete` is False when a delivery report came without an offset (rule F16) and the range was repaired or is
    unknown.
    """

    topic: str
    partition: int
    first: int
    last: int
    count: int
    complete: bool = True


@dataclass(frozen=True, slots=True)
class ChunkPlan(Json):
    """Where a file is cut: chunk *i* holds the physical rows `[i * rows_per_chunk + 1, (i + 1) * rows_per_chunk]`.

    A pure function of the file's content and the plan's parameters; `plan_hash` names those parameters (rule C4).
    """

    rows_in: int
    rows_per_chunk: int
    plan_hash: str
    prints: dict[str, str] = field(default_factory=dict)
    """A few digits of each parameter's own hash, by its name: they tell which of them another plan has otherwise."""

    @property
    def chunks(self) -> int:
        return max(1, -(-self.rows_in // self.rows_per_chunk))

    def bounds(self, chunk: int) -> tuple[int, int]:
        """First and last row number of a chunk, both inclusive; an empty file's only chunk is (1, 0)."""
        return chunk * self.rows_per_chunk + 1, min(self.rows_in, (chunk + 1) * self.rows_per_chunk)


@dataclass(frozen=True, slots=True)
class Receipt(Json):
    """What a chunk became, copied from the ledger **after** commit."""

    fingerprint: str
    generation: int
    chunk: int
    of: int
    first_row: int
    last_row: int
    rows_in: int
    published: int
    quarantined: int
    outputs: tuple[OffsetRange, ...]
    quarantine: tuple[OffsetRange, ...]
    content_hash: str
    plan_hash: str
    headers: str = ""  # the profile that its records carry; empty where an earlier version wrote it


@dataclass(frozen=True, slots=True)
class Identity(Json):
    """Who publishes: written into ledger, headers and lineage of every chunk of one attempt. `lineage_run` is an
    OpenLineage run id (UUID)."""

    run_id: str
    lineage_run: str
    dag_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None
    try_number: int | None = None
    backfill: bool = False
