"""Settings of CSV that files in the wild need: how each is written, and what becomes of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from forebay.errors import CorruptFileError
from forebay.formats.csv import Csv
from forebay.model import Column, Stage
from forebay.testing.formats import rejects, rows, staged


def read(data: bytes, folder: Path, types: dict[str, str] | None, **options: Any) -> Stage:
    declared = None if types is None else tuple(Column(name, type_) for name, type_ in types.items())
    return staged(Csv(Csv.Config(**options)), data, declared, folder)


def good(stage: Stage) -> list[tuple[Any, ...]]:
    return [tuple(row.values())[:-1] for row in rows(stage)]


@pytest.mark.parametrize("written", [r"\t", r"\x09", "\t", r"\u0009"])
def test_a_tab_may_be_written_out(written: str, tmp_path: Path) -> None:
    assert good(read(b"id\tname\n1\tann\n", tmp_path, {"id": "int64", "name": "string"}, delimiter=written)) == [
        (1, "ann")
    ]


def test_the_way_out_for_another_delimiter_works_as_it_is_written(tmp_path: Path) -> None:
    data, columns = b"id\tname\n1\tann\n", {"id": "int64", "name": "string"}
    with pytest.raises(CorruptFileError) as caught:
        read(data, tmp_path / "a", columns)
    told = caught.value.message.split("set format.delimiter: '")[1].split("'")[0]
    assert good(read(data, tmp_path / "b", columns, delimiter=told)) == [(1, "ann")]


def test_the_way_out_stands_behind_however_many_columns_are_missing(tmp_path: Path) -> None:
    names = [f"c{n}" for n in range(3_000)]
    with pytest.raises(CorruptFileError) as caught:
        read(";".join(names).encode(), tmp_path, dict.fromkeys(names, "string"))
    assert "`c19` and 2980 more are missing (it has " in caught.value.message
    assert caught.value.message.endswith("; set format.delimiter: ';')")


@pytest.mark.parametrize("line", [b"sep=;\n", b'"sep=;"\r\n', b'\xef\xbb\xbf"sep=;"\n'])
def test_a_first_line_in_quotes_or_not_names_the_delimiter(line: bytes, tmp_path: Path) -> None:
    data = line + b"id;name\n1;ann\n"
    assert good(read(data, tmp_path, {"id": "int64", "name": "string"}, multiline=False)) == [(1, "ann")]


def test_trim_holds_for_the_words_of_the_header(tmp_path: Path) -> None:
    stage = read(
        b'id, name,\tqty \n1, Ann, 5\n2, "Lee, Bo", 6\n',
        tmp_path,
        {"id": "int64", "name": "string", "qty": "int64"},
        trim=True,
    )
    assert good(stage) == [(1, "Ann", 5), (2, "Lee, Bo", 6)]


MYSQL = b"1\tC:\\\\temp\t\\N\n2\tline one\\\nline two\t5\n3\ta\\\tb\t6\n4\tplain\t7\n5\tx\\ny\t8\n6\t\\\\N\t9\n"


def test_escapes_without_quotes_as_mysql_writes_them(tmp_path: Path) -> None:
    options = {"delimiter": "\t", "quote": None, "escape": "\\", "header": False, "null_values": [r"\N"]}
    stage = read(MYSQL, tmp_path, {"id": "int64", "path": "string", "n": "int64"}, **options)
    assert good(stage) == [
        (1, "C:\\temp", None),
        (2, "line one\nline two", 5),
        (3, "a\tb", 6),
        (4, "plain", 7),
        (6, "\\N", 9),
    ]
    assert [(r["__row"], r["raw"], r["columns"]) for r in rejects(stage)] == [(5, b"5\tx\\ny\t8", ["path"])]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_line_of_excel_that_names_the_delimiter(end: bytes, tmp_path: Path) -> None:
    data = b'\xef\xbb\xbfsep=;\nid;note;price\n1;"two\nlines";1234,5\n2;plain;0,99\n'.replace(b"\n", end)
    for n, delimiter in enumerate([";", ","]):
        rules = {"price": {"decimal_point": ","}}
        stage = read(
            data,
            tmp_path / str(n),
            {"id": "int64", "note": "string", "price": "string"},
            delimiter=delimiter,
            columns=rules,
        )
        assert good(stage) == [(1, f"two{end.decode()}lines", "1234,5"), (2, "plain", "0,99")]
        assert any("`sep=`" in note for note in stage.notes)


def test_preamble_extra_header_lines_and_footer_are_skipped_and_said(tmp_path: Path) -> None:
    data = b'Report "A\nof 2026, x\na,b\nunit,"none\n1,x\n2,"y\nz"\nTRAILER|2"\nend\n\n'
    options = {"preamble_lines": 2, "extra_header_lines": 1, "footer_lines": 2}
    stage = read(data, tmp_path, {"a": "int64", "b": "string"}, **options)
    assert good(stage) == [(1, "x"), (2, "y\nz")] and stage.rows_rejected == 0
    assert any("2 before the header, 1 behind the header, 2 at the end" in note for note in stage.notes)


def test_a_footer_longer_than_the_file_leaves_no_row(tmp_path: Path) -> None:
    assert read(b"a,b\n1,x\n", tmp_path, {"a": "int64", "b": "string"}, footer_lines=9).rows_in == 0


def test_a_broken_first_record_without_header_or_schema_costs_itself(tmp_path: Path) -> None:
    stage = read(b'"x"y\n1,p\n2,q\n', tmp_path, None, header=False)
    assert good(stage) == [(1, "p"), (2, "q")] and [r["__row"] for r in rejects(stage)] == [1]


@pytest.mark.parametrize("words", [["NA"], ["", "NA", "-"], ["", "NULL"]])
@pytest.mark.parametrize("quoted", [False, True])
def test_null_words_of_several_lengths_are_counted_by_the_witness(
    words: list[str], quoted: bool, tmp_path: Path
) -> None:
    data = b'a,b\nNA,"NA"\n"-",NULL\n-,""\n"x,NA,y",NA\nNAN,\n,NA"\n'
    for n, text in enumerate([data, data.replace(b'""', b'"\n"')]):
        stage = read(text, tmp_path / str(n), {"a": "string", "b": "string"}, null_values=words, quoted_nulls=quoted)
        assert (stage.rows_in, stage.rows_rejected) == (6, 0)
        assert good(stage)[0] == (None if "NA" in words else "NA", None if "NA" in words and quoted else "NA")
        assert good(stage)[3][0] == "x,NA,y"


@pytest.mark.parametrize(
    "options",
    [
        {"quote": "«"},
        {"escape": "\n"},
        {"delimiter": "\n"},
        {"delimiter": "§§§"},
        {"delimiter": '"'},
        {"delimiter": '|"|'},
    ],
)
def test_signs_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Csv.Config(**options)


@pytest.mark.parametrize("folder", ["id=7", "a[1]", "x*?", "plain"])
def test_a_folders_name_means_nothing(folder: str, tmp_path: Path) -> None:
    stage = read(b'id,t\n1,x\n2,"y"z\n3,w\n', tmp_path / folder, {"id": "int64", "t": "string"})
    assert good(stage) == [(1, "x"), (3, "w")]


def test_a_file_of_one_line_longer_than_a_record_may_be_is_one_reject(tmp_path: Path) -> None:
    stage = read(
        b"a,b\n1,x\n" + b"y" * 5_000 + b"\n2,z\n", tmp_path, {"a": "int64", "b": "string"}, max_record_bytes=1024
    )
    assert good(stage) == [(1, "x"), (2, "z")] and [r["__row"] for r in rejects(stage)] == [2]


def test_an_empty_line_of_one_column_is_skipped_and_said_where_it_is_no_null(tmp_path: Path) -> None:
    for n, data in enumerate([b"a\nx\n\ny\n", b'a\nx\n\n"y"z\ny\n']):
        stage = read(data, tmp_path / str(n), {"a": "string"}, null_values=["NA"])
        assert good(stage) == [("x",), ("y",)] and "empty lines skipped, not counted as rows: 1" in stage.notes


@pytest.mark.parametrize("quoted", [False, True])
def test_null_words_with_an_escape_in_them_beside_quotes(quoted: bool, tmp_path: Path) -> None:
    """DuckDB takes no null word that holds its escape, quote or delimiter."""
    data = b'a,b\n\\N,"x\\"y"\n"\\\\N",\\N\nz, \\N\n"x\\"","NULL"\n"two\n\\" lines",\\N\n'
    stage = read(
        data, tmp_path, {"a": "string", "b": "string"}, escape="\\", null_values=[r"\N", "NULL"], quoted_nulls=quoted
    )
    table = [(None, 'x"y'), ("\\N", None), ("z", " \\N"), ('x"', None if quoted else "NULL"), ('two\n" lines', None)]
    assert (good(stage), stage.rows_rejected) == (table, 0)


def test_a_null_word_with_a_delimiter_or_a_quote_in_it(tmp_path: Path) -> None:
    data = b'a,b\n5",x\n"n,a",5"\n"n,a","""n,a"""\n'
    stage = read(data, tmp_path, {"a": "string", "b": "string"}, null_values=['5"', "n,a"], quoted_nulls=True)
    assert good(stage) == [(None, "x"), (None, None), (None, '"n,a"')]


@pytest.mark.parametrize("words", [["NA"], ["", "NA"]])
@pytest.mark.parametrize("quoted", [False, True])
def test_nulls_of_a_single_column_are_no_empty_texts(words: list[str], quoted: bool, tmp_path: Path) -> None:
    """Beside a broken row, so that a copy is read: there an empty text is marked, as DuckDB would take it for an empty
    line."""
    data = b'a\nNA\n""\n "" \n"y"z\nx\n"NA"\n'
    empty = None if quoted and "" in words else ""
    stage = read(data, tmp_path, {"a": "string"}, null_values=words, quoted_nulls=quoted)
    assert (
        good(stage) == [(None,), (empty,), (empty,), ("x",), (None if quoted else "NA",)] and stage.rows_rejected == 1
    )
