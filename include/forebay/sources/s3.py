"""Objects in Amazon S3 and in stores that speak its API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from forebay.config.units import Duration
from forebay.contracts import Settings, Source
from forebay.errors import ConfigError
from forebay.model import Snapshot, SourceFile
from forebay.sources import _pattern, _s3_move, _s3_read, _uri
from forebay.sources._copying import whole_file
from forebay.sources._s3_errors import s3_errors

_Listing = Iterator[SourceFile]


class S3Config(Settings):
    """How to talk to the store. Where it is and who asks is the connection's."""

    connection: str | None = None
    """A connection's name; without one boto3's own chain (`AWS_…`) is meant."""
    region: str | None = None
    """The bucket's region, if the connection names none or another."""
    addressing: Literal["auto", "path", "virtual"] = "auto"
    """Whether the bucket's name stands in the path or in the host's name. `auto`: path for an own endpoint, host for
    Amazon's."""
    attempts: int = Field(default=5, ge=1, le=20)
    """How often a request, or the reading of a body, is tried in all."""
    timeout: Duration = Field(default="60s", validate_default=True)
    """How long the store may be silent."""
    connect_timeout: Duration = Field(default="10s", validate_default=True)
    """How long a connection may take to be made."""
    etag_is_md5: bool = True
    """Compare the bytes with ETags that look like an MD5. Switch off for stores whose ETags mean something else."""


class S3(Source[S3Config]):
    """A bucket. Paths are `bucket/key`; each request for bytes is bound to the listed ETag."""

    Config = S3Config

    def list(self, pattern: str) -> _Listing:
        bucket, key = self._split(pattern)
        matches = _pattern.compiled(key).fullmatch
        uri = _uri.of_object(bucket, _pattern.literal_prefix(key))
        with s3_errors(uri, "listing"):
            items = {
                item["Key"]: item for item in self._items(bucket, _pattern.literal_prefix(key)) if matches(item["Key"])
            }
        yield from sorted((_source_file(bucket, item) for item in items.values()), key=lambda file: file.uri)

    def matches(self, uri: str, pattern: str) -> bool:
        bucket, key = self._split(pattern)
        place = _uri.to_object(uri)
        return uri.startswith("s3://") and place[0] == bucket and _pattern.compiled(key).fullmatch(place[1]) is not None

    def fetch(self, file: SourceFile, into: Path) -> Snapshot:
        with whole_file(into, file.uri) as writer:
            got = self._read(file, writer)
        return Snapshot(replace(file, version=got.version or file.version), into, got.fingerprint, file.size)

    def fingerprint(self, file: SourceFile) -> str:
        return self._read(file, _s3_read.Nowhere()).fingerprint

    def same_version(self, a: SourceFile, b: SourceFile) -> bool:
        if a.uri != b.uri or a.size != b.size:
            return False
        return (a.etag is not None and a.etag == b.etag) or (a.version not in {None, "null"} and a.version == b.version)

    def move(self, file: SourceFile, to: str) -> str:
        self._split(to)
        return _s3_move.move(self._client, file, to)

    def delete(self, file: SourceFile) -> None:
        _s3_move.delete(self._client, file)

    def _read(self, file: SourceFile, sink: _s3_read.Sink) -> _s3_read.Read:
        return _s3_read.read(self._client, file, sink, attempts=self.config.attempts, check_md5=self.config.etag_is_md5)

    def _items(self, bucket: str, prefix: str) -> Iterator[Any]:
        """Every object below a prefix, page by page; folder placeholders (keys that end with `/`) are none."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for page in pages:
            yield from (item for item in page.get("Contents", ()) if not item["Key"].endswith("/"))

    def _split(self, pattern: str) -> tuple[str, str]:
        bucket, _, key = pattern.removeprefix("s3://").partition("/")
        if not bucket or _pattern.is_wild(bucket):
            raise ConfigError(
                f"reading path `{pattern}`: it must begin with a bucket's name (write `bucket/folder/*.csv`)"
            )
        return bucket, key

    @property
    def _client(self) -> Any:
        """A client of this process, made on first use; never part of a pickle."""
        if "_made" not in self.__dict__:
            with s3_errors(f"connection {self.config.connection or 'default'}", "opening"):
                self.__dict__["_made"] = self._make()
        return self.__dict__["_made"]

    def _make(self) -> Any:
        from botocore.config import Config

        config = Config(
            connect_timeout=_seconds(self.config.connect_timeout),
            read_timeout=_seconds(self.config.timeout),
            retries={"mode": "standard", "total_max_attempts": self.config.attempts},
            s3={"addressing_style": self.config.addressing},
            user_agent_extra="forebay",
        )
        region = {"region_name": self.config.region} if self.config.region else {}
        settings = {**self.connections.s3(self.config.connection), **region}
        return _session().client("s3", config=config, **settings)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_made"}


def _session() -> Any:
    """A session that reads the environment anew, with the service descriptions (0.3 s of JSON) read once in a
    process."""
    import boto3
    import botocore.session

    session = botocore.session.get_session()
    session.register_component("data_loader", _descriptions())
    return boto3.session.Session(botocore_session=session)


@cache
def _descriptions() -> Any:
    from botocore.loaders import create_loader

    return create_loader()


def _seconds(duration: timedelta) -> float:
    return duration.total_seconds()


def _source_file(bucket: str, item: Any) -> SourceFile:
    return SourceFile(
        _uri.of_object(bucket, item["Key"]), item["Size"], item["LastModified"].timestamp(), etag=_s3_read.etag_of(item)
    )
