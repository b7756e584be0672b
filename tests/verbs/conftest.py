"""Fixtures of the tests of discovery."""

from __future__ import annotations

from pathlib import Path

import pytest

from forebay.model import SourceFile
from forebay.sources.local import Local
from tests.verbs.published import Ledger


@pytest.fixture
def drops(tmp_path: Path) -> Path:
    folder = tmp_path / "drops" / "2013-01-02"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files whose bytes discovery read."""
    seen: list[str] = []
    real = Local.fingerprint

    def noted(self: Local, file: SourceFile) -> str:
        seen.append(file.name)
        return real(self, file)

    monkeypatch.setattr(Local, "fingerprint", noted)
    return seen
