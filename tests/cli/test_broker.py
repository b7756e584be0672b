"""`forebay broker`: the embedded broker as a user starts, asks and stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from forebay.kafka.embedded import broker
from tests.support.kafka import CACHE
from tests.support.project import Answer


@pytest.fixture
def cached(monkeypatch: pytest.MonkeyPatch, root: Path) -> Iterator[None]:
    """Kafka's jars come from the tests' cache; a broker left running in the project is ended."""
    monkeypatch.setenv("FOREBAY_CACHE", str(CACHE))
    yield
    broker.stop(root / ".forebay" / "broker")


@pytest.mark.kafka
def test_start_status_env_stop(forebay: Callable[..., Answer], root: Path, cached: None) -> None:
    started = forebay("broker", "start", "--json")
    assert started.code == 0
    bootstrap, (pid,) = started.json["bootstrap"], started.json["pids"]
    assert (started.json["nodes"], started.json["home"]) == (1, str(root / ".forebay" / "broker"))
    assert forebay("broker", "start", "--json").json == started.json, "a second start finds the first"

    assert forebay("broker", "status", "--json").json == {"running": True, **started.json}
    assert f"Apache Kafka 4.3.1 at {bootstrap}" in forebay("broker", "status").out
    assert forebay("broker", "env").out == f"export KAFKA_BOOTSTRAP_SERVERS={bootstrap}\n"
    assert forebay("broker", "env", "--json").json == {"KAFKA_BOOTSTRAP_SERVERS": bootstrap}

    assert forebay("broker", "stop").out == "stopped\n"
    assert not psutil.pid_exists(pid)
    assert forebay("broker", "status", "--json").json == {"running": False, "home": str(root / ".forebay" / "broker")}


def test_without_a_broker_nothing_is_started_by_asking(forebay: Callable[..., Answer], root: Path) -> None:
    assert forebay("broker", "status").out == "no broker is running\n"
    assert forebay("broker", "stop", "--json").json["stopped"] is False
    answer = forebay("broker", "env")
    assert (answer.code, answer.out) == (4, "")
    assert "none runs (start it: forebay broker start)" in answer.err


def test_home_serves_without_a_project(root: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from forebay.cli.main import app

    result = CliRunner().invoke(app, ["broker", "status", "--home", str(tmp_path / "elsewhere"), "--json"])
    assert result.exit_code == 0
    assert str(tmp_path / "elsewhere") in result.stdout


def test_project_and_home_exclude_each_other(forebay: Callable[..., Answer], tmp_path: Path) -> None:
    answer = forebay("broker", "status", "--home", str(tmp_path / "elsewhere"))
    assert answer.code == 2
    assert "--project and --home exclude each other (give one of them)" in answer.err
    assert forebay("broker", "status").code == 0
