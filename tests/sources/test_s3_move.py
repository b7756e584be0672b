"""Objects that are moved or deleted, whoever writes or dies meanwhile."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from forebay.errors import (
    FileChangedError,
)
from forebay.sources import _s3_move
from tests.sources.buckets import answer, keys, make, put
from tests.support.faulty_s3 import FaultyS3, faulty_s3  # noqa: F401 (a fixture)
from tests.support.s3 import S3Service


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
