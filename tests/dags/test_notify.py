"""Notifiers that a pipeline names: made at parse time without importing them, called with what there is to say, and
harmless when they fail."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.dags.conftest import MINIMAL

Make = Callable[..., Path]
WHOM = "quality: {{steward: {{notify: [{{notifier: {path}, on: [{on}], arguments: {{to: a}}}}]}}}}\n"
MODULE = """
from airflow.sdk.bases.notifier import BaseNotifier

class Call(BaseNotifier):
    template_fields = ("text",)
    calls = []

    def __init__(self, to, text="{{ forebay.event }} {{ forebay.link }}"):
        super().__init__()
        self.to, self.text = to, text

    def notify(self, context):
        self.calls.append((self.to, self.text, context["forebay"]))
"""


@pytest.fixture
def birdcall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with a notifier, by a name that no other test has imported."""
    name = f"birdcall_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(MODULE, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow.example/")
    return name


def dag(make_project: Make, path: str, on: str = "waiting") -> Any:
    from forebay_airflow.dag_builder import all_dags

    make_project(birds=MINIMAL.format(name="birds") + WHOM.format(path=path, on=on))
    return all_dags()["birds"]


def context(built: Any, **more: Any) -> dict[str, Any]:
    return {
        "dag": built,
        "run_id": "scheduled__2013-01-01T07:00:00+00:00",
        "task": SimpleNamespace(task_id="steward", body="**held**"),
        **more,
    }


def test_who_waits_for_a_steward_is_told_where_to_answer(make_project: Make, birdcall: str) -> None:
    built = dag(make_project, f"{birdcall}.Call")
    assert birdcall not in sys.modules, "parsing imports no notifier"
    (notifier,) = built.task_dict["steward"].notifiers
    notifier(context(built))
    ((to, text, told),) = sys.modules[birdcall].Call.calls
    link = "http://airflow.example/dags/birds/runs/scheduled__2013-01-01T07%3A00%3A00%2B00%3A00/tasks/steward/required_actions"
    assert (to, text) == ("a", f"waiting {link}")
    assert told == {"event": "waiting", "pipeline": "birds", "link": link, "text": "**held**"}
    assert built.on_failure_callback is None


def test_a_failed_run_is_told_when_the_pipeline_says_so(make_project: Make, birdcall: str) -> None:
    built = dag(make_project, f"{birdcall}.Call", on="failed")
    assert built.task_dict["steward"].notifiers == []
    (callback,) = built.on_failure_callback
    callback(context(built, reason="task_failure"))
    ((_, text, told),) = sys.modules[birdcall].Call.calls
    assert text == "failed http://airflow.example/dags/birds/runs/scheduled__2013-01-01T07%3A00%3A00%2B00%3A00"
    assert told["text"] == "the run failed: task_failure"


@pytest.mark.parametrize("name", ["Nobody", "Picky"])
def test_a_notifier_that_fails_stops_nothing(
    make_project: Make, birdcall: str, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Its class is missing, or does not take its arguments: the task's log says so, and the question stands."""
    __import__(birdcall)
    sys.modules[birdcall].Picky = type("Picky", (), {})
    built = dag(make_project, f"{birdcall}.{name}")
    built.task_dict["steward"].notifiers[0](context(built))
    assert f"telling by `{birdcall}.{name}` failed" in caplog.text


def test_a_notifier_that_is_not_installed_is_a_fault_with_its_line_and_hides_no_dag(make_project: Make) -> None:
    from forebay.errors import SettingsError
    from forebay_airflow.dag_builder import raise_faults

    assert dag(make_project, "airflow.providers.nowhere.notifications.Nobody").dag_id == "birds"
    with pytest.raises(
        SettingsError, match=r"include/pipelines/birds.yaml:9: .*nowhere.notifications.Nobody.*is not installed"
    ):
        raise_faults()


def test_it_is_none_when_it_is_installed_or_its_path_mended(make_project: Make, birdcall: str, tmp_path: Path) -> None:
    from forebay.errors import SettingsError
    from forebay_airflow.dag_builder import raise_faults

    dag(make_project, f"provider_{birdcall}.Call")
    with pytest.raises(SettingsError, match=r"\(install its provider, or mend the path\)"):
        raise_faults()
    (tmp_path / f"provider_{birdcall}.py").write_text(MODULE, "utf-8")
    importlib.invalidate_caches()
    raise_faults()
    dag(make_project, f"{birdcall}.Call")
    raise_faults()


def test_airflows_own_mail_notifier_can_be_named(make_project: Make) -> None:
    from forebay_airflow import dag_builder, notify

    dag(make_project, "airflow.providers.smtp.notifications.smtp.SmtpNotifier")
    dag_builder.raise_faults()
    assert notify.load("airflow.providers.smtp.notifications.smtp.SmtpNotifier").__name__ == "SmtpNotifier"
