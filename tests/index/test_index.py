"""The index answers what was projected into it, whoever wrote last, also with several writers at once."""

from __future__ import annotations

import dataclasses
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from forebay.errors import IndexUnavailableError
from forebay.index import projection, queries
from forebay.index.tables import metadata
from forebay.model import Fate, Question, RunReport, Status
from tests.support.nouns import FINGERPRINT, file_run, receipt, verdict

NOON = datetime(2013, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'index.sqlite'}"


def test_a_run_shows_the_sums_of_its_files(url: str) -> None:
    file = file_run()
    projection.project_run(url, RunReport("run-1", "flights", file.window, "done"))
    projection.project_files(url, [file, file_run("JFK.csv.gz", rows_in=5, published=5, quarantined=0)])
    [run] = queries.runs(url, "flights")
    assert (run["files"], run["rows_in"], run["published"], run["quarantined"]) == (2, 15, 13, 2)
    assert run["ds"] == "2013-01-01"


def test_a_file_comes_back_as_it_was(url: str) -> None:
    projection.project_file(url, file_run())
    assert queries.files(url, "flights") == [file_run()]


def test_the_last_word_on_a_file_counts(url: str) -> None:
    projection.project_file(url, file_run(status=Status.INSPECTED, published=0))
    projection.project_file(url, file_run())
    assert [f.status for f in queries.files(url)] == [Status.DONE]


def test_a_file_that_waits_since_an_earlier_version_still_waits(url: str) -> None:
    projection.project_file(url, file_run(status=Status.WAITING, published=0, question=Question(1, NOON)))
    with sqlite3.connect(url.removeprefix("sqlite:///")) as index:
        words = {"new": Status.WAITING.value, "old": "waiting for a person"}
        index.execute("UPDATE files SET status = :old, document = replace(document, :new, :old)", words)
    [waits] = queries.waiting(url)
    assert [waits] == queries.files(url) and waits.status is Status.WAITING
    asked = waits.but(question=Question(2, NOON))
    projection.project_question(url, asked)
    assert queries.waiting(url) == [asked]


def test_a_cleared_run_does_not_forget_what_it_published(url: str) -> None:
    projection.project_file(url, file_run())
    projection.project_file(url, file_run(fate=Fate.PUBLISHED, status=Status.SKIPPED, published=0, outputs=()))
    assert queries.files(url) == [file_run()]


@pytest.mark.parametrize("name", ["EWR.csv.gz", "drops/EWR.csv.gz", FINGERPRINT[:12]])
def test_files_are_found_by_name_or_fingerprint(url: str, name: str) -> None:
    projection.project_files(url, [file_run(), file_run("JFK.csv.gz", fingerprint="cd" * 32)])
    assert [f.file.name for f in queries.files(url, name=name)] == ["EWR.csv.gz"]


@pytest.mark.parametrize("name", ["E_R.csv.gz", "%"])
def test_wildcards_of_sql_mean_nothing_in_a_name(url: str, name: str) -> None:
    projection.project_file(url, file_run())
    assert queries.files(url, name=name) == []


@pytest.mark.parametrize(("offset", "found"), [(4, 0), (5, 1), (9, 1), (10, 0)])
def test_an_offset_leads_to_its_chunk(url: str, offset: int, found: int) -> None:
    projection.project_receipts(url, "flights", "file:///drops/EWR.csv.gz", "run-1", [receipt()])
    assert len(queries.receipts_at(url, "flights", 0, offset)) == found


def test_a_content_leads_to_its_ranges(url: str) -> None:
    projection.project_receipts(url, "flights", "file:///drops/EWR.csv.gz", "run-1", [receipt(), receipt(generation=2)])
    ranges = queries.receipts_of(url, FINGERPRINT)
    assert [(r["generation"], r["kind"], r["partition"]) for r in ranges] == [
        (g, k, p) for g in (1, 2) for k, p in (("data", 0), ("data", 1), ("quarantine", 0))
    ]


def test_rules_are_kept_in_the_order_of_the_suite(url: str) -> None:
    projection.project_verdict(url, file_run(), verdict())
    rules = queries.rules_of(url, "flights", "run-1", "file:///drops/EWR.csv.gz")
    assert [(r["rule"], r["success"], r["unexpected"]) for r in rules] == [
        ("expect_column_values_to_be_between", False, 2),
        ("expect_table_row_count_to_be_between", True, None),
    ]


def test_last_ranges_are_those_of_the_newest_runs(url: str) -> None:
    for number in range(4):
        projection.project_file(url, file_run(run_id=f"run-{number}"))
    assert [run for run, _, _ in queries.last_ranges(url, "flights", runs=2)] == ["run-3", "run-2"]


def test_clear_forgets_one_pipeline_only(url: str) -> None:
    projection.project_files(url, [file_run(), file_run(pipeline="weather")])
    projection.clear(url, "flights")
    assert [f.pipeline for f in queries.files(url)] == ["weather"]


def test_many_writers_at_once_lose_nothing(url: str) -> None:
    def write(number: int) -> None:
        projection.project_file(url, file_run(f"{number}.csv"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(100)))
    assert len(queries.files(url, limit=1000)) == 100


def test_every_column_of_a_file_row_is_written() -> None:
    columns = {c.name for c in metadata().tables["files"].columns}
    assert columns == set(projection._file_row(file_run()))
    assert {f.name for f in dataclasses.fields(file_run())} >= {"outputs", "quarantine"}


def test_a_database_that_cannot_be_used_is_said_in_our_words(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(IndexUnavailableError, match="file is not a database"):
        projection.project_file(f"sqlite:///{tmp_path / 'index.sqlite'}", file_run())
