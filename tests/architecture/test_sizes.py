"""No file is longer than a person reads at once, and functions are small."""

from __future__ import annotations

import ast
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST = 400


def _longer() -> set[str]:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [name for name in listed.split() if (ROOT / name).exists()]
    return {name for name in files if len((ROOT / name).read_text("utf-8").splitlines()) > MOST}


def test_no_file_has_more_lines() -> None:
    assert _longer() == set()


def _body(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement after the docstring to the end."""
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (statements[-1].end_lineno or 0) - statements[0].lineno + 1 if statements else 0


def _functions() -> Iterator[tuple[int, str]]:
    """Every function of what is shipped, but for the test suites in it: lines of its body, and where it stands."""
    for path in [*ROOT.glob("include/forebay/**/*.py"), *ROOT.glob("plugins/**/*.py")]:
        if "testing" not in path.parts:
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield _body(node), f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"


def test_functions_are_small() -> None:
    """The median has at most 6 lines, nine of ten at most 15. A single long one may be right: none is forbidden."""
    functions = sorted(_functions())
    lines = [count for count, _ in functions]
    assert len(lines) > 2_000
    assert statistics.median(lines) <= 6
    over = [f"{count} {where}" for count, where in functions if count > 15]
    assert len(over) <= len(lines) / 10, f"{len(over)} of {len(lines)} functions have more than 15 lines: {over[-20:]}"


def test_what_is_counted_is_the_body_without_its_docstring() -> None:
    [function] = ast.parse('def f(\n    a: int,\n) -> int:\n    """Two\n    lines."""\n    a += 1\n    return a\n').body
    assert isinstance(function, ast.FunctionDef) and _body(function) == 2
