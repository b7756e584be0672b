"""Between Airflow's words and forebay's: windows, identities, requests, and which errors are worth a retry."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from forebay.config.pipeline import Pipeline
from forebay.errors import ForebayError, RetryableError
from forebay.lineage.openlineage import lineage_run
from forebay.model import FileRun, Identity, Plan, Status, Window
from forebay.verbs.isolation import Step, attempt, failed
from forebay_airflow import nights

CURRENT, NEW = "current", "new"
"""Values of the param `generation`: what is published stays, or it is deliberately published again."""

ENDS = frozenset({Status.DONE, Status.REJECTED, Status.SKIPPED, Status.FAILED})

_LISTED = 20

_HOPELESS = ["forebay.errors.ConfigError", "forebay.errors.FatalError", "forebay.errors.QualityError"]


def retry_policy() -> ExceptionRetryPolicy:
    """Fail at once on what retrying cannot mend (settings, corrupt data, missing rights, quality); all else is
    retried."""
    reason = "forebay: the same call would fail again; mend what the message names, then clear the task"
    return ExceptionRetryPolicy(rules=[RetryRule(exception=[*_HOPELESS], action=RetryAction.FAIL, reason=reason)])


def window_of(context: Any, pipeline: Pipeline) -> Window:
    """The window of the run that a task context belongs to, by its logical date alone. Raises `ConfigError` when a
    person gave it another data interval."""
    run = context["dag_run"]
    moment = run.logical_date or run.run_after
    if trigger(run) == "manual" and run.data_interval_start is not None:
        nights.refuse_other_interval(pipeline, moment, run.run_after, (run.data_interval_start, run.data_interval_end))
    return nights.window(pipeline, moment)


def identity(context: Any) -> Identity:
    """Who publishes: this try of this task instance. The lineage run is the same for all tasks of the DAG run."""
    ti, run = context["ti"], context["dag_run"]
    return Identity(
        run_id=run.run_id,
        lineage_run=lineage_run(ti.dag_id, run.run_id),
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        map_index=ti.map_index,
        try_number=ti.try_number,
        backfill=trigger(run) == "backfill",
    )


def trigger(run: Any) -> str:
    """How the run began: scheduled, backfill, manual, asset…"""
    return str(getattr(run.run_type, "value", run.run_type))


def started(run: Any) -> datetime:
    """A plain `datetime`: Airflow's are pendulum's, whose ISO text and pickles need pendulum."""
    return datetime.fromtimestamp((run.start_date or run.run_after).timestamp(), UTC)


def each(
    files: Iterable[FileRun], verb: Step, *, known: Collection[str] | None = None
) -> tuple[list[FileRun], ForebayError | None]:
    """The verb on every file, and the error that the task must end with once it has handed the files on. A file's own
    error ends that file only.

    An error that may succeed later is the file's `error` until the retry. One that is the run's leaves it and the files
    behind it as they were. `known` as in `failed`.
    """
    done: list[FileRun] = []
    again: ForebayError | None = None
    todo = iter(files)
    for file in todo:
        try:
            after, error = attempt(file, [verb], known=known)
        except ForebayError as of_the_run:
            return [*done, file, *todo], of_the_run
        if isinstance(error, RetryableError):
            again = again or error
            done.append(file.but(error=error.message, again=True))
        else:
            done.append(failed(file, error) if error else after)
    return done, again


def unfinished(files: Iterable[FileRun]) -> tuple[FileRun, ...]:
    """The files as a run may end with them: what a failed task left half-way is FAILED and says so."""
    return tuple(f if f.status in ENDS else _left(f) for f in files)


def _left(file: FileRun) -> FileRun:
    what = (
        "the run stopped before it was inspected"
        if file.status is Status.DISCOVERED
        else f"the run stopped when it was {file.status.value}"
    )
    return file.but(status=Status.FAILED, error=file.error or f"{what} (see the failed task's log, then clear it)")


def waits_for(plan: Plan) -> str | None:
    """What the window still waits for, in words; None when it may be read."""
    from forebay.verbs.discover import note_of

    if plan.waits_for is None:
        return None
    late = set(plan.waits_for.files)
    files = [f"`{f.file.uri}`: {f.reason}" for f in plan.files if f.file.uri in late]
    return note_of(plan) or "; ".join(files[:_LISTED])


def lineage_transport() -> dict[str, Any] | None:
    """The OpenLineage transport that Airflow is configured with (`[openlineage] transport`), or None."""
    from airflow.sdk.configuration import conf

    text = conf.get("openlineage", "transport", fallback="")
    return json.loads(text) if text else None


def dump(files: Iterable[FileRun]) -> list[dict[str, Any]]:
    """Files as XCom carries them."""
    return [file.to_json() for file in files]


def read(value: Any) -> list[FileRun]:
    """Files of one XCom, of several, or of none (None); nested as mapping nests them."""
    if value is None:
        return []
    if isinstance(value, dict):
        return [FileRun.from_json(value)]
    return [file for part in value for file in read(part)]


def message(error: BaseException) -> str:
    return error.message if isinstance(error, ForebayError) else f"{type(error).__name__}: {error}"
