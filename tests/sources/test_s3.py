"""Objects of a real S3 API (moto), and of one that breaks to order."""

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
from forebay.sources import _s3_errors, _s3_move, _s3_read
from forebay.sources.s3 import S3, S3Config
from forebay.testing.sources import SourceContract
from tests.support.faulty_s3 import FaultyS3, faulty_s3  # noqa: F401 (a fixture)
from tests.support.s3 import S3Service


def make(service: S3Service, **settings: Any) -> S3:
    environment = {"FOREBAY_CONN_LANDING": json.dumps(service.arguments)}
    return S3(S3Config(connection="landing", **settings), EnvironmentConnections(environment), Path("/nowhere"))


@pytest.mark.s3
class TestS3(SourceContract):
    versions = False

    @pytest.fixture(autouse=True)
    def _bucket(self, s3: S3Service) -> None:
        self.service, self.bucket = s3, s3.bucket(versions=self.versions)
        self.root = f"{self.bucket}/drops/"

    def make_source(self) -> S3:
        return make(self.service)

    def put(self, name: str, content: bytes) -> None:
        self.service.client.put_object(Bucket=self.bucket, Key=f"drops/{name}", Body=content)

    def remove(self, name: str) -> None:
        self.service.client.delete_object(Bucket=self.bucket, Key=f"drops/{name}")

    def read(self, name: str) -> bytes | None:
        try:
            return self.service.client.get_object(Bucket=self.bucket, Key=f"drops/{name}")["Body"].read()
        except self.service.client.exceptions.NoSuchKey:
            return None


class TestS3WithVersions(TestS3):
    versions = True

    def test_more_than_a_thousand_files_are_listed(self) -> None:
        pytest.skip("the same request as without versions")


@pytest.fixture
def bucket(s3: S3Service) -> str:
    return s3.bucket()


def put(s3: S3Service, bucket: str, key: str, content: bytes, **more: Any) -> SourceFile:
    s3.client.put_object(Bucket=bucket, Key=key, Body=content, **more)
    return next(file for file in make(s3).list(f"{bucket}/**") if file.uri.endswith(f"/{key}"))


def keys(client: Any, bucket: str) -> list[str]:
    return [item["Key"] for item in client.list_objects_v2(Bucket=bucket).get("Contents", ())]


@pytest.mark.s3
def test_a_path_may_be_written_as_a_uri_and_folder_placeholders_are_no_files(s3: S3Service, bucket: str) -> None:
    put(s3, bucket, "a/x.csv", b"x")
    s3.client.put_object(Bucket=bucket, Key="a/", Body=b"")
    assert [file.uri for file in make(s3).list(f"s3://{bucket}/a/*")] == [f"s3://{bucket}/a/x.csv"]
    assert [file.uri for file in make(s3).list(f"{bucket}/**")] == [f"s3://{bucket}/a/x.csv"]


@pytest.mark.s3
def test_a_bucket_that_is_not_there_is_wrong_configuration(s3: S3Service) -> None:
    with pytest.raises(
        ConfigError, match=r"^listing `s3://no-such-bucket-at-all/a/`: the store says `NoSuchBucket` \(create it, or"
    ):
        list(make(s3).list("no-such-bucket-at-all/a/*"))


@pytest.mark.s3
@pytest.mark.parametrize("written", ["/a/x.csv", "*/x.csv"])
def test_a_path_without_a_bucket_is_read_when_it_is_written_as_told(written: str, s3: S3Service, bucket: str) -> None:
    put(s3, bucket, "a/x.csv", b"x")
    with pytest.raises(ConfigError, match=r"\(write `bucket/folder/\*\.csv`\)"):
        list(make(s3).list(written))
    assert len(list(make(s3).list(f"{bucket}/a/*.csv"))) == 1


@pytest.mark.s3
@pytest.mark.parametrize("way", ["connection", "environment"])
def test_a_store_without_a_login_is_read_when_one_is_given_as_told(
    way: str, s3: S3Service, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3, bucket, "a.csv", b"x")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.endpoint)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def plain() -> S3:
        return S3(S3Config(), EnvironmentConnections({}), Path("/nowhere"))

    with pytest.raises(NotAuthorizedError, match="name a `connection`, or set AWS_ACCESS_KEY_ID and its secret"):
        list(plain().list(f"{bucket}/*"))
    for name, value in s3.environment().items() if way == "environment" else ():
        monkeypatch.setenv(name, value)
    found = plain() if way == "environment" else make(s3)
    assert len(list(found.list(f"{bucket}/*"))) == 1


@pytest.mark.s3
def test_an_archive_in_a_missing_bucket_leaves_the_file(s3: S3Service, bucket: str) -> None:
    file = put(s3, bucket, "a.csv", b"x")
    with pytest.raises(ConfigError, match="NoSuchBucket"):
        make(s3).move(file, "no-such-bucket-at-all/done/")
    assert keys(s3.client, bucket) == ["a.csv"]


@pytest.mark.parametrize("path", ["", "/a/*.csv", "b*/a.csv"])
def test_a_path_without_a_bucket_is_wrong_configuration(path: str) -> None:
    with pytest.raises(ConfigError, match="must begin with a bucket's name"):
        list(S3(S3Config(), EnvironmentConnections({}), Path()).list(path))


@pytest.mark.s3
@pytest.mark.parametrize("change", [{"aws_secret_access_key": "canary-secret"}, {"aws_access_key_id": "AKIAUNKNOWN"}])
def test_wrong_credentials_are_named_at_once_and_not_shown(s3: S3Service, bucket: str, change: dict[str, str]) -> None:
    environment = {"FOREBAY_CONN_LANDING": json.dumps({**s3.arguments, **change})}
    source = S3(S3Config(connection="landing"), EnvironmentConnections(environment), Path())
    with pytest.raises(NotAuthorizedError, match="check the connection's keys") as caught:
        list(source.list(f"{bucket}/*"))
    assert "canary" not in str(caught.value)


def test_a_store_that_does_not_answer_may_be_tried_again(s3_nowhere: S3) -> None:
    with pytest.raises(SourceUnavailableError, match=r"^listing `s3://bucket/a/`: .*\(trying again may help\)$"):
        list(s3_nowhere.list("bucket/a/*"))


@pytest.fixture
def s3_nowhere() -> S3:
    settings = {"endpoint_url": "http://127.0.0.1:9", "aws_access_key_id": "k", "aws_secret_access_key": "s"}
    return S3(
        S3Config(connection="x", attempts=1), EnvironmentConnections({"FOREBAY_CONN_X": json.dumps(settings)}), Path()
    )


@pytest.mark.s3
def test_the_same_etag_is_surely_the_same_version(s3: S3Service, bucket: str) -> None:
    first = put(s3, bucket, "a.csv", b"1")
    again = put(s3, bucket, "a.csv", b"1")
    other = put(s3, bucket, "b.csv", b"1")
    source = make(s3)
    assert source.same_version(first, again)
    assert not source.same_version(first, other)
    assert not source.same_version(first, put(s3, bucket, "a.csv", b"2"))


@pytest.mark.s3
def test_a_move_keeps_content_type_metadata_and_tags(s3: S3Service, bucket: str) -> None:
    file = put(s3, bucket, "a.csv", b"1", ContentType="text/csv", Metadata={"sender": "bank"}, Tagging="kind=daily")
    there = make(s3).move(file, f"{bucket}/done/")
    found = s3.client.head_object(Bucket=bucket, Key="done/a.csv")
    assert there == f"s3://{bucket}/done/a.csv"
    assert (found["ContentType"], found["Metadata"]["sender"]) == ("text/csv", "bank")
    assert s3.client.get_object_tagging(Bucket=bucket, Key="done/a.csv")["TagSet"] == [
        {"Key": "kind", "Value": "daily"}
    ]


@pytest.mark.s3
def test_an_object_in_parts_is_moved_and_known_again(s3: S3Service, bucket: str) -> None:
    """Its ETag is no MD5, and the copy's is another: the mark on the copy tells."""
    made = s3.client.create_multipart_upload(Bucket=bucket, Key="a.csv")["UploadId"]
    parts = [b"1" * (5 << 20), b"2" * 100]
    done = [
        {
            "PartNumber": n,
            "ETag": s3.client.upload_part(Bucket=bucket, Key="a.csv", UploadId=made, PartNumber=n, Body=part)["ETag"],
        }
        for n, part in enumerate(parts, 1)
    ]
    s3.client.complete_multipart_upload(Bucket=bucket, Key="a.csv", UploadId=made, MultipartUpload={"Parts": done})
    (file,) = make(s3).list(f"{bucket}/*")
    assert "-2" in str(file.etag)
    assert make(s3).fingerprint(file) == hashlib.sha256(b"".join(parts)).hexdigest()
    there = make(s3).move(file, f"{bucket}/done/")
    assert make(s3).move(file, f"{bucket}/done/") == there
    assert keys(s3.client, bucket) == ["done/a.csv"]


@pytest.mark.s3
def test_what_is_too_large_for_one_copy_is_copied_in_parts(s3: S3Service, bucket: str) -> None:
    content = bytes(range(256)) * (11 << 12)  # 11 MiB
    file = put(s3, bucket, "a.csv", content, Metadata={"sender": "bank"})
    there = _s3_move.move(s3.client, file, f"{bucket}/done/", one_copy=5 << 20)
    found = s3.client.get_object(Bucket=bucket, Key="done/a.csv")
    assert there == f"s3://{bucket}/done/a.csv"
    assert found["ETag"].endswith('-3"')
    assert (found["Metadata"]["sender"], found["Body"].read() == content) == ("bank", True)
    assert _s3_move.move(s3.client, file, f"{bucket}/done/", one_copy=5 << 20) == there
    assert keys(s3.client, bucket) == ["done/a.csv"]


class Hooked:
    """A client that does something else just before (and after) the first call of one kind."""

    def __init__(self, client: Any, method: str, before: Any, after: Any = lambda: None) -> None:
        self._client, self._method, self._before, self._after = client, method, before, after

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._client, name)
        if name != self._method or self._before is None:
            return real
        before, self._before = self._before, None

        def call(**arguments: Any) -> Any:
            before()
            answered = real(**arguments)
            self._after()
            return answered

        return call


@pytest.mark.s3
def test_an_object_overwritten_while_it_is_copied_is_not_moved(s3: S3Service, bucket: str) -> None:
    """moto overlooks CopySourceIfMatch: the comparison afterwards must notice."""
    file = put(s3, bucket, "a.csv", b"old")
    client = Hooked(s3.client, "copy_object", lambda: put(s3, bucket, "a.csv", b"new"))
    with pytest.raises(FileChangedError, match="nothing was moved"):
        _s3_move.move(client, file, f"{bucket}/done/")
    assert keys(s3.client, bucket) == ["a.csv"]
    assert s3.client.get_object(Bucket=bucket, Key="a.csv")["Body"].read() == b"new"


@pytest.mark.s3
def test_an_object_overwritten_and_restored_while_it_is_copied_is_not_moved(s3: S3Service, bucket: str) -> None:
    """The original looks as listed before and after; only the copy's ETag tells."""
    file = put(s3, bucket, "a.csv", b"old")
    client = Hooked(
        s3.client, "copy_object", lambda: put(s3, bucket, "a.csv", b"new"), lambda: put(s3, bucket, "a.csv", b"old")
    )
    with pytest.raises(FileChangedError, match="nothing was moved"):
        _s3_move.move(client, file, f"{bucket}/done/")
    assert keys(s3.client, bucket) == ["a.csv"]


class Strict:
    """A client whose store heeds `If-None-Match` of CopyObject, as Amazon's does and moto does not; `taken` comes in
    before the copy."""

    def __init__(self, client: Any, taken: Any) -> None:
        self._client, self._taken = client, taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def copy_object(self, *, IfNoneMatch: str, **arguments: Any) -> Any:
        from botocore.exceptions import ClientError

        self._taken()
        if IfNoneMatch == "*" and arguments["Key"] in keys(self._client, arguments["Bucket"]):
            raise ClientError(answer("PreconditionFailed", 412), "CopyObject")
        return self._client.copy_object(IfNoneMatch=IfNoneMatch, **arguments)


@pytest.mark.s3
def test_a_name_taken_in_the_very_moment_of_copying_is_not_overwritten(s3: S3Service, bucket: str) -> None:
    file = put(s3, bucket, "a.csv", b"mine")
    client = Strict(s3.client, lambda: put(s3, bucket, "done/a.csv", b"theirs"))
    assert _s3_move.move(client, file, f"{bucket}/done/") == f"s3://{bucket}/done/a.csv.1"
    assert s3.client.get_object(Bucket=bucket, Key="done/a.csv")["Body"].read() == b"theirs"


@pytest.mark.s3
def test_a_store_without_conditional_requests_is_served_too(s3: S3Service, bucket: str) -> None:
    from botocore.exceptions import ClientError

    class Old(Hooked):
        def __getattr__(self, name: str) -> Any:
            real = getattr(self._client, name)

            def call(**arguments: Any) -> Any:
                if name in {"copy_object", "delete_object"} and {"IfNoneMatch", "IfMatch"} & arguments.keys():
                    raise ClientError(answer("NotImplemented", 501), name)
                return real(**arguments)

            return call

    file = put(s3, bucket, "a.csv", b"1")
    assert _s3_move.move(Old(s3.client, "", None), file, f"{bucket}/done/") == f"s3://{bucket}/done/a.csv"
    assert keys(s3.client, bucket) == ["done/a.csv"]


@pytest.mark.s3
def test_a_move_killed_between_copy_and_delete_is_finished_by_the_next(s3: S3Service, bucket: str) -> None:
    file = put(s3, bucket, "a.csv", b"1")

    def crash() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _s3_move.move(Hooked(s3.client, "delete_object", crash), file, f"{bucket}/done/")
    assert keys(s3.client, bucket) == ["a.csv", "done/a.csv"]
    assert make(s3).move(file, f"{bucket}/done/") == f"s3://{bucket}/done/a.csv"
    assert keys(s3.client, bucket) == ["done/a.csv"]


@pytest.mark.s3
def test_deleting_in_a_bucket_with_versions_can_be_undone(s3: S3Service) -> None:
    bucket = s3.bucket(versions=True)
    file = put(s3, bucket, "a.csv", b"1")
    make(s3).delete(file)
    versions = s3.client.list_object_versions(Bucket=bucket)
    assert keys(s3.client, bucket) == []
    assert (len(versions["Versions"]), len(versions["DeleteMarkers"])) == (1, 1)


# The store that breaks to order


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


def answer(code: str, status: int) -> dict[str, Any]:
    return {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


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

    kinds = [
        value for value in vars(boto).values() if isinstance(value, type) and issubclass(value, boto.BotoCoreError)
    ]
    assert len(kinds) > 50
    for kind in kinds:
        with pytest.raises(ForebayError), _s3_errors.s3_errors("s3://b/k", "reading"):
            raise BaseException.__new__(kind)


@pytest.mark.parametrize(
    ("etag", "answer_", "uri", "expected"),
    [
        ("0" * 32, {}, "s3://b/k", True),
        ("0" * 32, {"ServerSideEncryption": "AES256"}, "s3://b/k", True),
        ("0" * 32, {"ServerSideEncryption": "aws:kms"}, "s3://b/k", False),
        ("0" * 32, {"SSECustomerAlgorithm": "AES256"}, "s3://b/k", False),
        ("0" * 32, {}, "s3://b--use1-az4--x-s3/k", False),
        ("0" * 32 + "-2", {}, "s3://b/k", False),
        ("0x8DC0FFEE", {}, "s3://b/k", False),
        (None, {}, "s3://b/k", False),
    ],
)
def test_which_etags_are_an_md5(etag: str | None, answer_: dict[str, str], uri: str, expected: bool) -> None:
    assert _s3_read.tells_md5(etag, answer_, uri) is expected


def test_naming_the_plugin_imports_no_vendor() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from forebay import registry; registry.find('sources', 's3'); "
        "sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
