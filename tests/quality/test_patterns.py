"""Compiled code never judges a text otherwise than Python."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.quality import patterns

ATOMS = [
    "a",
    "B",
    ".",
    "\\d",
    "\\w",
    "\\s",
    "\\D",
    "\\W",
    "\\S",
    "[a-c]",
    "[^a-c]",
    "[\\d-]",
    "[^\\s@]",
    "\\.",
    "é",
    "[à-ü]",
    "\\b",
    "^",
    "$",
    "(?:ab|c)",
    "(b)",
]
REPEATS = ["", "*", "+", "?", "{2}", "{1,3}", "{,2}", "*?"]
TEXTS = st.text(st.sampled_from(list("abcABC019 _-@.\n\t\r\x0b\x1c$^éüſK\u0661\u00a0")), max_size=8)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as made:
        yield made


@st.composite
def expressions(draw: st.DrawFn) -> str:
    parts = draw(st.lists(st.tuples(st.sampled_from(ATOMS), st.sampled_from(REPEATS)), min_size=1, max_size=5))
    body = "".join(atom + ("" if atom in {"^", "$", "\\b"} else repeat) for atom, repeat in parts)
    return draw(st.sampled_from(["", "(?i)", "(?m)", "(?s)"])) + body


@settings(max_examples=150, deadline=None)
@given(pattern=expressions(), texts=st.lists(TEXTS, min_size=1, max_size=8))
def test_what_re2_says_of_a_text_is_what_python_says(
    con: duckdb.DuckDBPyConnection, pattern: str, texts: list[str]
) -> None:
    accepting = patterns.accepting(pattern)
    if accepting is None:
        return
    query = "select t, regexp_matches(t, $2), regexp_matches(t, $3) from (select unnest($1::varchar[]) as t)"
    for text, accepted, plain in con.execute(query, [texts, accepting, rf"\A{patterns.PLAIN}\z"]).fetchall():
        found = re.search(pattern, text) is not None
        assert not accepted or found, (pattern, text)
        assert not plain or accepted == found, (pattern, text)


def test_common_patterns_are_judged_by_compiled_code() -> None:
    for pattern in [
        r"^ACC\d{8}$",
        r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$",
        "foo|bar",
        r"(?i)^n\w+",
        r"\bA",
        "^N[0-9A-Z]{1,5}$",
    ]:
        assert patterns.accepting(pattern) is not None, pattern


@pytest.mark.parametrize("pattern", ["(?=a)", "(?!a)", r"(a)\1", "(?<=a)b", "a{2000}", "(?i)ſ", r"\B", "(?>a)", "a*+"])
def test_what_re2_cannot_say_is_left_to_python(pattern: str) -> None:
    assert patterns.accepting(pattern) is None


FORMATS = ["%Y-%m-%d", "%Y%m%d", "%d.%m.%Y %H:%M:%S", "%H:%M", "%Y-%m-%dT%H:%M:%S", "100%% %Y-%m-%d"]


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(FORMATS),
    st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)),
    st.text("0123456789-:. T%", max_size=3),
    st.integers(0, 19),
)
def test_a_time_that_compiled_code_accepts_is_one_for_python(
    con: duckdb.DuckDBPyConnection, time_format: str, moment: datetime, noise: str, at: int
) -> None:
    accepting, surely = patterns.accepting_time(time_format), patterns.accepting_time(time_format, surely=True)
    assert accepting is not None
    query = "select regexp_matches($1, $2) and try_strptime($1, $3) is not null, regexp_matches($1, $4)"
    written = moment.strftime(time_format)
    for text in (written, written[:at] + noise + written[at + len(noise) :]):
        row = con.execute(query, [text, accepting, time_format, surely]).fetchone()
        if row and any(row):
            datetime.strptime(text, time_format)


@pytest.mark.parametrize(
    "time_format", ["%y-%m-%d", "%b %d %Y", "%Y-%m", "%Y-%m-%d %I %p", "%Y\u00a0%m %d", "%Y-%m-%d %z"]
)
def test_other_formats_are_left_to_python(time_format: str) -> None:
    assert patterns.accepting_time(time_format) is None
