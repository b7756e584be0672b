"""The ledger seen and proved: what was published, and the same read again from the topic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forebay.errors import ReconcileError
from forebay.kafka import proof
from forebay.kafka.ledger import backup, owner
from forebay.kafka.ledger import reader as ledger_reader
from forebay.kafka.ledger.reader import FileEntry
from forebay.model import Json, JsonDict
from forebay.verbs.context import Context

if TYPE_CHECKING:
    from forebay.kafka.ledger.view import LedgerView


@dataclass(frozen=True, slots=True)
class Proof(Json):
    """One published content, and whether its offset ranges hold exactly its records, as far as the topic keeps them.

    `published + quarantined == found + expired + compacted` where there is no `problem`.
    """

    uri: str
    fingerprint: str
    generation: int
    published: int
    quarantined: int
    present: int
    problem: str | None = None
    expired: int = 0  # records that the topic's retention has taken
    compacted: int = 0  # records that are gone from a compacted topic, where later ones of their keys stay

    def to_json(self) -> JsonDict:
        """By the names that `ledger verify --json` has always had."""
        return {"found" if name == "present" else name: value for name, value in Json.to_json(self).items()}


def export(ctx: Context, to: Path) -> int:
    """Write the ledger to a file; returns how many records."""
    return backup.export(ctx.kafka, ctx.pipeline, to)


def restore(ctx: Context, source: Path) -> backup.Restored:
    """Bring an exported ledger back."""
    return backup.restore(ctx.kafka, ctx.pipeline, source, ctx.keep)


def accept(ctx: Context, reason: str) -> str | None:
    """Go on with the ledger topic as it is; returns its id, None when there is none and a new one may begin."""
    return ledger_reader.accept(ctx.kafka, ctx.pipeline, ctx.keep, reason)


def take(ctx: Context, who: str, reason: str) -> str | None:
    """Go on with a ledger that another project, or this one before a change, wrote last; returns its topic then, None
    when it is ours already."""
    before = owner.take(ctx.kafka, ctx.pipeline, ctx.keep, who, reason)
    return before.topic if before else None


def opened(ctx: Context) -> AbstractContextManager[LedgerView]:
    """The whole ledger of the pipeline, read by its local copy."""
    return ledger_reader.opened(ctx.kafka, ctx.pipeline, ctx.keep)


def unfinished(view: LedgerView) -> Iterator[dict[str, Any]]:
    """Contents of which chunks are committed without the completion record: a publish was cut short, a retry goes on
    with it."""
    for chunks in view.unfinished():
        chunk = next(iter(chunks.values()))
        yield {
            "uri": chunk.file.uri,
            "fingerprint": chunk.receipt.fingerprint,
            "generation": chunk.receipt.generation,
            "chunks": sorted(chunks),
        }


def verify(ctx: Context, view: LedgerView) -> Iterator[Proof]:
    """Read every range of every complete content again under read_committed and count."""
    with proof.Prover(ctx.kafka) as prover:
        for entry in view.entries():
            yield _prove(prover, view, entry)


def _prove(prover: proof.Prover, view: LedgerView, entry: FileEntry) -> Proof:
    receipts = view.receipts(entry.fingerprint, entry.generation)
    data = [place for receipt in receipts for place in receipt.outputs]
    aside = [place for receipt in receipts for place in receipt.quarantine]
    content = (entry.file.uri, entry.fingerprint, entry.generation, entry.published, entry.quarantined)
    try:
        reading = prover.read(([*data, *aside], None), left=True)
    except ReconcileError as error:
        return Proof(*content, present=0, problem=error.message)
    problem, rows = None, sum(receipt.rows_in for receipt in receipts)
    if count := reading.difference:
        problem = proof.words(count)
    elif rows != entry.rows_in:
        problem = f"its chunks count {rows} rows, its completion record {entry.rows_in}"
    return Proof(
        *content, present=reading.present, problem=problem, expired=reading.expired, compacted=reading.compacted
    )
