"""No file is longer than a person reads at once."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST = 400
LONGER_FOR_NOW = {
    "include/forebay/model.py",
    "include/forebay/quality/check.py",
    "tests/chaos/faults.py",
    "tests/config/test_load.py",
    "tests/encoding/test_encode.py",
    "tests/formats/test_parquet_types.py",
    "tests/kafka/test_broker.py",
    "tests/kafka/test_protocol.py",
    "tests/kafka/test_publisher.py",
    "tests/quality/test_differential.py",
    "tests/sources/test_s3.py",
    "tests/verbs/test_discover.py",
    "tools/airflow_home.py",
    "tools/bench.py",
}
"""To be split by meaning. This list may only get shorter."""


def _longer() -> set[str]:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [name for name in listed.split() if (ROOT / name).exists()]
    return {name for name in files if len((ROOT / name).read_text("utf-8").splitlines()) > MOST}


def test_no_other_file_has_more_lines() -> None:
    assert _longer() - LONGER_FOR_NOW == set()


def test_what_was_split_is_off_the_list() -> None:
    assert LONGER_FOR_NOW - _longer() == set()
