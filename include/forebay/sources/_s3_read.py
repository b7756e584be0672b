"""One object's bytes, whole and of one version, over a network that breaks."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from forebay.errors import CorruptFileError, FileChangedError, SourceUnavailableError
from forebay.model import SourceFile
from forebay.sources import _uri
from forebay.sources._copying import BLOCK
from forebay.sources._s3_errors import s3_errors

_MD5 = re.compile(r"[0-9a-f]{32}")


class Sink(Protocol):
    """Where blocks go; `restart` forgets them."""

    def write(self, block: bytes) -> None: ...

    def restart(self) -> None: ...


class Nowhere:
    """A sink for those who only want the fingerprint."""

    def write(self, block: bytes) -> None:
        return

    def restart(self) -> None:
        return


@dataclass(frozen=True, slots=True)
class Read:
    """What came: sha256 in hex, and the version id that the store named (None in a bucket without versions)."""

    fingerprint: str
    version: str | None


def read(
    client: Any,
    file: SourceFile,
    sink: Sink,
    *,
    attempts: int,
    check_md5: bool = True,
    pause: Callable[[float], None] = time.sleep,
) -> Read:
    """Read the listed version into `sink`. A broken body is read again from its start, at most `attempts` times in all.

    Every request says `If-Match`, and every answer must name the listed ETag, so two versions never mix. Raises
    `FileChangedError`, `NotAuthorizedError`, `SourceUnavailableError` (it kept breaking), `CorruptFileError` (the right
    length but not the ETag's MD5).
    """
    for attempt in range(1, attempts + 1):
        answer = _ask(client, file)
        try:
            with s3_errors(file.uri, "reading"):
                return _drain(answer, file, sink, check_md5)
        except (SourceUnavailableError, CorruptFileError):
            if attempt == attempts:
                raise
            sink.restart()
            pause(min(0.1 * 2**attempt, 5))
    raise AssertionError("attempts is at least 1")


def _ask(client: Any, file: SourceFile) -> Any:
    """The answer to GET, its body not yet read. boto3 itself tries again on 500, 503, and a broken connection."""
    with s3_errors(file.uri, "reading"):
        answer = client.get_object(**_request(file))
    _require_listed(answer, file)
    return answer


def _drain(answer: Any, file: SourceFile, sink: Sink, check_md5: bool) -> Read:
    sha256, md5, count = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with answer["Body"] as body:
        while block := body.read(BLOCK):
            sha256.update(block)
            md5.update(block)
            sink.write(block)
            count += len(block)
    if count != file.size:
        raise SourceUnavailableError(
            f"reading `{file.uri}`: {count} bytes came, {file.size} were listed (trying again may help)", uri=file.uri
        )
    if check_md5 and tells_md5(file.etag, answer, file.uri) and md5.hexdigest() != file.etag:
        raise CorruptFileError(
            f"reading `{file.uri}`: the bytes' MD5 is `{md5.hexdigest()}`, the ETag says `{file.etag}` (look for a "
            "broken proxy or disk; if the "
            "store's ETags are no MD5, set `etag_is_md5: false`, at the cost of this check)",
            uri=file.uri,
        )
    return Read(sha256.hexdigest(), answer.get("VersionId"))


def _request(file: SourceFile) -> dict[str, str]:
    bucket, key = _uri.to_object(file.uri)
    guard = {"IfMatch": f'"{file.etag}"'} if file.etag else {}
    return {"Bucket": bucket, "Key": key, **guard, **({"VersionId": file.version} if file.version else {})}


def _require_listed(answer: Any, file: SourceFile) -> None:
    """Some stores and proxies overlook `If-Match`: what they answer must be what was listed."""
    etag = etag_of(answer)
    if file.etag and etag != file.etag:
        raise FileChangedError(
            f"reading `{file.uri}`: the store answers version `{etag}`, `{file.etag}` was listed (run again)",
            uri=file.uri,
        )


def etag_of(answer: Any) -> str | None:
    """An answer's ETag without quotes."""
    return str(answer["ETag"]).strip('"') if answer.get("ETag") else None


def tells_md5(etag: str | None, answer: Any, uri: str) -> bool:
    """Whether the ETag is the MD5 of the bytes: uploaded in one piece, not encrypted by KMS or the client's key, no
    directory bucket (AWS S3 documentation, "Object", ETag)."""
    if not etag or not _MD5.fullmatch(etag) or answer.get("SSECustomerAlgorithm"):
        return False
    return answer.get("ServerSideEncryption") in {None, "AES256"} and not _uri.to_object(uri)[0].endswith("--x-s3")
