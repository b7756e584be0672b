"""An Airflow home of the test session's own (no database), and small projects of YAML files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.airflow_home import airflow_home

__all__ = ["airflow_home"]

MINIMAL = """\
pipeline: {name}
owner: zoo
schedule: {{cron: "0 2 * * *", timezone: America/New_York}}
source: {{type: local, path: "drops/{{{{ ds }}}}/{name}-*.csv"}}
format: {{type: csv}}
schema: {{columns: {{id: int64, name: string}}}}
record: {{key: id}}
topic: {{name: {name}}}
"""


@pytest.fixture
def make_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A project with these pipeline files (file name to YAML text), named to the loader by `FOREBAY_PROJECT`."""

    def make(**files: str) -> Path:
        folder = tmp_path / "include" / "pipelines"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / f"{name}.yaml").write_text(text, "utf-8")
        monkeypatch.setenv("FOREBAY_PROJECT", str(tmp_path))
        monkeypatch.delenv("FOREBAY_HOME", raising=False)
        return tmp_path

    return make
