"""What every package needs stands once, on the ground floor (`forebay/support`): nobody writes it again."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ONLY_THERE = {
    "difflib": "support.words.meant",
    "fcntl": "support.files.locked",
    "get_close_matches": "support.words.meant",
    "file_digest": "support.files.sha256",
}
"""A name of Python's library, and what is asked for it instead."""


def _uses(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    modules = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    return modules | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("name", ONLY_THERE)
def test_it_is_used_on_the_ground_floor_only(name: str) -> None:
    files = [*ROOT.glob("include/forebay/**/*.py"), *ROOT.glob("plugins/**/*.py")]
    users = {str(path.relative_to(ROOT)) for path in files if name in _uses(path)}
    there = {path for path in users if path.startswith("include/forebay/support/")}
    assert there, "the test looks for something that is not there"
    assert users == there, f"ask {ONLY_THERE[name]}"
