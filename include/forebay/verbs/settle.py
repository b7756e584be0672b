"""settle: finish a file at its source, once its records are proved."""

from __future__ import annotations

from typing import Any

from forebay import events, registry
from forebay.contracts import Settlement
from forebay.errors import FileChangedError
from forebay.index import projection
from forebay.model import Fate, FileRun, Status
from forebay.verbs.context import Context
from forebay.verbs.resume import resumed


def settle(ctx: Context, file: FileRun) -> FileRun:
    """Archive, delete or keep a reconciled file, and say so in `settled`; its status is `DONE` then. Idempotent.

    A file that an earlier run published, and that still lies at its source, is settled too. Where that run ended before
    it had read its records back, this one does (resume.py); without such a proof nothing is done that cannot be
    undone. All others are left as they are. If another version lies there by now, it is left in place: the next
    discovery gives it its own fate. Raises `SourceUnavailableError`, `NotAuthorizedError`, `ReconcileError`.
    """
    if file.status is not Status.RECONCILED and not _found_again(file):
        return file
    if _found_again(file) and (earlier := resumed(ctx, file)):
        return _of_earlier(ctx, file, settle(ctx, earlier))
    settlement = _settlement(ctx)
    if file.status is not Status.RECONCILED and not settlement.reversible:
        return file.but(
            settled="left in place: an earlier run published it, and only the run that proves the records deletes"
        )
    settled = _settle(ctx, settlement, file)
    events.emit(events.FILE_SETTLED, uri=file.file.uri, outcome=settled)
    return file.but(settled=settled, status=Status.DONE if file.status is Status.RECONCILED else file.status)


def _of_earlier(ctx: Context, file: FileRun, earlier: FileRun) -> FileRun:
    """This run's account of a file that it brought to its end for an earlier run."""
    projection.project_file(ctx.project.index, earlier)
    proved = f"{earlier.counts.published + earlier.counts.quarantined} records are proved and settled now"
    return file.but(settled=earlier.settled, reason=f"{file.reason}; that run was cut short, its {proved}")


def _found_again(file: FileRun) -> bool:
    return file.fate is Fate.PUBLISHED and file.status is Status.SKIPPED and file.settled is None


def _settlement(ctx: Context) -> Settlement[Any]:
    section = ctx.pipeline.settle
    plugin = registry.find("settlements", section.type)
    settlement: Settlement[Any] = plugin(plugin.Config(**section.options))
    return settlement


def _settle(ctx: Context, settlement: Settlement[Any], file: FileRun) -> str:
    try:
        return settlement.settle(ctx.source, file.file, file.window.day.isoformat())
    except FileChangedError:
        return "left in place: it changed or vanished since it was read"
