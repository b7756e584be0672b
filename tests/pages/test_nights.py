"""How a night is judged from the index: the last word on each file, the worst of them first."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from forebay.index import projection, queries
from forebay.model import (
    Answer,
    Counts,
    Decision,
    Fate,
    FileRun,
    Replay,
    RuleResult,
    RunReport,
    Severity,
    SourceFile,
    Status,
    Verdict,
    Window,
)
from forebay.pages.values import Night, State
from forebay.verbs import daily_status
from tests.pages.made import Made

DAY = date(2026, 1, 5)
NOW = datetime(2026, 1, 6, 12, tzinfo=UTC)
BEGAN = datetime(2026, 1, 6, 2, tzinfo=UTC)


class Book:
    """What runs left in the index."""

    def __init__(self, url: str) -> None:
        self.url = url

    def run(
        self,
        *files: FileRun,
        status: str = "done",
        run_id: str = "r1",
        hours: float = 0,
        note: str | None = None,
        trigger: str = "cli",
    ) -> Book:
        began = BEGAN + timedelta(hours=hours)
        ended = None if status == "running" else began + timedelta(minutes=5)
        projection.project_run(
            self.url, RunReport(run_id, "p", Window.of_day(DAY), status, began, ended, trigger, note=note)
        )
        projection.project_files(self.url, [file.but(run_id=run_id) for file in files])
        return self

    def verdict(self, file: FileRun, *rules: RuleResult, run_id: str = "r1") -> Book:
        projection.project_verdict(self.url, file.but(run_id=run_id), Verdict("ab" * 32, "s", "h" * 64, rules))
        return self

    def night(self, now: datetime = NOW) -> Night:
        runs, files, rules = (
            ask(self.url, "p") for ask in (queries.night_runs, queries.night_files, queries.night_rules)
        )
        [night] = daily_status.nights(runs, files, rules, None, now)
        return night


@pytest.fixture
def book(made: Made) -> Book:
    return Book(made.project.index)


def file(name: str = "a.csv", **changes: Any) -> FileRun:
    run = FileRun(
        "r1",
        "p",
        Window.of_day(DAY),
        SourceFile(f"file:///{name}", 1, 1.0),
        Fate.NEW,
        "new",
        Status.DONE,
        counts=Counts(10, 10),
    )
    return run.but(**changes)


def again(name: str = "a.csv") -> FileRun:
    return file(name, fate=Fate.PUBLISHED, status=Status.SKIPPED, rows_in=0, published=0, reason="already published")


def rule(success: bool = False, severity: Severity = Severity.WARNING, column: str = "x") -> RuleResult:
    return RuleResult(
        "expect_column_values_to_not_be_null", (column,), severity, "row", success, 0 if success else 2, 10
    )


def replay(rows: str, name: str = "a.csv", of: str = "ab" * 32, uri: str | None = None) -> FileRun:
    """Rows of a file that were repaired and published."""
    count = sum(int(b or a) - int(a) + 1 for a, _, b in (span.partition("-") for span in rows.split(",")))
    told = Replay(of, 1, rows, "fixed.csv", "cd" * 32)
    mine = of[:16] + f"{hash(rows) % 16**8:08x}" * 6
    return file(replay=told, fingerprint=mine, rows_in=count, published=count).but(
        file=SourceFile(uri or f"replay+file:///{name}", 1, 1.0),
        answer=Answer(Decision.PUBLISH, "eve", "typing errors"),
    )


INCOMPLETE = file("b.csv", fate=Fate.INCOMPLETE, status=Status.SKIPPED, rows_in=0, published=0, reason="no marker")


@pytest.mark.parametrize(
    ("files", "status", "state", "note"),
    [
        ([file()], "done", State.OK, ""),
        ([file(published=8, quarantined=2)], "done", State.QUARANTINED, ""),
        (
            [file(), file("b.csv", status=Status.REJECTED, published=0, rejected=10, reason="6 %")],
            "rejected",
            State.REJECTED,
            "6 %",
        ),
        ([file(), file("b.csv", status=Status.WAITING, published=0, reason="6 %")], "held back", State.WAITING, "6 %"),
        (
            [file(quarantined=1), file("b.csv", status=Status.FAILED, error="its end is missing")],
            "failed",
            State.FAILED,
            "its end is missing",
        ),
        ([file(), INCOMPLETE], "done", State.INCOMPLETE, "no marker"),
        ([again()], "done", State.QUIET, ""),
        ([file("_SUCCESS", fate=Fate.IGNORED, status=Status.SKIPPED)], "done", State.EMPTY, "why"),
        ([], "done", State.EMPTY, "why"),
        ([], "failed", State.FAILED, "why"),
        ([], "interrupted", State.FAILED, "why"),
        ([], "not ready", State.INCOMPLETE, "why"),
        ([file()], "not ready", State.OK, ""),
    ],
)
def test_the_worst_counts(book: Book, files: list[FileRun], status: str, state: State, note: str) -> None:
    night = book.run(*files, status=status, note="why").night()
    assert (night.state, night.note) == (state, note)


def test_a_run_that_waited_for_files_in_vain_is_incomplete(book: Book) -> None:
    night = book.run(status="not ready", note="not ready: 1 of 3 expected files are there").night()
    assert (night.state, night.note) == (State.INCOMPLETE, "not ready: 1 of 3 expected files are there")


@pytest.mark.parametrize(("hours", "state"), [(10, State.RUNNING), (40, State.FAILED)])
def test_a_run_that_never_ends_has_failed(book: Book, hours: int, state: State) -> None:
    assert book.run(status="running").night(BEGAN + timedelta(hours=hours)).state is state


def test_the_last_run_has_the_last_word(book: Book) -> None:
    book.run(file(status=Status.FAILED, error="e", published=0), status="failed")
    night = book.run(file(), run_id="r2", hours=1).night()
    assert (night.state, night.published, night.files) == (State.OK, 10, 1)


def test_finding_a_file_published_says_nothing_new(book: Book) -> None:
    night = book.run(file(published=8, quarantined=2)).run(again(), run_id="r2", hours=1).night()
    assert (night.state, night.published, night.quarantined) == (State.QUARANTINED, 8, 2)


def test_rows_are_counted_once_however_many_runs_there_were(book: Book) -> None:
    night = book.run(file(), file("b.csv")).run(file(), run_id="r2", hours=1).night()
    assert (night.files, night.rows_in) == (2, 20)


BAD: dict[str, Any] = {"fingerprint": "ab" * 32, "published": 7, "quarantined": 3}


@pytest.mark.parametrize(
    ("replays", "state", "replayed"),
    [
        (["3"], State.QUARANTINED, 1),
        (["3,5"], State.QUARANTINED, 2),
        (["3,5-6"], State.REPAIRED, 3),
        (["3", "5-6"], State.REPAIRED, 3),
    ],
)
def test_replays_are_counted_with_the_file_they_come_from(
    book: Book, replays: list[str], state: State, replayed: int
) -> None:
    book.run(file(**BAD))
    for n, rows in enumerate(replays):
        book.run(replay(rows), run_id=f"replay__{n}", hours=n + 1, trigger="replay")
    night = book.night()
    assert (night.state, night.files, night.rows_in, night.published, night.quarantined) == (state, 1, 10, 7, 3)
    assert night.replayed == replayed


def test_a_replay_of_what_the_file_was_before_says_nothing_of_what_it_is_now(book: Book) -> None:
    book.run(file(**BAD)).run(replay("3,5-6"), run_id="replay__1", hours=1, trigger="replay")
    night = book.run(file(**BAD | {"fingerprint": "ef" * 32}), run_id="r2", hours=2).night()
    assert (night.state, night.replayed) == (State.QUARANTINED, 0)


def test_a_replay_that_was_killed_leaves_the_night_as_it_was(book: Book) -> None:
    night = (
        book.run(file(**BAD))
        .run(status="running", run_id="replay__1", hours=1, trigger="replay")
        .night(NOW + timedelta(days=9))
    )
    assert (night.state, night.note) == (State.QUARANTINED, "")


def test_files_that_say_the_same_are_not_counted_as_others(book: Book) -> None:
    other = INCOMPLETE.but(file=SourceFile("file:///c.csv", 1, 1.0))
    assert book.run(INCOMPLETE, other).night().note == "no marker"
    third = other.but(file=SourceFile("file:///d.csv", 1, 1.0), reason="half of it is there")
    assert book.run(third).night().note == "no marker (and 1 more file)"


@pytest.mark.parametrize(
    ("rules", "state", "failed"),
    [
        ([rule(True)], State.OK, 0),
        ([rule(), rule(column="y")], State.WARNINGS, 2),
        ([rule(severity=Severity.INFO)], State.OK, 0),
    ],
)
def test_failed_rules_make_a_warning_unless_they_only_inform(
    book: Book, rules: list[RuleResult], state: State, failed: int
) -> None:
    night = book.run(file()).verdict(file(), *rules).night()
    assert (night.state, night.failed_rules) == (state, failed)


def test_rules_of_a_run_that_was_overtaken_do_not_count(book: Book) -> None:
    book.run(file()).verdict(file(), rule())
    assert book.run(file(), run_id="r2", hours=1).verdict(file(), rule(True), run_id="r2").night().state is State.OK


def test_a_trend_sums_the_files_of_a_night_and_keeps_twins_apart(book: Book) -> None:
    book.run(file(), file("b.csv"))
    for one in (file(), file("b.csv")):
        book.verdict(one, rule(), rule(True))
    first, second = daily_status.trends(queries.night_files(book.url, "p"), queries.night_rules(book.url, "p"))
    assert (first.nights[DAY].failing, first.nights[DAY].checked, first.nights[DAY].share) == (4, 20, 0.2)
    assert (second.nights[DAY].success, second.nights[DAY].share) == (True, 0.0)


def test_a_night_that_waits_since_an_earlier_version_is_read() -> None:
    assert State("waiting for a person") is State.WAITING
    with pytest.raises(ValueError, match="no state"):
        State("no state")
