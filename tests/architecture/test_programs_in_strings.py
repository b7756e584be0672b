"""Programs that tests start from a string import what is there: no linter looks into strings, and a module that moved
would break the slow tier only."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FROM = re.compile(r"\bfrom ((?:forebay|tests)(?:\.\w+)*) import ([\w, ]+)")


def imported(source: str) -> Iterator[tuple[str, str]]:
    """Module and name of each import of ours within a string."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for module, names in FROM.findall(node.value):
                yield from ((module, name.split(" as ")[0].strip()) for name in names.split(","))


EACH = sorted(
    {(str(path.relative_to(TESTS)), *one) for path in TESTS.rglob("*.py") for one in imported(path.read_text("utf-8"))}
)


@pytest.mark.parametrize(("path", "module", "name"), EACH)
def test_what_a_string_imports_is_there(path: str, module: str, name: str) -> None:
    found = importlib.import_module(module)
    assert hasattr(found, name) or importlib.util.find_spec(f"{module}.{name}"), path


def test_there_are_such_programs() -> None:
    assert ("forebay.kafka.ledger.guard", "LedgerHome") in {one[1:] for one in EACH}
