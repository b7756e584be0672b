"""Pages as runs leave them: on a real broker, and again by `forebay report`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from forebay.cli.main import app
from tests.pages.made import Made
from tests.pages.test_pages import YESTERDAY, Page
from tests.support.kafka import Cluster
from tests.support.project import OrdersProject, orders

DAY = "2026-01-05"
HOSTILE = '<img src=x onerror="alert(1)">.csv'


def test_report_writes_all_pages_and_says_where_they_are(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREBAY_REPORT_DAYS", "36500")  # the nights are of a fixed year
    made.year(made.pipeline("orders"), nights=5)
    made.pipeline("idle")
    done = CliRunner().invoke(app, ["report", "--json", "--project", str(made.project.root)])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["index"] == str(made.pages.index)
    assert told["pipelines"]["orders"] == {"page": str(made.pages.pipeline("orders")), "nights": 5}
    assert made.pages.night("orders", YESTERDAY).exists() and made.pages.pipeline("idle").exists()


def test_report_of_one_pipeline_leaves_the_others_alone(made: Made) -> None:
    made.pipeline("orders"), made.pipeline("idle")
    done = CliRunner().invoke(app, ["report", "orders", "--project", str(made.project.root)])
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [str(made.pages.index), f"orders: 0 nights in {made.pages.folder / 'orders'}"]
    assert not made.pages.pipeline("idle").exists()


@pytest.mark.parametrize("days", ["0", "-1", "a year"])
def test_a_retention_that_is_no_number_of_days_is_refused(
    made: Made, days: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.pipeline("orders")
    monkeypatch.setenv("FOREBAY_REPORT_DAYS", days)
    done = CliRunner().invoke(app, ["report", "--project", str(made.project.root)])
    assert done.exit_code == 2
    assert f"reading FOREBAY_REPORT_DAYS: `{days}` is not a number of days (write it like 90)" in done.stderr


@pytest.fixture
def shop(tmp_path: Path, kafka: Cluster, topic_name: str) -> OrdersProject:
    return OrdersProject.make(tmp_path, f"orders-{topic_name[-8:]}", kafka.bootstrap)


def bad_rows() -> str:
    lines = orders(1, 100).splitlines(keepends=True)
    lines[10] = '10,c3,"<script>alert(1)</script>",2026-01-05\n'
    lines[30] = "30,c2,-5.00,2026-01-05\n"
    return "".join(lines)


@pytest.mark.kafka
def test_a_run_leaves_its_night_with_rows_and_data_docs(shop: OrdersProject) -> None:
    shop.drop(DAY, HOSTILE, bad_rows())
    assert shop.run(DAY).code == 0
    quality = shop.root / ".forebay" / "reports" / "quality"
    night = Page(quality / shop.name / f"{DAY}.html")
    assert HOSTILE in night.text and "All 2 rows quarantined" in night.text
    assert '10,c3,"<script>alert(1)</script>",2026-01-05' in night.text and '"amount":-5' in night.text.replace(" ", "")
    assert "1 of 99 rows" in night.text and not night.tags & {"img", "script"}
    [docs] = [link for link in night.links if "data_docs" in link.parts]
    assert docs.exists()
    for page in (quality / "index.html", quality / shop.name / "index.html"):
        assert [link for link in Page(page).links if not link.exists()] == []

    shutil.rmtree(shop.root / ".forebay" / "work")  # the page can be made again when the rows are gone
    (quality / shop.name / f"{DAY}.html").unlink()
    assert shop.forebay("report", "--json").json["pipelines"][shop.name]["nights"] == 1
    assert "alert(1)" in Page(quality / shop.name / f"{DAY}.html").text


@pytest.mark.kafka
def test_a_page_that_cannot_be_written_does_not_fail_the_run(shop: OrdersProject) -> None:
    shop.drop(DAY, "a.csv", orders(1, 10))
    (shop.root / ".forebay" / "reports").mkdir(parents=True)
    (shop.root / ".forebay" / "reports" / "quality").write_text("in the way")
    done = shop.run(DAY)
    assert (done.code, done.json["status"]) == (0, "done")
    assert "pages.failed" in done.err


@pytest.mark.kafka
def test_a_blocked_file_shows_the_rows_that_would_be_set_aside(shop: OrdersProject) -> None:
    lines = orders(1, 10).splitlines(keepends=True)
    lines[1:5] = [f"{n},c1,-{n}.00,2026-01-05\n" for n in range(1, 5)]
    shop.drop(DAY, "a.csv", "".join(lines))
    assert shop.run(DAY).code == 3
    night = Page(shop.root / ".forebay" / "reports" / "quality" / shop.name / f"{DAY}.html")
    assert "held back" in night.text and "4 of 10 rows would be quarantined: 40 %" in night.text
    assert '"amount":-4' in night.text.replace(" ", "")


@pytest.mark.kafka
def test_replayed_rows_stand_on_the_page_of_their_night_and_no_other_page_is_made_again(shop: OrdersProject) -> None:
    shop.drop(DAY, "a.csv", bad_rows())
    assert shop.run(DAY).code == 0
    reports = shop.root / ".forebay" / "reports"
    first = {
        path: path.stat().st_mtime_ns
        for path in (reports / "data_docs" / shop.name).rglob("*.html")
        if path.name != "index.html"
    }
    shop.drop("2026-01-06", "b.csv", orders(101, 120))
    assert shop.run("2026-01-06").code == 0
    docs = reports / "data_docs" / shop.name
    now = {path: path.stat().st_mtime_ns for path in docs.rglob("*.html") if path.name != "index.html"}
    assert len(first) == 1 and len(now) == 2 and first.items() <= now.items()  # only the new one is rendered
    assert "2 checks" in (docs / "index.html").read_text("utf-8")

    edited = shop.root / "edited.csv"
    answer = shop.forebay("quarantine", "export", shop.name, "--to", str(edited), "--repair")
    assert (answer.code, answer.err) == (0, ""), answer.err  # no library warns
    assert (
        shop.forebay("quarantine", "export", shop.name, "--to", str(edited), "--repair").code == 2
    )  # it may be edited already
    edited.write_text(edited.read_text("utf-8").replace('"-5.00"', '"5.00"'), "utf-8")
    assert (
        shop.forebay("quarantine", "replay", shop.name, "--from", str(edited), "--reason", "a <b>wrong</b> sign").code
        == 3
    )
    night = Page(reports / "quality" / shop.name / f"{DAY}.html")
    told = " ".join(night.text.split())
    assert "1 of the quarantined rows repaired and replayed by" in told and "a <b>wrong</b> sign (edited.csv)" in told
    assert night.text.count("a.csv") == 2 and "△ replayed" in night.text and "amount: -5" in night.text

    shown = shop.forebay("quarantine", "show", shop.name, "--json").json["files"][0]["rows"]
    assert [(row["row"], row["replayed"]) for row in shown] == [(10, False), (30, True)]
    assert shown[1]["causes"] == ["expect_column_values_to_be_between(amount): min_value 0"] and shown[1][
        "observed"
    ].startswith("amount: -5")
    listed = shop.forebay("quarantine", "list", shop.name).out
    assert "quarantined, 1 of them replayed, 1 left" in listed
    left = shop.root / "left.csv"
    assert shop.forebay("quarantine", "export", shop.name, "--to", str(left), "--repair").code == 0
    assert len(left.read_text("utf-8").splitlines()) == 2  # the header and the row that is left
    assert shop.forebay("quarantine", "list", "nothing").code == 2


@pytest.mark.kafka
def test_a_missing_file_is_told_in_the_history(shop: OrdersProject) -> None:
    path = shop.root / "include" / "pipelines" / "orders.yaml"
    path.write_text(path.read_text().replace("*.csv\n", "*.csv\n  ready_when: {expect: {files: 2}}\n"))
    shop.drop(DAY, "a.csv", orders(1, 10))
    shop.run(DAY)
    quality = shop.root / ".forebay" / "reports" / "quality"
    night = Page(quality / shop.name / f"{DAY}.html")
    assert "incomplete" in night.text and "1 of 2 expected files are there" in night.text
    assert any(title.startswith(f"{DAY}: incomplete") for title in Page(quality / "index.html").of("title"))
