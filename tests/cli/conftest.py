"""The `forebay` command, called as a user calls it, in a project of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas  # noqa: F401  (a run in this process hides it from pyarrow unless it is loaded already)
import pytest
from typer.testing import CliRunner

from forebay.cli.main import app
from tests.support.project import Answer

GOOD = """\
pipeline: orders
owner: shop
source: {type: local, path: "drops/orders/{{ ds }}/*.csv"}
format: {type: csv}
schema: {columns: {id: int64, amount: "decimal(10,2)"}}
record: {key: id}
topic: {name: orders}
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder; no setting of the machine reaches it."""
    for name in ("FOREBAY_HOME", "FOREBAY_PROJECT", "FOREBAY_LOG", "KAFKA_BOOTSTRAP_SERVERS", "KAFKA_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name in ("pipelines", "expectations"):
        (tmp_path / "include" / name).mkdir(parents=True)
    return tmp_path


@pytest.fixture
def pipeline(root: Path) -> Callable[..., Path]:
    """`pipeline(text, name="orders")` writes a pipeline file."""

    def write(text: str = GOOD, name: str = "orders") -> Path:
        path = root / "include" / "pipelines" / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def forebay(root: Path) -> Callable[..., Answer]:
    """`forebay("check", "--json")` in the project; unexpected errors are raised, as Python would show them."""

    def call(command: str, *args: str) -> Answer:
        result = CliRunner().invoke(app, [command, *args, "--project", str(root)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Answer(result.exit_code, result.stdout, result.stderr)

    return call
