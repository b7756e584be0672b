"""The first answer to a question stands: one index, any number of processes."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from forebay.index import answers
from forebay.model import Answer, Decision, FileRun, Question
from tests.support.nouns import file_run

AT = datetime(2013, 1, 2, 3, 4, tzinfo=UTC)
PUBLISH = Answer(Decision.PUBLISH, "ann", "known", AT, "Airflow")
REJECT = Answer(Decision.REJECT, "bob", "wrong night", AT)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'index.sqlite'}"


def waiting(number: int = 1, run_id: str = "run-1") -> FileRun:
    return file_run(run_id=run_id, question=Question(number, AT))


def test_the_first_answer_stands_and_the_second_is_told_so(url: str) -> None:
    assert answers.given(url, waiting()) is None
    assert answers.first(url, waiting(), REJECT) == REJECT
    assert answers.first(url, waiting(), PUBLISH) == REJECT
    assert answers.given(url, waiting()) == REJECT


def test_one_answer_is_the_answer_in_all_runs_that_ask(url: str) -> None:
    answers.first(url, waiting(run_id="scheduled__2013-01-01"), PUBLISH)
    assert answers.first(url, waiting(run_id="manual__2013-01-01"), REJECT) == PUBLISH


def test_another_generation_is_another_question(url: str) -> None:
    answers.first(url, waiting(), PUBLISH)
    assert answers.given(url, waiting().but(generation=2)) is None


def test_a_question_that_is_asked_anew_has_its_own_answer_and_ends_the_older_one(url: str) -> None:
    answers.first(url, waiting(), PUBLISH)
    assert answers.next_number(url, waiting()) == 2
    assert answers.given(url, waiting(2)) is None
    assert answers.before(url, waiting(2)) == PUBLISH
    assert answers.first(url, waiting(2), REJECT) == REJECT
    assert answers.given(url, waiting(1)) == REJECT, "who asked before it hears of it too"


def test_the_last_answers_are_found_by_name(url: str) -> None:
    answers.first(url, waiting(), REJECT)
    assert answers.last(url, "flights", "EWR.csv.gz") == [(waiting().file.uri, REJECT)]
    assert answers.last(url, "flights", "JFK.csv.gz") == answers.last(url, "trains") == []


RACE = """
import sys, time
from datetime import UTC, datetime
from forebay.index import answers
from forebay.model import Answer, Decision
from tests.support.nouns import file_run
url, who, decision, at = sys.argv[1:]
answers.given(url, file_run())
time.sleep(max(0.0, float(at) - time.time()))
for number in range(1, 101):
    file = file_run(generation=number)  # numbers of one content's questions would not do: an answer to a later one ends the older
    print(answers.first(url, file, Answer(Decision(decision), who, "why", datetime.now(UTC))).by)
"""  # noqa: E501


def test_two_processes_that_answer_at_once_agree_on_the_first(url: str) -> None:
    """A hundred questions, each answered by both within microseconds: each hears the same name for each."""
    import time

    at = str(time.time() + 3)
    both = [
        subprocess.Popen([sys.executable, "-c", RACE, url, who, said, at], stdout=subprocess.PIPE, text=True)
        for who, said in (("ann", "publish"), ("bob", "reject"))
    ]
    ann, bob = (process.communicate(timeout=60)[0].split() for process in both)
    assert len(ann) == 100
    assert ann == bob
    assert set(ann) <= {"ann", "bob"}
