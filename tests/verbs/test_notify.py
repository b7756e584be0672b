"""Who is told of which end of a file, and that no notifier can stop it."""

from __future__ import annotations

import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from forebay import events
from forebay.config.home import Project
from forebay.config.pipeline import Pipeline
from forebay.model import Answer, Decision, Fate, FileRun, SourceFile, Status, Window
from forebay.verbs.context import Context
from forebay.verbs.notices import notify

KEEP = "import sys; open(sys.argv[1], 'ab').write(sys.stdin.buffer.read())"
ASKED = Answer(Decision.ASK, "gate", "why")
WARNED = Answer(Decision.PUBLISH, "gate", "all passed; WARNING: 9 rows")
LET_PASS = Answer(Decision.PUBLISH, "ann", "a person's words; WARNING: of none")
FILE = FileRun("run", "p", Window.of_day(date(2026, 1, 5)), SourceFile("file:///drops/a.csv", 1, 0.0), Fate.NEW, "new")


def context(root: Path, sections: list[dict[str, Any]]) -> Context:
    base = {
        "pipeline": "p",
        "owner": "o",
        "source": {"type": "local", "path": "x"},
        "format": {"type": "csv"},
        "record": {"key": "id"},
    }
    pipeline = Pipeline.model_validate({**base, "topic": {"name": "t"}, "quality": {"notify": sections}})
    return Context.of(pipeline, Project(root, root / ".forebay"))


@pytest.fixture
def told(tmp_path: Path) -> tuple[dict[str, Any], Path]:
    path = tmp_path / "told"
    path.touch()
    return {"type": "command", "options": {"command": [sys.executable, "-c", KEEP, str(path)]}}, path


@pytest.mark.parametrize(
    ("changes", "event", "reason"),
    [
        ({"status": Status.WAITING, "answer": ASKED}, "waiting", "why"),
        ({"status": Status.REJECTED, "answer": Answer(Decision.REJECT, "gate", "why")}, "rejected", "why"),
        ({"status": Status.FAILED, "error": "no CSV"}, "failed", "no CSV"),
        (
            {
                "status": Status.INSPECTED,
                "answer": WARNED,
                "warnings": 1,
            },
            "over_budget",
            "all passed; WARNING: 9 rows",
        ),
        ({"status": Status.INSPECTED, "answer": Answer(Decision.PUBLISH, "gate", "all passed")}, None, ""),
        (
            {
                "status": Status.INSPECTED,
                "answer": LET_PASS,
            },
            None,
            "",
        ),
    ],
)
def test_each_end_has_its_event(
    tmp_path: Path, told: Any, changes: dict[str, Any], event: str | None, reason: str
) -> None:
    section, path = told
    every = ["waiting", "rejected", "over_budget", "failed"]
    notify(
        context(tmp_path, [section | {"on": every}, section | {"on": [e for e in every if e != event]}]),
        FILE.but(**changes),
    )
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["event"], line["reason"], line["pipeline"], line["uri"]) for line in lines] == (
        [(event, reason, "p", FILE.file.uri)] if event else []
    )
    assert all(line["way_out"].startswith("forebay ") for line in lines)


def test_a_notifier_that_fails_is_logged_and_the_next_one_is_told(
    tmp_path: Path, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    section, path = told
    monkeypatch.setenv("ALERTS", "http://127.0.0.1:9/s3cr3t")
    broken: list[dict[str, Any]] = [
        {"type": "webhook", "options": {"url_from": "ALERTS"}},
        {"type": "no_such"},
        {"type": "webhook", "options": {"url": 5}},
    ]
    seen: list[tuple[str, dict[str, Any]]] = []
    stop = events.listen(lambda name, fields: seen.append((name, fields)))
    try:
        notify(
            context(tmp_path, [*broken, section]),
            FILE.but(status=Status.WAITING, answer=ASKED),
        )
    finally:
        stop()
    assert [name for name, _ in seen] == [events.NOTICE_FAILED] * 3 + [events.NOTICE_SENT]
    assert "s3cr3t" not in str(seen)
    assert len(path.read_text().splitlines()) == 1
