"""Fixtures of the tests of the source `s3`."""

from __future__ import annotations

import pytest

from tests.support.faulty_s3 import FaultyS3, faulty_s3  # noqa: F401 (a fixture)
from tests.support.s3 import S3Service


@pytest.fixture
def bucket(s3: S3Service) -> str:
    return s3.bucket()
