"""What the steward is shown, and what the answer means."""

from __future__ import annotations

from datetime import date

from forebay.model import Decision, Fate, FileRun, SourceFile, Status, Window


def held(name: str, **changes: object) -> FileRun:
    window = Window.of_day(date(2013, 1, 1))
    file = FileRun(
        "r", "birds", window, SourceFile(f"s3://drops/{name}", 10, 0.0), Fate.NEW, "new", Status.INSPECTED, decision=Decision.ASK
    )
    return file.but(rows_in=1200, quarantined=34, decision_reason="2.8% of the rows are to be set aside", **changes)


def test_the_question_names_each_file_its_counts_and_why() -> None:
    from forebay_airflow.steward import question

    text = question([held("EWR.csv"), held("JFK.csv")])
    assert "2 file(s) are held back" in text
    assert "EWR.csv" in text
    assert "JFK.csv" in text
    assert "1,200 rows, 34 to be set aside" in text
    assert "2.8% of the rows" in text


def test_a_partners_file_name_is_text_and_nothing_else() -> None:
    from forebay_airflow.steward import question

    text = question([held("[click](https://evil.example)<img src=x onerror=alert(1)>\n# big.csv")])
    assert "](" not in text
    assert "<img" not in text
    assert "\n#" not in text


def test_a_long_list_is_cut() -> None:
    from forebay_airflow.steward import question

    text = question([held(f"{n}.csv") for n in range(80)])
    assert "… and 30 more" in text
    assert len(text) < 20_000


def test_the_three_answers() -> None:
    from forebay_airflow import steward

    user = {"id": "7", "name": "ann"}
    for option, decision in ((steward.PASSING, Decision.PUBLISH), (steward.ALL, Decision.PUBLISH_ALL), (steward.REJECT, Decision.REJECT)):
        said = {"chosen_options": [option], "params_input": {"reason": "seen"}, "responded_by_user": user}
        assert steward.decision(said) == (decision, "ann", "seen")


def test_nobody_in_time() -> None:
    from forebay_airflow import steward

    said = steward.decision({"chosen_options": [steward.REJECT], "params_input": {}, "responded_by_user": None})
    assert said is not None
    assert said[:2] == (Decision.REJECT, steward.NOBODY)
    assert "no answer" in said[2]
    assert steward.decision(None) is None
