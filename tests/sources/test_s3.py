"""Objects of a real S3 API (moto)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forebay.config.connections import EnvironmentConnections
from forebay.errors import (
    ConfigError,
    NotAuthorizedError,
    SourceUnavailableError,
)
from forebay.sources import _s3_read
from forebay.sources.s3 import S3, S3Config
from forebay.testing.sources import SourceContract
from tests.sources.buckets import keys, make, put
from tests.support.faulty_s3 import FaultyS3, faulty_s3  # noqa: F401 (a fixture)
from tests.support.s3 import S3Service


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
