"""The local Airflow's home: what is kept, what is private, and that stopping ends its own processes and no others."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pytest

from airflow_api import AirflowError
from airflow_home import Airflow


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Airflow:
    monkeypatch.delenv("FOREBAY_HOME", raising=False)
    return Airflow(tmp_path / "project")


def test_port_and_password_are_kept_and_private(local: Airflow) -> None:
    again = Airflow(local.project)
    assert (local.port, local.password) == (again.port, again.password)
    assert len(local.password) >= 12
    for name in ("passwords.json", "state.json"):
        assert stat.S_IMODE((local.home / name).stat().st_mode) == 0o600


def test_two_projects_share_nothing(local: Airflow, tmp_path: Path) -> None:
    other = Airflow(tmp_path / "other")
    assert other.home != local.home
    assert other.port != local.port
    assert other.password != local.password


def test_a_port_that_another_program_took_is_given_up(local: Airflow) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", local.port))
        taken.listen()
        before = local.port
        local._free_port()
        assert local.port != before
    kept = local.port
    local._free_port()
    assert local.port == kept


def test_the_callers_airflow_settings_do_not_leak_in(local: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://production")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "the only one that would be found")
    monkeypatch.setenv("AIRFLOW_HOME", "/somewhere/else")
    found = local.environ()
    assert found["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"sqlite:///{local.home}/airflow.db"
    assert found["AIRFLOW_HOME"] == str(local.home)
    assert found["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert "_AIRFLOW_PARSING_CONTEXT_DAG_ID" not in found
    assert found["PATH"].startswith(str(Path(sys.executable).parent))


def test_extra_settings_win(tmp_path: Path) -> None:
    local = Airflow(tmp_path, (("AIRFLOW__CORE__PARALLELISM", "1"),))
    assert local.environ()["AIRFLOW__CORE__PARALLELISM"] == "1"


SLEEPER = "import time; print('up', flush=True); time.sleep(120)"
IGNORANT = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(120)"
)


def sleeper(home: Path, code: str = SLEEPER) -> subprocess.Popen[str]:
    """A process of that Airflow home, in a session of its own as tasks are."""
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "AIRFLOW_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert child.stdout
    assert child.stdout.readline() == "up\n"
    return child


def test_stop_ends_orphans_of_this_home_and_of_no_other(local: Airflow, tmp_path: Path) -> None:
    ours, deaf, others = sleeper(local.home), sleeper(local.home, IGNORANT), sleeper(tmp_path / "other")
    try:
        began = time.monotonic()
        assert local.stop(grace=1) is True
        assert not psutil.pid_exists(ours.pid)
        assert not psutil.pid_exists(deaf.pid)
        assert 1 < time.monotonic() - began < 40
        assert psutil.Process(others.pid).status() != psutil.STATUS_ZOMBIE
    finally:
        for child in (ours, deaf, others):
            child.kill()
            child.communicate()
    assert local.stop() is False


def test_a_process_id_used_again_is_not_ours(local: Airflow) -> None:
    local._save(pids={"scheduler": [os.getpid(), psutil.Process().create_time() - 100]})
    assert local.status() == {}
    local._save(pids={"scheduler": [os.getpid(), psutil.Process().create_time()]})
    assert local.status() == {"scheduler": os.getpid()}
    local._save(pids={})


def test_what_does_not_run_says_so(local: Airflow) -> None:
    assert set(local.health().values()) == {"down"}
    with pytest.raises(AirflowError, match="is it running"):
        local.ask("GET", "dags")


def test_a_failing_command_shows_what_airflow_said(local: Airflow) -> None:
    with pytest.raises(AirflowError, match="invalid choice"):
        local.cli("no-such-command")


class Recorded(Airflow):
    """An API whose answers are given, and whose questions are kept."""

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        asked: list[Any] = self.__dict__.setdefault("asked_", [])
        asked.append((method, path, body))
        if path == "backfills" and method == "POST" and len([a for a in asked if a[:2] == ("POST", "backfills")]) == 1:
            raise AirflowError("there is already a running backfill", 409)
        lists = {"backfills": {"backfills": [{"id": 7, "completed_at": None}]}, "dags/fish/dagRuns": {"dag_runs": []}}
        return lists.get(path, {})


def test_a_backfill_covers_local_days_and_an_empty_one_is_not_in_its_way(tmp_path: Path) -> None:
    """The days are the pipeline's: in Tokyo the run of 2 January, 02:00, begins on the first by UTC."""
    folder = tmp_path / "include" / "pipelines"
    folder.mkdir(parents=True)
    text = (
        'pipeline: fish\nowner: zoo\nschedule: {cron: "0 2 * * *", timezone: Asia/Tokyo}\nsource: {type: local, path: '
        '"*.csv"}\n'
    )
    (folder / "fish.yaml").write_text(text + "format: {type: csv}\nrecord: {key: id}\ntopic: {name: fish}\n")
    api = Recorded(tmp_path)
    api.backfill("fish", date(2013, 1, 2), date(2013, 1, 2))
    asked = api.__dict__["asked_"]
    first, second = [body for method, path, body in asked if (method, path) == ("POST", "backfills")]
    assert first == second
    assert (first["from_date"], first["to_date"]) == ("2013-01-02T00:00:00+09:00", "2013-01-02T23:59:59+09:00")
    assert ("PUT", "backfills/7/cancel", None) in asked


def test_progress_is_told_once_and_in_the_order_it_happened(tmp_path: Path) -> None:
    def instance(task: str, state: str, at: str, index: int = -1, attempt: int = 1) -> dict[str, Any]:
        run = "backfill__2013-01-02T07:00:00+00:00"
        times = {"start_date": at, "end_date": at, "duration": 1.94}
        return {"dag_run_id": run, "task_id": task, "map_index": index, "state": state, "try_number": attempt, **times}

    looks = [
        [
            instance("publish", "up_for_retry", "2", 0),
            instance("discover", "success", "1"),
            instance("settle", "running", "3"),
        ],
        [instance("discover", "success", "1"), instance("publish", "success", "4", 0, 2)],
    ]

    states = ["running", "success"]

    class Looked(Airflow):
        def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
            return looks.pop(0)

        def state(self, dag_id: str, run_id: str) -> str:
            return states.pop(0)

    lines: list[str] = []
    Looked(tmp_path).wait("birds", ["r"], timeout=10, on_progress=lines.append)
    assert lines == [
        "backfill of 2013-01-02  discover    success  1.9 s",
        "backfill of 2013-01-02  publish[0]  up_for_retry  1.9 s",
        "backfill of 2013-01-02  publish[0]  success (try 2)  1.9 s",
    ]


TWO_WRITERS = """
import sys, threading, time
from sqlalchemy import create_engine, text
path, hooked = sys.argv[1], sys.argv[2] == "True"
settings = {"timeout": 20}
if hooked:
    from airflow_home import SQLITE as code
    made = {}
    exec(code, made)
    settings = made["SQLITE"]
engine = create_engine(f"sqlite:///{path}", connect_args=settings)
with engine.begin() as setup:
    setup.execute(text("pragma journal_mode=wal"))
    setup.execute(text("create table t (n int)"))

def other():
    with engine.begin() as connection:
        connection.execute(text("insert into t values (2)"))

with engine.begin() as connection, connection.begin_nested():
    connection.execute(text("select * from t")).all()
    thread = threading.Thread(target=other)
    thread.start()
    thread.join(1)
    connection.execute(text("insert into t values (1)"))
thread.join(20)
with engine.begin() as connection:
    print(sorted(connection.execute(text("select n from t")).scalars()))
"""


@pytest.mark.parametrize("hooked", [True, False])
def test_a_savepoint_that_reads_first_waits_for_other_writers(tmp_path: Path, hooked: bool) -> None:
    """With its control: as it is, SQLAlchemy's savepoint fails at once, which is how Airflow loses the runs of a
    backfill."""
    done = subprocess.run(
        [sys.executable, "-c", TWO_WRITERS, str(tmp_path / "a.db"), str(hooked)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "tools")},
        capture_output=True,
        text=True,
        check=False,
    )
    if hooked:
        assert done.stdout == "[1, 2]\n", done.stderr
    else:
        assert "database is locked" in done.stderr
