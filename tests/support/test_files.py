"""A file that is trusted because it is there was on disk before it got its name, and its name was on disk before it was
trusted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from forebay.support import files


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was synced and renamed, in order."""
    found: list[tuple[str, str]] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(handle: int) -> None:
        found.append(("fsync", Path(f"/proc/self/fd/{handle}").readlink().name))
        fsync(handle)

    def noted_replace(self: Path, target: Any) -> Path:
        found.append(("rename", Path(target).name))
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    return found


def test_bytes_then_name_then_folder(calls: list[tuple[str, str]], tmp_path: Path) -> None:
    place = files.write("{}", tmp_path / "stage.json")
    assert place.read_text() == "{}"
    assert [kind for kind, _ in calls] == ["fsync", "rename", "fsync"]
    assert calls[1:] == [("rename", "stage.json"), ("fsync", tmp_path.name)]
    assert list(tmp_path.iterdir()) == [place]


def test_a_draft_that_cannot_be_synced_gets_no_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write("{}", tmp_path / "stage.json")
    assert not (tmp_path / "stage.json").exists()
