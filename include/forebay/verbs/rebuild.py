"""The index once more, from the ledger and the stored verdicts."""

from __future__ import annotations

from datetime import UTC, datetime

from forebay.index import projection
from forebay.kafka.ledger import FileEntry, LedgerView
from forebay.model import Decision, Fate, FileRun, RunReport, Status, Window
from forebay.verbs.context import Context
from forebay.verbs.inspect import work_of
from forebay.verbs.ledger import read
from forebay.verbs.publish import ranges
from forebay.verbs.replay import merged


def rebuild(ctx: Context) -> int:
    """Forget what the index holds of the pipeline and project its ledger again; returns how many contents it has.

    What never reached the ledger (files that failed, were rejected or skipped) is not in it afterwards.
    """
    view = read(ctx)
    url = ctx.project.index
    projection.clear(url, ctx.pipeline.pipeline)
    runs: dict[str, RunReport] = {}
    replays: dict[tuple[str, str], list[FileRun]] = {}
    for entry in view.files.values():
        file = _file(ctx, view, entry)
        units = replays.setdefault((file.run_id, file.file.uri), [])
        units += [file] if file.replay else []
        projection.project_file(url, merged(units) if units else file)
        projection.project_receipts(url, file.pipeline, file.file.uri, file.run_id, view.receipts(entry.fingerprint, entry.generation))
        _verdict(ctx, file)
        runs.setdefault(file.run_id, _run(entry, file))
    for run in runs.values():
        projection.project_run(url, run)
    return len(view.files)


def _file(ctx: Context, view: LedgerView, entry: FileEntry) -> FileRun:
    receipts = view.receipts(entry.fingerprint, entry.generation)
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
        supersedes=done.supersedes,
        duplicate_of=done.duplicate_of,
        decision=Decision(done.decision) if done.decision else None,
        decided_by=done.decided_by,
        decision_reason=done.decision_reason,
        replay=done.replay,
        work=ctx.project.work(entry.pipeline, entry.fingerprint),
        rows_in=entry.rows_in,
        published=entry.published,
        quarantined=entry.quarantined,
        rejected=entry.rejected,
        outputs=ranges(receipts, "outputs"),
        quarantine=ranges(receipts, "quarantine"),
    )


def _window(ctx: Context, entry: FileEntry) -> Window:
    """The run's day: its completion record has it; records of an older version tell only when they were written."""
    window = entry.completion.window
    return window if window else Window.of_day(entry.attempted.date(), ctx.pipeline.timezone)


def _verdict(ctx: Context, file: FileRun) -> None:
    verdict = work_of(ctx, file.fingerprint or "").verdict()
    if verdict:
        projection.project_verdict(ctx.project.index, file, verdict)


def _run(entry: FileEntry, file: FileRun) -> RunReport:
    ended = entry.attempted.astimezone(UTC)
    return RunReport(
        file.run_id, file.pipeline, file.window, "done", started=_started(entry), ended=ended, trigger="rebuilt from the ledger"
    )


def _started(entry: FileEntry) -> datetime:
    return entry.attempted.astimezone(UTC)
