"""`walk`: what is wrong with one file is that file's; what is wrong with the run is raised."""

from __future__ import annotations

from pathlib import Path

import pytest

from forebay.config.home import Project
from forebay.config.load import load_pipeline
from forebay.errors import (
    BrokerUnavailableError,
    ConfigError,
    CorruptFileError,
    DeliveryError,
    FencedError,
    ForebayError,
    IndexUnavailableError,
    NotAuthorizedError,
    SourceUnavailableError,
)
from forebay.index import queries
from forebay.model import FileRun, Status
from forebay.verbs.context import Context
from forebay.verbs.run import walk
from tests.support.nouns import file_run
from tests.support.project import OrdersProject


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    OrdersProject.make(tmp_path, "flights", "nowhere:1")
    project = Project(tmp_path, tmp_path / ".forebay")
    return Context.of(load_pipeline(project, "flights"), project)


def failing(error: ForebayError, ctx: Context) -> FileRun:
    def step(file: FileRun) -> FileRun:
        raise error

    def never(file: FileRun) -> FileRun:
        raise AssertionError("no step comes after one that failed")

    return walk(ctx, file_run(status=Status.DISCOVERED), [lambda file: file.but(rows_in=7), step, never])


@pytest.mark.parametrize(
    ("error", "again"),
    [(CorruptFileError, False), (NotAuthorizedError, False), (SourceUnavailableError, True), (FencedError, True), (DeliveryError, True)],
)
def test_a_file_that_fails_keeps_what_it_had_and_says_whether_to_try_again(ctx: Context, error: type[ForebayError], again: bool) -> None:
    file = failing(error("torn"), ctx)
    assert (file.status, file.error, file.again, file.rows_in) == (Status.FAILED, "torn", again, 7)
    [indexed] = queries.files(ctx.project.index, "flights")
    assert (indexed.status, indexed.again) == (Status.FAILED, again)


@pytest.mark.parametrize("error", [BrokerUnavailableError, IndexUnavailableError, ConfigError])
def test_what_would_fail_every_file_alike_is_raised(ctx: Context, error: type[ForebayError]) -> None:
    with pytest.raises(error, match="gone"):
        failing(error("gone"), ctx)
