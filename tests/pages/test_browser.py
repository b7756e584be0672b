"""The pages in a real Chromium: from files, without a script, in both schemes, at a laptop's and a phone's width."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from forebay.verbs import history
from tests.pages.made import HOSTILE, NOW, Made

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed (apt-get install chromium)"),
]
YESTERDAY = NOW.date() - timedelta(days=1)
ATTACKED = YESTERDAY - timedelta(days=1)
SCHEMES, WIDTHS = ("light", "dark"), (1366, 390)
CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = (c) => { const [r, g, b] = c.slice(0, 3).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const ground = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3]) return c; } return [255, 255, 255, 255]; };
  const seen = {};
  for (const e of document.querySelectorAll('main *, header *')) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || e.closest('svg') || !e.checkVisibility()) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    const name = e.tagName + '.' + e.className;
    if (ratio < 4.5) seen[name] = Math.min(seen[name] ?? 99, ratio);
  }
  return seen;
}"""  # noqa: E501


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Pages of three pipelines with a year's last months, one of its nights an attack; they are only read."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("FOREBAY_HOME", "FOREBAY_INDEX", "FOREBAY_PROJECT", "FOREBAY_REPORT_DAYS"):
            patch.delenv(name, raising=False)
        yield written(Made.at(tmp_path_factory.mktemp("project")))


def written(made: Made) -> dict[str, str]:
    ctx = made.pipeline("orders")
    made.year(ctx, rules=8, nights=70)
    made.hostile(ctx, ATTACKED)
    history.write(ctx, None, NOW)
    other = made.pipeline("a_pipeline_whose_name_is_long_and_has_no_place_to_break_at_all")
    made.year(other, rules=3, nights=50, seed=2)
    history.write(other, None, NOW)
    found = {
        "index": made.pages.index,
        "pipeline": made.pages.pipeline("orders"),
        "night": made.pages.night("orders", YESTERDAY),
    }
    found["attacked"] = made.pages.night("orders", ATTACKED)
    made.repaired(made.pipeline("mended"), YESTERDAY, rows=(3, 7, 9), replayed=("3", "9"))
    history.write(made.pipeline("mended"), None, NOW)
    found["mended"] = made.pages.night("mended", YESTERDAY)
    return {name: path.as_uri() for name, path in found.items()}


def opened(browser: Any, address: str, scheme: str = "light", width: int = 1366) -> tuple[Any, list[str]]:
    """A page, and everything that it said or asked for beyond itself."""
    page = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}).new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("dialog", lambda dialog: dialog.dismiss())
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if request.url != address else None)
    page.goto(address)
    return page, said


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_pages_fit_can_be_read_and_ask_for_nothing(
    browser: Any, addresses: dict[str, str], scheme: str, width: int
) -> None:
    for name, address in addresses.items():
        page, said = opened(browser, address, scheme, width)
        assert said == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate(CONTRAST) == {}, name
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        assert dark == (scheme == "dark")


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Data Docs of a file whose names and values are attacks, and their indexes."""
    import pyarrow as pa

    from forebay.quality.check import check
    from forebay.quality.docs import build_index
    from tests.quality.made import rule, stage_of, suite_of

    folder, bad = tmp_path_factory.mktemp("docs"), " ".join(HOSTILE[:5])
    table = pa.table(
        {
            bad: [bad, "x", None],
            "a_column_whose_name_is_long_and_has_no_place_to_break": pa.array([1, 1, 3], pa.int64()),
        }
    )
    rules = [
        {**rule("expect_column_values_to_match_regex", column=bad, regex="^<z"), "notes": bad},
        rule("expect_column_values_to_be_in_set", "warning", column=bad, value_set=[bad, "y"]),
        rule(
            "expect_column_values_to_be_between",
            column="a_column_whose_name_is_long_and_has_no_place_to_break",
            min_value=2,
        ),
        rule("expect_table_row_count_to_be_between", min_value=1),
    ]
    name = f"orders/2026-01-05/{quote(bad, safe='')}.csv"
    verdict = check(
        stage_of(table, folder),
        suite_of(rules, folder, "evil"),
        folder / "verdict",
        run_name=name,
        docs=folder / "docs",
    )
    assert verdict.docs
    index = build_index(folder / "docs")
    return {
        "page": verdict.docs.as_uri(),
        "index": index.as_uri(),
        "orders": (index.parent / "orders" / "index.html").as_uri(),
    }


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_data_docs_fit_can_be_read_and_ask_for_nothing(
    browser: Any, docs: dict[str, str], scheme: str, width: int
) -> None:
    for name, address in docs.items():
        page, said = opened(browser, address, scheme, width)
        assert said == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate(CONTRAST) == {}, name
        assert (page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)") == (
            scheme == "dark"
        )
        assert page.evaluate("document.querySelectorAll('img, script, b, svg, iframe').length") == 0
        assert page.title() not in {"1", "2"}


def test_data_docs_can_be_read_by_keyboard(browser: Any, docs: dict[str, str]) -> None:
    page, _ = opened(browser, docs["index"])
    for _ in range(2):  # quality history, then the pipeline
        page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/orders/index.html")
    page.get_by_role("link", name="2026-01-05/").press("Enter")
    page.wait_for_url("**/2026-01-05/**")
    page.get_by_role("heading", level=2, name="Failed rules").wait_for()
    sizes = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3')].map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)")


SIGNS = """() => [...document.querySelectorAll('.strip rect')].map(e => getComputedStyle(e).fill).filter((v, n, all) => all.indexOf(v) === n)"""  # noqa: E501


@pytest.mark.parametrize("scheme", SCHEMES)
def test_strokes_of_the_year_can_be_told_apart_and_lead_to_the_calendar(
    browser: Any, addresses: dict[str, str], scheme: str
) -> None:
    page, _ = opened(browser, addresses["index"], scheme)
    fills = page.evaluate(SIGNS)
    assert len(fills) >= 3 and "rgb(0, 0, 0)" not in fills  # black is what a state without a colour would have
    page.get_by_role("link", name="orders Oct 2026:").click()
    page.wait_for_url("**/orders/index.html#calendar")
    page.get_by_role("heading", name="Calendar").wait_for()


@pytest.mark.parametrize("name", ["index", "pipeline", "attacked", "mended"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_stop_of_the_tab_key_is_seen(browser: Any, addresses: dict[str, str], scheme: str, name: str) -> None:
    page, _ = opened(browser, addresses[name], scheme)
    for _ in range(12):
        page.keyboard.press("Tab")
        style = page.evaluate("(s => [s.outlineStyle, s.outlineWidth])(getComputedStyle(document.activeElement))")
        assert style == ["solid", "2px"] or page.evaluate("document.activeElement === document.body")


def test_an_attack_is_text_and_changes_nothing(browser: Any, addresses: dict[str, str]) -> None:
    for address in addresses.values():
        page, said = opened(browser, address)
        assert said == []
        assert page.evaluate("document.title") not in {"1", "2"}
        assert page.evaluate("document.querySelectorAll('img, script, b, svg[onload], iframe').length") == 0
    page, _ = opened(browser, addresses["attacked"])
    assert page.get_by_text("<img src=x onerror=").count() > 5


def test_the_policy_stops_what_escaping_would_have_missed(browser: Any, addresses: dict[str, str]) -> None:
    page, said = opened(browser, addresses["night"])
    page.evaluate("""() => {
      const script = document.createElement('script'); script.textContent = 'document.title = "ran"'; document.body.append(script);
      const box = document.createElement('div'); box.innerHTML = '<img src="http://127.0.0.1:9/x" onerror="document.title = \\'ran\\'">';
      document.body.append(box);
    }""")  # noqa: E501
    page.wait_for_timeout(200)
    assert page.title() != "ran"
    assert sum("Content Security Policy" in line for line in said) >= 2


def test_from_the_map_to_the_rows_by_keyboard(browser: Any, addresses: dict[str, str]) -> None:
    page, _ = opened(browser, addresses["index"])
    page.get_by_role("link", name=f"orders {ATTACKED}").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/orders/*.html")
    assert page.get_by_role("heading", level=1).inner_text() == f"orders, {ATTACKED}"
    assert page.get_by_role("cell", name="<img src=x").count() >= 1


def test_tab_reaches_every_scrolling_table_and_shows_where_it_is(browser: Any, addresses: dict[str, str]) -> None:
    page, _ = opened(browser, addresses["pipeline"], width=390)
    scrolling = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
    assert page.evaluate(f"{scrolling}.length") >= 3
    assert page.evaluate(f"{scrolling}.every(e => e.tabIndex === 0 && e.getAttribute('role') === 'region')")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_newest_night_is_in_sight_without_scrolling(browser: Any, addresses: dict[str, str], width: int) -> None:
    page, _ = opened(browser, addresses["index"], width=width)
    box = page.get_by_role("link", name=f"orders {YESTERDAY}").last.bounding_box()
    assert box and box["x"] > 0 and box["x"] + box["width"] <= width


def test_pages_say_the_same_without_scripts(browser: Any, addresses: dict[str, str]) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(addresses["pipeline"])
    assert page.get_by_role("row").count() > 50
    page.get_by_text("What the signs mean").click()
    page.get_by_text("expected by the schedule, but there was no run").wait_for()
