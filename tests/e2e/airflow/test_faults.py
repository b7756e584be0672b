"""Layer 3 of the proof: harm done to a real Airflow while it publishes. Consumers must see each row once, and people a
state they understand.

Most of a trial's time is waiting, so the trials of the selected tests run side by side, each with a pipeline of its
own; each test looks at its trial's outcome. Where a scheduler is killed, or backfills are made, nothing else runs.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psutil
import pytest

from airflow_api import AirflowError
from tests.e2e.airflow.lab import NIGHT, Lab, Trial, gone, until
from tests.harness.checker import Anomaly

pytestmark = [pytest.mark.airflow, pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

AT_ONCE = 4


@dataclass(frozen=True)
class Outcome:
    """What a trial left behind. `facts` are what its test asks about beside it."""

    state: str
    anomalies: list[Anomaly]
    facts: dict[str, Any]


Body = Callable[[Trial], Outcome]
TRIALS: dict[str, tuple[str, Body]] = {}


def body(test: str, pipeline: str) -> Callable[[Body], Body]:
    """The trial whose outcome the test of that name looks at."""

    def register(function: Body) -> Body:
        TRIALS[test] = pipeline, function
        return function

    return register


@pytest.fixture(scope="module")
def trials(lab: Lab, request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Outcome]]]:
    names = [item.name for item in request.session.items if item.path == request.path and item.name in TRIALS]

    def run(pipeline: str, function: Body) -> Outcome:
        trial = lab.trial(pipeline)
        try:
            return function(trial)
        finally:
            trial.close()

    pool = ThreadPoolExecutor(AT_ONCE)
    yield {name: pool.submit(run, *TRIALS[name]) for name in names}
    pool.shutdown(wait=False, cancel_futures=True)  # their tests have waited for them, or were interrupted


@pytest.fixture
def outcome(trials: dict[str, Future[Outcome]], request: pytest.FixtureRequest) -> Outcome:
    return trials[request.node.name].result()


def completed(trial: Trial, run: str, **facts: Any) -> Outcome:
    state = trial.ended([run])
    facts["tries"], facts["tasks"], facts["failures"] = trial.tries(run), trial.tasks(run), trial.failures(run)
    return Outcome(state, trial.anomalies(), facts)


# ---- the task, its supervisor, its heartbeat


@body("test_a_killed_publish_is_completed_by_its_retry", "task-killed")
def task_killed(trial: Trial) -> Outcome:
    trial.night()
    (run,) = trial.backfill()
    trial.in_the_middle(run).kill()
    return completed(trial, run)


def test_a_killed_publish_is_completed_by_its_retry(outcome: Outcome) -> None:
    assert outcome.state == "success", outcome.facts
    assert outcome.anomalies == []
    assert outcome.facts["tries"]["publish[0]"] == 2


@body("test_a_publish_dies_with_its_supervisor_and_is_completed_by_its_retry", "supervisor-killed")
def supervisor_killed(trial: Trial) -> Outcome:
    trial.night()
    (run,) = trial.backfill()
    task = trial.in_the_middle(run)
    psutil.Process(task.ppid()).kill()
    return completed(trial, run, died=gone(task, 3))


def test_a_publish_dies_with_its_supervisor_and_is_completed_by_its_retry(outcome: Outcome) -> None:
    """Without `guard.die_with_parent` it lives on beside its retry (tests/dags/test_guard.py has the control)."""
    assert outcome.facts["died"]
    assert outcome.state == "success", outcome.facts
    assert outcome.anomalies == []
    assert outcome.facts["tries"]["publish[0]"] == 2


def _second_try(trial: Trial, run: str) -> bool:
    return any(
        ti["task_id"] == "publish" and ti["try_number"] == 2 and ti["state"] == "running"
        for ti in trial.airflow.task_instances(trial.name, run)
    )


@body("test_a_first_try_that_wakes_after_its_second_has_published_changes_nothing", "zombie")
def zombie(trial: Trial) -> Outcome:
    trial.night()
    (run,) = trial.backfill()
    task = trial.in_the_middle(run)
    supervisor = psutil.Process(task.ppid())
    task.suspend()
    supervisor.suspend()
    try:
        until(lambda: _second_try(trial, run), "the second try never ran")
        both = task.is_running() and task.status() == psutil.STATUS_STOPPED
        state = trial.ended([run])
    finally:
        task.resume()
        supervisor.resume()
    died = gone(task, 60)
    return Outcome(
        state,
        trial.anomalies(),
        {"both": both, "died": died, "tries": trial.tries(run), "failures": trial.failures(run)},
    )


@pytest.mark.long
def test_a_first_try_that_wakes_after_its_second_has_published_changes_nothing(outcome: Outcome) -> None:
    """It held its lane's lock and an open transaction; the second try waits for as long as a transaction may take, then
    fences it."""
    assert outcome.facts["both"]
    assert outcome.state == "success", outcome.facts
    assert outcome.anomalies == []
    assert outcome.facts["tries"]["publish[0]"] == 2
    assert outcome.facts["died"]


@body("test_a_publish_whose_supervisor_fell_silent_is_not_published_again", "heartbeat-lost")
def heartbeat_lost(trial: Trial) -> Outcome:
    trial.night()
    (run,) = trial.backfill()
    task = trial.in_the_middle(run)
    supervisor = psutil.Process(task.ppid())
    supervisor.suspend()
    try:
        until(lambda: _second_try(trial, run), "the second try never ran")
        both = task.is_running() and task.status() != psutil.STATUS_ZOMBIE
        state = trial.ended([run])
    finally:
        supervisor.resume()
    died = gone(task, 60)
    return Outcome(
        state,
        trial.anomalies(),
        {"both": both, "died": died, "tries": trial.tries(run), "failures": trial.failures(run)},
    )


def test_a_publish_whose_supervisor_fell_silent_is_not_published_again(outcome: Outcome) -> None:
    """The first try published all, and nobody heard of it; the second one asks the ledger."""
    assert outcome.facts["both"]
    assert outcome.state == "success", outcome.facts
    assert outcome.anomalies == []
    assert outcome.facts["tries"]["publish[0]"] == 2
    assert outcome.facts["died"]


# ---- what people click


@body("test_a_publish_that_is_cleared_publishes_nothing_again", "cleared")
def cleared(trial: Trial) -> Outcome:
    trial.night()
    (run,) = trial.backfill()
    first, before = trial.ended([run]), trial.visible()
    trial.airflow.clear_task(trial.name, run, "publish")
    return completed(trial, run, first=first, before=before, after=trial.visible(), files=trial.files(run))


def test_a_publish_that_is_cleared_publishes_nothing_again(outcome: Outcome) -> None:
    assert outcome.facts["first"] == outcome.state == "success", outcome.facts
    assert outcome.anomalies == []
    assert outcome.facts["tries"]["publish[0]"] == 2
    assert outcome.facts["before"] == outcome.facts["after"]
    assert {file["status"] for file in outcome.facts["files"].values()} == {"done"}


@body("test_a_publish_marked_as_success_while_it_ran_leaves_a_failed_run_that_says_so", "marked-success")
def marked_success(trial: Trial) -> Outcome:
    trial.night()
    (run,) = trial.backfill()
    task = trial.in_the_middle(run)
    trial.airflow.mark(trial.name, run, "publish", "success", 0)
    state, died = trial.ended([run]), gone(task, 60)
    facts = {
        "died": died,
        "tasks": trial.tasks(run),
        "files": trial.files(run),
        "said": trial.airflow.xcom(trial.name, run, "settle", "error"),
    }
    torn = trial.anomalies(complete=False)
    trial.airflow.clear(trial.name, run)
    return completed(trial, run, marked=state, torn=torn, **facts)


def test_a_publish_marked_as_success_while_it_ran_leaves_a_failed_run_that_says_so(outcome: Outcome) -> None:
    """The task's state is never asked; clearing the run publishes what is missing."""
    facts = outcome.facts
    assert facts["marked"] == "failed"
    assert facts["torn"] == []
    assert facts["died"]
    assert "EWR.csv" in facts["said"]
    assert outcome.state == "success", facts
    assert outcome.anomalies == []


@body("test_a_failed_publish_marked_as_success_publishes_nothing_and_clearing_it_does", "marked-failed")
def marked_failed(trial: Trial) -> Outcome:
    trial.night()
    (run,) = trial.backfill()
    trial.in_the_middle(run)
    trial.airflow.mark(trial.name, run, "publish", "failed", 0)
    first = trial.ended([run])
    trial.airflow.mark(trial.name, run, "publish", "success", 0)
    marked = trial.ended([run])
    torn, before = trial.anomalies(complete=False), trial.tasks(run)
    trial.airflow.clear_task(trial.name, run, "publish")
    return completed(trial, run, first=first, marked=marked, torn=torn, before=before)


@pytest.mark.long
def test_a_failed_publish_marked_as_success_publishes_nothing_and_clearing_it_does(outcome: Outcome) -> None:
    assert outcome.facts["first"] == "failed"
    assert outcome.facts["marked"] == "failed", outcome.facts
    assert outcome.facts["torn"] == []
    assert outcome.state == "success", outcome.facts
    assert outcome.anomalies == []


# ---- several runs of one night


def two_backfills(trial: Trial) -> Outcome:
    last = NIGHT + timedelta(days=1)
    trial.night(NIGHT)
    trial.night(last)
    runs = trial.backfill(NIGHT, last)
    refused = ""
    try:
        trial.airflow.ask(
            "POST",
            "backfills",
            {"dag_id": trial.name, "from_date": f"{NIGHT}T00:00:00Z", "to_date": f"{last}T23:59:59Z"},
        )
    except AirflowError as error:
        refused = str(error)
    first, before = trial.ended(runs), trial.visible()
    again = trial.backfill(NIGHT, last, reprocess="completed")
    state = trial.ended(again)
    files = [file for run in again for file in trial.files(run).values()]
    return Outcome(
        state,
        trial.anomalies(),
        {
            "first": first,
            "refused": refused,
            "runs": runs,
            "again": again,
            "before": before,
            "after": trial.visible(),
            "files": files,
        },
    )


@pytest.mark.parametrize("trial", ["two-backfills"], indirect=True)
def test_of_two_backfills_of_the_same_nights_one_is_refused_and_later_publishes_nothing(
    trials: Any, trial: Trial
) -> None:
    _wait(trials)
    outcome = two_backfills(trial)
    facts = outcome.facts
    assert "409" in facts["refused"]
    assert facts["first"] == outcome.state == "success"
    assert facts["runs"] == facts["again"]
    assert outcome.anomalies == []
    assert facts["before"] == facts["after"]
    assert {file["fate"] for file in facts["files"]} == {"already published"}


def last_night(zone: str = "America/New_York", hour: int = 2) -> datetime:
    """The start of the newest window that is over: the one that Airflow runs when the DAG is switched on."""
    now = datetime.now(ZoneInfo(zone))
    tick = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    return (tick if tick <= now else tick - timedelta(days=1)) - timedelta(days=1)


def schedule(trial: Trial) -> Outcome:
    day = last_night().date()
    trial.night(day)
    trial.airflow.unpause(trial.name)
    run = until(lambda: _scheduled(trial), "the schedule started no run")
    trial.in_the_middle(run)
    command = trial.lab.forebay("run", trial.name, "--date", day.isoformat())
    beside = trial.backfill(day, reprocess="completed")
    _, said = command.communicate(timeout=240)
    state = trial.ended([run, *beside])
    kinds = [r["run_type"] for r in trial.airflow.ask("GET", f"dags/{trial.name}/dagRuns", limit=100)["dag_runs"]]
    return Outcome(
        state,
        trial.anomalies(),
        {"beside": beside, "kinds": kinds, "code": command.returncode, "said": said, "failures": trial.failures(run)},
    )


def _scheduled(trial: Trial) -> str | None:
    runs = trial.airflow.ask("GET", f"dags/{trial.name}/dagRuns", limit=100)["dag_runs"]
    return next((run["dag_run_id"] for run in runs if run["run_type"] == "scheduled"), None)


@pytest.mark.parametrize("trial", ["schedule"], indirect=True)
def test_a_schedule_beside_a_backfill_and_a_run_by_hand_of_the_same_night(trials: Any, trial: Trial) -> None:
    """Airflow leaves out of the backfill what runs already; the command of somebody who does not know of Airflow is
    safe too."""
    _wait(trials)
    outcome = schedule(trial)
    assert outcome.facts["beside"] == []
    assert outcome.facts["kinds"] == ["scheduled"]
    assert outcome.state == "success", outcome.facts
    assert outcome.facts["code"] in {0, 4}, outcome.facts["said"]
    assert outcome.anomalies == []


# ---- the scheduler


@pytest.mark.parametrize("trial", ["scheduler-killed"], indirect=True)
def test_a_scheduler_that_is_killed_and_started_again_ends_the_run(trials: Any, trial: Trial) -> None:
    """Its executor's processes live on without it, and the task with them."""
    _wait(trials)
    trial.night()
    (run,) = trial.backfill()
    trial.in_the_middle(run)
    os.kill(trial.airflow.status()["scheduler"], signal.SIGKILL)
    until(lambda: "scheduler" in trial.airflow.revive(), "the scheduler lives")
    seen = completed(trial, run)
    assert seen.state == "success", seen.facts
    assert seen.anomalies == []


@pytest.mark.long
@pytest.mark.parametrize("trial", ["machine-killed"], indirect=True)
def test_a_scheduler_that_is_killed_with_all_of_its_tasks_ends_the_run_when_it_is_back(
    trials: Any, trial: Trial
) -> None:
    """As when its container or machine goes: executor, supervisors and tasks at once."""
    _wait(trials)
    trial.night()
    (run,) = trial.backfill()
    task = trial.in_the_middle(run)
    scheduler = psutil.Process(trial.airflow.status()["scheduler"])
    for process in [scheduler, *scheduler.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    assert gone(task, 3)
    until(lambda: "scheduler" in trial.airflow.revive(), "the scheduler lives")
    seen = completed(trial, run)
    assert seen.state == "success", seen.facts
    assert seen.anomalies == []
    assert seen.facts["tries"]["publish[0]"] >= 2


def _wait(trials: dict[str, Future[Outcome]]) -> None:
    for future in trials.values():
        with suppress(Exception):
            future.result()
