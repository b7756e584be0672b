"""decide: a person's answer for files that wait, and the rest of their way in a run of its own, where there is no
Airflow to ask."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby

from forebay.config.home import Project
from forebay.errors import ConfigError, FatalError, FileChangedError, ForebayError
from forebay.index import answers, projection, queries
from forebay.model import Answer, FileRun, Identity, RunReport, Status, Window
from forebay.verbs._answers import not_settled_otherwise, take, told_of
from forebay.verbs.context import Context
from forebay.verbs.gate import answer
from forebay.verbs.inspect import fetch, judges, work_of
from forebay.verbs.isolation import Step
from forebay.verbs.publish import publish, published
from forebay.verbs.reconcile import reconcile
from forebay.verbs.resume import receipts_of
from forebay.verbs.run import prepare, walk
from forebay.verbs.session import session
from forebay.verbs.settle import settle

__all__ = [
    "TRIGGER",
    "before",
    "carried_out",
    "decide",
    "given",
    "new_run_id",
    "not_settled_otherwise",
    "take",
    "told_of",
    "waiting",
]

TRIGGER = "decision"


def waiting(project: Project, pipeline: str | None = None, name: str | None = None) -> list[FileRun]:
    """Files that are held back, oldest first; `name` is the end of the uri or the beginning of the sha256."""
    return queries.waiting(project.index, pipeline, name)


def given(project: Project, file: FileRun) -> Answer | None:
    """The answer that a file got which waits all the same: whoever gave it was cut short."""
    return answers.given(project.index, file)


def before(project: Project, file: FileRun) -> Answer | None:
    """The last answer to an earlier question about the same content: its day was run again since."""
    return answers.before(project.index, file)


def decide(ctx: Context, files: Sequence[FileRun], steward: Answer, name: str | None = None) -> list[RunReport]:
    """Take the answer for files of `waiting` and go on with publish, reconcile, settle and report: one run a day,
    linked to the first (`follows`).

    A file whose bytes, or whose pipeline or suite, are no longer those that were inspected is FAILED with the reason,
    and goes on waiting; so is one that another answer came before, or that another run has published meanwhile.
    Repeating a decision that was cut short completes it. Raises `FatalError` when none waits because the last answer
    (to files of that `name`) was another's; `ConfigError` when there is no file or no reason; errors that concern the
    run as a whole are reported and raised.
    """
    if not files:
        raise _nothing_waits(ctx, name)
    for file in files:
        answer(file, steward)
    prepare(ctx)
    ordered = sorted(files, key=lambda f: (f.window.start, f.file.uri))
    return [_run(ctx, window, list(group), steward) for window, group in groupby(ordered, key=lambda f: f.window)]


def _nothing_waits(ctx: Context, name: str | None) -> ForebayError:
    here = f"deciding for `{ctx.pipeline.pipeline}`: no file waits"
    done = answers.last(ctx.project.index, ctx.pipeline.pipeline, name)
    if done:
        return FatalError(f"{here} any more; " + "; ".join(f"`{uri}`: {told_of(answer)}" for uri, answer in done))
    return ConfigError(f"{here} (those that do: forebay waiting)")


def carried_out(ctx: Context, file: FileRun) -> FileRun | None:
    """A decided file, PUBLISHED, if the ledger has all of it: the same was answered elsewhere, and done there. Neither
    source nor stage is asked for, which may be gone."""
    if file.status is not Status.INSPECTED:
        return None
    receipts = receipts_of(ctx, file.fingerprint or "", file.generation)
    return published(ctx, file, receipts) if receipts else None


def new_run_id(window: Window) -> str:
    """The run of a decision: the day it is about and the moment it was taken."""
    return f"decision__{window.day}__{datetime.now(UTC):%Y%m%dT%H%M%S%f}"


def _run(ctx: Context, window: Window, files: list[FileRun], steward: Answer) -> RunReport:
    run_id = new_run_id(window)
    origins = ", ".join(f"`{run}`" for run in sorted({file.run_id for file in files}))
    note = f"decision on {len(files)} file(s) of run {origins}"
    run = RunReport(run_id, ctx.pipeline.pipeline, window, "running", trigger=TRIGGER, note=note)
    with session(ctx, run) as work:
        work.files = tuple(
            _whole_way(ctx, file.but(run_id=run_id, follows=file.run_id), work.identity, steward) for file in files
        )
    return work.run


def _whole_way(ctx: Context, file: FileRun, identity: Identity, steward: Answer) -> FileRun:
    """A file that cannot be decided any more does not stop the others."""
    steps: list[Step] = [
        lambda f: _still_the_same(ctx, f),
        lambda f: take(ctx, f, steward),
        lambda f: publish(ctx, f, identity),
        lambda f: not_settled_otherwise(ctx, f),  # another owner may have come between; the ledger's word is the last
        lambda f: reconcile(ctx, f),
        lambda f: settle(ctx, f),
    ]
    return walk(ctx, file, steps)


def _still_the_same(ctx: Context, file: FileRun) -> FileRun:
    """What the person saw is what is decided: the same bytes, read and checked by the same settings. Raises
    `FileChangedError`."""
    name = file.file.uri
    try:
        fetch(ctx, file)
    except FileChangedError as error:
        raise FileChangedError(
            f"deciding for `{name}`: it is no longer the file that was inspected: {error.message} (run its day again)",
            uri=name,
        ) from error
    work = work_of(ctx, file.fingerprint or "", file.pins)
    verdict = work.verdict()
    if work.stage() is None or (judges(ctx) and verdict is None):
        raise FileChangedError(
            f"deciding for `{name}`: the pipeline or its suite has changed since it was inspected, "
            "or this machine has no copy of the result"
            f" (run its day again: forebay run {file.pipeline} --date {file.window.day})",
            uri=name,
        )
    if verdict:
        projection.project_verdict(ctx.project.index, file, verdict)
    return file
