"""Which pipeline files there are, and which of them is meant."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from forebay.config import conflicts, load
from forebay.config.home import Project
from forebay.errors import ConfigError, SettingsError

Write = Callable[..., Path]


def test_one_broken_file_never_hides_the_others(project: Project, write: Write, good: str) -> None:
    broken = write("pipeline: [", "a.yaml")
    write(good)
    found = load.load_all(project)
    assert list(found.pipelines) == ["orders"]
    assert list(found.faults) == [broken]
    assert load.load_pipeline(project, "orders").pipeline == "orders"


def test_a_pipeline_is_found_by_its_name_not_its_file(project: Project, write: Write, good: str) -> None:
    write(good, "anything.yml")
    assert load.load_pipeline(project, "orders").owner == "shop"


def test_an_unknown_pipeline_says_what_was_meant(project: Project, write: Write, good: str) -> None:
    write(good)
    with pytest.raises(ConfigError) as caught:
        load.load_pipeline(project, "order")
    assert caught.value.message == "looking for the pipeline `order`: there is none (did you mean `orders`?)"
    with pytest.raises(ConfigError, match="known: orders"):
        load.load_pipeline(project, "zzz")


def test_a_broken_pipeline_is_found_by_its_file(project: Project, write: Write) -> None:
    write("pipeline: [")
    with pytest.raises(SettingsError, match=r"orders\.yaml:"):
        load.load_pipeline(project, "orders")


def test_a_name_that_two_files_have_is_nobodys(project: Project, write: Write, good: str) -> None:
    write(good, "a.yaml")
    write(good, "b.yaml")
    with pytest.raises(SettingsError) as caught:
        load.load_pipeline(project, "orders")
    assert [fault.path for fault in caught.value.faults] == ["include/pipelines/a.yaml", "include/pipelines/b.yaml"]


def test_editors_left_overs_are_not_pipelines(project: Project, write: Write, good: str) -> None:
    write(good)
    for name in (".orders.yaml", "orders.yaml~", "notes.txt"):
        write("pipeline: [", name)
    assert [path.name for path in load.paths(project)] == ["orders.yaml"]


def test_loading_a_project_imports_no_vendor() -> None:
    code = (
        "import sys; from forebay.config.load import load_all; from forebay.config.home import Project; "
        "from pathlib import Path\n"
        "assert load_all(Project.find(Path.cwd())).files\n"
        "vendors = ('duckdb', 'pyarrow', 'numpy', 'confluent_kafka', 'boto3', 'great_expectations', 'sqlalchemy', "
        "'openlineage')\n"
        "print([name for name in vendors if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout == "[]\n"


def test_the_projects_own_pipelines_are_right() -> None:
    project = Project.find(Path(__file__).resolve().parents[2], {})
    found = load.load_all(project)
    assert not found.faults
    assert not conflicts.faults(found, project)
    assert sorted(found.pipelines) == ["flights", "weather_json", "weather_parquet"]
