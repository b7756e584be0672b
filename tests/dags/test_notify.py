"""Airflow notifiers that a pipeline names are not imported when its DAG is parsed, and must be installed; and where
people are sent."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.dags.conftest import MINIMAL

Make = Callable[..., Path]
WHOM = "quality: {{notify: [{{type: airflow, notifier: {path}, on: [{on}], arguments: {{to: a}}}}]}}\n"


def dag(make_project: Make, path: str, on: str = "waiting") -> Any:
    from forebay_airflow.dag_builder import all_dags

    make_project(birds=MINIMAL.format(name="birds") + WHOM.format(path=path, on=on))
    return all_dags()["birds"]


def test_parsing_imports_no_notifier(make_project: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "birdcall_unread.py").write_text("raise RuntimeError\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert dag(make_project, "birdcall_unread.Call").dag_id == "birds"


def test_people_are_sent_to_the_run_and_to_its_question(monkeypatch: pytest.MonkeyPatch) -> None:
    from forebay_airflow import notify

    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.example/")
    task: Any = {"dag": SimpleNamespace(dag_id="birds"), "run_id": "scheduled__2013-01-01T07:00:00+00:00"}
    run = "http://airflow.example/dags/birds/runs/scheduled__2013-01-01T07%3A00%3A00%2B00%3A00"
    assert notify.link(task) == run
    assert notify.question(task) == f"{run}/tasks/steward/required_actions"


def test_a_notifier_that_is_not_installed_is_a_fault_with_its_line_and_hides_no_dag(make_project: Make) -> None:
    from forebay.errors import SettingsError
    from forebay_airflow.dag_builder import raise_faults

    assert dag(make_project, "airflow.providers.nowhere.notifications.Nobody").dag_id == "birds"
    with pytest.raises(
        SettingsError, match=r"include/pipelines/birds.yaml:9: .*nowhere.notifications.Nobody.*is not installed"
    ):
        raise_faults()


def test_it_is_none_when_it_is_installed_or_its_path_mended(
    make_project: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forebay.errors import SettingsError
    from forebay_airflow.dag_builder import raise_faults

    monkeypatch.syspath_prepend(str(tmp_path))
    provider = f"provider_{tmp_path.name}"
    dag(make_project, f"{provider}.Call")
    with pytest.raises(SettingsError, match=r"\(install its provider, or mend the path\)"):
        raise_faults()
    (tmp_path / f"{provider}.py").write_text("class Call: pass\n", "utf-8")
    importlib.invalidate_caches()
    raise_faults()


def test_airflows_own_mail_notifier_can_be_named(make_project: Make) -> None:
    from forebay.notifiers.airflow import load
    from forebay_airflow import dag_builder

    dag(make_project, "airflow.providers.smtp.notifications.smtp.SmtpNotifier")
    dag_builder.raise_faults()
    assert load("airflow.providers.smtp.notifications.smtp.SmtpNotifier").__name__ == "SmtpNotifier"
