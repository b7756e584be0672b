"""Moving and deleting in a store that has neither: copy, look, and delete only what was copied."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from forebay.errors import FileChangedError, SourceUnavailableError
from forebay.model import SourceFile
from forebay.sources import _uri
from forebay.sources._s3_errors import s3_errors
from forebay.sources._s3_read import etag_of, tells_md5

ONE_COPY = 5 * 1024**3
"""Bytes that one CopyObject takes (AWS S3 limits); more is copied in parts."""

MARK = "forebay-moved"
"""User metadata of a copy of ours: which version it is a copy of."""

_KEPT = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType", "Expires")


def delete(client: Any, file: SourceFile) -> None:
    """Delete the listed version; gone is done. In a bucket with versions this writes a delete marker: the bytes can
    still be brought back."""
    if require_same(client, file, "deleting") is None:
        return
    bucket, key = _uri.to_object(file.uri)
    where = {"Bucket": bucket, "Key": key}
    with s3_errors(file.uri, "deleting"):
        _if_understood(client.delete_object, where, {"IfMatch": f'"{file.etag}"'} if file.etag else {})


def move(client: Any, file: SourceFile, folder: str, *, one_copy: int = ONE_COPY) -> str:
    """Copy the listed version into `folder` (`bucket/prefix/`), look at the copy, delete the original, return the new
    uri. Idempotent."""
    bucket, _, prefix = folder.removeprefix("s3://").partition("/")
    source_key = _uri.to_object(file.uri)[1]
    if (bucket, prefix) == (_uri.to_object(file.uri)[0], source_key.rpartition("/")[0] + "/"):
        return file.uri
    done = _moved_before(client, file, bucket, prefix)
    if done is None:
        done = _copy_to_free_name(client, file, bucket, prefix, one_copy)
        delete(client, file)
    elif _head(client, file) is not None:
        delete(client, file)
    return done


def _moved_before(client: Any, file: SourceFile, bucket: str, prefix: str) -> str | None:
    """Where a copy of this version lies already."""
    for key in _names(file, prefix):
        answer = head(client, bucket, key)
        if answer is None:
            return None
        if _is_copy(answer, file):
            return _uri.of_object(bucket, key)
    return None


def _copy_to_free_name(client: Any, file: SourceFile, bucket: str, prefix: str, one_copy: int) -> str:
    source = require_same(client, file, "moving")
    if source is None:
        raise FileChangedError(
            f"moving `{file.uri}` to `{bucket}/{prefix}`: it is at neither place (look who else takes files "
            "from there)",
            uri=file.uri,
        )
    for key in _names(file, prefix):
        if head(client, bucket, key) is None and _copy(client, file, source, bucket, key, one_copy):
            _require_copied(client, file, source, bucket, key)
            return _uri.of_object(bucket, key)
    raise SourceUnavailableError(
        f"moving `{file.uri}` to `{bucket}/{prefix}`: all numbered names are taken (empty the folder)", uri=file.uri
    )


def _copy(client: Any, file: SourceFile, source: Any, bucket: str, key: str, one_copy: int) -> bool:
    """Copy on the store's side; False if somebody took the name meanwhile."""
    from_bucket, from_key = _uri.to_object(file.uri)
    origin = {"Bucket": from_bucket, "Key": from_key, **({"VersionId": file.version} if file.version else {})}
    kept = {name: source[name] for name in _KEPT if source.get(name)}
    settings = {**kept, "Metadata": {**source.get("Metadata", {}), MARK: mark(file)}, "MetadataDirective": "REPLACE"}
    guard = {"CopySourceIfMatch": f'"{file.etag}"'} if file.etag else {}
    with s3_errors(file.uri, "moving"):
        if file.size > one_copy:
            _copy_in_parts(client, origin, bucket, key, {**settings, **guard}, one_copy)
            return True
        try:
            _if_understood(
                client.copy_object,
                {"Bucket": bucket, "Key": key, "CopySource": origin, **settings, **guard},
                {"IfNoneMatch": "*"},
            )
        except client.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 412 and head(client, bucket, key) is not None:
                return False
            raise
    return True


def _copy_in_parts(
    client: Any, origin: dict[str, str], bucket: str, key: str, settings: dict[str, Any], one_copy: int
) -> None:
    from boto3.s3.transfer import TransferConfig

    sizes = TransferConfig(multipart_threshold=one_copy, multipart_chunksize=min(one_copy, 256 * 1024**2))
    client.copy(origin, bucket, key, ExtraArgs=settings, Config=sizes)


def _if_understood(call: Any, arguments: dict[str, Any], condition: dict[str, str]) -> None:
    """Ask with the condition; without it, if the store answers that it does not know such conditions (HTTP 501)."""
    from botocore.exceptions import ClientError

    try:
        call(**arguments, **condition)
    except ClientError as error:
        if not condition or error.response["ResponseMetadata"]["HTTPStatusCode"] != 501:
            raise
        call(**arguments)


def _require_copied(client: Any, file: SourceFile, source: Any, bucket: str, key: str) -> None:
    """The copy is of the listed version, and the original still is: else the copy (ours) is removed and nothing was
    moved.

    Not every store heeds the copy's own condition, so size, mark and, where it means something, ETag are compared.
    """
    copy = head(client, bucket, key)
    etags = (
        copy is not None
        and tells_md5(file.etag, source, file.uri)
        and tells_md5(etag_of(copy), copy, _uri.of_object(bucket, key))
    )
    same = copy is not None and _is_copy(copy, file) and (not etags or etag_of(copy) == file.etag)
    try:
        still = require_same(client, file, "moving")
    except FileChangedError:
        still = None
    if same and still is not None:
        return
    if copy is not None and copy.get("Metadata", {}).get(MARK) == mark(file):
        with s3_errors(_uri.of_object(bucket, key), "removing a half-made copy"):
            client.delete_object(Bucket=bucket, Key=key)
    raise FileChangedError(
        f"moving `{file.uri}`: it changed while it was copied (run again; nothing was moved)", uri=file.uri
    )


def _is_copy(head: Any, file: SourceFile) -> bool:
    """A copy that we made of this version, or the same bytes by ETag."""
    marked = head.get("Metadata", {}).get(MARK) == mark(file)
    return bool(head["ContentLength"] == file.size and (marked or etag_of(head) == file.etag))


def mark(file: SourceFile) -> str:
    """Names a version in few characters."""
    return hashlib.sha256(f"{file.uri}\n{file.etag}".encode()).hexdigest()[:32]


def _names(file: SourceFile, prefix: str) -> Iterator[str]:
    """The name in the new folder, then numbered ones: `a.csv`, `a.csv.1` …"""
    name = _uri.to_object(file.uri)[1].rpartition("/")[2]
    yield prefix + name
    for number in range(1, 10_000):
        yield f"{prefix}{name}.{number}"


def head(client: Any, bucket: str, key: str) -> Any | None:
    """What HEAD says of an object, or None if there is none."""
    from botocore.exceptions import ClientError

    with s3_errors(_uri.of_object(bucket, key), "looking at"):
        try:
            return client.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            return None


def _head(client: Any, file: SourceFile) -> Any | None:
    """HEAD of the original, or None if it is gone or another version by now."""
    answer = head(client, *_uri.to_object(file.uri))
    return answer if answer is not None and etag_of(answer) == file.etag else None


def require_same(client: Any, file: SourceFile, doing: str) -> Any | None:
    """HEAD of the listed version; None if nothing lies there. Raises `FileChangedError` if another version does."""
    answer = head(client, *_uri.to_object(file.uri))
    if answer is not None and file.etag and etag_of(answer) != file.etag:
        raise FileChangedError(
            f"{doing} `{file.uri}`: another version lies there by now (run again: it is listed anew)", uri=file.uri
        )
    return answer
