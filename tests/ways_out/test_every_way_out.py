"""Messages whose way out leads nowhere: every way out is in the table, with the test that follows it or the reason why
none does."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from tests.ways_out.sites import ROOT, findings, ways_out
from tests.ways_out.table import FINDINGS, REASONS, WAYS_OUT

FOLLOWED = sorted({evidence for evidence in (*WAYS_OUT.values(), *FINDINGS.values()) if evidence not in REASONS})


def test_every_way_out_has_its_line_and_no_line_is_of_another() -> None:
    assert set(ways_out()) == set(WAYS_OUT)
    assert findings() == set(FINDINGS)


@pytest.mark.parametrize("test", FOLLOWED)
def test_a_test_that_follows_it_is_there(test: str) -> None:
    path, _, name = test.partition("::")
    assert name in defined(path)


@cache
def defined(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def test_control_another_way_out_is_found() -> None:
    from tests.ways_out import sites

    tree = ast.parse('raise ConfigError(f"reading `{x}`: it is wrong (stand on your head, then {run} it again)")')
    found = [tail[1] for text in sites.texts(tree) if (tail := sites._TAIL.search(text))]
    assert found == ["stand on your head, then {} it again"] and found[0] not in WAYS_OUT
