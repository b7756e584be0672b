"""A run begins in the index and ends there, however it ends."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from forebay.config.connections import EnvironmentConnections
from forebay.config.home import Project
from forebay.config.load import load_pipeline
from forebay.errors import BrokerUnavailableError
from forebay.index import queries
from forebay.model import RunReport, Status, Window
from forebay.verbs.context import Context
from forebay.verbs.session import session
from tests.support.nouns import file_run
from tests.support.project import OrdersProject


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    OrdersProject.make(tmp_path, "flights", "nowhere:1")
    project = Project(tmp_path, tmp_path / ".forebay")
    connections = EnvironmentConnections({"KAFKA_BOOTSTRAP_SERVERS": "nowhere:1"})
    return Context.of(load_pipeline(project, "flights"), project, connections)


def begun(note: str | None = None) -> RunReport:
    return RunReport("run-1", "flights", Window.of_day(date(2026, 1, 5), "UTC"), "running", note=note)


def kept(ctx: Context) -> tuple[str, str | None]:
    """Status and note of the run in the index."""
    [run] = queries.runs(ctx.project.index, "flights")
    return run["status"], run["note"]


def test_a_run_is_at_work_and_then_as_its_files_ended(ctx: Context) -> None:
    with session(ctx, begun("why")) as work:
        assert kept(ctx) == ("running", "why")
        work.files = (file_run(status=Status.REJECTED),)
    assert (work.run.status, kept(ctx)) == ("rejected", ("rejected", "why"))


def test_a_window_that_was_not_ready_is_not_done(ctx: Context) -> None:
    with session(ctx, begun()) as work:
        work.note, work.ready = "no file", False
    assert kept(ctx) == ("not ready", "no file")


@pytest.mark.parametrize(
    ("error", "note", "status", "words"),
    [
        (BrokerUnavailableError("gone"), None, "failed", "gone"),
        (BrokerUnavailableError("gone"), "replay: typing errors", "failed", "replay: typing errors; it failed: gone"),
        (ZeroDivisionError(), None, "failed", "the run was cut short by ZeroDivisionError"),
        (KeyboardInterrupt(), None, "interrupted", "the run was cut short by KeyboardInterrupt"),
    ],
)
def test_the_error_that_ends_a_run_is_raised_and_told(
    ctx: Context, error: BaseException, note: str | None, status: str, words: str
) -> None:
    with pytest.raises(type(error)), session(ctx, begun(note)) as work:
        work.files = (file_run(status=Status.DONE),)
        raise error
    assert kept(ctx) == (status, words)


def test_what_comes_first_may_fail_before_the_run_begins(ctx: Context) -> None:
    def first() -> None:
        raise BrokerUnavailableError("gone")

    with pytest.raises(BrokerUnavailableError), session(ctx, begun(), first):
        raise AssertionError("it never begins")
    assert kept(ctx) == ("failed", "gone")
