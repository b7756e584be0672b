"""A real S3 API for tests: moto's server as a child process. It says no to wrong credentials."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

FREE_CALLS = 3
"""Calls that moto lets pass without a login: they make the user of the others."""


@dataclass(frozen=True)
class S3Service:
    """Where the store is, and who may use it."""

    endpoint: str
    key: str
    secret: str
    client: Any

    @property
    def arguments(self) -> dict[str, str]:
        """Arguments of `boto3.client("s3", …)`."""
        return {
            "endpoint_url": self.endpoint,
            "aws_access_key_id": self.key,
            "aws_secret_access_key": self.secret,
            "region_name": "us-east-1",
        }

    def bucket(self, *, versions: bool = False) -> str:
        """The name of a fresh bucket."""
        name = f"test-{uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=name)
        if versions:
            self.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def environment(self) -> dict[str, str]:
        """Variables that lead boto3 (and a child process) to this store."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Service]:
    """The suite's S3 API, with an empty store."""
    port, log = free_port(), tmp_path_factory.mktemp("moto") / "log"
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)]
    environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": str(FREE_CALLS), "AWS_EC2_METADATA_DISABLED": "true"}
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process:
        try:
            _wait_for(port, process, log)
            yield _service(f"http://127.0.0.1:{port}")
        finally:
            process.kill()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    """Until the port answers; a server that ended shows its log."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"moto_server ended with {process.returncode}: {log.read_text()[-2000:]}")
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"moto_server did not answer in {seconds} s: {log.read_text()[-2000:]}")


def _service(endpoint: str) -> S3Service:
    import boto3

    login = {"aws_access_key_id": "first", "aws_secret_access_key": "first", "region_name": "us-east-1"}
    iam = boto3.session.Session().client("iam", endpoint_url=endpoint, **login)
    iam.create_user(UserName="tests")
    policy = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
    iam.put_user_policy(UserName="tests", PolicyName="all", PolicyDocument=policy)
    made = iam.create_access_key(UserName="tests")["AccessKey"]
    key, secret = made["AccessKeyId"], made["SecretAccessKey"]
    client = boto3.session.Session().client(
        "s3", endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1"
    )
    return S3Service(endpoint, key, secret, client)
