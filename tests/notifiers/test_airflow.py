from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forebay.contracts import Notifier
from forebay.notifiers.airflow import Airflow, AirflowConfig, within
from forebay.testing.notifiers import NOTICE, SECRET, NotifierContract
from tests.support.airflow_home import airflow_home

__all__ = ["airflow_home"]

MODULE = """
import json, os, threading
from airflow.sdk.bases.notifier import BaseNotifier

class Call(BaseNotifier):
    template_fields = ("text",)

    def __init__(self, to, text="{{ forebay.event }} {{ forebay.text }}"):
        super().__init__()
        self.to, self.text = to, text

    def notify(self, context):
        seen = {**context["forebay"], "said": self.text, "dag_run": context.get("run_id")}
        with open(self.to, "a") as file:
            file.write(json.dumps(seen) + "\\n")

class Refused(Call):
    def notify(self, context):
        raise ValueError("no login with s3cr3t-t0ken")

class Slow(Call):
    held = threading.Event()

    def notify(self, context):
        self.held.wait(60)
"""


class TestAirflow(NotifierContract):
    """Against notifiers that somebody wrote for Airflow."""

    @pytest.fixture(autouse=True)
    def _module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        self.name, self.told = f"calls_{os.getpid()}_{threading.get_ident()}", tmp_path / "told"
        (tmp_path / f"{self.name}.py").write_text(MODULE, "utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        yield
        made = sys.modules.pop(self.name, None)
        if made:
            made.Slow.held.set()

    def make_notifier(self) -> Notifier[AirflowConfig]:
        return self.make("Call")

    def make(self, name: str, **more: Any) -> Notifier[AirflowConfig]:
        return Airflow(AirflowConfig(notifier=f"{self.name}.{name}", arguments={"to": str(self.told), **more}))

    def taken(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.told.read_text("utf-8").splitlines()]

    def make_failing(self) -> list[Notifier[Any]]:
        return [
            self.make("Refused"),
            self.make("Nobody"),
            self.make("Call", unknown=SECRET),
            Airflow(AirflowConfig(notifier="no.such.module.Notifier")),
        ]

    def make_slow(self) -> Notifier[AirflowConfig]:
        return Airflow(AirflowConfig(notifier=f"{self.name}.Slow", arguments={"to": str(self.told)}, timeout=0.2))

    def test_its_texts_are_templates_and_an_airflow_task_lends_its_context(self) -> None:
        with within({"run_id": "scheduled__1"}):
            self.make_notifier().tell(NOTICE)
        self.make_notifier().tell(NOTICE)
        assert [line["dag_run"] for line in self.taken()] == ["scheduled__1", None]
        assert all(line["said"] == f"waiting {NOTICE.text}" for line in self.taken())


def test_it_is_called_with_the_notice_in_its_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plain_call.py").write_text(
        "class Call:\n"
        "    def __init__(self, **given):\n        self.given = given\n"
        "    def __call__(self, context):\n        CALLS.append((self.given, context))\n"
        "CALLS = []\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    Airflow(AirflowConfig(notifier="plain_call.Call", arguments={"to": "ann"})).tell(NOTICE)
    [(given, context)] = sys.modules.pop("plain_call").CALLS
    assert given == {"to": "ann"}
    assert context == {"forebay": NOTICE.to_json() | {"text": NOTICE.text}}
