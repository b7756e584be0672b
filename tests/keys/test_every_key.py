"""A setting that is accepted works: every key of the reference has a line that shows its effect, and the line is tried.

A key without a line fails; of a key with few values each is tried, and no two have the same outcome.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dags.conftest import airflow_home  # noqa: F401 a DAG needs a home of Airflow's
from tests.keys import format_keys, pipeline_keys
from tests.keys.kinds import Elsewhere, Shown
from tests.keys.reference import keys
from tests.keys.trial import Trial

ROOT = Path(__file__).parents[2]
SHOWN = pipeline_keys.SHOWN | format_keys.SHOWN
KEYS = keys()


def test_every_key_of_the_reference_has_a_line_and_no_line_is_of_another() -> None:
    assert set(SHOWN) == set(KEYS)
    assert not set(pipeline_keys.SHOWN) & set(format_keys.SHOWN)


def test_control_a_new_key_has_no_line() -> None:
    page = (
        "## `schedule`\n\n| key | type | default | meaning |\n|---|---|---|---|\n| `moon` | `full`, "
        "`new` | `new` | x |\n"
    )
    assert keys(page) == {"schedule.moon": ("full", "new")}
    assert "schedule.moon" not in SHOWN


@pytest.mark.parametrize("key", [key for key, shown in SHOWN.items() if isinstance(shown, Shown)])
def test_each_value_has_its_effect(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = SHOWN[key]
    assert isinstance(shown, Shown)
    for number, (value, expected) in enumerate(shown.cases):
        files = shown.data if isinstance(shown.data, dict) else {"a.csv": shown.data}
        root = tmp_path / str(number)
        trial = Trial(root, shown.changes(key, value), files, shown.suite, shown.kept, shown.pins, shown.environment)
        monkeypatch.chdir(root)
        found = shown.look(trial)
        assert found == expected, (key, value, trial.faults)
    assert all(one != other for n, (_, one) in enumerate(shown.cases) for _, other in shown.cases[:n]), (
        "the same outcome twice"
    )


@pytest.mark.parametrize("key", [key for key, values in KEYS.items() if values and isinstance(SHOWN.get(key), Shown)])
def test_of_a_key_with_few_values_each_is_tried(key: str) -> None:
    shown = SHOWN[key]
    assert isinstance(shown, Shown)
    assert {_written(value) for value, _ in shown.cases} >= set(KEYS[key])


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("key", [key for key, shown in SHOWN.items() if isinstance(shown, Elsewhere)])
def test_a_test_that_is_named_is_there_and_uses_the_key(key: str) -> None:
    shown = SHOWN[key]
    assert isinstance(shown, Elsewhere)
    path, _, name = shown.test.partition("::")
    source = (ROOT / path).read_text("utf-8")
    assert name in set(_names(ast.parse(source)))
    assert shown.word in source


def _names(tree: ast.AST) -> Iterator[str]:
    return (node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef))
