"""Data Docs pages: readable without a network, and no value of a file means anything to HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest

from forebay.model import Severity
from forebay.quality.check import check
from forebay.quality.docs import build_index
from forebay.quality.learnt import judge
from tests.quality.made import rule, stage_of, suite_of

EVIL = '<script>alert(1)</script><b onclick="x">&amp;\'$x ${y} {{7*7}}'
RUN = 'flights/2013-01-01/<img src="https://evil.example/x">.csv'


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.text += " " if tag == "td" else ""
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    table = pa.table({EVIL: [EVIL, "x", None], "n": pa.array([1, 1, 3], pa.int64())})
    condition = {"type": "comparison", "column": {"name": EVIL}, "operator": "==", "parameter": EVIL}
    rules = [
        {**rule("expect_column_values_to_match_regex", column=EVIL, regex="^<z"), "notes": EVIL},
        rule("expect_column_values_to_be_in_set", "warning", column=EVIL, value_set=[EVIL, "y"]),
        rule("expect_column_values_to_be_between", column="n", min_value=2, row_condition=condition),
        rule("expect_compound_columns_to_be_unique", column_list=["n", EVIL]),
        rule("expect_column_distinct_values_to_be_in_set", column=EVIL, value_set=["q"]),
        rule("expect_table_row_count_to_be_between", min_value=1),
    ]
    stage, suite = stage_of(table, folder), suite_of(rules, folder, "evil")
    for name in (RUN, "weather/2013-01-01/a.parquet"):
        verdict = check(stage, suite, folder / "verdict", run_name=name, docs=folder / "docs")
        assert verdict.docs is not None
        assert verdict.docs.is_file()
    return folder / "docs"


def pages(docs: Path) -> list[Path]:
    return [*docs.glob("*/**/*.html"), build_index(docs)]


def test_one_page_a_run(docs: Path) -> None:
    assert len(pages(docs)) == 3


def test_pages_load_nothing(docs: Path) -> None:
    for path in pages(docs):
        text = path.read_text()
        page = Page(text)
        assert not {"script", "link", "iframe", "object", "embed", "base"} & set(page.tags)
        assert not [value for name, value in page.attributes if name in {"src", "srcset", "action"}]
        assert not [value for name, value in page.attributes if name == "href" and re.match(r"[a-z]+:|//", value)]
        assert "url(" not in text
        assert "default-src 'none'" in dict(page.attributes)["content"] or "default-src" in text


def test_values_and_names_are_text(docs: Path) -> None:
    for path in pages(docs):
        page = Page(path.read_text())
        assert not {"img", "b"} & set(page.tags)
        assert not [name for name, _ in page.attributes if name.startswith("on")]
    run = next(docs.glob("flights/**/*.html"))
    text = Page(run.read_text()).text
    assert text.count(EVIL) >= 5
    assert RUN in text


def test_a_page_tells_the_failed_rules_with_rows_and_reason(docs: Path) -> None:
    text = " ".join(Page(next(docs.glob("weather/**/*.html")).read_text()).text.split())
    assert f"critical expect_column_values_to_match_regex({EVIL}) 2 of 2 rows 1, 2 {EVIL}" in text
    assert "4 of 6 rules failed" in text


def test_links_of_the_index_lead_to_pages(docs: Path) -> None:
    from urllib.parse import unquote

    links = [unquote(value) for name, value in Page(build_index(docs).read_text()).attributes if name == "href"]
    assert len(links) == 2
    assert all((docs / link).is_file() for link in links)


def test_an_index_of_nothing_is_a_page(tmp_path: Path) -> None:
    assert "0 pages" in build_index(tmp_path / "none").read_text()


def test_a_run_named_like_a_way_out_stays_inside(tmp_path: Path) -> None:
    stage, suite = stage_of(pa.table({"n": [1]}), tmp_path), suite_of([], tmp_path)
    verdict = check(stage, suite, tmp_path / "verdict", run_name="../../out/x", docs=tmp_path / "docs")
    assert verdict.docs is not None
    assert verdict.docs.resolve().is_relative_to((tmp_path / "docs").resolve())


def test_rules_that_learn_stand_on_the_page_and_their_names_are_text(tmp_path: Path) -> None:
    table = pa.table({EVIL: [1.0, 2.0]})
    learnt = (judge("mean", EVIL, "50%", Severity.CRITICAL, 9.0, {f"2013-01-0{n}": [1.0] for n in range(1, 6)}, 5),)
    suite = suite_of([rule("expect_table_row_count_to_be_between", min_value=1)], tmp_path)
    verdict = check(stage_of(table, tmp_path), suite, tmp_path / "verdict", run_name="flights", docs=tmp_path / "docs", learnt=learnt)
    assert [result.success for result in verdict.results] == [True, False]
    assert verdict.docs
    page = Page(verdict.docs.read_text(encoding="utf-8"))
    assert "Compared with earlier nights" in page.text and f"history_mean({EVIL})" in page.text
    assert "script" not in page.tags and "onclick" not in dict(page.attributes)
