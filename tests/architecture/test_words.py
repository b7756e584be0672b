"""One name for one thing: words that were given up are used nowhere (docs/glossary.md has those in use)."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("include", "plugins", "dags", "tools", "docs", "README.md")

GIVEN_UP = {
    r"\bset aside\b": "quarantined (a row)",
    r"\bwaiting for a person\b": "held back (a file)",
    r"\btake_up\b": "resume",
    r"\bcheckup\b": "doctor",
    r"\b_fates\b": "file_fate",
    r"\b_nights\b": "daily_status",
    r"\b_times\b": "timestamp_limits",
    r"\bsettled kept in place\b|\bPublish nothing of it\b|\bThe whole way of one window\b": "plain words",
    r"\blets us in\b": "accepts the connection",
    r"(?<!\d)1 (?:partitions|nights|rows|files|pipelines|offsets|records)\b": "counted()",
}
ELSEWHERE = {
    "docs/decisions/0001-quarantined-and-rejected.md",
    "include/forebay/model/runs.py",
}
"""A record of the time, and how a state was written then."""

NO_NAMES = {"found", "told", "one"}
"""They say that there is a result, and not which."""


def _files(*endings: str) -> Iterator[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", *PLACES], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\n"):
        if name.endswith(endings) and (ROOT / name).exists() and name not in ELSEWHERE:
            yield name, (ROOT / name).read_text("utf-8")


@pytest.mark.parametrize("word", GIVEN_UP)
def test_a_word_that_was_given_up_is_used_nowhere(word: str) -> None:
    places = [
        f"{name}:{number}: write {GIVEN_UP[word]}"
        for name, text in _files(".py", ".md", ".html", ".css")
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(word, line)
    ]
    assert places == []


def names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """What a module calls its values."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) | ast.FunctionDef(name=name):
                yield name, node.lineno
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name, node.lineno


def test_results_have_the_names_of_what_they_are() -> None:
    places = [
        f"{file}:{line}: {name}"
        for file, text in _files(".py")
        for name, line in names(ast.parse(text))
        if name in NO_NAMES
    ]
    assert places == []


def test_control_they_would_be_seen() -> None:
    tree = ast.parse("def one(told):\n    found: int = 1\n    for one in told:\n        found = one\n")
    assert {name for name, _ in names(tree)} == {"found", "told", "one"}
