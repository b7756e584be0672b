"""The whole job under a real Airflow: scheduler, executor, API server, DAG processor, triggerer, and a real Kafka."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from airflow_home import Airflow
from tests.e2e.airflow.lab import NIGHT as FIRST
from tests.e2e.airflow.lab import Lab, Trial
from tests.support.kafka import Cluster, read_all

pytestmark = [pytest.mark.airflow, pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(400)]

AIRPORTS = ("EWR", "JFK", "LGA")
ROWS = 150


def drop(project: Path, day: date, airport: str, ready: bool = True) -> None:
    """One airport's file of one night."""
    folder = project / "drops" / "birds" / day.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{i},{day},{airport},bird {i}" for i in range(ROWS)]
    (folder / f"{airport}.csv").write_text("\n".join(["id,day,airport,name", *rows, ""]), "utf-8")
    if ready:
        (folder / "_SUCCESS").touch()


@pytest.fixture(scope="module")
def project(lab: Lab) -> Path:
    for night in range(3):
        for airport in AIRPORTS:
            drop(lab.project, FIRST + timedelta(days=night), airport)
    return lab.project


@pytest.fixture(scope="module")
def airflow(lab: Lab, project: Path) -> Airflow:
    return lab.airflow


@pytest.fixture(scope="module")
def three_nights(airflow: Airflow) -> list[str]:
    runs = airflow.backfill("birds", FIRST, FIRST + timedelta(days=2))
    assert set(airflow.wait("birds", runs).values()) == {"success"}, failures(airflow, runs)
    return runs


def failures(airflow: Airflow, runs: list[str]) -> str:
    """Logs of what failed, for the assertion's message."""
    failed = [(run, ti) for run in runs for ti in airflow.task_instances("birds", run) if ti["state"] == "failed"]
    return "\n\n".join(
        f"{run} {ti['task_id']}\n{airflow.log('birds', run, ti['task_id'], ti['map_index'], ti['try_number'])[-3000:]}"
        for run, ti in failed
    )


def states(airflow: Airflow, run: str) -> dict[str, str]:
    return {
        f"{ti['task_id']}[{ti['map_index']}]" if ti["map_index"] >= 0 else ti["task_id"]: ti["state"]
        for ti in airflow.task_instances("birds", run)
    }


def seen(kafka: Cluster) -> Counter[tuple[str, str, int]]:
    """How often an ordinary read_committed consumer sees each row."""
    values: list[dict[str, Any]] = [json.loads(m.value()) for m in read_all(kafka.config, "birds")]
    return Counter((v["day"], v["airport"], v["id"]) for v in values)


def expected(nights: range, airports: tuple[str, ...] = AIRPORTS) -> set[tuple[str, str, int]]:
    days = [(FIRST + timedelta(days=n)).isoformat() for n in nights]
    return {(day, airport, i) for day in days for airport in airports for i in range(ROWS)}


def test_a_backfill_of_three_nights_publishes_every_row_once(
    airflow: Airflow, kafka: Cluster, three_nights: list[str]
) -> None:
    assert len(three_nights) == 3
    assert [run.startswith("backfill__2013-01-0") for run in three_nights] == [True] * 3
    found = {key: count for key, count in seen(kafka).items() if key[0] <= "2013-01-03"}
    assert set(found) == expected(range(3))
    assert set(found.values()) == {1}
    assert states(airflow, three_nights[0]) == {
        "discover": "success",
        "inspect[0]": "success",
        "gate": "success",
        "steward": "skipped",
        "decide": "skipped",
        "select": "success",
        "publish[0]": "success",
        "reconcile": "success",
        "settle": "success",
        "report": "success",
    }


def test_a_schedule_that_has_ended_starts_nothing_by_itself(airflow: Airflow, three_nights: list[str]) -> None:
    runs = airflow.ask("GET", "dags/birds/dagRuns", limit=100)["dag_runs"]
    assert {run["run_type"] for run in runs} == {"backfill"}


def test_the_window_is_the_local_night(airflow: Airflow, three_nights: list[str]) -> None:
    (first, *_) = airflow.xcom("birds", three_nights[0], "settle")
    assert first["window"]["start"] == "2013-01-01T00:00:00-05:00"
    assert "/drops/birds/2013-01-01/" in first["file"]["uri"]


@pytest.mark.parametrize("trial", ["by-hand"], indirect=True)
def test_a_run_by_hand_is_of_the_night_that_is_its_date_and_a_backfill_leaves_no_night_out(trial: Trial) -> None:
    """Around the day on which the clocks go forward. At the schedule's own moment of the night a later backfill of
    missing runs leaves the night to the run by hand."""
    new_york, change = ZoneInfo("America/New_York"), date(2013, 3, 10)
    days = [change + timedelta(days=n) for n in (-1, 0, 1)]
    for day in days:
        trial.drop("EWR", 40, day)
    autumn = date(2013, 11, 3)
    trial.drop("JFK", 40, autumn)
    by_hand = {
        change: trial.airflow.trigger(trial.name, logical_date=datetime(2013, 3, 10, 2, tzinfo=new_york)),
        autumn: trial.airflow.trigger(trial.name, logical_date=datetime(2013, 11, 3, tzinfo=UTC)),
    }
    assert trial.ended(list(by_hand.values())) == "success"
    for day, run in by_hand.items():
        assert run.startswith(f"manual__{day}__")
        (file,) = trial.files(run).values()
        assert (file["window"]["start"][:10], file["status"]) == (day.isoformat(), "done")
    missing = trial.backfill(days[0], days[-1])
    assert missing == ["backfill__2013-03-09T00:00:00+00:00", "backfill__2013-03-11T00:00:00+00:00"]
    assert trial.ended(missing) == "success"
    assert trial.anomalies() == []


def test_the_same_night_again_publishes_nothing(airflow: Airflow, kafka: Cluster, three_nights: list[str]) -> None:
    before = seen(kafka)
    runs = airflow.backfill("birds", FIRST, FIRST, reprocess="completed")
    assert runs == three_nights[:1]
    assert airflow.wait("birds", runs) == {runs[0]: "success"}, failures(airflow, runs)
    assert seen(kafka) == before
    found = states(airflow, runs[0])
    assert found["reconcile"] == "skipped", found
    assert "success" not in {state for task, state in found.items() if task.startswith("publish")}, found
    assert {f["fate"] for f in airflow.xcom("birds", runs[0], "settle") if f["file"]["uri"].endswith(".csv")} == {
        "already published"
    }


def test_a_file_that_cannot_be_read_fails_the_run_and_costs_the_others_nothing(
    airflow: Airflow, kafka: Cluster, project: Path, three_nights: list[str]
) -> None:
    night = FIRST + timedelta(days=5)
    drop(project, night, "JFK")
    (project / "drops" / "birds" / night.isoformat() / "LGA.csv").write_bytes(b"")
    (run,) = airflow.backfill("birds", night, night)
    assert airflow.wait("birds", [run]) == {run: "failed"}
    found = states(airflow, run)
    assert (found["inspect[0]"], found["publish[0]"], found["reconcile"], found["settle"], found["report"]) == (
        "failed",
        "success",
        "success",
        "failed",
        "success",
    )
    assert {key[1] for key in seen(kafka) if key[0] == night.isoformat()} == {"JFK"}
    assert "LGA.csv" in airflow.xcom("birds", run, "settle", "error")


def test_a_window_that_is_not_complete_is_no_green_run(
    airflow: Airflow, kafka: Cluster, project: Path, three_nights: list[str]
) -> None:
    night = FIRST + timedelta(days=6)
    drop(project, night, "JFK", ready=False)
    (run,) = airflow.backfill("birds", night, night)
    assert airflow.wait("birds", [run]) == {run: "failed"}
    assert "_SUCCESS" in airflow.xcom("birds", run, "discover", "error")
    assert not [key for key in seen(kafka) if key[0] == night.isoformat()]


def test_pages_of_ours_ask_for_a_login(airflow: Airflow, three_nights: list[str]) -> None:
    def get(path: str, **headers: str) -> tuple[int, str]:
        request = urllib.request.Request(f"{airflow.url}/forebay/reports/{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""

    me = {"Authorization": f"Bearer {airflow._token()}"}
    assert get("")[0] == 401
    assert get("data_docs/index.html")[0] == 401
    assert get("", **me)[0] == 200
    status, page = get("data_docs/index.html", **me)
    assert status == 200
    assert "birds" in page
