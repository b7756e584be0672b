"""Which line end a file has, and what an escape before one means: judged by a machine of a few states, and by Python's
csv module."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path
from typing import Any

import pytest

from forebay.errors import CorruptFileError
from forebay.formats.csv import Csv
from forebay.model import Column, Stage
from forebay.testing.formats import rejects, rows, staged


def read(data: bytes, folder: Path, width: int = 2, **options: Any) -> Stage:
    return staged(
        Csv(Csv.Config(header=False, **options)),
        data,
        tuple(Column(name, "string") for name in "abcdefg"[:width]),
        folder,
    )


def table(stage: Stage, width: int = 2) -> list[list[str]]:
    return [[row[name] or "" for name in "abcdefg"[:width]] for row in rows(stage)]


def well_formed(data: str, end: str) -> list[list[str]]:
    """Records of RFC 4180 whose line end is known."""
    records: list[list[str]] = []
    record: list[str] = []
    held, state = "", "start"
    for place, sign in enumerate(data):
        if state == "skip":
            state = "start"
        elif state == "quoted":
            state, held = ("closed", held) if sign == '"' else (state, held + sign)
        elif state == "closed" and sign == '"':
            state, held = "quoted", held + sign
        elif sign == "," or data.startswith(end, place):
            record, held, state = [*record, held], "", "start" if sign == "," or len(end) == 1 else "skip"
            if sign != ",":
                records, record = [*records, record], []
        elif state == "start" and sign == '"':
            state = "quoted"
        else:
            held, state = held + sign, "bare"
    return records


def file(chance: random.Random, end: str, escape: bool) -> str:
    lines = []
    for n in range(chance.randrange(2, 7)):
        text = io.StringIO(newline="")
        signs = ["\r", "\n", "\r\n", ',"', '"', "5,6", "\n7,8\n", "\r7,8\r", "x", "\\"]
        cell = "".join(chance.choices(signs, k=chance.randrange(6)))
        row = [str(n), cell] if chance.random() < 0.7 else [cell, str(n)]
        how: dict[str, Any] = {"doublequote": False, "escapechar": "\\"} if escape else {}
        csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL, **how).writerow(row)
        held = text.getvalue()
        lines.append(held.replace(f'"{n}"', str(n)) if not cell or chance.random() < 0.5 else held)
    return "".join(lines)


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"], ids=["CR", "LF", "CR LF"])
def test_line_ends_within_quotes_do_not_tell_a_files_line_end(end: str, tmp_path: Path) -> None:
    """Small files, so that a few line ends within quotes are more than those between records."""
    chance = random.Random(end)
    for n in range(30):
        data = file(chance, end, False)
        stage = read(data.encode(), tmp_path / str(n))
        assert table(stage) == well_formed(data, end), data
        assert not stage.rows_rejected, data


@pytest.mark.parametrize("end", ["\r", "\n"], ids=["CR", "LF"])
def test_nor_do_they_where_an_escape_stands_before_quotes(end: str, tmp_path: Path) -> None:
    chance = random.Random(end)
    for n in range(30):
        data = file(chance, end, True)
        judge = list(csv.reader(io.StringIO(data, newline=""), escapechar="\\", doublequote=False))
        stage = read(data.encode(), tmp_path / str(n), escape="\\")
        assert table(stage) == judge and not stage.rows_rejected, data


@pytest.mark.parametrize(
    "data",
    [
        b'1,x\ny\r2,"p\n5,6\nq"\r3,z\r',
        b"1,a\rb\n",
        b'1,a\r2,"x\ny"\n3,b\r4,c\n',
        b'0,"x\r7,8\r7,8\r7,8\r"x\r\n1,y\r\n',
        b'"1,x\r2,y\r3,"p\n5,6\nq"\r',
    ],
    ids=["more CR behind an LF", "one of each", "as many", "text behind a quote", "a broken quote"],
)
def test_a_file_whose_line_end_cannot_be_told_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(
        CorruptFileError, match=r"its line end cannot be told \(have it delivered with one kind of line end"
    ):
        read(data, tmp_path)


def test_the_way_out_of_a_line_end_that_cannot_be_told_works(tmp_path: Path) -> None:
    stage = read(b'"1","x\ny"\r"2","p\n5,6\nq"\r3,z\r', tmp_path)
    assert table(stage) == [["1", "x\ny"], ["2", "p\n5,6\nq"], ["3", "z"]] and not stage.rows_rejected


def test_a_quote_that_is_never_closed_hides_no_line_ends(tmp_path: Path) -> None:
    stage = read(b'1,"x\r2,y\r3,z\r', tmp_path)
    assert [row["__row"] for row in rejects(stage)] == [1]
    assert table(stage) == [["2", "y"], ["3", "z"]]


@pytest.mark.parametrize("lines", [2_000, 40_000])
def test_a_long_file_of_cr_is_told_by_its_beginning(lines: int, tmp_path: Path) -> None:
    stage = read(b'"p\n5,6\nq\n",1\r' * lines, tmp_path)
    assert (stage.rows_in, stage.rows_rejected) == (lines, 0)


ESCAPED = ["\\", "\\\r", "\\\n", "\\\r\n", "\\,", "\\\\", "a", "7", ",", "."]


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CR LF"])
def test_an_escape_makes_one_character_data_and_joins_no_rows(end: str, tmp_path: Path) -> None:
    """Every row is as Python's csv module has it, and every other record is quarantined under its number."""
    chance, whole = random.Random(end), 0
    for n in range(60):
        some = [
            f"{n},{''.join(chance.choices(ESCAPED, k=chance.randrange(1, 4)))}{end}"
            for n in range(chance.randrange(1, 7))
        ]
        data = f"x,y{end}" * 19 + "".join(some)
        told = io.StringIO(_told_apart(data), newline="")
        judge = [row for row in csv.reader(told, escapechar="\\", quoting=csv.QUOTE_NONE) if row]
        stage = read(data.encode(), tmp_path / str(n), quote=None, escape="\\", null_values=())
        aside = [row["__row"] for row in rejects(stage)]
        assert stage.rows_in == len(judge), data
        assert table(stage) == [_cut(row) for number, row in enumerate(judge, 1) if number not in aside], data
        assert {number for number, row in enumerate(judge, 1) if "?" in "".join(row)} <= set(aside), data
        whole += len(judge) - len(aside)
    assert whole > 19 * 60 + 60


def _told_apart(data: str) -> str:
    """With `?` for a CR that is neither escaped nor of CR LF: it ends no line of these files, and sets its record
    aside."""
    held = ""
    while data:
        size = 2 if data[0] == "\\" or data.startswith("\r\n") else 1
        held, data = held + ("?" if size == 1 and data[0] == "\r" else data[:size]), data[size:]
    return held


def _cut(row: list[str]) -> list[str]:
    """Without the delimiters too many at a record's end."""
    return row[:2] if not any(row[2:]) else row


@pytest.mark.parametrize(
    ("data", "judged", "aside"),
    [
        (b"1,a\\\r\n2,b\n", [["1", "a\r"], ["2", "b"]], []),
        (b"1,a\\\r\n2,b\r\n", [["1", "a\r"], ["2", "b"]], []),
        (b"1,a\\\nb\n2,c\n", [["1", "a\nb"], ["2", "c"]], []),
        (b"1,a\\\\\r\n2,b\r\n", [["1", "a\\"], ["2", "b"]], []),
        (b"1,a\\\r\n2,b\n3,c\\\r", [["1", "a\r"], ["2", "b"], ["3", "c\r"]], []),
    ],
    ids=["CR", "CR LF", "LF", "itself", "the last byte"],
)
def test_what_an_escape_makes_of_a_line_end(
    data: bytes, judged: list[list[str]], aside: list[int], tmp_path: Path
) -> None:
    stage = read(data, tmp_path, quote=None, escape="\\")
    assert (table(stage), [row["__row"] for row in rejects(stage)]) == (judged, aside)
    assert list(csv.reader(io.StringIO(data.decode(), newline=""), escapechar="\\", quoting=csv.QUOTE_NONE)) == judged


@pytest.mark.parametrize("quoted", [False, True], ids=["plain", "quoted"])
@pytest.mark.parametrize(("first", "second"), [("\n", "\r"), ("\r\n", "\r"), ("\r", "\n")], ids=["LF", "CR LF", "CR"])
@pytest.mark.parametrize("count", [2, 8_000])
def test_a_second_file_behind_the_first_with_other_line_ends_is_set_aside_line_by_line(
    first: str, second: str, quoted: bool, count: int, tmp_path: Path
) -> None:
    """The line end is told by the first 64 KiB. Python's csv module writes both, and what it wrote is the judge."""

    def lines(numbers: range, end: str) -> list[str]:
        written = []
        for n in numbers:
            text = io.StringIO(newline="")
            csv.writer(text, lineterminator="", quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL).writerow(
                [n, f"x, {n}" if n % 7 else "é"]
            )
            written.append(text.getvalue() + end)
        return written

    head, tail = lines(range(9_000), first), lines(range(9_000, 9_000 + count), second)
    assert len("".join(head)) > 1 << 16
    stage = read("".join([*head, *tail]).encode(), tmp_path)
    judged = list(csv.reader(head))
    assert table(stage) == judged and stage.rows_in == len(judged) + len(tail)
    aside = rejects(stage)
    assert [reject["raw"].decode() for reject in aside] == [line.removesuffix(second) for line in tail]
    assert [reject["__row"] for reject in aside] == list(range(9_001, 9_001 + count))
    words = f"line ends with {'CR alone' if second != chr(10) else 'LF'}, the first of the file with"
    assert all(words in reject["reason"] for reject in aside)
    assert all("(have it delivered with one kind of line end)" in reject["reason"] for reject in aside)
    mended = read("".join(lines(range(9_000 + count), first)).encode(), tmp_path / "mended")
    assert mended.rows_in == 9_000 + count and not mended.rows_rejected


@pytest.mark.parametrize("text", ['a,b\r1,x\r2,"y"y\r3,z\n4,w\n5,v\n6,v\n7,v\n8,v\n', "a\r1\n4\n5\n6\n7\n8\n"])
def test_a_header_with_another_line_end_says_so_and_with_one_kind_it_is_read(text: str, tmp_path: Path) -> None:
    columns = tuple(Column(name, "string") for name in "ab"[: 1 + text.count(",") // 5])
    with pytest.raises(CorruptFileError, match=r"\(have it delivered with one kind of line end\)"):
        staged(Csv(Csv.Config()), text.encode(), columns, tmp_path / "a")
    stage = staged(Csv(Csv.Config()), text.replace("\r", "\n").encode(), columns, tmp_path / "b")
    assert len(rows(stage)) >= 6
