"""Where the words of errors and findings say what to do: the parentheses at a message's end, as the grammar of messages
has it (errors.py)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_TAIL = re.compile(r" \(((?:[^()]|\([^()]*\))*)\)$")
_SQL = re.compile(
    r"SELECT [^:]|FROM |FILTER|NOT IN|^(copy|filter|select|insert into|create temp)\b|\b(using|null and) \("
)
_NOT_WORDS = ("config/schema.py", "config/changes.py", "pages/", "_casts.py")
"""Modules that write documents or SQL."""


def words(node: ast.AST) -> str:
    """The text of a literal, `{}` where a value stands."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(words(part) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return ""


def texts(tree: ast.AST) -> Iterator[str]:
    """Every text of a module that is no docstring and no part of another text."""
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(inner) for inner in ast.walk(node) if inner is not node}
    return (
        words(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in skipped
    )


def modules() -> Iterator[Path]:
    for top in ("include/forebay", "plugins"):
        yield from sorted((ROOT / top).rglob("*.py"))


def ways_out() -> dict[str, set[str]]:
    """Each way out that a message ends with, by its words, and the modules that say it."""
    found: dict[str, set[str]] = {}
    for path in modules():
        if any(part in str(path) for part in _NOT_WORDS):
            continue
        for text in texts(ast.parse(path.read_text("utf-8"))):
            tail = _TAIL.search(text)
            if tail and not _SQL.search(text) and len(tail[1].replace("{}", "")) > 3:
                found.setdefault(tail[1], set()).add(str(path.relative_to(ROOT)))
    return found


def findings() -> set[str]:
    """The ways out of doctor's findings: the fifth argument of each."""
    found = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding" and len(node.args) >= 5:
                found.add(words(node.args[4]) or ast.unparse(node.args[4]))
    return found
