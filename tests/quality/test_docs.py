"""Data Docs pages: readable without a network, and no value of a file means anything to HTML."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pytest

from forebay.model import Severity
from forebay.quality.check import check
from forebay.quality.docs import build_index
from forebay.quality.history_rules import judge
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
    index = build_index(docs)
    return [*docs.glob("*/**/*.html"), index]


def checks(docs: Path) -> list[Path]:
    return [path for path in docs.glob("*/**/*.html") if path.name != "index.html"]


def test_one_page_a_run_one_index_a_pipeline_and_one_over_all(docs: Path) -> None:
    assert len(pages(docs)) == 2 + 2 + 1
    assert len(checks(docs)) == 2


def test_pages_load_nothing(docs: Path) -> None:
    for path in pages(docs):
        text = path.read_text()
        page = Page(text)
        assert not {"script", "link", "iframe", "object", "embed", "base"} & set(page.tags)
        assert not [value for name, value in page.attributes if name in {"src", "srcset", "action"}]
        assert not [value for name, value in page.attributes if name == "href" and re.match(r"[a-z]+:|//", value)]
        assert "url(" not in text
        policies = [value for name, value in page.attributes if name == "content" and "default-src" in value]
        digest = base64.b64encode(
            hashlib.sha256(text[text.index("<style>") + 7 : text.index("</style>")].encode()).digest()
        ).decode()
        assert policies == [f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"]
        assert not [name for name, _ in page.attributes if name == "style"]


def test_values_and_names_are_text(docs: Path) -> None:
    for path in pages(docs):
        page = Page(path.read_text())
        assert not {"img", "b"} & set(page.tags)
        assert not [name for name, _ in page.attributes if name.startswith("on")]
    [run] = [path for path in checks(docs) if path.is_relative_to(docs / "flights")]
    text = Page(run.read_text()).text
    assert text.count(EVIL) >= 5
    assert RUN in text


def test_a_page_tells_the_failed_rules_with_rows_and_reason(docs: Path) -> None:
    text = " ".join(
        Page(next(path for path in checks(docs) if path.is_relative_to(docs / "weather")).read_text()).text.split()
    )
    assert f"critical expect_column_values_to_match_regex({EVIL}) 2 of 2 rows 1, 2 {EVIL}" in text
    assert "4 of 6 rules failed" in text


def links(page: Path, root: Path) -> list[Path]:
    """Where a page's links lead; those to the quality pages, which lie beside `root`, are left out."""
    found = [unquote(value) for name, value in Page(page.read_text()).attributes if name == "href"]
    assert found
    places = [(page.parent / link).resolve() for link in found]
    quality = (root.parent / "quality" / "index.html").resolve()
    assert quality in places
    return [place for place in places if place != quality]


def test_every_link_leads_to_a_page_and_every_page_back_to_the_quality_history(docs: Path) -> None:
    for page in pages(docs):
        assert all(place.is_file() for place in links(page, docs)), page
    assert {place.parent.name for place in links(docs / "index.html", docs)} == {"flights", "weather"}
    assert {place.suffix for place in links(docs / "flights" / "index.html", docs)} == {".html"}


def test_an_index_of_nothing_is_a_page(tmp_path: Path) -> None:
    assert "0 pipelines" in build_index(tmp_path / "none").read_text()


def some_page(docs: Path, name: str) -> Path:
    """The facts of a page, without the page's cost."""
    place = docs / name / "x.html"
    place.parent.mkdir(parents=True)
    facts = {
        "page": f"{name}/x.html",
        "run": name,
        "suite": "s",
        "success": True,
        "rules": 1,
        "failed": 0,
        "rows": 1234,
        "checked": "2026-01-05T01:02:03",
    }
    place.write_text("<p>x")
    place.with_suffix(".json").write_text(json.dumps(facts))
    return place


def test_a_run_writes_the_index_of_its_own_pipeline_and_the_one_above(tmp_path: Path) -> None:
    for name in ("birds/2026-01-05/a.csv", "fish/2026-01-05/a.csv"):
        some_page(tmp_path, name)
    build_index(tmp_path, "birds")
    assert "1 check, the latest first" in (tmp_path / "fish" / "index.html").read_text()  # it had none yet
    some_page(tmp_path, "birds/2026-01-06/a%20b.csv")
    some_page(tmp_path, "fish/2026-01-06/a.csv")
    index = build_index(tmp_path, "birds").read_text()
    birds, fish = ((tmp_path / name / "index.html").read_text() for name in ("birds", "fish"))
    assert "2 checks" in birds and "1 check," in fish
    assert "2026-01-06/a b.csv" in birds and "%20" not in Page(birds).text
    assert "2 pipelines" in index and "2026-01-06/a b.csv" in index


def test_a_pipeline_without_pages_is_in_the_index_no_more(tmp_path: Path) -> None:
    page = some_page(tmp_path, "birds/2026-01-05/a.csv")
    assert "birds" in build_index(tmp_path, "birds").read_text()
    page.with_suffix(".json").unlink()
    page.unlink()
    assert "birds" not in build_index(tmp_path, "birds").read_text()
    assert not (tmp_path / "birds" / "index.html").exists()


def test_headings_are_headings_and_names_are_readable(tmp_path: Path) -> None:
    stage, suite = (
        stage_of(pa.table({"n": [1]}), tmp_path),
        suite_of([rule("expect_column_values_to_not_be_null", column="n")], tmp_path),
    )
    name = "birds/2026-01-05/n%C3%AFght%20%E2%80%AEgpj.csv"
    verdict = check(stage, suite, tmp_path / "verdict", run_name=name, docs=tmp_path / "docs")
    assert verdict.docs
    page = Page(verdict.docs.read_text())
    assert {tag for tag in page.tags if re.fullmatch(r"h\d", tag)} == {"h1", "h2", "h3"}
    assert "birds/2026-01-05/nïght \\u202egpj.csv" in page.text and "\u202e" not in page.text and "%C3" not in page.text
    assert not [value for name, value in page.attributes if "expectations/" in value]


def test_a_run_named_like_a_way_out_stays_inside(tmp_path: Path) -> None:
    stage, suite = stage_of(pa.table({"n": [1]}), tmp_path), suite_of([], tmp_path)
    verdict = check(stage, suite, tmp_path / "verdict", run_name="../../out/x", docs=tmp_path / "docs")
    assert verdict.docs is not None
    assert verdict.docs.resolve().is_relative_to((tmp_path / "docs").resolve())


def test_rules_that_learn_stand_on_the_page_and_their_names_are_text(tmp_path: Path) -> None:
    table = pa.table({EVIL: [1.0, 2.0]})
    historical = (judge("mean", EVIL, "50%", Severity.CRITICAL, 9.0, {f"2013-01-0{n}": [1.0] for n in range(1, 6)}, 5),)
    suite = suite_of([rule("expect_table_row_count_to_be_between", min_value=1)], tmp_path)
    verdict = check(
        stage_of(table, tmp_path),
        suite,
        tmp_path / "verdict",
        run_name="flights",
        docs=tmp_path / "docs",
        historical=historical,
    )
    assert [result.success for result in verdict.results] == [True, False]
    assert verdict.docs
    page = Page(verdict.docs.read_text(encoding="utf-8"))
    assert "Compared with earlier nights" in page.text and f"history_mean({EVIL})" in page.text
    assert "script" not in page.tags and "onclick" not in dict(page.attributes)
