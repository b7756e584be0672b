"""Unpacking chooses by name, keeps its bounds by counting, and leaves nothing half made."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from forebay.compressions._unpack import unpack
from forebay.errors import CorruptFileError, UnknownPluginError


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "snapshot"
    path.write_bytes(gzip.compress(b"a,b\n1,2\n" * 1000))
    return path


@pytest.mark.parametrize(("name", "setting"), [("a.csv.gz", "auto"), ("A.CSV.GZ", "auto"), ("a.csv", "gzip")])
def test_a_packed_file_is_unpacked(packed: Path, tmp_path: Path, name: str, setting: str) -> None:
    assert unpack(packed, name, setting, tmp_path / "plain").read_bytes() == b"a,b\n1,2\n" * 1000


@pytest.mark.parametrize(("name", "setting"), [("a.csv", "auto"), ("a.csv.gz", "none")])
def test_a_plain_file_is_not_copied(packed: Path, tmp_path: Path, name: str, setting: str) -> None:
    assert unpack(packed, name, setting, tmp_path / "plain") == packed
    assert not (tmp_path / "plain").exists()


def test_an_unknown_compression_is_said(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownPluginError, match="did you mean `gzip`"):
        unpack(packed, "a", "gzipp", tmp_path / "plain")


@pytest.mark.parametrize("bound", [{"max_bytes": 1000}])
def test_more_than_the_bound_is_refused_and_nothing_is_left(packed: Path, tmp_path: Path, bound: dict[str, int]) -> None:
    with pytest.raises(CorruptFileError, match="more than 1,000 bytes came out"):
        unpack(packed, "a.csv.gz", "auto", tmp_path / "plain", **bound)
    assert not (tmp_path / "plain").exists()


def test_a_bomb_is_stopped_by_its_ratio(tmp_path: Path) -> None:
    path = tmp_path / "snapshot"
    path.write_bytes(gzip.compress(b"\0" * (80 << 20)))
    with pytest.raises(CorruptFileError, match="bomb"):
        unpack(path, "a.gz", "auto", tmp_path / "plain", max_ratio=10)


def test_a_truncated_file_is_named_and_nothing_is_left(packed: Path, tmp_path: Path) -> None:
    packed.write_bytes(packed.read_bytes()[:-4])
    with pytest.raises(CorruptFileError, match=r"reading `a\.csv\.gz`: unpacking gzip: truncated"):
        unpack(packed, "a.csv.gz", "auto", tmp_path / "plain")
    assert not (tmp_path / "plain").exists()
