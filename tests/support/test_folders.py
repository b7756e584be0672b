"""What forebay makes for itself is its owner's alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay.support.folders import OTHERS, private


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_all_that_is_missing_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    made = private(tmp_path / "home" / "work" / "birds")
    assert made.is_dir()
    assert [folder.stat().st_mode & OTHERS for folder in (made, made.parent, made.parent.parent)] == [0, 0, 0]
    assert private(made) == made


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o775)
    private(shared / "inner")
    assert shared.stat().st_mode & 0o777 == 0o775


def test_a_file_in_the_way_is_an_error_of_the_file_system(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(OSError, match="home"):
        private(tmp_path / "home" / "work")
