"""Buckets and objects for the tests of the source `s3`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from forebay.config.connections import EnvironmentConnections
from forebay.model import SourceFile
from forebay.sources.s3 import S3, S3Config
from tests.support.faulty_s3 import FaultyS3, faulty_s3  # noqa: F401 (a fixture)
from tests.support.s3 import S3Service


def make(service: S3Service, **settings: Any) -> S3:
    environment = {"FOREBAY_CONN_LANDING": json.dumps(service.arguments)}
    return S3(S3Config(connection="landing", **settings), EnvironmentConnections(environment), Path("/nowhere"))


def put(s3: S3Service, bucket: str, key: str, content: bytes, **more: Any) -> SourceFile:
    s3.client.put_object(Bucket=bucket, Key=key, Body=content, **more)
    return next(file for file in make(s3).list(f"{bucket}/**") if file.uri.endswith(f"/{key}"))


def keys(client: Any, bucket: str) -> list[str]:
    return [item["Key"] for item in client.list_objects_v2(Bucket=bucket).get("Contents", ())]


def answer(code: str, status: int) -> dict[str, Any]:
    return {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
