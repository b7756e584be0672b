"""An Airflow home for tests that import Airflow into their own process: no database, this project's plug-ins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True, scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Set before the first `import airflow` of the session: tests import it inside functions. One home for all."""
    home = tmp_path_factory.getbasetemp() / "airflow"
    home.mkdir(exist_ok=True)
    settings = {"LOAD_EXAMPLES": "False", "DAGS_FOLDER": str(ROOT / "dags"), "PLUGINS_FOLDER": str(ROOT / "plugins")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(home))
        for key, value in settings.items():
            patch.setenv(f"AIRFLOW__CORE__{key}", value)
        yield home
