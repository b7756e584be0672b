from __future__ import annotations

import io
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from forebay.cli.run import _print, document, exit_code, outcome
from forebay.model import Fate, RunReport, Status, Window
from tests.support.nouns import DAY, FINGERPRINT, file_run
from tests.support.project import Answer

Call = Callable[..., Answer]


def report(status: str = "done", **changes: object) -> RunReport:
    return RunReport("run-1", "flights", Window.of_day(DAY, "America/New_York"), status, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        (["done"], 0),
        (["failed"], 1),
        (["held back"], 3),
        (["rejected"], 3),
        (["done", "held back", "failed"], 1),
        (["done", "held back"], 3),
    ],
)
def test_the_exit_code_is_that_of_the_worst_window(ends: list[str], code: int) -> None:
    assert exit_code(report(end) for end in ends) == code


@pytest.mark.parametrize(("again", "code"), [([True, True], 4), ([True, False], 1), ([False], 1)])
def test_trying_again_is_advised_only_when_all_that_failed_may_succeed_then(again: list[bool], code: int) -> None:
    files = (file_run(), *(file_run(status=Status.FAILED, error="x", again=one) for one in again))
    assert exit_code([report("failed", files=files)]) == code


def test_the_document_is_the_one_that_was_promised() -> None:
    found = document(report(files=(file_run(),)))
    assert found == {
        "run_id": "run-1",
        "pipeline": "flights",
        "window": {"start": "2013-01-01T00:00:00-05:00", "end": "2013-01-02T00:00:00-05:00"},
        "status": "done",
        "files": [
            {
                "uri": "file:///drops/EWR.csv.gz",
                "fingerprint": FINGERPRINT,
                "fate": "new",
                "reason": "never seen before",
                "generation": 1,
                "supersedes": None,
                "left": [],
                "rows_in": 10,
                "published": 8,
                "quarantined": 2,
                "rejected": 0,
                "outputs": [
                    {"topic": "flights", "partition": 0, "first": 5, "last": 9, "count": 5},
                    {"topic": "flights", "partition": 1, "first": 0, "last": 2, "count": 3},
                ],
            }
        ],
    }


def test_a_failed_files_reason_is_its_error() -> None:
    failed = file_run(status=Status.FAILED, error="reading `EWR.csv.gz`: cut off")
    assert document(report("failed", files=(failed,)))["files"][0]["reason"] == "reading `EWR.csv.gz`: cut off"


@pytest.mark.parametrize(
    ("status", "fate", "words"),
    [
        (Status.DONE, Fate.NEW, "published"),
        (Status.SKIPPED, Fate.DUPLICATE, "duplicate"),
        (Status.SKIPPED, Fate.PUBLISHED, "already published"),
        (Status.WAITING, Fate.NEW, "held back"),
        (Status.REJECTED, Fate.NEW, "rejected"),
        (Status.FAILED, Fate.NEW, "failed"),
    ],
)
def test_what_became_of_a_file_is_said_in_a_word_or_two(status: Status, fate: Fate, words: str) -> None:
    assert outcome(file_run(status=status, fate=fate)) == words


def printed(*reports: RunReport) -> str:
    text = io.StringIO()
    _print(Console(file=text, width=140, highlight=False, soft_wrap=True), list(reports))
    return text.getvalue()


def test_a_person_reads_what_became_of_every_file_and_why() -> None:
    cut = file_run(
        "JFK[1].csv.gz", status=Status.FAILED, error="cut off", rows_in=0, published=0, quarantined=0, outputs=()
    )
    text = printed(report("failed", files=(file_run(), cut)))
    assert text.splitlines()[0] == "flights 2013-01-01 failed  run-1"
    assert ["EWR.csv.gz", "published", "10", "8", "2", "·", "flights,", "2", "partitions"] in [
        line.split() for line in text.splitlines()
    ]
    assert "JFK[1].csv.gz: cut off" in text
    assert "forebay quarantine list flights" in text


def test_a_files_name_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in printed(report(files=(file_run("a\x1b[2J.csv", status=Status.FAILED, error="b\x1b[2J"),)))


def test_a_window_without_files_says_so() -> None:
    assert "nothing to do" in printed(report())
    assert "waiting for `_SUCCESS`" in printed(report(note="waiting for `_SUCCESS`"))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "give --date DAY, or --from DAY and --to DAY"),
        (("--from", "2013-01-01"), "give --date DAY, or --from DAY and --to DAY"),
        (("--date", "2013-01-01", "--to", "2013-01-02"), "give --date DAY, or --from DAY and --to DAY"),
        (("--from", "2013-01-02", "--to", "2013-01-01"), "--to 2013-01-01 is before --from 2013-01-02"),
        (("--date", "2013-01-32"), "`2013-01-32` is not a day"),
        (("--date", "2013-01-01", "--generation", "old", "--reason", "x"), "the only value is `new`"),
        (("--date", "2013-01-01", "--generation", "new"), "need --reason"),
        (("--date", "2013-01-01", "--steward", "publish"), "need --reason"),
        (("--date", "2013-01-01", "--steward", "maybe", "--reason", "x"), "the values are `publish` and `reject`"),
    ],
)
def test_wrong_usage_is_said_and_exits_with_2(forebay: Call, args: tuple[str, ...], words: str) -> None:
    answer = forebay("run", "orders", *args, "--json")
    assert answer.code == 2
    assert words in answer.json["error"]["message"]


def test_an_unknown_pipeline_exits_with_2(forebay: Call, pipeline: Callable[..., Path]) -> None:
    pipeline()
    answer = forebay("run", "ordrs", "--date", date(2013, 1, 1).isoformat(), "--json")
    assert (answer.code, answer.json["error"]["message"]) == (
        2,
        "looking for the pipeline `ordrs`: there is none (did you mean `orders`?)",
    )
