"""What a path's wildcards take in, beyond what the contract's tests list."""

from __future__ import annotations

import pytest

from forebay.sources import _pattern


@pytest.mark.parametrize(
    ("pattern", "name", "taken"),
    [
        (
            "**/*.csv",
            "in//a.csv",
            True,
        ),  # an object's key may have a folder without a name; a file that is not listed is lost in silence
        ("**/*.csv", "/a.csv", True),
        ("**/*.csv", "in//_SUCCESS.csv", False),
        ("**/*.csv", "in/.tmp//a.csv", False),
        ("**", "in//a", True),
        ("**", "in/", False),  # a folder's marker is no file
        ("*/*.csv", "a=b/x.csv", True),
    ],
)
def test_folders_without_a_name_are_folders(pattern: str, name: str, taken: bool) -> None:
    assert bool(_pattern.compiled(pattern).fullmatch(name)) is taken
