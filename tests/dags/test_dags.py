"""Integrity of the DAGs: they load, they are what the design says, and one broken pipeline file never hides the
others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.dags.conftest import MINIMAL
from tests.support.airflow_home import ROOT

Make = Callable[..., Path]


def bag(file: str = "") -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(
        dag_folder=str(ROOT / "dags" / file) if file else str(ROOT / "dags"), collect_dags=True, known_pools=None
    )


@pytest.fixture
def dag(make_project: Make) -> Any:
    from forebay_airflow.dag_builder import all_dags

    make_project(birds=MINIMAL.format(name="birds"))
    return all_dags()["birds"]


def test_the_projects_own_pipelines_load_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREBAY_PROJECT", str(ROOT))
    found = bag()
    names = {path.stem for path in (ROOT / "include" / "pipelines").glob("*.yaml")}
    assert found.import_errors == {}
    assert set(found.dags) == names


def test_one_dag_per_pipeline_file(make_project: Make) -> None:
    make_project(birds=MINIMAL.format(name="birds"), fish=MINIMAL.format(name="fish"))
    found = bag()
    assert found.import_errors == {}
    assert set(found.dags) == {"birds", "fish"}


def test_a_broken_file_hides_no_other_and_is_named_with_its_line(make_project: Make) -> None:
    make_project(birds=MINIMAL.format(name="birds"), fish=MINIMAL.format(name="fish").replace("owner:", "ownr:"))
    found = bag()
    assert set(found.dags) == {"birds"}
    assert len(found.import_errors) == 1
    ((file, error),) = found.import_errors.items()
    assert file.endswith("forebay_faults.py")
    assert "include/pipelines/fish.yaml:2" in error
    assert "owner" in error


def test_what_two_files_are_together_is_an_import_error_too(make_project: Make) -> None:
    here = MINIMAL.format(name="birds")
    make_project(birds=here, fish=MINIMAL.format(name="fish").replace("fish-*", "birds-*"))
    found = bag()
    ((file, error),) = found.import_errors.items()
    assert file.endswith("forebay_faults.py")
    assert "include/pipelines/birds.yaml:4" in error
    assert "include/pipelines/fish.yaml:4" in error
    assert "one file can be read twice" in error


def test_text_that_is_no_yaml_hides_no_other(make_project: Make) -> None:
    make_project(birds=MINIMAL.format(name="birds"), fish="a: [1,\n")
    found = bag()
    assert set(found.dags) == {"birds"}
    assert "fish.yaml" in str(found.import_errors)


def test_the_shape(dag: Any) -> None:
    order = {task.task_id: set(task.upstream_task_ids) for task in dag.tasks}
    assert order == {
        "discover": set(),
        "inspect": {"discover"},
        "gate": {"inspect"},
        "steward": {"gate"},
        "decide": {"gate", "steward"},
        "select": {"gate"},
        "publish": {"select"},
        "reconcile": {"publish"},
        "settle": {"reconcile"},
        "report": {"settle", "decide"},
    }


def test_what_passed_waits_for_no_answer(dag: Any) -> None:
    for task in ("select", "publish", "reconcile", "settle"):
        assert {"steward", "decide"} & {
            t.task_id for t in dag.task_dict[task].get_flat_relatives(upstream=True)
        } == set()


def test_a_reason_is_asked_for_and_not_required(dag: Any) -> None:
    """Airflow's dialogs require what has no null among its types (its form, 3.3.2)."""
    reason = dag.params.get_param("reason")
    assert (reason.value, reason.schema["type"]) == (None, ["null", "string"])
    assert dag.params.validate() == {"generation": "current", "reason": None}


def test_one_files_failure_stops_no_other_and_a_skipped_task_stops_nothing(dag: Any) -> None:
    """`all_done_min_one_success` would not do: it skips when anything before it was skipped (tried with 3.3.2). What
    the gate skips stays skipped."""
    rules = {task.task_id: task.trigger_rule.value for task in dag.tasks}
    assert rules["gate"] == rules["reconcile"] == rules["settle"] == rules["decide"] == "all_done"


def test_the_report_is_a_teardown_that_hides_no_failure(dag: Any) -> None:
    report = dag.task_dict["report"]
    assert report.is_teardown
    assert not report.on_failure_fail_dagrun
    assert [t.task_id for t in dag.tasks if not t.downstream_task_ids] == ["report"]


def test_owner_tags_retries_and_pools(dag: Any) -> None:
    assert dag.tags == {"forebay"}
    assert {task.owner for task in dag.tasks} == {"zoo"}
    assert all(task.retries >= 2 for task in dag.tasks)
    assert dag.task_dict["inspect"].pool == "forebay_inspect"
    assert dag.task_dict["publish"].pool == dag.task_dict["decide"].pool == "forebay_publish"
    assert dag.task_dict["publish"].max_active_tis_per_dag == 4
    assert dag.max_active_runs == 2
    assert dag.catchup is False


def test_every_tasks_errors_are_sorted_by_the_retry_policy(dag: Any) -> None:
    without = [task.task_id for task in dag.tasks if _policy(task) is None]
    assert without == []


def _policy(task: Any) -> Any:
    return task.partial_kwargs.get("retry_policy") if hasattr(task, "partial_kwargs") else task.retry_policy


def test_the_schedule_has_a_data_interval_and_a_logical_date(dag: Any) -> None:
    from forebay_airflow.nights import Nights

    assert isinstance(dag.timetable, Nights)
    assert str(dag.timezone) == "America/New_York"


def test_a_pipeline_without_a_schedule_runs_by_hand_only(make_project: Make) -> None:
    from forebay_airflow.dag_builder import all_dags

    text = "\n".join(line for line in MINIMAL.format(name="birds").splitlines() if not line.startswith("schedule"))
    make_project(birds=text)
    dag = all_dags()["birds"]
    assert type(dag.timetable).__name__ == "NullTimetable"
    assert str(dag.timezone) == "UTC"


def test_a_schedule_may_end_and_airflow_is_not_told_by_dates_of_the_dag(make_project: Make) -> None:
    """A run by hand outside of a DAG's start and end dates has no tasks, and is green (models/dagrun.py, `task_filter`,
    3.3.2)."""
    from forebay_airflow.dag_builder import all_dags

    make_project(
        birds=MINIMAL.format(name="birds").replace("zone: America/New_York", "zone: America/New_York, end: 2013-12-31")
    )
    dag = all_dags()["birds"]
    assert dag.start_date is not None
    assert (dag.start_date.year, dag.end_date) == (1970, None)
    timetable: Any = dag.timetable
    assert (timetable.first, timetable.last) == ("2013-01-01", "2013-12-31")


def test_the_steward_asks_as_the_pipeline_says(make_project: Make) -> None:
    from forebay_airflow.dag_builder import all_dags

    make_project(
        birds=MINIMAL.format(name="birds") + "quality: {steward: {timeout: 30m, default: publish, users: [ann]}}\n"
    )
    steward: Any = all_dags()["birds"].task_dict["steward"]
    assert steward.options == ["Publish passing rows", "Publish all rows", "Reject"]
    assert steward.defaults == ["Publish passing rows"]
    assert steward.response_timeout.total_seconds() == 1800
    assert steward.assigned_users == [{"id": "ann", "name": "ann"}]
    assert steward.retries == 5
    assert steward.notifiers == []


def test_serialisation_round_trip(dag: Any) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    document = DagSerialization.to_dict(dag)
    again = DagSerialization.from_dict(json.loads(json.dumps(document)))
    assert set(again.task_dict) == set(dag.task_dict)
    assert len(json.dumps(document)) < 40_000


def test_serialisation_is_stable(make_project: Make) -> None:
    """A document that changes from parse to parse would make a new DAG version each time (apache/airflow #54337)."""
    from airflow.serialization.serialized_objects import DagSerialization

    from forebay_airflow.dag_builder import all_dags

    make_project(birds=MINIMAL.format(name="birds"))
    first, second = (json.dumps(DagSerialization.to_dict(all_dags()["birds"]), sort_keys=True) for _ in range(2))
    assert first == second


PARSE = """
import json, sys, time
import airflow.sdk, airflow.dag_processing.dagbag
before = set(sys.modules)
began = time.process_time()
from forebay_airflow import dag_builder
dags = dag_builder.all_dags()
seconds = time.process_time() - began
print(json.dumps({"dags": len(dags), "seconds": seconds, "modules": sorted({m.partition(".")[0] for m in set(sys.modules) - before})}))
"""  # noqa: E501


def parse(code: str = PARSE) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT / "plugins"
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return document


def test_parsing_imports_no_vendor_and_keeps_its_budget(make_project: Make) -> None:
    make_project(**{f"p{i}": MINIMAL.format(name=f"p{i}") for i in range(50)})
    found = parse()
    vendors = {
        "great_expectations",
        "duckdb",
        "pyarrow",
        "boto3",
        "botocore",
        "confluent_kafka",
        "pandas",
        "numpy",
        "openlineage",
    }
    assert found["dags"] == 50
    assert vendors & set(found["modules"]) == set()
    assert found["seconds"] < 4, "CPU seconds for 50 pipelines; 1.2 when this was written"


def test_a_tasks_process_builds_its_own_dag_only(make_project: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.definitions._internal.dag_parsing_context import _airflow_parsing_context_manager

    make_project(birds=MINIMAL.format(name="birds"), fish="broken: [\n")
    with _airflow_parsing_context_manager(dag_id="birds", task_id="discover"):
        found = bag()
    assert set(found.dags) == {"birds"}
    assert found.import_errors == {}
