"""A project folder with pipeline files in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from forebay.config.home import Project

GOOD = """\
pipeline: orders
owner: shop
source: {type: local, path: "drops/orders/{{ ds }}/*.csv"}
format: {type: csv, delimiter: ";"}
schema:
  columns:
    id: int64
    amount: decimal(10,2)
    day: date
record: {key: id, timestamp: day}
topic: {name: orders, partitions: 3}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project."""
    for name in ("pipelines", "expectations"):
        (tmp_path / "include" / name).mkdir(parents=True)
    return Project.find(tmp_path, {})


@pytest.fixture
def write(project: Project) -> Callable[..., Path]:
    """`write(text, name="orders.yaml")` puts a pipeline file into the project."""

    def put(text: str, name: str = "orders.yaml") -> Path:
        path = project.pipelines / name
        path.write_text(text, encoding="utf-8")
        return path

    return put


@pytest.fixture
def good() -> str:
    return GOOD
