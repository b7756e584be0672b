"""What is on the pages, read as a browser's parser reads them; hostile values stay text."""

from __future__ import annotations

import os
import re
import shutil
import time
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from forebay.pages.values import LOOKS, Night, RowList, State, letters, states
from forebay.verbs import history
from tests.pages.made import HOSTILE, NOW, Made

YESTERDAY = NOW.date() - timedelta(days=1)
PLAIN = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "header",
    "main",
    "footer",
    "section",
    "article",
    "h1",
    "h2",
    "h3",
    "p",
    "a",
    "span",
}
PLAIN |= {
    "strong",
    "small",
    "code",
    "br",
    "ul",
    "li",
    "dl",
    "div",
    "dt",
    "dd",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "details",
    "summary",
}
PLAIN |= {"figure", "figcaption", "svg", "rect", "path", "line"}
VOID = {"meta", "br"}


class Page(HTMLParser):
    """A page's text, elements and links; elements must be closed in the order in which they were opened."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.html = path.read_text("utf-8")
        self.text = ""
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self._open: list[str] = []
        self.feed(self.html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data

    def of(self, *names: str) -> list[str]:
        return [value for _, name, value in self.attributes if name in names]

    @property
    def links(self) -> list[Path]:
        return [(self.path.parent / unquote(link.partition("#")[0])).resolve() for link in self.of("href")]


def pages(made: Made) -> list[Page]:
    return [Page(path) for path in sorted(made.pages.folder.rglob("*.html"))]


def shop(made: Made, nights: int = 40) -> Page:
    """A pipeline with some nights, and its page."""
    ctx = made.pipeline("orders")
    made.year(ctx, rules=6, nights=nights, files=2)
    history.write(ctx, None, NOW)
    return Page(made.pages.pipeline("orders"))


def test_every_page_is_sound_and_every_link_leads_somewhere(made: Made) -> None:
    shop(made)
    found = pages(made)
    assert len(found) > 35
    for page in found:
        assert page.tags <= PLAIN, page.tags - PLAIN
        assert [link for link in page.links if not link.exists()] == []


def test_nothing_runs_and_nothing_is_loaded(made: Made) -> None:
    shop(made, 5)
    for page in pages(made):
        [policy] = [value for value in page.of("content") if "default-src" in value]
        assert re.fullmatch(
            r"default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]{44}'; base-uri 'none'; form-action 'none'", policy
        )
        assert not [
            name
            for _, name, _ in page.attributes
            if name.startswith("on") or name in {"style", "src", "srcset", "action"}
        ]
        assert not re.search(r"https?://|url\(|@import", page.html.replace("http-equiv", ""))


@pytest.mark.parametrize("raw", HOSTILE)
def test_hostile_values_are_text(made: Made, raw: str) -> None:
    ctx = made.pipeline("orders")
    made.hostile(ctx, YESTERDAY)
    history.write(ctx, None, NOW)
    told = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in raw)
    night = Page(made.pages.night("orders", YESTERDAY))
    assert night.text.count(told) >= 10  # name, uri, reason, error, decision, rules, row, run, note
    for page in pages(made):
        assert page.tags <= PLAIN
        assert not [name for _, name, _ in page.attributes if name.startswith("on")]
        assert told in page.text
        assert "\x00" not in page.html and "\u202e" not in page.html and "\x1b" not in page.html


def test_hostile_words_of_a_pipeline_file_are_text_too(made: Made) -> None:
    ctx = made.pipeline("orders", owner="'<script>alert(1)</script>'", about="'</title><img src=x onerror=alert(1)>'")
    made.year(ctx, nights=2)
    history.write(ctx, None, NOW)
    page = Page(made.pages.pipeline("orders"))
    assert "<script>alert(1)</script>" in page.text and "</title><img src=x onerror=alert(1)>" in page.text
    assert page.tags <= PLAIN


def test_a_night_leads_from_files_to_rules_to_rows(made: Made) -> None:
    shop(made)
    nights = [page for page in pages(made) if "As it came" in page.text]
    assert nights
    page = nights[0]
    for wanted in (
        "Failed rule",
        "As it came",
        '"customer":"c',
        "expect_column_values_to",
        "rules passed",
        "scheduled__",
    ):
        assert wanted in page.text


def test_states_are_told_by_sign_and_word_not_by_colour(made: Made) -> None:
    page = shop(made, 120)
    assert len({look.glyph for look in LOOKS.values()}) == len(State)
    cells = [value for tag, name, value in page.attributes if tag == "a" and name == "aria-label"]
    assert len(cells) == 120
    assert all(re.match(r"2026-\d\d-\d\d: [a-z ]+", cell) for cell in cells)


def test_a_day_without_a_run_is_missing_on_both_pages(made: Made) -> None:
    ctx = made.pipeline("orders")
    made.year(ctx, nights=10, seed=3)
    history.write(ctx, None, NOW + timedelta(days=2))
    for path in (made.pages.pipeline("orders"), made.pages.index):
        [told] = {value for value in Page(path).of("title") if value.startswith(f"{NOW.date()}: no run")}
        assert told == f"{NOW.date()}: no run; due 2026-11-23 02:00 UTC, no run since"


def test_the_index_tells_of_missing_nights_of_pipelines_that_did_not_run(made: Made) -> None:
    quiet, busy = made.pipeline("quiet"), made.pipeline("busy", schedule="none")
    for ctx in (quiet, busy):
        made.year(ctx, nights=3)
        history.write(ctx, None, NOW)
    assert "no run since" not in Page(made.pages.index).text
    history.write(busy, [YESTERDAY], NOW + timedelta(days=2))
    assert f"quiet, {NOW.date()}: due 2026-11-23 02:00 UTC, no run since" in " ".join(
        Page(made.pages.index).text.split()
    )


@pytest.mark.parametrize(
    ("schedule", "words"),
    [("none", "the pipeline has no schedule"), ('{cron: "0 */2 * * *"}', "is not one tick a day")],
)
def test_what_is_not_watched_is_said(made: Made, schedule: str, words: str) -> None:
    ctx = made.pipeline("orders", schedule)
    made.year(ctx, nights=2)
    history.write(ctx, None, NOW)
    assert words in Page(made.pages.pipeline("orders")).text


def test_only_the_night_that_ran_is_written_again(made: Made) -> None:
    shop(made)
    other, mine = made.pages.night("orders", YESTERDAY - timedelta(days=1)), made.pages.night("orders", YESTERDAY)
    before = [path.stat().st_mtime_ns for path in (other, mine)]
    history.write(made.pipeline("orders"), [YESTERDAY], NOW)
    after = [path.stat().st_mtime_ns for path in (other, mine)]
    assert after[0] == before[0] and after[1] > before[1]


def test_old_nights_lose_their_page_and_their_rows(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    shop(made)
    rows = made.pages.folder / "orders" / "rows"
    docs = made.project.reports / "data_docs" / "orders" / "2026-01-01" / "x.html"
    docs.parent.mkdir(parents=True)
    docs.write_text("old")
    long_ago = (NOW - timedelta(days=30)).timestamp()
    for path in [docs, *rows.iterdir()]:
        os.utime(path, (long_ago, long_ago))
    monkeypatch.setenv("FOREBAY_REPORT_DAYS", "7")
    history.write(made.pipeline("orders"), [YESTERDAY], NOW)
    kept = sorted(path.stem for path in (made.pages.folder / "orders").glob("2*.html"))
    assert kept[-1] == str(YESTERDAY) and 5 <= len(kept) <= 7
    assert list(rows.iterdir()) == [] and not docs.exists()
    page = Page(made.pages.pipeline("orders"))
    assert [link for link in page.links if not link.exists()] == []
    assert "2026-10-20" in page.text  # its numbers stay


def test_rows_that_are_nowhere_any_more_are_said_to_be(made: Made) -> None:
    shop(made)
    shutil.rmtree(made.pages.folder)
    history.write(made.pipeline("orders"), None, NOW)
    told = [page for page in pages(made) if "their list is not on this machine" in page.text]
    assert told and "forebay.orders.quarantine" in told[0].text


def test_a_pipeline_without_a_run_has_a_page(made: Made) -> None:
    history.write(made.pipeline("orders"), None, NOW)
    assert "No run has ended yet" in Page(made.pages.pipeline("orders")).text
    assert "orders" in Page(made.pages.index).text or "No run has ended yet" in Page(made.pages.index).text


@pytest.mark.slow
def test_a_year_of_twenty_rules_is_written_in_two_seconds(made: Made) -> None:
    """Of processor time, so that a busy machine does not decide."""
    ctx = made.pipeline("orders")
    made.year(ctx, rules=20, nights=365)
    history.write(ctx, [YESTERDAY], NOW)
    one = made.pages.folder / "orders" / "summary.json"
    for number in range(19):
        copy = made.pages.folder / f"feed_{number}" / "summary.json"
        copy.parent.mkdir()
        copy.write_text(one.read_text("utf-8").replace('"orders"', f'"feed_{number}"'), "utf-8")
    began = time.process_time()
    history.write(ctx, [YESTERDAY], NOW)
    assert time.process_time() - began < 2
    assert Page(made.pages.index).text.count("feed_18") >= 2


def test_the_heat_map_has_the_last_sixty_nights(made: Made) -> None:
    shop(made, 90)
    days = {value[:17] for value in Page(made.pages.index).of("aria-label") if value.startswith("orders 2026")}
    assert (len(days), min(days), max(days)) == (60, f"orders {date(2026, 9, 23)}", f"orders {YESTERDAY}")


def test_repairs_stand_with_the_file_and_its_rows(made: Made) -> None:
    ctx = made.pipeline("orders")
    made.repaired(ctx, YESTERDAY, rows=(3, 7, 9), replayed=("3", "9"))
    history.write(ctx, None, NOW)
    page = Page(made.pages.night("orders", YESTERDAY))
    words = " ".join(page.text.split())
    assert (
        "1 of the quarantined rows repaired and replayed by eve on 2026-11-22 09:00 UTC: typing errors (fixed.csv)"
        in words
    )
    assert words.count("replayed by eve") == 2 and words.count("△ replayed") == 2
    assert (
        page.text.count("a.csv") == page.text.count("file:///drops/") * 2 == 2
    )  # the file's name and its uri: a replay is no file of its own
    assert "Replayed since2" in page.text and "Rows in10" in page.text
    assert "3 quarantined (2 of them replayed since)" in " ".join(Page(made.pages.pipeline("orders")).of("title"))


def test_every_failing_rule_and_what_was_seen_stand_with_a_row(made: Made) -> None:
    ctx = made.pipeline("orders")
    made.repaired(ctx, YESTERDAY, rows=(3,), replayed=())
    history.write(ctx, None, NOW)
    page = Page(made.pages.night("orders", YESTERDAY))
    for wanted in ('amount: -5, state: "lost"', "expect_a(amount): min_value 0", "expect_b(state): value_set"):
        assert wanted in page.text


def test_files_that_were_not_read_are_named_in_one_list(made: Made) -> None:
    ctx = made.pipeline("orders")
    made.repaired(ctx, YESTERDAY, rows=(3,), replayed=(), ignored='<img src="x">_SUCCESS')
    history.write(ctx, None, NOW)
    page = Page(made.pages.night("orders", YESTERDAY))
    assert "1 seen and not read" in page.text and '<img src="x">_SUCCESS the marker' in page.text
    assert "Files1" in page.text and "img" not in page.tags


def test_rows_that_were_kept_before_a_column_was_redacted_are_not_shown(made: Made) -> None:
    ctx = made.pipeline("orders")
    made.repaired(ctx, YESTERDAY, rows=(3,), replayed=())
    history.write(ctx, None, NOW)
    assert "lost" in Page(made.pages.night("orders", YESTERDAY)).text
    history.write(made.pipeline("orders", more="quality: {redact: [state]}"), None, NOW)
    assert "lost" not in Page(made.pages.night("orders", YESTERDAY)).text
    assert not list((made.pages.folder / "orders" / "rows").iterdir())


def test_a_year_of_states_is_kept_as_letters() -> None:
    first = date(2026, 1, 30)
    nights = [Night(first + timedelta(days=n), state) for n, state in enumerate(State)]
    del nights[2]
    assert states(letters(nights), first) == {night.day: night.state for night in nights}
    assert letters([]) == "" and states("", None) == {}


def test_the_map_of_the_year_counts_every_night_of_every_pipeline(made: Made) -> None:
    shop(made, 365)
    other = made.pipeline("other")
    made.year(other, rules=2, nights=100, seed=2)
    history.write(other, None, NOW)
    told = [
        value
        for value in Page(made.pages.index).of("aria-label")
        if re.match(r"(orders|other) [A-Z][a-z]{2} 20\d\d: ", value)
    ]
    counts = {
        name: sum(int(n) for value in told if value.startswith(name) for n in re.findall(r"(\d+) [a-z]", value))
        for name in ("orders", "other")
    }
    assert counts == {"orders": 365, "other": 100}
    assert len([value for value in told if value.startswith("orders")]) == 13


def test_a_young_project_has_no_map_of_the_year(made: Made) -> None:
    shop(made, 50)
    assert "The year" not in Page(made.pages.index).text


def test_a_rule_on_the_whole_has_a_line_of_what_it_observed_and_strokes_where_it_failed(made: Made) -> None:
    ctx = made.pipeline("orders")
    made.historical(
        ctx, {YESTERDAY - timedelta(days=n): "0.3" if n == 2 else f"0.0{n + 1}" if n < 5 else None for n in range(7)}
    )
    history.write(ctx, None, NOW)
    page = Page(made.pages.pipeline("orders"))
    [label] = [value for value in page.of("aria-label") if "observed 0.01" in value]
    assert label.startswith("1 nights failed of 7; worst") and label.endswith("; observed 0.01 to 0.3")
    paths = [value for tag, name, value in page.attributes if (tag, name) == ("path", "d")]
    kinds = [value for tag, name, value in page.attributes if (tag, name) == ("path", "class")]
    assert kinds == ["failures", "observed"]
    assert paths[0].count("v26") == 1
    assert len(re.findall("[ML]", paths[1])) == 5  # nights without a verdict draw nothing
    assert "0.01 to 0.3" in page.text


def test_rows_that_an_earlier_version_kept_are_read() -> None:
    kept = {"row": 3, "stage": "schema", "columns": "id", "rule": "", "reason": "why", "raw": "x", "causes": ["why"]}
    found = RowList.from_json({"total": 1, "rows": [kept]})
    assert (found.rows[0].step, found.rows[0].causes) == ("schema", ("why",))
    assert RowList.from_json(found.to_json()) == found
