"""Files of random texts, judged by a reader that shares no code (`csv_oracle`), and by Python's csv module where they
are well-formed."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forebay.formats._csv import block as csv_block
from forebay.formats._csv import parts as csv_parts
from forebay.formats._csv.block import Records
from forebay.formats._csv.dialect import Dialect, Fault
from forebay.formats._csv.look import look
from forebay.formats._csv.parts import Part
from forebay.formats._csv.record import record_at
from forebay.formats._csv.split import Splitter
from forebay.formats.csv import Csv
from forebay.model import Column
from forebay.testing.formats import rejects, rows, staged
from tests.formats.csv_oracle import Oracle

PIECES = [
    b"a",
    b"bc",
    b"1",
    b" ",
    b'"',
    b'""',
    b",",
    b"\n",
    b"\r\n",
    b"\r",
    b'"\n',
    b'\n"',
    b',"',
    b'",',
    b"\xc3\xa9",
    b"\xff",
    b'" ',
    b"x,y",
]


ESCAPED = [b"\\", b'\\"', b"\\\\", b"\\n", b"\\,", b'\\",', b'"\\', b"\\\n"]


def soup(chance: random.Random, pieces: int) -> bytes:
    """Pieces in any order."""
    return b"".join(chance.choices(PIECES, k=pieces))


def mostly_well(chance: random.Random, count: int, share: float, end: str, width: int = 3) -> bytes:
    """Records of Python's csv module, a share of them replaced by a soup of pieces."""
    lines = []
    for n in range(count):
        if chance.random() < share:
            lines.append(soup(chance, chance.randrange(1, 9)) + end.encode())
            continue
        text = io.StringIO(newline="")
        cells = ["".join(chance.choices('ab, "\n;é', k=chance.randrange(5))).strip(" ") for _ in range(width - 1)]
        csv.writer(text, lineterminator=end, quoting=chance.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])).writerow(
            [n, *cells]
        )
        lines.append(text.getvalue().encode())
    return b"".join(lines)


def split(
    data: bytes, width: int, folder: Path, most: int = 2_000_000, escape: bytes = b"", multiline: bool = True
) -> tuple[list[tuple[int, int]], list[tuple[int, bytes]], bytes]:
    """Numbers and text bytes of the rows, and the other records, by the splitter; and the copy that it wrote."""
    path = folder / "plain"
    path.write_bytes(data)
    others: list[tuple[int, bytes]] = []

    def refuse(text: bytes, bad: Records, numbers: np.ndarray) -> None:
        others.extend(
            (n, text[a:b]) for n, a, b in zip(numbers.tolist(), bad.starts.tolist(), bad.stops.tolist(), strict=True)
        )

    dialect = Dialect(
        b",", b'"', escape or None, null_words=frozenset({b""}), multiline=multiline, stand_ins=bytes(range(1, 7))
    )
    splitter = Splitter(Part(path, 0, len(data)), dialect, width, most, folder, "file:///in", refuse)
    found, before = splitter.split()
    numbers = np.setdiff1d(np.arange(1, splitter.rows + 1), before + np.arange(1, len(before) + 1)).tolist()
    return list(zip(numbers, found.octets.tolist(), strict=True)), others, splitter.path.read_bytes()


def agrees(
    data: bytes, width: int, folder: Path, most: int = 2_000_000, escape: bytes = b"", multiline: bool = True
) -> None:
    table, aside = Oracle(width, most=most, escape=escape, multiline=multiline).read(data)
    found, others, copy = split(data, width, folder, most, escape, multiline)
    assert others == aside, data
    assert found == [(number, sum(map(len, fields))) for number, fields in table], data
    again, none = Oracle(width, most=most + 9, escape=escape).read(copy.replace(b"\x05", b'""') if width == 1 else copy)
    assert [fields for _, fields in again] == [fields for _, fields in table] and not none, data


def glances(data: bytes, width: int, folder: Path) -> bool:
    """The quick look says nothing, or what the oracle says."""
    path = folder / "plain"
    path.write_bytes(data)
    found = look(
        Part(path, 0, len(data)),
        Dialect(b",", b'"', None, null_words=frozenset({b""})),
        width,
        2_000_000,
        folder,
        "file:///in",
    )
    table, aside = Oracle(width).read(data)
    if found is None or aside:
        # a record with another number of fields is DuckDB's to refuse, or its bytes are not what they should be
        return False
    surplus = [sum(map(len, fields)) for _, fields in table]
    extra = found.octets - np.array(surplus)
    assert len(found) == len(table) and (extra >= 0).all(), data
    return True


@pytest.mark.parametrize("block", [5, 64, 1 << 20])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_splitter_and_the_oracle_agree_on_any_soup(
    block: int, width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_parts, "BLOCK", block)
    chance = random.Random(block * width)
    for _ in range(150):
        agrees(soup(chance, chance.randrange(1, 40)), width, tmp_path, chance.choice([2_000_000, 12]))


@pytest.mark.parametrize("block", [5, 300])
@pytest.mark.parametrize("escape", [b"", b"\\"])
def test_the_splitter_and_the_oracle_agree_where_every_line_is_a_record(
    block: int, escape: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_parts, "BLOCK", block)
    chance = random.Random(block)
    for _ in range(120):
        data = b"".join(chance.choices([*PIECES, *ESCAPED], k=chance.randrange(1, 40)))
        agrees(data, chance.choice([1, 2, 3]), tmp_path, chance.choice([2_000_000, 12]), escape, multiline=False)


@pytest.mark.parametrize("block", [5, 300])
def test_the_splitter_and_the_oracle_agree_where_escapes_make_data(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_parts, "BLOCK", block)
    chance = random.Random(block)
    for _ in range(120):
        data = b"".join(chance.choices([*PIECES, *ESCAPED], k=chance.randrange(1, 40)))
        agrees(data, chance.choice([2, 3]), tmp_path, chance.choice([2_000_000, 12]), b"\\")


def test_lines_with_odd_quotes_are_seldom_read_byte_by_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step of Python a row made such files twenty times as dear as clean ones."""
    seen: list[int] = []

    def watched(how: Any, data: Any, at: int, *more: Any) -> Any:
        seen.append(at)
        return record_at(how, data, at, *more)

    monkeypatch.setattr(csv_block, "record_at", watched)
    kinds = [b'%d,"a"b,c\n', b'"%d"x,b,c\n', b'%d,5" pipe,c\n', b'%d, "b" ,"c"\n', b'%d,"b,c\n', b'%d,"5" pipe,"c\n']
    for kind in kinds:
        agrees(b"".join(kind % n for n in range(500)), 3, tmp_path)
        assert len(seen) < 10, kind
        seen.clear()
    agrees(b"".join(b'%d,"a\\"b\\\\",c\n' % n for n in range(500)), 3, tmp_path, escape=b"\\")
    assert len(seen) < 10


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_splitter_and_the_oracle_agree_on_files_of_some_bad_records(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(end)
    seen = 0
    for _ in range(100):
        monkeypatch.setattr(csv_parts, "BLOCK", chance.choice([16, 200, 4_096]))
        data = mostly_well(chance, chance.randrange(1, 60), chance.choice([0.0, 0.01, 0.15]), end)
        agrees(data, 3, tmp_path)
        seen += glances(data, 3, tmp_path)
    assert seen > 20


def whole(data: bytes, folder: Path, width: int = 3, multiline: bool = True) -> None:
    """The stage has the oracle's rows and its other records, each under its number."""
    names = "abcdefg"[:width]
    settings = Csv.Config(header=False, multiline=multiline)
    stage = staged(Csv(settings), data, tuple(Column(name, "string") for name in names), folder)
    table, aside = Oracle(width, multiline=multiline).read(data.removeprefix(b"\xef\xbb\xbf"))
    assert [(r["__row"], r["raw"]) for r in rejects(stage)] == aside, data
    found = [(row["__row"], [(row[name] or "").encode() for name in names]) for row in rows(stage)]
    assert found == table, data
    assert stage.rows_in == len(table) + len(aside)


def test_whole_files_have_the_oracles_rows(tmp_path: Path) -> None:
    """About a hundred here; ten thousand in the slow tier."""
    _whole_files(random.Random(4), 60, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_ten_thousand_whole_files_have_the_oracles_rows(seed: int, tmp_path: Path) -> None:
    _whole_files(random.Random(seed), 1_000, tmp_path)


def _whole_files(chance: random.Random, count: int, folder: Path) -> None:
    for n in range(count):
        share = chance.choice([0.0, 0.01, 0.05, 0.15])
        data = mostly_well(chance, chance.randrange(1, 300), share, chance.choice(["\n", "\r\n"]))
        whole(data, folder / str(n))
        if n % 3 == 0:
            whole(data, folder / f"{n}_lines", multiline=False)


LIMITS = [2_048, 65_536, 122_880]


def _around(chance: random.Random, kind: bytes, fill: int, rows_: int, cut: int) -> bytes:
    """Rows of a fixed width, with bad records exactly before, at and behind a limit of rows or of bytes."""
    line = b"%09d,x," + b"z" * fill + b"\n"
    width = len(line % 0)
    at = {rows_ - 1, rows_, rows_ + 1} if rows_ else {cut // width - 1, cut // width, cut // width + 1}
    count = max(at) + chance.randrange(2, 400)
    return b"".join(kind % n if n in at else line % n for n in range(count))


KINDS = [b"%09d\n", b"%09d,x,y,z\n", b'%09d,"x\n', b'%09d,"x"y,z\n', b'%09d,"x\ny",\xff\n', b'"%09d","x\n,""y",z\n']


def limit(kind: bytes, limit: int, folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    data = (
        _around(chance, kind, chance.randrange(1, 60), limit, 0)
        if limit < 1_000_000
        else _around(chance, kind, 300, 0, limit)
    )
    stage = staged(Csv(Csv.Config(header=False)), data, tuple(Column(name, "string") for name in "abc"), folder)
    table, aside = Oracle(3).read(data)
    import pyarrow.parquet as pq

    assert [(r["__row"], r["raw"]) for r in rejects(stage)] == aside
    found = pq.read_table(stage.rows).to_pydict()
    assert found["__row"] == [number for number, _ in table]
    for n, name in enumerate("abc"):
        assert found[name] == [fields[n].decode() for _, fields in table], name


@pytest.mark.parametrize("kind", KINDS[:4])
def test_bad_records_at_a_readers_own_limits_cost_themselves(kind: bytes, tmp_path: Path) -> None:
    limit(kind, 2_048, tmp_path, 1)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", [*LIMITS, 8_000_000, 16_000_000, 32_000_000])
def test_bad_records_at_every_limit_of_rows_and_bytes(kind: bytes, where: int, tmp_path: Path) -> None:
    limit(kind, where, tmp_path, where)


def test_the_oracle_reads_as_pythons_csv_module_does_where_a_file_is_well_formed() -> None:
    chance = random.Random(9)
    for _ in range(200):
        data = mostly_well(chance, 20, 0.0, "\n")
        theirs = [
            [cell.encode() for cell in record]
            for record in csv.reader(io.StringIO(data.decode(), newline=""))
            if record
        ]
        assert [fields for _, fields in Oracle(3).read(data)[0]] == theirs


def test_every_fault_has_words() -> None:
    from forebay.formats._csv.head import FAULTS

    assert set(FAULTS) | {Fault.NONE, Fault.COLUMNS, Fault.LONG, Fault.UTF8, Fault.OTHER_END} == set(Fault)
