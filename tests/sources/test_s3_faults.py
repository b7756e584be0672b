"""A store that breaks to order, and what each of its answers means."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from forebay.config.connections import EnvironmentConnections
from forebay.errors import (
    ConfigError,
    CorruptFileError,
    FatalError,
    FileChangedError,
    NotAuthorizedError,
    SourceUnavailableError,
)
from forebay.model import SourceFile
from forebay.sources import _s3_errors
from forebay.sources.s3 import S3, S3Config
from tests.sources.buckets import answer
from tests.support.faulty_s3 import FaultyS3, faulty_s3  # noqa: F401 (a fixture)


def broken(store: FaultyS3, **settings: Any) -> S3:
    login = {
        "endpoint_url": store.endpoint,
        "aws_access_key_id": "k",
        "aws_secret_access_key": "s",
        "region_name": "us-east-1",
    }
    environment = {"FOREBAY_CONN_X": json.dumps(login)}
    return S3(
        S3Config(connection="x", **{"attempts": 3, "timeout": "500ms", **settings}),
        EnvironmentConnections(environment),
        Path(),
    )


def seen(store: FaultyS3) -> SourceFile:
    (file,) = broken(store).list("bucket/*")
    return file


@pytest.mark.parametrize(
    "faults",
    [
        [500, 503],
        [("reset", 1_500_000)],
        [("reset", 0), ("reset", 2_000_000)],
        [("stall", 1_000)],
        [("short", 1_100_000)],
        [("truncated", 2_559_999)],
        [("wrong", 1_234_567)],
        [("reset", 10), ("wrong", 0)],
    ],
    ids=str,
)
def test_a_passing_fault_never_mixes_or_shortens_a_file(faulty_s3: FaultyS3, faults: list[Any], tmp_path: Path) -> None:  # noqa: F811
    file = seen(faulty_s3)
    faulty_s3.faults = list(faults)
    snapshot = broken(faulty_s3).fetch(file, tmp_path / "copy")
    assert snapshot.path.read_bytes() == faulty_s3.body
    assert snapshot.fingerprint == hashlib.sha256(faulty_s3.body).hexdigest()
    assert len(faulty_s3.gets) == len(faults) + 1
    assert all(get["If-Match"] == f'"{file.etag}"' for get in faulty_s3.gets)


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (503, SourceUnavailableError, "SlowDown"),
        (("reset", 1_500_000), SourceUnavailableError, "trying again may help"),
        (("short", 1_100_000), SourceUnavailableError, "trying again may help"),
        (("truncated", 2_559_999), SourceUnavailableError, "2559999 bytes came, 2560000 were listed"),
        (("wrong", 7), CorruptFileError, "the bytes' MD5 is"),
    ],
)
def test_a_lasting_fault_ends_after_the_last_attempt(
    faulty_s3: FaultyS3,  # noqa: F811
    fault: Any,
    error: type[Exception],
    words: str,
    tmp_path: Path,
) -> None:
    file = seen(faulty_s3)
    faulty_s3.faults = [fault] * 10
    with pytest.raises(error, match=words):
        broken(faulty_s3).fetch(file, tmp_path / "copy")
    assert len(faulty_s3.gets) == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [(403, NotAuthorizedError), (404, FileChangedError), (412, FileChangedError), ("overwrite", FileChangedError)],
)
def test_what_no_retry_mends_is_not_retried(
    faulty_s3: FaultyS3,  # noqa: F811
    fault: Any,
    error: type[Exception],
    tmp_path: Path,
) -> None:
    file = seen(faulty_s3)
    faulty_s3.faults = [fault]
    with pytest.raises(error, match=r"^reading `s3://bucket/a\.csv`: "):
        broken(faulty_s3).fetch(file, tmp_path / "copy")
    assert (len(faulty_s3.gets), list(tmp_path.iterdir())) == (1, [])


def test_an_object_overwritten_between_two_attempts_is_never_mixed(faulty_s3: FaultyS3, tmp_path: Path) -> None:  # noqa: F811
    file = seen(faulty_s3)
    faulty_s3.faults = [("reset", 1_500_000), "overwrite"]
    with pytest.raises(FileChangedError, match="was listed"):
        broken(faulty_s3).fetch(file, tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_a_store_whose_etags_mean_something_else_can_be_said_so(faulty_s3: FaultyS3, tmp_path: Path) -> None:  # noqa: F811
    file = seen(faulty_s3)
    faulty_s3.faults = [("wrong", 7)]
    assert (
        broken(faulty_s3, etag_is_md5=False).fetch(file, tmp_path / "copy").fingerprint
        != hashlib.sha256(faulty_s3.body).hexdigest()
    )


def test_a_listing_that_names_an_object_twice_gives_one_file(faulty_s3: FaultyS3) -> None:  # noqa: F811
    faulty_s3.listed_twice = True
    assert seen(faulty_s3).name == "a.csv"


def test_a_listing_is_tried_again(faulty_s3: FaultyS3) -> None:  # noqa: F811
    faulty_s3.faults = [503, 500]
    assert seen(faulty_s3).size == len(faulty_s3.body)


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("NoSuchBucket", 404, ConfigError),
        ("PermanentRedirect", 301, ConfigError),
        ("NoSuchKey", 404, FileChangedError),
        ("404", 404, FileChangedError),
        ("PreconditionFailed", 412, FileChangedError),
        ("ConditionalRequestConflict", 409, SourceUnavailableError),
        ("SlowDown", 503, SourceUnavailableError),
        ("TooManyRequests", 429, SourceUnavailableError),
        ("RequestTimeout", 400, SourceUnavailableError),
        ("ExpiredToken", 400, NotAuthorizedError),
        ("403", 403, NotAuthorizedError),
        ("InvalidObjectState", 403, FatalError),
        ("MethodNotAllowed", 405, FatalError),
    ],
)
def test_answers_say_what_to_do(code: str, status: int, error: type[Exception]) -> None:
    assert type(_s3_errors.of_response(answer(code, status), "s3://b/k", "reading")) is error


def test_every_error_of_botocore_stops_at_the_border() -> None:
    """Whatever botocore may raise becomes one of ours; none of them passes."""
    from botocore import exceptions as boto

    from forebay.errors import ForebayError

    kinds: list[type[BaseException]] = [
        value for value in vars(boto).values() if isinstance(value, type) and issubclass(value, boto.BotoCoreError)
    ]
    assert len(kinds) > 50
    for kind in kinds:
        with pytest.raises(ForebayError), _s3_errors.s3_errors("s3://b/k", "reading"):
            raise kind.__new__(kind)
