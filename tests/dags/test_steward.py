"""What the steward is shown, and what the answer means."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from forebay.model import Answer, Counts, Decision, Fate, FileRun, SourceFile, Status, Window

REPORTS = Path("/project/reports")


def held(name: str, **changes: object) -> FileRun:
    window = Window.of_day(date(2013, 1, 1))
    file = FileRun(
        "r",
        "birds",
        window,
        SourceFile(f"s3://drops/{name}", 10, 0.0),
        Fate.NEW,
        "new",
        Status.INSPECTED,
        answer=Answer(Decision.ASK, "gate", "2.8% of the rows are to be quarantined"),
    )
    return file.but(counts=Counts(1200, quarantined=34), **changes)


def test_the_question_names_each_file_its_counts_and_why() -> None:
    from forebay_airflow import steward

    text = steward.question([held("EWR.csv"), held("JFK.csv")], REPORTS)
    assert "2 file(s) are held back" in text
    assert "EWR.csv" in text
    assert "JFK.csv" in text
    assert "1,200 rows, 34 to be quarantined" in text
    assert "2.8% of the rows" in text


def test_a_partners_file_name_is_text_and_nothing_else() -> None:
    from forebay_airflow import steward

    text = steward.question([held("[click](https://evil.example)<img src=x onerror=alert(1)>\n# big.csv")], REPORTS)
    assert "](" not in text
    assert "<img" not in text
    assert "\n#" not in text


def test_the_report_is_linked_where_airflow_serves_it() -> None:
    from forebay_airflow import steward

    page = REPORTS / "data_docs" / "birds" / "a (b).html"
    text = steward.question([held("a.csv", docs=page)], REPORTS, "http://airflow")
    assert "([quality report](http://airflow/forebay/reports/data_docs/birds/a%20%28b%29.html))" in text
    assert "report" not in steward.question([held("a.csv", docs=REPORTS.parent / "x.html"), held("b.csv")], REPORTS)


def test_a_long_list_is_cut() -> None:
    from forebay_airflow import steward

    text = steward.question([held(f"{n}.csv") for n in range(80)], REPORTS)
    assert "… and 30 more" in text
    assert len(text) < 20_000


def test_the_three_answers() -> None:
    from forebay_airflow import steward

    user, at = {"id": "7", "name": "ann"}, datetime(2013, 1, 2, 3, 4, tzinfo=UTC)
    for option, decision in (
        (steward.PASSING, Decision.PUBLISH),
        (steward.ALL, Decision.PUBLISH_ALL),
        (steward.REJECT, Decision.REJECT),
    ):
        said = {
            "chosen_options": [option],
            "params_input": {"reason": "seen"},
            "responded_by_user": user,
            "responded_at": at,
        }
        assert steward.answer(said) == Answer(decision, "ann", "seen", at, "Airflow")
        assert steward.answer({**said, "responded_at": "2013-01-02T04:04:00+01:00"}) == Answer(
            decision, "ann", "seen", at, "Airflow"
        )
    assert steward.answer(None) is None


def test_an_earlier_answer_about_the_same_content_is_shown() -> None:
    from forebay_airflow import steward

    text = steward.question(
        [held("a.csv"), held("b.csv")], REPORTS, before={"s3://drops/a.csv": "bob has answered: reject, <wrong>"}
    )
    assert "asked before: bob has answered: reject, &lt;wrong" in text.replace("\\", "")
    assert text.count("asked before") == 1


class Asked:
    """The operator's context: its try, and the store that outlives one."""

    def __init__(self, try_number: int = 1) -> None:
        self.kept: dict[str, str] = {}
        self.asked: list[tuple[datetime, str]] = []
        self.ti = SimpleNamespace(try_number=try_number)

    def __getitem__(self, name: str) -> Any:
        return {"ti": self.ti, "task_state_store": self}[name]

    def get(self, key: str) -> str | None:
        return self.kept.get(key)

    def set(self, key: str, value: str) -> None:
        self.kept[key] = value

    def delete(self, key: str) -> None:
        del self.kept[key]


def question(monkeypatch: pytest.MonkeyPatch) -> Any:
    from airflow.providers.standard.operators import hitl

    from forebay_airflow import ask, steward

    def kept(self: Any, context: Any, event: Any) -> Any:
        return event

    monkeypatch.setattr(hitl.HITLOperator, "execute_complete", kept)
    monkeypatch.setattr(hitl.HITLOperator, "execute", lambda self, context: self.body)
    return ask.StewardOperator(
        task_id="steward",
        subject="?",
        body="held back",
        options=list(steward.OPTIONS),
        defaults=steward.REJECT,
        params=ask.form(),
        asked=lambda context, until, again: context.asked.append((until, again)),
        response_timeout=timedelta(hours=4),
    )


@pytest.mark.parametrize("given", [{}, {"reason": ""}, {"reason": " \n"}, {"reason": None}, None])
def test_an_answer_without_a_reason_is_not_taken_and_the_next_question_says_so(
    monkeypatch: pytest.MonkeyPatch, given: Any
) -> None:
    asked, context = question(monkeypatch), Asked()
    event = {"chosen_options": ["Reject"], "params_input": given, "responded_by_user": {"id": "7", "name": "ann"}}
    with pytest.raises(ValueError, match="reason"):
        asked.execute_complete(context, event)
    context.ti.try_number = 2
    assert asked.execute(context).startswith("**Asked again. The answer of ann was not taken: it had no reason.**")
    assert context.kept == {}
    assert context.asked[0][1] == "Asked again. The answer of ann was not taken: it had no reason."


def test_the_form_requires_a_reason_and_the_task_starts_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow validates a task's parameters at each of its starts, and shows a field as required when it has no value
    (its form, 3.3.2)."""
    asked = question(monkeypatch)
    assert asked.params.validate() == {"reason": None}
    (field,) = asked.serialized_params.values()
    assert (field["value"], field["schema"]["type"]) == (None, "string")


def test_an_answer_with_a_reason_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    event = {
        "chosen_options": ["Reject"],
        "params_input": {"reason": "wrong"},
        "responded_by_user": {"id": "7", "name": "ann"},
    }
    assert question(monkeypatch).execute_complete(Asked(), event) == event


def test_the_question_is_noted_with_the_moment_when_the_default_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked()
    question(monkeypatch).execute(asked)
    [(until, again)] = asked.asked
    assert not again
    assert timedelta(hours=3, minutes=59) < until - datetime.now(UTC) <= timedelta(hours=4)


def test_the_first_question_says_nothing_of_others_and_a_lost_one_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    assert question(monkeypatch).execute(Asked()) == "held back"
    assert question(monkeypatch).execute(Asked(2)).startswith("**Asked again: an answer came too early")


def test_nobody_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow fills in the form's empty reason then; that is no person's answer."""
    from forebay_airflow import steward

    event = {"chosen_options": ["Reject"], "params_input": {"reason": ""}, "responded_by_user": None, "timedout": True}
    said = steward.answer(question(monkeypatch).execute_complete(Asked(), event))
    assert said is not None
    assert (said.decision, said.by, said.reason) == (
        Decision.REJECT,
        steward.NOBODY,
        "no answer within 4:00:00: Reject",
    )
    assert not said.person
