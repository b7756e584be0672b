"""The beginning of a file: whole records, bounded, whatever lies behind."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forebay import registry
from forebay.verbs._sample import head

LINES = 'id,note\n1,"a\nb"\n2,"say ""hi""\n\n"\n3,plain\n4,"long ' + "x" * 50 + '\nend"\n'


def cut(
    data: bytes, folder: Path, most: int, kind: str = "csv", name: str = "a.csv", **settings: str
) -> tuple[bytes, bool]:
    path = folder / name
    path.write_bytes(data)
    (folder / "into").mkdir(exist_ok=True)
    sample = head(path, kind, registry.find("formats", kind).Config(**settings), "auto", folder / "into", most)
    return sample.path.read_bytes(), sample.whole


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_text_ends_with_a_record_wherever_it_is_cut(tmp_path: Path, encoding: str) -> None:
    whole = LINES.encode(encoding)
    ends = {LINES[: LINES.index(start)] for start in ("1,", "2,", "3,", "4,")} | {LINES}
    for most in range(len("id,note\n".encode(encoding)) + 4, len(whole) + 2):
        found, is_whole = cut(whole, tmp_path, most, encoding=encoding)
        assert found.decode(encoding) in ends, most
        assert is_whole == (most >= len(whole)) and len(found) <= most


def test_without_quotes_a_line_is_a_record(tmp_path: Path) -> None:
    assert cut(b'{"a": "\\""}\n{"a": 1}\n{"a": 2}\n', tmp_path, 24, "json_lines") == (
        b'{"a": "\\""}\n{"a": 1}\n',
        False,
    )


def test_line_ends_of_old_macs_are_line_ends(tmp_path: Path) -> None:
    assert cut(b"id\r1\r2\r33\r", tmp_path, 8) == (b"id\r1\r2\r", False)


def test_what_is_damaged_behind_the_sample_does_not_matter(tmp_path: Path) -> None:
    digits = random.Random(1).randbytes(4_000_000).hex()
    packed = gzip.compress("\n".join(digits[n : n + 80] for n in range(0, len(digits), 80)).encode(), 1)
    found, whole = cut(packed[: len(packed) // 2], tmp_path, 5000, name="a.csv.gz")
    assert (
        not whole and found == ("\n".join(digits[n : n + 80] for n in range(0, 80 * (5000 // 81), 80)) + "\n").encode()
    )


def test_a_packed_file_that_fits_is_whole(tmp_path: Path) -> None:
    assert cut(gzip.compress(b"id\n1\n"), tmp_path, 5, name="a.csv.gz") == (b"id\n1\n", True)


def test_of_a_large_parquet_file_the_first_rows_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"n": pa.array(range(100_000), pa.int64()), "d": pa.array(range(100_000), pa.date32())}),
        path,
        row_group_size=10_000,
    )
    config = registry.find("formats", "parquet").Config()
    sample = head(path, "parquet", config, "auto", tmp_path, 100_000)
    found = pq.read_table(sample.path)
    assert not sample.whole and 8_000 < len(found) < 20_000
    assert found["n"].to_pylist() == list(range(len(found))) and found.schema.field("d").type == pa.date32()
    assert head(path, "parquet", config, "auto", tmp_path) == type(sample)(path, whole=True)
