"""Unpacking chooses by name, keeps its bounds by counting, and leaves nothing half made."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from forebay.compressions._unpack import unpack
from forebay.errors import CorruptFileError, UnknownPluginError


def zstd(body: bytes) -> bytes:
    return bytes(pa.compress(body, codec="zstd", asbytes=True))


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
def test_more_than_the_bound_is_refused_and_nothing_is_left(
    packed: Path, tmp_path: Path, bound: dict[str, int]
) -> None:
    with pytest.raises(CorruptFileError, match="more than 1,000 bytes came out"):
        unpack(packed, "a.csv.gz", "auto", tmp_path / "plain", **bound)
    assert not (tmp_path / "plain").exists()


@pytest.mark.parametrize(("pack", "name"), [(gzip.compress, "a.gz"), (zstd, "a.zst")])
def test_what_a_bomb_unpacks_to_is_bounded_by_default(
    tmp_path: Path, pack: Callable[[bytes], bytes], name: str
) -> None:
    """gzip packs at most 1,032 to 1: members of 100 MB of zeros, as many as make 300 MB. One member is honest."""
    member, path = pack(b"\0" * 100_000_000), tmp_path / "snapshot"
    path.write_bytes(member)
    assert unpack(path, name, "auto", tmp_path / "plain").stat().st_size == 100_000_000
    path.write_bytes(member * 3)
    with pytest.raises(CorruptFileError, match=r"`limits\.ratio`"):
        unpack(path, name, "auto", tmp_path / "plain")
    assert not (tmp_path / "plain").exists()
    assert unpack(path, name, "auto", tmp_path / "plain", max_ratio=1_000_000).stat().st_size == 300_000_000


def test_a_full_disk_is_no_fault_of_the_file_and_frees_what_it_took(packed: Path, tmp_path: Path) -> None:
    """`RLIMIT_FSIZE` ends a file's growth as a full disk does; in a process of its own, which it would bind for
    ever."""
    script = f"""
import resource, sys
from pathlib import Path
from forebay.compressions._unpack import unpack
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    unpack(Path({str(packed)!r}), "a.gz", "auto", Path({str(tmp_path / "plain")!r}))
except Exception as error:
    print(type(error).__name__, error)
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.startswith(
        "OutOfResourcesError reading `a.gz`: unpacking: file too large (free space there, or let FOREBAY_HOME name"
    )
    assert not (tmp_path / "plain").exists()


def test_a_truncated_file_is_named_and_nothing_is_left(packed: Path, tmp_path: Path) -> None:
    packed.write_bytes(packed.read_bytes()[:-4])
    with pytest.raises(CorruptFileError, match=r"reading `a\.csv\.gz`: unpacking gzip: truncated"):
        unpack(packed, "a.csv.gz", "auto", tmp_path / "plain")
    assert not (tmp_path / "plain").exists()
