"""decide: a person's answer for files that wait, and the rest of their way in a run of its own, where there is no Airflow to ask."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby

from forebay.config.home import Project
from forebay.errors import ConfigError, FatalError, FileChangedError, ForebayError
from forebay.index import projection, queries
from forebay.kafka.ledger import FileEntry
from forebay.lineage.openlineage import lineage_run
from forebay.model import Decision, FileRun, Identity, RunReport, Window
from forebay.verbs import report as reporting
from forebay.verbs.context import Context
from forebay.verbs.discover import open_ledger
from forebay.verbs.gate import answer
from forebay.verbs.inspect import fetch, judges, work_of
from forebay.verbs.publish import publish
from forebay.verbs.reconcile import reconcile
from forebay.verbs.run import Answer, Step, prepare, walk
from forebay.verbs.settle import settle

TRIGGER = "decision"


def waiting(project: Project, pipeline: str | None = None, name: str | None = None) -> list[FileRun]:
    """Files that wait for a person, oldest first; `name` is the end of the uri or the beginning of the sha256."""
    return queries.waiting(project.index, pipeline, name)


def decide(ctx: Context, files: Sequence[FileRun], steward: Answer) -> list[RunReport]:
    """Take the answer for files of `waiting` and go on with publish, reconcile, settle and report: one run a day, linked to the first (`follows`).

    A file whose bytes, or whose pipeline or suite, are no longer those that were inspected is FAILED with the reason, and goes on waiting;
    so is one that another run has published meanwhile by another decision. Repeating a decision that was cut short completes it.
    Raises `ConfigError` when there is no file or no reason; errors that concern the run as a whole are reported and raised.
    """
    if not files:
        raise ConfigError(f"deciding for `{ctx.pipeline.pipeline}`: no file waits (forebay waiting lists those that do)")
    answered = [(file, answer(file, *steward, at=datetime.now(UTC))) for file in files]
    prepare(ctx)
    ordered = sorted((new for _, new in answered), key=lambda f: (f.window.start, f.file.uri))
    return [_run(ctx, window, list(group)) for window, group in groupby(ordered, key=lambda f: f.window)]


def new_run_id(window: Window) -> str:
    """The run of a decision: the day it is about and the moment it was taken."""
    return f"decision__{window.day}__{datetime.now(UTC):%Y%m%dT%H%M%S%f}"


def _run(ctx: Context, window: Window, files: list[FileRun]) -> RunReport:
    run_id = new_run_id(window)
    origins = sorted({file.run_id for file in files})
    note = f"decision on {len(files)} file(s) of run {', '.join(f'`{one}`' for one in origins)}"
    run = RunReport(run_id, ctx.pipeline.pipeline, window, "running", trigger=TRIGGER, note=note)
    identity = Identity(run_id, lineage_run(run.pipeline, run_id))
    reporting.begin(ctx, run, identity)
    try:
        done = tuple(_whole_way(ctx, file.but(run_id=run_id, follows=file.run_id), identity) for file in files)
    except ForebayError as error:
        reporting.report(ctx, run, identity, error=error.message)
        raise
    return reporting.report(ctx, dataclasses.replace(run, files=done), identity)


def _whole_way(ctx: Context, file: FileRun, identity: Identity) -> FileRun:
    """A file that cannot be decided any more does not stop the others."""
    steps: list[Step] = [
        lambda f: _still_the_same(ctx, f),
        lambda f: not_settled_otherwise(ctx, f),
        lambda f: publish(ctx, f, identity),
        lambda f: not_settled_otherwise(ctx, f),  # another owner may have come between; the ledger's word is the last
        lambda f: reconcile(ctx, f),
        lambda f: settle(ctx, f),
    ]
    return walk(ctx, file, steps)


def _still_the_same(ctx: Context, file: FileRun) -> FileRun:
    """What the person saw is what is decided: the same bytes, read and checked by the same settings. Raises `FileChangedError`."""
    name = file.file.uri
    try:
        fetch(ctx, file)
    except FileChangedError as error:
        raise FileChangedError(
            f"deciding for `{name}`: it is no longer the file that was inspected: {error.message} (run its day again)", uri=name
        ) from error
    work = work_of(ctx, file.fingerprint or "")
    verdict = work.verdict()
    if work.stage() is None or (judges(ctx) and verdict is None):
        raise FileChangedError(
            f"deciding for `{name}`: the pipeline or its suite has changed since it was inspected, or this machine has no copy of the result"
            f" (run its day again: forebay run {file.pipeline} --date {file.window.day})",
            uri=name,
        )
    if verdict:
        projection.project_verdict(ctx.project.index, file, verdict)
    return file


def not_settled_otherwise(ctx: Context, file: FileRun) -> FileRun:
    """The file itself. Raises `FatalError` when the ledger has its content already by another decision, or a part of it and this one rejects."""
    entry, begun = _published(ctx, file)
    if entry is None:
        if begun and file.decision is Decision.REJECT:
            raise FatalError(
                f"deciding for `{file.file.uri}`: a part of it is published already, and cannot be rejected any more"
                f" (answer with publish or publish all, as before; forebay ledger show {file.pipeline})",
                uri=file.file.uri,
            )
        return file
    same = entry.completion.decision == str(file.decision) and entry.completion.decision_reason == file.decision_reason
    if not same:
        raise FatalError(
            f"deciding for `{file.file.uri}`: run `{entry.identity.run_id}` has published it meanwhile"
            f" (decision: {entry.completion.decision}, by {entry.completion.decided_by or 'nobody'}; forebay trace {file.file.name})",
            uri=file.file.uri,
        )
    return file


def _published(ctx: Context, file: FileRun) -> tuple[FileEntry | None, bool]:
    """The completion record of this content and generation, if there is one by now, and whether any chunk of it is committed."""
    fingerprint = file.fingerprint or ""
    with open_ledger(ctx) as ledger:
        found = next((entry for entry in ledger.by_fingerprint(fingerprint) if entry.generation == file.generation), None)
        return found, file.generation in ledger.started(fingerprint)
