"""report: index, lineage and quality pages of a run. It runs always, and never hides a failure."""

from __future__ import annotations

import dataclasses
import logging
from datetime import UTC, datetime
from typing import Any

from forebay import events
from forebay.index import projection
from forebay.lineage import emit, openlineage
from forebay.lineage.facts import FileFacts, RunFacts
from forebay.model import FileRun, Identity, RunReport, Status
from forebay.verbs.alive import tell_interrupted
from forebay.verbs.context import Context
from forebay.verbs.inspect import work_of
from forebay.verbs.notices import notify_of_run
from forebay.verbs.prune import prune_quietly

_WORST = (("failed", Status.FAILED), ("held back", Status.WAITING))


def status_of(files: tuple[FileRun, ...]) -> str:
    """The worst of the files' ends: `failed`, `held back`, `rejected` or `done`; where all files
    are published already it is done."""
    ends = {file.status for file in files}
    for name, status in _WORST:
        if status in ends:
            return name
    return "rejected" if Status.REJECTED in ends else "done"


def begin(ctx: Context, run: RunReport, identity: Identity, transport: dict[str, Any] | None = None) -> None:
    """Project the run's beginning and send the START event."""
    tell_interrupted(ctx.project)
    projection.project_run(ctx.project.index, run)
    emit.send([openlineage.start(_facts(ctx, run, identity, None))], ctx.project.lineage, transport)
    events.emit(events.RUN_STARTED, run_id=run.run_id, pipeline=run.pipeline, day=run.window.day.isoformat())


def report(
    ctx: Context,
    run: RunReport,
    identity: Identity,
    error: str | None = None,
    transport: dict[str, Any] | None = None,
    *,
    ready: bool = True,
    interrupted: bool = False,
) -> RunReport:
    """The run as it ended: projected into the index, told to lineage, its quality pages indexed.

    `ready`: whether its window was; one that was not is no `done` run, but `not ready`. `interrupted`: a person or the
    machine ended it.
    """
    status = ("interrupted" if interrupted else "failed") if error else status_of(run.files)
    if status == "done" and not ready:
        status = "not ready"
    done = dataclasses.replace(run, status=status, ended=datetime.now(UTC), note=run.note or error)
    projection.project_run(ctx.project.index, done)
    projection.project_files(ctx.project.index, done.files)
    failures = [f.error for f in done.files if f.status is Status.FAILED and f.error]
    facts = _facts(ctx, done, identity, error or ("; ".join(failures) or None))
    emit.send([openlineage.end(facts)], ctx.project.lineage, transport)
    _index_docs(ctx, done)
    _quality_pages(ctx, done)
    prune_quietly(ctx)
    if status == "failed":
        notify_of_run(ctx, done, error or next(iter(failures), None))
    events.emit(events.RUN_ENDED, run_id=run.run_id, pipeline=run.pipeline, status=status, files=len(done.files))
    return done


def _quality_pages(ctx: Context, run: RunReport) -> None:
    """The night's page, its pipeline's and the index. Whatever is wrong with a page, the run stays what it was."""
    from forebay.verbs import history

    try:
        history.write(ctx, [run.window.day])
    except Exception as error:
        events.emit(
            events.PAGES_FAILED,
            level=logging.WARNING,
            pipeline=run.pipeline,
            error=type(error).__name__ if ctx.pipeline.quality.redact else f"{type(error).__name__}: {error}",
        )


def _facts(ctx: Context, run: RunReport, identity: Identity, error: str | None) -> RunFacts:
    p = ctx.pipeline
    cluster = str(ctx.kafka["bootstrap.servers"]).split(",")[0]
    files = tuple(_file_facts(ctx, file) for file in run.files)
    return RunFacts(
        p.pipeline, p.owner, run.window, identity, run.started, cluster, p.topic.name, p.quarantine_topic, files, error
    )


def _file_facts(ctx: Context, file: FileRun) -> FileFacts:
    if not file.fingerprint:
        return FileFacts(file)
    work = work_of(ctx, file.fingerprint, file.pins)
    stage = work.stage()
    return FileFacts(file, stage.columns if stage else (), work.verdict())


def _index_docs(ctx: Context, run: RunReport) -> None:
    if any(file.docs for file in run.files):
        from forebay.quality.docs import build_index

        build_index(ctx.project.reports / "data_docs", run.pipeline)
