"""Each variable of the environment that forebay reads has its effect; one that nobody lists here fails."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forebay.cli import progress
from forebay.config.home import Project
from forebay.errors import ConfigError

ROOT = Path(__file__).parents[2]
VARIABLES: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "FOREBAY_HOME": (lambda: Project.find(ROOT).home, {"/a": Path("/a"), "/b": Path("/b")}),
    "FOREBAY_PROJECT": (lambda: Project.find().root, {str(ROOT): ROOT}),
    "FOREBAY_INDEX": (lambda: Project.find(ROOT).index, {"sqlite:///a": "sqlite:///a", "sqlite:///b": "sqlite:///b"}),
    "FOREBAY_CACHE": (lambda: Project.find(ROOT).cache, {"/a": Path("/a"), "/b": Path("/b")}),
    "FOREBAY_MEMORY": (lambda: Project.find(ROOT).memory, {"64MiB": 64 << 20, "1GiB": 1 << 30}),
    "FOREBAY_REPORT_DAYS": (lambda: Project.find(ROOT).report_days, {"7": 7, "90": 90}),
    "FOREBAY_REPAIR_DAYS": (lambda: Project.find(ROOT).repair_days, {"7": 7, "30": 30}),
}
ELSEWHERE = {
    "FOREBAY_CONN_": "tests/config/test_connections.py",
    "FOREBAY_CONN_LANDING": "tests/config/test_connections.py",
    "FOREBAY_LOG": "tests/keys/test_environment.py",
    "FOREBAY_FAILPOINT": "tests/e2e/test_generations.py",
    "FOREBAY_PRODUCE": "tests/kafka/test_batch.py",
}


def test_every_variable_is_listed() -> None:
    source = "\n".join(
        path.read_text("utf-8") for top in ("include/forebay", "plugins") for path in (ROOT / top).rglob("*.py")
    )
    assert set(re.findall(r"\bFOREBAY_[A-Z][A-Z_]*", source)) == set(VARIABLES) | set(ELSEWHERE)
    assert [name for name, path in ELSEWHERE.items() if name not in (ROOT / path).read_text("utf-8")] == []


@pytest.mark.parametrize("name", VARIABLES)
def test_each_value_has_its_effect(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    look, cases = VARIABLES[name]
    (tmp_path / "include" / "pipelines").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for value, seen in cases.items():
        monkeypatch.setenv(name, value)
        assert look() == seen
    monkeypatch.delenv(name)
    assert look() not in cases.values()


def test_the_log_has_its_level_and_another_word_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("logging.basicConfig", lambda **given: asked.append(given["level"]))
    for word in ("error", "DEBUG"):
        monkeypatch.setenv("FOREBAY_LOG", word)
        progress._logging()
    assert asked == ["ERROR", "DEBUG"]
    monkeypatch.setenv("FOREBAY_LOG", "all")
    with pytest.raises(ConfigError, match=r"no level of the log \(known: DEBUG, INFO, WARNING, ERROR, CRITICAL\)"):
        progress._logging()
