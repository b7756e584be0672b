"""What became of a file: its groups, and its JSON, which other processes and other versions read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from forebay.model import Answer, Counts, Decision, Earlier, FileRun, Status
from tests.support.nouns import file_run

EARLIER: dict[str, Any] = json.loads(Path(__file__).with_name("earlier.json").read_text("utf-8"))
"""As the version wrote them that had neither `counts` nor `answer`."""
ADDED = {"origin", "warnings", "decided_in", "decided_by_person"}


def test_counts_add_up_and_are_balanced_or_not() -> None:
    total = Counts(10, 8, 2) + Counts(rows_in=5, rejected=5)
    assert total == Counts(15, 8, 2, 5)
    assert total.balanced and Counts().balanced
    assert not Counts(10, 8, 1).balanced
    assert sum([Counts(1, 1), Counts(2, 1, 1)], Counts()) == Counts(3, 2, 1)


def test_what_an_earlier_version_wrote_is_read() -> None:
    file = FileRun.from_json(EARLIER["decided"])
    assert file.counts == Counts(10, 8, 2)
    assert file.answer == Answer(Decision.PUBLISH, "ann", "known refunds", datetime(2013, 1, 2, 4, tzinfo=UTC))
    assert (file.earlier.supersedes, file.earlier.duplicate_of) == ("cd" * 32, "file:///drops/old.csv")
    assert file.earlier.had == "ef" * 32 + "/1"
    assert [begun.published for begun in file.earlier.left] == [4]
    assert (file.origin, file.warnings, file.status) == (None, 0, Status.DONE)


def test_a_replay_of_an_earlier_version_is_read_with_its_origin() -> None:
    file = FileRun.from_json(EARLIER["replayed"])
    assert file.origin == "file:///drops/EWR.csv.gz"
    assert file.answer == Answer(Decision.PUBLISH, "eve", "typing errors", datetime(2013, 1, 3, tzinfo=UTC))
    assert file.to_json()["decision"] is None, "nothing was to be decided"


@pytest.mark.parametrize("name", list(EARLIER))
def test_what_is_written_has_the_shape_that_it_had(name: str) -> None:
    """Programs read `--json`: all that was in it is in it, with the same values."""
    written = json.loads(json.dumps(FileRun.from_json(EARLIER[name]).to_json()))
    assert {key: value for key, value in written.items() if key not in ADDED} == EARLIER[name]
    assert set(written) == set(EARLIER[name]) | ADDED


@pytest.mark.parametrize(
    "answer",
    [
        None,
        Answer(Decision.ASK, "gate", "2 of 3 rules passed"),
        Answer(Decision.REJECT, "nobody in time", "", datetime(2026, 1, 5, tzinfo=UTC), "Airflow", person=False),
    ],
)
def test_json_and_back_is_the_same(answer: Answer | None) -> None:
    file = file_run(answer=answer, supersedes="cd" * 32, rejected=1)
    assert FileRun.from_json(json.loads(json.dumps(file.to_json()))) == file


def test_fields_of_a_group_are_changed_by_their_own_names() -> None:
    file = file_run().but(published=9, quarantined=1, had="x/1", status=Status.PUBLISHED)
    assert (file.counts, file.earlier, file.status) == (Counts(10, 9, 1), Earlier(had="x/1"), Status.PUBLISHED)
    assert file.but(counts=Counts(3), published=2).counts == Counts(3, 2)


def test_a_file_is_some_hundred_bytes_in_xcom() -> None:
    """Airflow keeps each in its database, a thousand of them in one value."""
    before = len(json.dumps(EARLIER["decided"]))
    assert len(json.dumps(FileRun.from_json(EARLIER["decided"]).to_json())) < before + 100
