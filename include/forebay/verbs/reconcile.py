"""reconcile: read the exact offset ranges again under read_committed and compare with the ledger. A mismatch fails the
run loudly."""

from __future__ import annotations

from forebay import events
from forebay.errors import ReconcileError
from forebay.index import projection
from forebay.kafka import reader, topics
from forebay.model import FileRun, Status
from forebay.verbs.context import Context


def reconcile(ctx: Context, file: FileRun) -> FileRun:
    """The same file, RECONCILED. Files that published nothing in this run pass through.

    Raises `ReconcileError` naming topic, partition and offsets where the topic does not hold what the ledger says.
    """
    if file.status is not Status.PUBLISHED:
        return file
    if file.rows_in != file.published + file.quarantined + file.rejected:
        raise ReconcileError(
            f"reconciling `{file.file.uri}`: {file.rows_in} rows in, but {file.published} published + "
            f"{file.quarantined} quarantined"
            f" + {file.rejected} rejected (this is a defect of forebay: keep the work folder `{file.work}`)"
        )
    prefix = f"{(file.fingerprint or '')[:16]}:{file.generation}:"
    with reader.RangeReader(ctx.kafka) as reading:
        carried = (
            file.headers or ctx.pipeline.record.headers
        )  # what they were published with, whatever the pipeline says now
        data = reading.count(file.outputs, None if carried == "none" else prefix)
        aside = reading.count(file.quarantine, prefix)  # quarantine records carry their ids in every profile
    counts = (*data, *aside)
    gone = _compacted(ctx, counts)
    for seen in counts:
        if seen not in gone:
            _compare(file, seen)
    _each_row_once(file, counts, all_there=not gone)
    _sums(file)
    missing = sum(seen.missing for seen in gone)
    note = f"{missing} of its records are gone already: the topic is compacted and keeps the last record of each key"
    done = file.but(status=Status.RECONCILED, notes=(*file.notes, note) if gone else file.notes)
    projection.project_file(ctx.project.index, done)
    events.emit(
        events.FILE_RECONCILED,
        uri=file.file.uri,
        records=file.published + file.quarantined,
        ranges=len(file.outputs) + len(file.quarantine),
    )
    return done


def _compacted(ctx: Context, counts: tuple[reader.RangeCount, ...]) -> tuple[reader.RangeCount, ...]:
    """Ranges that lack records because their topic is compacted; asked only where some are missing."""
    short = [seen for seen in counts if seen.missing and seen.range.complete]
    forgets = {topic: topics.compacted(ctx.kafka, topic) for topic in {seen.range.topic for seen in short}}
    return tuple(seen for seen in short if forgets[seen.range.topic])


def _compare(file: FileRun, seen: reader.RangeCount) -> None:
    place = seen.range
    if not place.complete:
        # a delivery report came without its offset (rule F16): the range is not known, the ledger record says so
        return
    if seen.found != place.count:
        raise ReconcileError(
            f"reconciling `{file.file.uri}`: `{place.topic}` partition {place.partition} offsets {place.first} to "
            f"{place.last} hold {seen.found}"
            f" records of it, the ledger says {place.count} (see: forebay ledger verify {file.pipeline})",
            topic=place.topic,
            partition=place.partition,
        )


def _each_row_once(file: FileRun, counts: tuple[reader.RangeCount, ...], *, all_there: bool = True) -> None:
    """By the ids in the headers: every row of the file is one record or one quarantined record, in file order within a
    partition."""
    import numpy as np

    if any(seen.rows is None for seen in counts):
        return
    found = np.zeros(file.rows_in + 1, np.bool_)
    for seen in counts:
        rows = seen.rows
        assert rows is not None
        wrong = rows[1:][np.diff(rows) <= 0] if len(rows) else rows
        wrong = wrong if len(wrong) else rows[(rows < 1) | (rows > file.rows_in)]
        wrong = wrong if len(wrong) else rows[found[rows]]
        if len(wrong):
            raise ReconcileError(
                f"reconciling `{file.file.uri}` row {wrong[0]}: it is twice, out of order or not of this file in "
                f"`{seen.range.topic}`"
                f" partition {seen.range.partition} (see: forebay ledger verify {file.pipeline})",
                row=int(wrong[0]),
            )
        found[rows] = True
    missing = np.flatnonzero(~found[1:]) + 1
    if len(missing) and all_there:
        raise ReconcileError(
            f"reconciling `{file.file.uri}` row {missing[0]} and {len(missing) - 1} more: no record of it is visible"
        )


def _sums(file: FileRun) -> None:
    for what, said, places in (
        ("published", file.published, file.outputs),
        ("quarantined", file.quarantined, file.quarantine),
    ):
        total = sum(place.count for place in places)
        if said != total:
            raise ReconcileError(
                f"reconciling `{file.file.uri}`: {said} rows {what}, but its ranges count {total}", uri=file.file.uri
            )
