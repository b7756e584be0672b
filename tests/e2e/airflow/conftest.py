"""One Airflow for all tests of this folder: starting it costs half a minute."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_home import Airflow
from tests.e2e.airflow.lab import FAILPOINT, Lab, Trial, write_pipeline
from tests.support.kafka import CACHE, Cluster

PIPELINES = (
    "birds",
    "task-killed",
    "supervisor-killed",
    "zombie",
    "heartbeat-lost",
    "cleared",
    "marked-success",
    "marked-failed",
    "two-backfills",
    "scheduler-killed",
    "machine-killed",
    "by-hand",
)
SETTINGS = {
    # a task that says nothing for so long is taken for dead, and its next try begins (60 s at home, 300 s by default)
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    # so does a scheduler, and what it had queued is queued anew
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,ann:op,oda:op",
}
STEWARD = (
    "steward: {timeout: 10m}",
    "steward: {timeout: 60m, users: [admin, ann]}\n  notify: [{type: airflow, notifier: birdcall.Call, "
    "on: [waiting, run_failed], arguments: {to: NAME}}]",
)
NOTIFIER = '''\
"""A notifier as somebody writes it: it tells a file."""

import json
from pathlib import Path

from airflow.sdk.bases.notifier import BaseNotifier


class Call(BaseNotifier):
    template_fields = ("text",)

    def __init__(self, to, text="{{ forebay.event }} {{ forebay.link }} {{ forebay.text }}"):
        super().__init__()
        self.to, self.text = to, text

    def notify(self, context):
        with (Path(__file__).parent / f"{self.to}.told").open("a") as file:
            file.write(json.dumps({"run": context["run_id"], **context["forebay"], "said": self.text}) + "\\n")
'''


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory, kafka: Cluster) -> Iterator[Lab]:
    project = tmp_path_factory.mktemp("project")
    for name in PIPELINES:
        write_pipeline(project, name)
    write_pipeline(project, "schedule", (", end: 2013-12-31", ""))
    write_pipeline(project, "steward", STEWARD)
    write_pipeline(project, "untold", STEWARD)
    write_pipeline(project, "hasty", STEWARD)
    write_pipeline(project, "contested", STEWARD)
    write_pipeline(project, "impatient", ("timeout: 10m", "timeout: 20s"))
    (project / "birdcall.py").write_text(NOTIFIER, "utf-8")
    settings = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap, "FOREBAY_CACHE": str(CACHE), "FOREBAY_FAILPOINT": FAILPOINT}
    airflow = Airflow(project, tuple({**SETTINGS, **settings}.items()))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FOREBAY_HOME", raising=False)
        patch.setenv("PYTHONPATH", str(project))
        try:
            airflow.start(timeout=240)
            for pool in ("forebay_inspect", "forebay_publish"):
                airflow.ask("PATCH", f"pools/{pool}", {"name": pool, "slots": 8, "include_deferred": False})
            yield Lab(project, airflow, kafka)
        finally:
            airflow.stop()


@pytest.fixture
def trial(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Trial]:
    """The pipeline that the test names by `@pytest.mark.parametrize("trial", ["NAME"], indirect=True)`."""
    made = lab.trial(request.param)
    yield made
    made.close()
