"""What ledger, quarantine topic and this machine know of the rows that a replay repairs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from forebay.encoding.rows import ROW
from forebay.errors import ConfigError, LedgerError, ReconcileError
from forebay.kafka import proof
from forebay.kafka.ledger import owner as owners
from forebay.kafka.ledger import reader as ledgers
from forebay.kafka.ledger.reader import FileEntry
from forebay.model import Decision, Receipt
from forebay.verbs.context import Context
from forebay.verbs.inspect import work_left
from forebay.verbs.publish import ranges
from forebay.verbs.repair import Origin, numbers_of

if TYPE_CHECKING:
    from forebay.kafka.ledger.view import LedgerView


def known(
    ctx: Context, origin: Origin, path: Path, edited: set[int]
) -> tuple[FileEntry, set[int], set[int], str | None]:
    """The origin's completion record, its quarantined rows, those that were replayed, and, where the broker no longer
    has the rows, by what they are known."""
    with open_ledger(ctx) as view:
        entries = [entry for entry in view.by_fingerprint(origin.fingerprint) if entry.generation == origin.generation]
        if not entries:
            raise ConfigError(
                f"replaying `{path}`: generation {origin.generation} of content `{origin.fingerprint[:16]}` was never "
                "published by"
                f" `{ctx.pipeline.pipeline}` (only rows of published files can be replayed)"
            )
        receipts = view.receipts(origin.fingerprint, origin.generation)
        done = replayed_rows(view, entries[0])
        entry = replace(entries[0], completion=entries[0].completion.settled(view.columns()))
    aside = _on_topic(ctx, origin, receipts)
    if len(aside) == entry.quarantined:
        return entry, aside, done, None
    listed = work_left(ctx, entry.fingerprint).with_list(then(entry), entry.quarantined)
    if listed is not None:
        known_by = (
            "the quarantine topic no longer has these rows: which were quarantined is known from their list on "
            "this machine"
        )
        return entry, _listed_rows(listed.quarantine(then(entry))), done, known_by
    _refuse_too_many(entry, receipts, edited | done, path)
    known_by = (
        "neither the quarantine topic nor this machine has these rows any more: "
        "which they are is known from the edited file alone, within what "
        "the ledger counts"
    )
    return entry, edited | aside, done, known_by


def _on_topic(ctx: Context, origin: Origin, receipts: tuple[Receipt, ...]) -> set[int]:
    """The rows whose quarantine records are still there."""
    with proof.Prover(ctx.kafka) as prover:
        ids = proof.ids_of(origin.fingerprint, origin.generation)
        try:
            return set(prover.read((ranges(receipts, "quarantine"), ids), left=True).row_numbers)
        except ReconcileError:  # the topic was made anew since
            return set()


def then(entry: FileEntry) -> Decision:
    """The decision under which a content was published."""
    return Decision.PUBLISH_ALL if entry.completion.decision == Decision.PUBLISH_ALL.value else Decision.PUBLISH


def _listed_rows(path: Path) -> set[int]:
    import pyarrow.parquet as pq

    return set(pq.read_table(path, columns=[ROW])[ROW].to_pylist())


def _refuse_too_many(entry: FileEntry, receipts: tuple[Receipt, ...], rows: set[int], path: Path) -> None:
    """The ledger counts how many rows of each chunk were quarantined. Raises `ConfigError` for a file that names
    more."""
    left = set(rows)
    for chunk in receipts:
        inside = {row for row in left if chunk.first_row <= row <= chunk.last_row}
        left -= inside
        if len(inside) > chunk.quarantined:
            raise ConfigError(
                f"replaying `{path}`: it names {len(inside)} of the rows {chunk.first_row} to {chunk.last_row} of "
                f"`{entry.file.uri}`, of which"
                f" {chunk.quarantined} were quarantined (take out those that were published)"
            )
    if left:
        raise ConfigError(f"replaying `{path}`: `{entry.file.uri}` has no row {min(left)} (correct `__row`)")


@contextlib.contextmanager
def open_ledger(ctx: Context) -> Iterator[LedgerView]:
    """All that is committed; waits for transactions that are open on it."""
    reading = ledgers.LedgerReader(ctx.kafka, ctx.pipeline, keep=ctx.keep)
    try:
        if not reading.read_to(reading.watermarks(), ledgers.READ_TIMEOUT):
            raise LedgerError(ledgers.blocked(reading.topic, ledgers.READ_TIMEOUT), topic=reading.topic)
        owners.check(reading.view, ctx.pipeline, ctx.keep)
        yield reading.view
    finally:
        reading.close()


def replayed_rows(view: LedgerView, entry: FileEntry, but: str | None = None) -> set[int]:
    """Rows of a content that replays have published, as the ledger says; those of the replay `but` left out."""
    rows: set[int] = set()
    for replayed in view.replays(entry.file.uri):
        replay = replayed.completion.replay
        if (
            replay
            and (replay.fingerprint, replay.generation) == (entry.fingerprint, entry.generation)
            and replayed.fingerprint != but
        ):
            rows |= set(numbers_of(replay.rows))
    return rows
