"""Windows, identities, retries and the fate of each file between Airflow's words and forebay's."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from forebay import errors
from forebay.model import Answer, Decision, Fate, FileRun, Plan, SourceFile, Status, WaitsFor, Window

DAY = Window.of_day(date(2013, 1, 1))
NEW_YORK = "America/New_York"


def file(name: str = "a.csv", **changes: Any) -> FileRun:
    return FileRun("r", "birds", DAY, SourceFile(f"file:///drops/{name}", 10, 0.0), Fate.NEW, "new").but(**changes)


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


@pytest.fixture
def birds(make_project: Any) -> Any:
    """A pipeline whose schedule ticks at 02:00 in New York."""
    from forebay.config.home import Project
    from forebay.config.load import load_pipeline
    from tests.dags.conftest import MINIMAL

    return load_pipeline(Project.find(make_project(birds=MINIMAL.format(name="birds"))), "birds")


def run(
    logical: datetime | None, run_after: datetime, interval: tuple[Any, Any] = (None, None), kind: str = "manual"
) -> dict[str, Any]:
    start, end = interval
    return {
        "dag_run": SimpleNamespace(
            logical_date=logical,
            run_after=run_after,
            data_interval_start=start,
            data_interval_end=end,
            run_type=SimpleNamespace(value=kind),
        )
    }


def test_the_window_is_that_of_the_logical_date(birds: Any) -> None:
    from forebay_airflow.translate import window_of

    now, nine = utc(2026, 1, 1, 12), Window.of_day(date(2013, 1, 9), NEW_YORK)
    inferred, of_now = (utc(2013, 1, 9, 7), utc(2013, 1, 10, 7)), (utc(2026, 1, 1, 7), utc(2026, 1, 2, 7))
    assert window_of(run(utc(2013, 1, 9), now, inferred), birds) == nine
    assert window_of(run(utc(2013, 1, 9), now, of_now), birds) == nine, (
        "as `airflow dags trigger --logical-date` infers it"
    )
    assert window_of(run(utc(2013, 1, 9, 7), utc(2013, 1, 10, 7), inferred, "scheduled"), birds) == nine


def test_a_run_without_a_date_is_of_the_day_on_which_it_was_started(birds: Any) -> None:
    from forebay_airflow.translate import window_of

    assert window_of(run(None, utc(2026, 1, 1, 12)), birds).day == date(2026, 1, 1)
    assert window_of(run(None, utc(2026, 1, 1, 4)), birds).day == date(2025, 12, 31), "it is 23:00 in New York"


@pytest.mark.parametrize("day", [date(2012, 12, 31), date(2014, 1, 1)])
def test_a_day_that_the_schedule_excludes_is_refused(make_project: Any, day: date) -> None:
    from forebay.config.home import Project
    from forebay.config.load import load_pipeline
    from forebay_airflow.translate import window_of
    from tests.dags.conftest import MINIMAL

    text = MINIMAL.format(name="birds").replace("zone: America/New_York", "zone: America/New_York, end: 2013-12-31")
    birds = load_pipeline(Project.find(make_project(birds=text)), "birds")
    with pytest.raises(errors.ConfigError, match="covers days from 2013-01-01 to 2013-12-31"):
        window_of(run(utc(day.year, day.month, day.day), utc(2026, 1, 1, 12)), birds)


def test_a_data_interval_that_was_typed_is_refused_and_a_date_alone_is_right(birds: Any) -> None:
    """Airflow's dialog offers it; it would be accepted and do nothing."""
    from forebay_airflow.translate import window_of

    with pytest.raises(errors.ConfigError, match=r"was given by hand .*\(trigger it with a logical date alone: "):
        window_of(run(utc(2013, 1, 9), utc(2026, 1, 1, 12), (utc(2013, 1, 1), utc(2013, 2, 1))), birds)
    assert window_of(run(utc(2013, 1, 9), utc(2026, 1, 1, 12)), birds).day == date(2013, 1, 9)


def test_identity_is_of_this_try_and_the_lineage_run_of_the_dag_run() -> None:
    from forebay_airflow.translate import identity

    def context(task: str, attempt: int, index: int) -> dict[str, Any]:
        ti = SimpleNamespace(dag_id="birds", task_id=task, map_index=index, try_number=attempt)
        return {"ti": ti, "dag_run": SimpleNamespace(run_id="backfill__1", run_type=SimpleNamespace(value="backfill"))}

    first, second = identity(context("publish", 1, 0)), identity(context("report", 2, -1))
    assert first.lineage_run == second.lineage_run
    assert (first.run_id, first.dag_id, first.task_id, first.map_index, first.try_number, first.backfill) == (
        "backfill__1",
        "birds",
        "publish",
        0,
        1,
        True,
    )


def hopeless() -> list[type[errors.ForebayError]]:
    return [
        c
        for c in vars(errors).values()
        if isinstance(c, type) and issubclass(c, errors.ConfigError | errors.FatalError | errors.QualityError)
    ]


def worth_a_retry() -> list[type[errors.ForebayError]]:
    return [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.RetryableError)]


class TestRetries:
    @pytest.mark.parametrize("kind", hopeless())
    def test_what_retrying_cannot_mend_fails_at_once(self, kind: type[errors.ForebayError]) -> None:
        from airflow.sdk import RetryAction

        from forebay_airflow.translate import retry_policy

        error = kind((errors.Fault("a.yaml", 1, "no"),)) if kind is errors.SettingsError else kind("no")
        assert retry_policy().evaluate(error, 1, 5).action is RetryAction.FAIL

    @pytest.mark.parametrize("kind", [*worth_a_retry(), OSError, MemoryError, RuntimeError])
    def test_all_else_is_retried(self, kind: type[Exception]) -> None:
        from airflow.sdk import RetryAction

        from forebay_airflow.translate import retry_policy

        assert retry_policy().evaluate(kind("later"), 1, 5).action is not RetryAction.FAIL

    def test_the_policy_survives_serialisation(self) -> None:
        from airflow.sdk import ExceptionRetryPolicy, RetryAction

        from forebay_airflow.translate import retry_policy

        again = ExceptionRetryPolicy.deserialize(retry_policy().serialize())
        assert again.evaluate(errors.CorruptFileError("no"), 1, 5).action is RetryAction.FAIL


class TestEach:
    def test_a_fatal_error_ends_its_own_file_only(self) -> None:
        from forebay_airflow.translate import each

        def verb(f: FileRun) -> FileRun:
            if f.file.name == "b.csv":
                raise errors.PlanChangedError("another plan")
            return f.but(status=Status.PUBLISHED)

        done, again = each([file("a.csv"), file("b.csv"), file("c.csv")], verb)
        assert [(f.file.name, f.status, f.error) for f in done] == [
            ("a.csv", Status.PUBLISHED, None),
            ("b.csv", Status.FAILED, "another plan"),
            ("c.csv", Status.PUBLISHED, None),
        ]
        assert again is None

    def test_an_error_worth_a_retry_is_returned_after_the_others_went_on(self) -> None:
        from forebay_airflow.translate import each

        def verb(f: FileRun) -> FileRun:
            if f.file.name == "a.csv":
                raise errors.SourceUnavailableError("away")
            return f.but(status=Status.PUBLISHED)

        done, again = each([file("a.csv"), file("b.csv")], verb)
        assert [(f.status, f.error) for f in done] == [(Status.DISCOVERED, "away"), (Status.PUBLISHED, None)]
        assert isinstance(again, errors.SourceUnavailableError)

    def test_what_nobody_foresaw_ends_its_own_file_only(self) -> None:
        from forebay_airflow.translate import each

        def verb(f: FileRun) -> FileRun:
            return f.but(status=Status.PUBLISHED, rows_in=1 // (f.file.name != "b.csv"))

        done, again = each([file("a.csv"), file("b.csv"), file("c.csv")], verb)
        assert [f.status for f in done] == [Status.PUBLISHED, Status.FAILED, Status.PUBLISHED]
        assert "ZeroDivisionError" in str(done[1].error)
        assert again is None

    @pytest.mark.parametrize("kind", [errors.BrokerUnavailableError, errors.LedgerError, errors.ConfigError])
    def test_an_error_of_the_run_stops_and_what_was_done_is_handed_on(self, kind: type[errors.ForebayError]) -> None:
        from forebay_airflow.translate import each

        def verb(f: FileRun) -> FileRun:
            if f.file.name == "b.csv":
                raise kind("gone")
            return f.but(status=Status.PUBLISHED)

        done, again = each([file("a.csv"), file("b.csv"), file("c.csv")], verb)
        assert [f.status for f in done] == [Status.PUBLISHED, Status.DISCOVERED, Status.DISCOVERED]
        assert type(again) is kind


def test_what_stopped_half_way_has_failed_and_says_where() -> None:
    from forebay_airflow.translate import unfinished

    ends = [file(status=s) for s in (Status.DONE, Status.REJECTED, Status.SKIPPED, Status.FAILED)]
    assert list(unfinished(ends)) == ends
    (left,) = unfinished([file(status=Status.INSPECTED, answer=Answer(Decision.PUBLISH, "gate", "all passed"))])
    assert left.status is Status.FAILED
    assert "inspected" in str(left.error)


def test_what_a_window_waits_for() -> None:
    from forebay_airflow.translate import waits_for

    late = file(fate=Fate.INCOMPLETE, reason="it changed 3 s ago", status=Status.SKIPPED)
    assert waits_for(Plan("r", "birds", DAY, (file(),))) is None
    no_marker = Plan("r", "birds", DAY, (), waits_for=WaitsFor(marker="in/_SUCCESS"))
    assert waits_for(no_marker) == "not ready: the marker `in/_SUCCESS` is not there yet"
    one_late = Plan("r", "birds", DAY, (late, file("b.csv")), waits_for=WaitsFor(files=(late.file.uri,)))
    assert str(waits_for(one_late)).endswith("a.csv`: it changed 3 s ago")


def test_xcom_carries_files_however_mapping_nests_them() -> None:
    import json

    from forebay_airflow.translate import dump, read

    files = [
        file("a.csv"),
        file("b.csv", status=Status.INSPECTED, answer=Answer(Decision.ASK, "gate", "why"), rows_in=3),
    ]
    sent = json.loads(json.dumps(dump(files)))
    assert read(sent) == files
    assert read([sent[:1], None, [sent[1:]]]) == files
    assert read(None) == []
    assert len(json.dumps(sent[0])) < 1500


def test_errors_cross_processes() -> None:
    error = pickle.loads(pickle.dumps(errors.TopicMissingError("reading `t`: it is not there", topic="t")))
    assert (type(error), error.message, error.where) == (
        errors.TopicMissingError,
        "reading `t`: it is not there",
        {"topic": "t"},
    )


def test_lineage_goes_where_airflow_sends_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from forebay_airflow.translate import lineage_transport

    assert lineage_transport() is None
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", '{"type": "http", "url": "http://marquez:5000"}')
    assert lineage_transport() == {"type": "http", "url": "http://marquez:5000"}
