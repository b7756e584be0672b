"""reconcile: read the exact offset ranges again under read_committed and compare with the ledger. A mismatch fails the
run loudly."""

from __future__ import annotations

from forebay import events
from forebay.errors import ReconcileError
from forebay.index import projection
from forebay.kafka import proof
from forebay.model import FileRun, Status
from forebay.verbs.context import Context


def reconcile(ctx: Context, file: FileRun) -> FileRun:
    """The same file, RECONCILED. Files that published nothing in this run pass through.

    Raises `ReconcileError` naming topic, partition and offsets where the topic does not hold what the ledger says.
    """
    if file.status is not Status.PUBLISHED:
        return file
    if not file.counts.balanced:
        raise ReconcileError(
            f"reconciling `{file.file.uri}`: {file.counts.rows_in} rows in, but {file.counts.published} published + "
            f"{file.counts.quarantined} quarantined"
            f" + {file.counts.rejected} rejected (this is a defect of forebay: keep the work folder `{file.work}`)"
        )
    ids = proof.ids_of(file.fingerprint or "", file.generation)
    headers = (
        file.headers or ctx.pipeline.record.headers
    )  # what they were published with, whatever the pipeline says now
    with proof.Prover(ctx.kafka) as prover:
        reading = prover.read((file.outputs, None if headers == "none" else ids), (file.quarantine, ids))
    _compare(file, reading)
    _each_row_once(file, reading)
    _sums(file)
    gone = reading.compacted
    note = f"{gone} of its records are gone already: the topic is compacted and keeps the last record of each key"
    done = file.but(status=Status.RECONCILED, notes=(*file.notes, note) if gone else file.notes)
    projection.project_file(ctx.project.index, done)
    events.emit(
        events.FILE_RECONCILED,
        uri=file.file.uri,
        records=file.counts.published + file.counts.quarantined,
        ranges=len(file.outputs) + len(file.quarantine),
    )
    return done


def _compare(file: FileRun, reading: proof.Reading) -> None:
    if count := reading.difference:
        raise ReconcileError(
            f"reconciling `{file.file.uri}`: {proof.words(count)} (see: forebay ledger verify {file.pipeline})",
            topic=count.range.topic,
            partition=count.range.partition,
        )


def _each_row_once(file: FileRun, reading: proof.Reading) -> None:
    """By the ids in the headers: every row of the file is one record or one quarantined record, in file order within a
    partition."""
    if not reading.by_ids:
        return
    if misplaced := reading.misplaced(file.counts.rows_in):
        row, place = misplaced
        raise ReconcileError(
            f"reconciling `{file.file.uri}` row {row}: it is twice, out of order or not of this file in "
            f"`{place.topic}` partition {place.partition} (see: forebay ledger verify {file.pipeline})",
            row=row,
        )
    absent = reading.absent(file.counts.rows_in)
    if len(absent) and not reading.compacted:
        raise ReconcileError(
            f"reconciling `{file.file.uri}` row {absent[0]} and {len(absent) - 1} more: no record of it is visible"
        )


def _sums(file: FileRun) -> None:
    for what, said, places in (
        ("published", file.counts.published, file.outputs),
        ("quarantined", file.counts.quarantined, file.quarantine),
    ):
        total = sum(place.count for place in places)
        if said != total:
            raise ReconcileError(
                f"reconciling `{file.file.uri}`: {said} rows {what}, but its ranges count {total}", uri=file.file.uri
            )
