"""Canonical URIs: `file:///abs/path`, `s3://bucket/key`, the same for the same file, without secrets.

Percent rule: RFC 3986 unreserved characters, sub-delims, `:`, `@` and `/` stand as they are; every other byte of the
name (UTF-8; locally the file system's bytes, so that any name survives) is `%XX`. `+` is a plus, never a space; a `%`
in a name is `%25`.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote, quote_from_bytes, unquote, unquote_to_bytes

_SAFE = "/-._~!$&'()*+,;=:@"


def of_path(path: Path | str) -> str:
    """The URI of an absolute path."""
    return "file://" + quote_from_bytes(os.fsencode(path), safe=_SAFE)


def to_path(uri: str) -> Path:
    return Path(os.fsdecode(unquote_to_bytes(uri.removeprefix("file://"))))


def of_object(bucket: str, key: str) -> str:
    return f"s3://{bucket}/{quote(key, safe=_SAFE)}"


def to_object(uri: str) -> tuple[str, str]:
    """Bucket and key of an `s3://` URI."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, unquote(key)
