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
    LedgerError,
    NotAuthorizedError,
    PlanChangedError,
    PreflightError,
    SourceUnavailableError,
    TopicMissingError,
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


def failing(error: Exception, ctx: Context) -> FileRun:
    def step(file: FileRun) -> FileRun:
        raise error

    def never(file: FileRun) -> FileRun:
        raise AssertionError("no step comes after one that failed")

    return walk(ctx, file_run(status=Status.DISCOVERED), [lambda file: file.but(rows_in=7), step, never])


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (CorruptFileError, False),
        (PlanChangedError, False),
        (SourceUnavailableError, True),
        (FencedError, True),
        (DeliveryError, True),
    ],
)
def test_a_file_that_fails_keeps_what_it_had_and_says_whether_to_try_again(
    ctx: Context, error: type[ForebayError], again: bool
) -> None:
    file = failing(error("torn"), ctx)
    assert (file.status, file.error, file.again, file.counts.rows_in) == (Status.FAILED, "torn", again, 7)
    [indexed] = queries.files(ctx.project.index, "flights")
    assert (indexed.status, indexed.again) == (Status.FAILED, again)


OF_THE_RUN = [
    BrokerUnavailableError,
    IndexUnavailableError,
    ConfigError,
    LedgerError,
    NotAuthorizedError,
    PreflightError,
    TopicMissingError,
]


@pytest.mark.parametrize("error", OF_THE_RUN)
def test_what_would_fail_every_file_alike_is_raised(ctx: Context, error: type[ForebayError]) -> None:
    with pytest.raises(error, match="gone"):
        failing(error("gone"), ctx)


@pytest.mark.parametrize("error", [ConfigError, NotAuthorizedError])
def test_what_names_a_uri_is_that_files_matter(ctx: Context, error: type[ForebayError]) -> None:
    assert failing(error("no", uri="file:///drops/a.csv"), ctx).error == "no"


@pytest.mark.parametrize(
    ("error", "again", "words"),
    [
        (ZeroDivisionError("by zero"), False, "ZeroDivisionError: by zero (not foreseen"),
        (KeyError("x\ny"), False, "KeyError: 'x\\ny' (not foreseen"),
        (AssertionError(), False, "AssertionError (not foreseen"),
        (
            PermissionError(13, "Permission denied", "/x"),
            False,
            "PermissionError: [Errno 13] Permission denied: '/x' (not foreseen",
        ),
        (OSError(28, "No space left on device"), True, "OSError: [Errno 28] No space left on device (make room for it"),
        (MemoryError(), True, "MemoryError (make room for it"),
    ],
)
def test_what_nobody_foresaw_ends_its_file_and_its_place_is_in_the_log(
    ctx: Context, caplog: pytest.LogCaptureFixture, error: Exception, again: bool, words: str
) -> None:
    file = failing(error, ctx)
    assert (file.status, file.again) == (Status.FAILED, again)
    assert words in str(file.error)
    assert ("in step" in caplog.text) is not again


def test_a_redacted_pipeline_tells_an_unforeseen_error_by_its_type_only(
    ctx: Context, caplog: pytest.LogCaptureFixture
) -> None:
    hidden = ctx.pipeline.model_copy(
        update={"quality": ctx.pipeline.quality.model_copy(update={"redact": ("customer",)})}
    )
    file = failing(ValueError("customer 4929"), Context.of(hidden, ctx.project))
    assert "ValueError" in str(file.error)
    assert "4929" not in str(file.error) + caplog.text
