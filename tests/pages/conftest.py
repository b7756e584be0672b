from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages.made import Made


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """A project without pipelines; no setting of the machine reaches it."""
    for name in ("FOREBAY_HOME", "FOREBAY_INDEX", "FOREBAY_PROJECT", "FOREBAY_REPORT_DAYS"):
        monkeypatch.delenv(name, raising=False)
    return Made.at(tmp_path)
