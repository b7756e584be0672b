"""How pytest-xdist shares the tests out: a file stays with one worker, and so does the folder of Airflow's tests, which
share one Airflow."""

from __future__ import annotations

from typing import Any

import pytest

TOGETHER = ("tests/e2e/airflow/", "tests/chaos/")
"""Folders whose files share a service that is dear to start. The first is the longest, so it begins first."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: Any, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return next((folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid.split("::", 1)[0])

    config.option.loadscopereorder = False  # the order is ours: xdist would begin with the file of most tests
    return ByFile(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In workers the longest work comes first, so that no worker is left alone with it at the end."""
    if hasattr(config, "workerinput"):
        items.sort(
            key=lambda item: next(
                (rank for rank, folder in enumerate(TOGETHER) if item.nodeid.startswith(folder)), len(TOGETHER)
            )
        )
