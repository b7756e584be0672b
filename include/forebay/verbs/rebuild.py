"""The index once more, from the ledger and the stored verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from itertools import islice
from typing import TYPE_CHECKING

from forebay.index import projection
from forebay.kafka.ledger import owner
from forebay.kafka.ledger.reader import FileEntry
from forebay.model import Counts, Earlier, Fate, FileRun, Receipt, RunReport, Status, Window
from forebay.verbs._replay.publication import merged
from forebay.verbs.context import Context
from forebay.verbs.inspect import work_left
from forebay.verbs.ledger import opened
from forebay.verbs.publish import ranges

if TYPE_CHECKING:
    from forebay.kafka.ledger.view import LedgerView

BATCH = 500
"""Files projected in one transaction of the index."""

Replays = dict[tuple[str, str], list[FileRun]]
"""What a run replayed of a file."""


def rebuild(ctx: Context) -> int:
    """Forget what the index holds of the pipeline and project its ledger again; returns how many contents it has.

    What never reached the ledger (files that failed, were rejected or skipped) is not in it afterwards.
    """
    url, count = ctx.project.index, 0
    runs: dict[str, RunReport] = {}
    replays: Replays = {}
    with opened(ctx) as view:
        owner.check(view, ctx.pipeline, ctx.keep)
        projection.clear(url, ctx.pipeline.pipeline)
        entries = view.entries()
        while batch := list(islice(entries, BATCH)):
            _project(ctx, view, batch, runs, replays)
            count += len(batch)
    for run in runs.values():
        projection.project_run(url, run)
    return count


def _project(
    ctx: Context, view: LedgerView, entries: list[FileEntry], runs: dict[str, RunReport], replays: Replays
) -> None:
    url = ctx.project.index
    units = [(_file(ctx, entry, receipts), receipts) for entry, receipts in _with_receipts(view, entries)]
    projection.project_published(url, ((_merged(file, replays), receipts) for file, receipts in units))
    for file, _ in units:
        _verdict(ctx, file)
    for entry, (file, _) in zip(entries, units, strict=True):
        runs[file.run_id] = _told(runs.get(file.run_id), entry, file)


def _with_receipts(view: LedgerView, entries: list[FileEntry]) -> Iterator[tuple[FileEntry, tuple[Receipt, ...]]]:
    return ((entry, view.receipts(entry.fingerprint, entry.generation)) for entry in entries)


def _merged(file: FileRun, replays: Replays) -> FileRun:
    """The units of one replay are one file of their run."""
    if not file.replay:
        return file
    units = replays.setdefault((file.run_id, file.file.uri), [])
    units.append(file)
    return merged(units)


def _file(ctx: Context, entry: FileEntry, receipts: tuple[Receipt, ...]) -> FileRun:
    done = entry.completion
    return FileRun(
        run_id=entry.identity.run_id,
        pipeline=entry.pipeline,
        window=_window(ctx, entry),
        file=entry.file,
        fate=Fate.CHANGED if done.supersedes else Fate.NEW,
        reason=done.reason or "from the ledger",
        status=Status.DONE,
        fingerprint=entry.fingerprint,
        generation=entry.generation,
        earlier=Earlier(done.supersedes, done.duplicate_of),
        answer=done.answer,
        replay=done.replay,
        origin=entry.replays,
        work=ctx.project.work(entry.pipeline, entry.fingerprint),
        counts=Counts(entry.rows_in, entry.published, entry.quarantined, entry.rejected),
        outputs=ranges(receipts, "outputs"),
        quarantine=ranges(receipts, "quarantine"),
    )


def _window(ctx: Context, entry: FileEntry) -> Window:
    """The run's day: its completion record has it; records of an older version tell only when they were written."""
    window = entry.completion.window
    return window if window else Window.of_day(entry.attempted.date(), ctx.pipeline.timezone)


def _verdict(ctx: Context, file: FileRun) -> None:
    verdict = work_left(ctx, file.fingerprint or "").verdict()
    if verdict:
        projection.project_verdict(ctx.project.index, file, verdict)


def _told(run: RunReport | None, entry: FileEntry, file: FileRun) -> RunReport:
    """A run lasts from its first file to its last one."""
    at = entry.attempted.astimezone(UTC)
    if run is None:
        return RunReport(
            file.run_id, file.pipeline, file.window, "done", started=at, ended=at, trigger="rebuilt from the ledger"
        )
    return replace(run, started=min(run.started, at), ended=max(run.ended or at, at))
