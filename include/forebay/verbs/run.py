"""run: the whole way of one window without Airflow. The same verbs, called in a row; Airflow's tasks call them one by
one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from forebay.errors import FatalError, QualityError
from forebay.index import projection
from forebay.kafka import topics
from forebay.model import Answer, Decision, FileRun, Identity, RunReport, Status, Window
from forebay.verbs._answers import take
from forebay.verbs._reading import ready
from forebay.verbs.context import Context
from forebay.verbs.discover import GenerationRequest, discover, note_of, to_do
from forebay.verbs.hidden import shown
from forebay.verbs.inspect import inspect
from forebay.verbs.isolation import Step, attempt, failed
from forebay.verbs.publish import publish
from forebay.verbs.reconcile import reconcile
from forebay.verbs.session import session
from forebay.verbs.settle import settle


def new_run_id(window: Window) -> str:
    """A run id for a run by hand: the day it covers and the moment it began."""
    return f"manual__{window.day}__{datetime.now(UTC):%Y%m%dT%H%M%S%f}"


def run_window(
    ctx: Context,
    window: Window,
    *,
    run_id: str | None = None,
    trigger: str = "cli",
    generation: GenerationRequest | None = None,
    steward: Answer | None = None,
) -> RunReport:
    """Discover, inspect, gate, publish, reconcile, settle and report one window; returns the run as the index keeps it.

    A file that fails does not stop the others; the run's status is the worst of them, and `not ready` where the window
    is not complete or has no file. Errors that concern the run as a whole (broker, credentials, topics, index, a source
    that cannot be listed) are reported and raised.
    """
    run = RunReport(run_id or new_run_id(window), ctx.pipeline.pipeline, window, "running", trigger=trigger)
    ready()
    with session(ctx, run, first=lambda: prepare(ctx)) as work:
        plan = discover(ctx, window, run.run_id, generation=generation, keep_going=True)
        work.files = tuple(_whole_way(ctx, file, work.identity, steward) for file in plan.files)
        work.note, work.ready = note_of(plan), plan.ready
    return work.run


def prepare(ctx: Context) -> None:
    """Make sure of broker, credentials and topics before the first byte is read; raises what is wrong with them."""
    _ = ctx.cluster_id
    topics.ensure(ctx.kafka, ctx.pipeline)


def _whole_way(ctx: Context, file: FileRun, identity: Identity, steward: Answer | None) -> FileRun:
    if not to_do(file):
        return walk(ctx, file, [lambda f: settle(ctx, f)])
    steps: list[Step] = [
        lambda f: inspect(ctx, f),
        lambda f: _ask(ctx, f, steward),
        lambda f: publish(ctx, f, identity),
        lambda f: reconcile(ctx, f),
        lambda f: settle(ctx, f),
    ]
    return walk(ctx, file, steps)


def walk(ctx: Context, file: FileRun, steps: Iterable[Step]) -> FileRun:
    """The file after these steps, projected. What is wrong with one file makes it FAILED (`again` where trying again
    may help), and is not raised.

    What would fail every file alike is raised: a broker or an index that does not answer, faults of the pipeline
    (`isolation.py`).
    """
    file, error = attempt(file, steps, known=shown(ctx.pipeline))
    file = failed(file, error) if error else file
    projection.project_file(ctx.project.index, file)
    return file


def _ask(ctx: Context, file: FileRun, steward: Answer | None) -> FileRun:
    """Without Airflow nobody can be asked while the run waits: the file stays, unless the answer was given with the
    command."""
    if file.decision is not Decision.ASK:
        return file
    return take(ctx, file, steward) if steward else file.but(status=Status.WAITING)


def conclude(files: tuple[FileRun, ...]) -> None:
    """Raise for a run whose files did not all end well, so that nothing is green that is not.

    Raises `FatalError` naming each failed file, or `QualityError` for files that are held back.
    """
    lost = [f"`{f.file.uri}`: {f.error}" for f in files if f.status is Status.FAILED]
    if lost:
        raise FatalError(f"{len(lost)} of {len(files)} files failed: " + "; ".join(lost))
    waiting = [f"`{f.file.uri}`: {f.reason}" for f in files if f.status is Status.WAITING]
    if waiting:
        raise QualityError(f"{len(waiting)} of {len(files)} files are held back: " + "; ".join(waiting))
