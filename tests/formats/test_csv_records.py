"""Where records begin and end: files that vendors' parsers cut elsewhere, and the policy of `_csv/record.py`."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from forebay.formats.csv import Csv
from forebay.model import Column, Stage
from forebay.testing.formats import rejects, rows, staged

Table = list[tuple[Any, ...]]


def read(data: bytes, folder: Path, names: str, **options: Any) -> Stage:
    return staged(Csv(Csv.Config(**options)), data, tuple(Column(name, "string") for name in names.split()), folder)


def good(stage: Stage) -> Table:
    return [tuple(row.values())[:-1] for row in rows(stage)]


def bad(stage: Stage) -> list[tuple[int, bytes, str]]:
    return [(row["__row"], row["raw"], row["reason"]) for row in rejects(stage)]


GLUED = b'id,name,note\n1,"5 pipe,x\n2,oak,y\n3,5",z\n4,elm,w\n'
"""Two stray quotes in different rows, which make one legal field of what lies between."""


def test_two_stray_quotes_glue_no_rows_where_every_line_is_a_record(tmp_path: Path) -> None:
    """By RFC 4180 it is one row, and so it is read unless the settings say better."""
    legal = read(GLUED, tmp_path / "legal", "id name note")
    assert good(legal) == [("1", "5 pipe,x\n2,oak,y\n3,5", "z"), ("4", "elm", "w")]
    assert any("format.multiline: false" in note for note in legal.notes)
    lines = read(GLUED, tmp_path / "lines", "id name note", multiline=False)
    assert good(lines) == [("2", "oak", "y"), ("3", '5"', "z"), ("4", "elm", "w")]
    assert [(number, raw) for number, raw, _ in bad(lines)] == [(1, b'1,"5 pipe,x')]
    assert lines.notes == ()


TRAPS: list[tuple[str, bytes, dict[str, Any], Table, list[tuple[int, bytes]]]] = [
    (
        "a broken row before one that begins with a quote",
        b'name,note\n"5" pipe,"new\n"oak",z\n7,y\n',
        {},
        [("oak", "z"), ("7", "y")],
        [(1, b'"5" pipe,"new')],
    ),
    ("quotes within quotes", b'name,id\n"a "b", "c" d",3\n"oak",4\n', {}, [("oak", "4")], [(1, b'"a "b", "c" d",3')]),
    (
        "two broken rows at the end",
        b'name,note\nq,r\n"5" pipe,"\n"x\n',
        {},
        [("q", "r")],
        [(2, b'"5" pipe,"'), (3, b'"x')],
    ),
    (
        "a broken first record without a header",
        b'1,"a"b\n2,c\n3,d\n',
        {"header": False},
        [("2", "c"), ("3", "d")],
        [(1, b'1,"a"b')],
    ),
    (
        "a broken row of two lines",
        b'name,note\n"5" pipe,"line one\nline two, more"\n7,y\n',
        {},
        [("7", "y")],
        [(1, b'"5" pipe,"line one\nline two, more"')],
    ),
    (
        "CR LF within quotes",
        b'id,t\n1,5" pipe\n2,"first line\r\nsecond line"\n3,x\n',
        {},
        [("1", '5" pipe'), ("2", "first line\r\nsecond line"), ("3", "x")],
        [],
    ),
    ("a CR in a field", b"id,t\n1,a\rb\n2,c\n", {}, [("2", "c")], [(1, b"1,a\rb")]),
    ("a fragment of a broken field", b'id,t\n1,"a "b" c\nd",x\n2,y\n', {}, [("2", "y")], [(1, b'1,"a "b" c\nd",x')]),
    (
        "a fragment behind another line",
        b'id,t\n1,"a "b" c\nprose\nd",x\n2,y\n',
        {},
        [("2", "y")],
        [(1, b'1,"a "b" c\nprose\nd",x')],
    ),
    (
        "text behind a quote that closes on another line",
        b'id,t\n1,"x\ny" z\n2,y\n',
        {},
        [("2", "y")],
        [(1, b'1,"x\ny" z')],
    ),
    ("stray quotes are data in a field without quotes", b'a,b,c\n1,5"x,y"\n', {}, [("1", '5"x', 'y"')], []),
    ("delimiters too many are no fields", b"a,b,c\n1,,2,\n3,,4,,,\n", {}, [("1", None, "2"), ("3", None, "4")], []),
    ("a quoted field too many is one", b'a,b\n1,2,""\n3,4\n', {}, [("3", "4")], [(1, b'1,2,""')]),
    ("blanks outside quotes", b'a,b\n "1" , "x, y"  \n 2, z \n', {}, [("1", "x, y"), (" 2", " z ")], []),
    ("a tab outside quotes is text", b'a,b\n1,\t"x"\n2,"x"\t\n', {}, [("1", '\t"x"')], [(2, b'2,"x"\t')]),
    ("CR alone ends lines", b'a,b\r1,"x\ny"\r2,z\r', {}, [("1", "x\ny"), ("2", "z")], []),
    ("LF in a field where CR ends lines", b"a,b\r1,x\ny\r2,z\r", {}, [("2", "z")], [(1, b"1,x\ny")]),
    ("an empty quoted field alone on its line", b'a\n""\n\nx\n"y"\n', {}, [("",), (None,), ("x",), ("y",)], []),
    (
        "a delimiter that overlaps itself",
        b"a||b||c\n1|||||\n2||x|||y\n",
        {"delimiter": "||"},
        [("1", None, "|"), ("2", "x", "|y")],
        [],
    ),
    (
        "a long delimiter and quotes",
        b'a||b\n1||"x||y"\n2|x||"p\n||q"\n',
        {"delimiter": "||"},
        [("1", "x||y"), ("2|x", "p\n||q")],
        [],
    ),
    (
        "an escape within quotes",
        b'a,b\n1,"x\\"y"\n2,"C:\\\\t, \\""\n3,"\\t"\n4,\\t\n',
        {"escape": "\\"},
        [("1", 'x"y'), ("2", 'C:\\t, "'), ("4", "\\t")],
        [(3, b'3,"\\t"')],
    ),
]


@pytest.mark.parametrize(
    ("data", "options", "table", "aside"), [trap[1:] for trap in TRAPS], ids=[trap[0] for trap in TRAPS]
)
def test_good_rows_are_staged_and_broken_ones_set_aside_whole(
    data: bytes, options: dict[str, Any], table: Table, aside: list[tuple[int, bytes]], tmp_path: Path
) -> None:
    stage = read(
        data,
        tmp_path,
        " ".join("abc"[n] for n in range(len(table[0]))) if options.get("header") is False else _names(data),
        **options,
    )
    assert good(stage) == table
    assert [(row, raw) for row, raw, _ in bad(stage)] == aside
    assert sorted([row["__row"] for row in rows(stage)] + [row for row, _, _ in bad(stage)]) == list(
        range(1, stage.rows_in + 1)
    )


def _names(data: bytes) -> str:
    return data.replace(b"\r", b"\n").split(b"\n")[0].decode().replace("||", " ").replace(",", " ")


@pytest.mark.parametrize("kind", ["long", "short", "one"])
@pytest.mark.parametrize("quoted", [False, True])
def test_a_bad_record_where_a_parallel_scan_cuts_costs_itself_only(kind: str, quoted: bool, tmp_path: Path) -> None:
    """DuckDB's scan loses the whole last part, strict and with `store_rejects` alike (1.4.5 to 2.0.1)."""
    line = b'%09d,"x,%d",' + b"z" * 80 + b"\n" if quoted else b"%09d,xx%d," + b"z" * 80 + b"\n"
    broken = {"long": b"%09d,x,y,zz\n", "short": b"%09d,x\n", "one": b"%09d\n"}[kind]
    lines, size, wrong = [b"id,a,b\n"], 7, 0
    for row in range(1, 100_001):
        text = line % (row, row % 7)
        if not wrong and size >= 8_000_000:
            text, wrong = broken % row, row
        lines.append(text)
        size += len(text)
    stage = read(b"".join(lines), tmp_path, "id a b")
    assert (stage.rows_in, stage.rows_rejected, [row for row, _, _ in bad(stage)]) == (100_000, 1, [wrong])
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    ids = pq.read_table(stage.rows, columns=["id"])["id"].cast("int64")
    assert len(ids) == 99_999 and pc.sum(ids).as_py() == 100_000 * 100_001 // 2 - wrong


def test_many_quotes_that_are_never_closed_cost_one_pass(tmp_path: Path) -> None:
    chance = random.Random(1)
    wrong = set(chance.sample(range(1, 20_001), 2_000))
    data = b"a,b\n" + b"".join(b'%d,"x\n' % n if n in wrong else b'%d,"x, y"\n' % n for n in range(1, 20_001))
    stage = read(data, tmp_path, "a b")
    assert {row for row, _, _ in bad(stage)} == wrong and len(good(stage)) == 18_000


@pytest.mark.parametrize("first", [b'"" ",\n"aa\rbc\r\n', b"a\rb,c\n"], ids=["quote", "CR"])
def test_a_broken_first_record_makes_no_file_of_cr(first: bytes, tmp_path: Path) -> None:
    """Were the CR in it taken for the file's line end, no row would be left."""
    stage = staged(
        Csv(Csv.Config(header=False)),
        first + b"1,x\r\n2,y\r\n",
        (Column("a", "string"), Column("b", "string")),
        tmp_path,
    )
    assert [(r["a"], r["b"]) for r in rows(stage)] == [("1", "x"), ("2", "y")]


@pytest.mark.parametrize("before", [0, 1, 2, 5])
@pytest.mark.parametrize("behind", [0, 1, 2, 5])
def test_blanks_outside_quotes_are_no_data_however_many(before: int, behind: int, tmp_path: Path) -> None:
    """DuckDB takes one blank before a quote for none, and two for data."""
    text = (
        f'1,a\n{" " * before}"2"{" " * behind},{" " * before}"x, y"{" " * behind}\n3,{" " * before}""{" " * behind}\n'
    ).encode()
    stage = staged(Csv(Csv.Config(header=False)), text, (Column("a", "string"), Column("b", "string")), tmp_path)
    assert [(r["a"], r["b"]) for r in rows(stage)] == [("1", "a"), ("2", "x, y"), ("3", "")]


@pytest.mark.long
def test_a_file_that_the_reader_gives_up_half_way_never_holds_it_up(tmp_path: Path) -> None:
    """With DuckDB's writing threads, one reading in some fifty of this file never came back (on a busy machine)."""
    line = b"%09d,x," + b"z" * 300 + b"\n"
    data = b"".join(b'%09d,"x\n' % n if n > 101_909 else line % n for n in range(101_912))
    for _ in range(100):
        assert read(data, tmp_path, "a b c", header=False).rows_rejected == 2
