from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forebay.config.patterns import overlap


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("drops/{{ ds }}/*.csv", "drops/{{ ds }}/*.csv"),
        ("drops/{{ ds }}/*.csv", "drops/{{ ds }}/EWR.csv"),
        ("drops/{{ ds }}/*.csv", "drops/2013-01-01/*.csv"),
        ("drops/{{ ds }}/*.csv", "drops/{{ year }}-{{ month }}-{{ day }}/*"),
        ("drops/**/*.csv", "drops/a/b/c.csv"),
        ("drops/**/*.csv", "drops/c.csv"),
        ("drops/**", "drops/a/b.csv"),
        ("drops/?.csv", "drops/[a-c].csv"),
        ("./drops//x.csv", "drops/x.csv"),
        ("a*b", "*ab"),
    ],
)
def test_patterns_that_share_a_file(a: str, b: str) -> None:
    assert overlap(a, b)
    assert overlap(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("drops/{{ ds }}/*.csv", "drops/{{ ds }}/*.json"),
        ("drops/flights/*.csv", "drops/weather/*.csv"),
        ("drops/*.csv", "drops/a/b.csv"),
        ("drops/{{ ds }}/*.csv", "drops/latest/*.csv"),
        ("drops/{{ ds }}/*.csv", "drops/{{ ds_nodash }}/*.csv"),
        ("drops/[a-c].csv", "drops/d.csv"),
        ("drops/[!a-c].csv", "drops/b.csv"),
        ("drops/?.csv", "drops/ab.csv"),
        ("drops/**/x.csv", "drops/y.csv"),
    ],
)
def test_patterns_that_share_none(a: str, b: str) -> None:
    assert not overlap(a, b)
    assert not overlap(b, a)


def _matches(pattern: str, text: str) -> bool:
    parts = {"*": "[^/]*", "?": "[^/]"}
    return re.fullmatch("".join(parts.get(char, re.escape(char)) for char in pattern), text) is not None


@given(st.text("ab*?", min_size=1, max_size=4), st.text("ab*?", min_size=1, max_size=4))
def test_overlap_is_what_trying_every_short_name_finds(a: str, b: str) -> None:
    names = ["".join(chars) for length in range(9) for chars in product("ab", repeat=length)]
    assert overlap(a, b) == any(_matches(a, name) and _matches(b, name) for name in names)
