"""CSV: what is broken costs its own row, and nothing else."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.errors import CorruptFileError
from forebay.formats._rules import ColumnRules
from forebay.formats.csv import Csv
from forebay.model import Column, Stage
from forebay.testing.formats import COLUMNS, FormatContract, Rows, rejects, rows, staged
from tests.support.witness import WitnessContract

AB = (Column("a", "int64"), Column("b", "string"))


def read(data: bytes, folder: Path, columns: tuple[Column, ...] | None = AB, **options: Any) -> Stage:
    return staged(Csv(Csv.Config(**options)), data, columns, folder)


def summary(stage: Stage) -> list[tuple[int, str, bytes]]:
    return [(reject["__row"], reject["step"], reject["raw"]) for reject in rejects(stage)]


class TestCsv(FormatContract, WitnessContract):
    text_column = "c1"

    def make_format(self) -> Csv:
        return Csv(Csv.Config())

    def encode(self, table: Rows) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([column.name for column in COLUMNS])
        writer.writerows([["" if row[c.name] is None else row[c.name] for c in COLUMNS] for row in table])
        return text.getvalue().encode()


def broken_file() -> tuple[bytes, dict[int, bytes]]:
    """10,000 rows, five of them broken: the bytes, and the raw text of the broken ones by row."""
    lines = [b'%d,"name %d, with a comma"' % (i, i) for i in range(1, 10_001)]
    bad = {
        1_000: b"1000",
        2_000: b"2000,x,y,z",
        3_000: b"3000,\xff\xfe",
        4_000: b"4k,text",
        5_000: b'5000,"never closed',
    }
    for row, raw in bad.items():
        lines[row - 1] = raw
    return b"a,b\n" + b"\n".join(lines) + b"\n", bad


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_five_broken_rows_of_ten_thousand_are_set_aside_and_all_others_staged(tmp_path: Path, end: bytes) -> None:
    data, bad = broken_file()
    stage = read(data.replace(b"\n", end), tmp_path)
    assert {row: raw for row, _, raw in summary(stage)} == bad
    assert [kind for _, kind, _ in summary(stage)] == ["parse", "parse", "decode", "schema", "parse"]
    good = [i for i in range(1, 10_001) if i not in bad]
    assert [(row["__row"], row["a"], row["b"]) for row in rows(stage)] == [
        (i, i, f"name {i}, with a comma") for i in good
    ]
    assert (stage.rows_in, stage.rows_rejected) == (10_000, 5)


def test_a_quote_that_swallows_to_the_end_of_the_file_costs_one_row(tmp_path: Path) -> None:
    lines = [b"%d,x" % i for i in range(1, 60_001)]
    lines[9] = b'10,"x'
    stage = read(b"a,b\n" + b"\n".join(lines), tmp_path)
    assert summary(stage) == [(10, "parse", b'10,"x')]
    assert len(rows(stage)) == 59_999


def test_too_many_unclosed_quotes_refuse_the_file(tmp_path: Path) -> None:
    data = b"a,b\n" + b'1,"x\n2,y\n' * 8
    assert read(data, tmp_path / "few", max_unclosed_quotes=8).rows_rejected == 8
    assert [row["__row"] for row in rows(read(data, tmp_path / "rows"))] == list(range(2, 17, 2))
    with pytest.raises(CorruptFileError, match="8 quotes are opened and never closed, more than 3"):
        read(data, tmp_path / "many", max_unclosed_quotes=3)


def test_row_numbers_hold_among_empty_lines_and_fields_of_several_lines(tmp_path: Path) -> None:
    data = b'\n\na,b\n\n1,"x\n\ny"\n\n\nbad\n2,z\n\n"3\n",q\n4,"p\nq"\nx,"r\n\ns"\n5,last'
    stage = read(data, tmp_path)
    assert [(row["__row"], row["a"], row["b"]) for row in rows(stage)] == [
        (1, 1, "x\n\ny"),
        (3, 2, "z"),
        (5, 4, "p\nq"),
        (7, 5, "last"),
    ]
    assert summary(stage) == [(2, "parse", b"bad"), (4, "schema", b'"3\n",q'), (6, "schema", b'x,"r\n\ns"')]
    assert "empty lines skipped, not counted as rows: 4" in stage.notes


def test_an_empty_line_of_a_single_column_is_a_null(tmp_path: Path) -> None:
    stage = read(b"a\n1\n\n\nx\n3\n4,5\n", tmp_path, (Column("a", "int64"),))
    assert [(row["__row"], row["a"]) for row in rows(stage)] == [(1, 1), (2, None), (3, None), (5, 3)]
    assert summary(stage) == [(4, "schema", b"x"), (6, "parse", b"4,5")]


def test_mixed_line_ends_are_read_as_one_and_quoted_ones_stay(tmp_path: Path) -> None:
    stage = read(b'a,b\r\n1,x\n2,"y\r\nz"\r\n3,"p\rq"\n', tmp_path)
    assert [row["b"] for row in rows(stage)] == ["x", "y\r\nz", "p\rq"]
    assert any("line ends are mixed" in note for note in stage.notes)


def test_quoted_and_unquoted_nothing_differ_in_strings_only(tmp_path: Path) -> None:
    stage = read(b'a,b\n,\n"",""\nNA,NA\n"NA","NA"\n', tmp_path, null_values=["", "NA"])
    assert [(row["a"], row["b"]) for row in rows(stage)] == [(None, None), (None, ""), (None, None), (None, "NA")]


def test_a_left_out_column_with_bad_bytes_still_costs_its_row(tmp_path: Path) -> None:
    stage = read(b"a,x,b\n1,ok,p\n2,\xff,q\n", tmp_path)
    assert summary(stage) == [(2, "decode", b"2,\xff,q")]


@pytest.mark.parametrize(("encoding", "codec"), [("latin-1", "latin-1"), ("utf-16", "utf-16"), ("utf8", "utf-8-sig")])
def test_encodings(tmp_path: Path, encoding: str, codec: str) -> None:
    assert rows(read("a,b\n1,é\n".encode(codec), tmp_path, encoding=encoding)) == [{"a": 1, "b": "é", "__row": 1}]


def test_nul_bytes_are_data(tmp_path: Path) -> None:
    assert rows(read(b"a,b\n1,x\0y\n", tmp_path))[0]["b"] == "x\0y"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty, it has not even a header"),
        (b"\n\r\n\n", "the file is empty, it has not even a header"),
        (b"a,a,b\n1,2,3\n", "column `a` is there twice"),
        (b"A,b\n1,2\n", "column `a` is missing (did you mean `A`?)"),
        (b"a,c\n1,2\n", "column `b` is missing"),
        ("a,b\n1,é\n".encode("utf-16"), "it begins with a utf-16 byte order mark (set format.encoding: utf-16)"),
        (b'a,"b\n1,2\n', "reading the header of"),
        (b"a;b\n1;2\n", "columns `a`, `b` are missing (it has `a;b`; set format.delimiter: ';')"),
        (
            b"PK\x03\x04\x14\x00",
            "it is a zip archive, or an Excel workbook (have it delivered as text, plain or packed by gzip or zstd)",
        ),
        (b"BZh91AY&SY\x00", "it is packed by bzip2 (have it"),
        (b"\xfd7zXZ\x00\x00", "it is packed by xz (have it"),
        (b"a," + b"\x00" * 100_000 + b"\n1,2\n", "column `b` is missing (it has `a`, `" + r"\x00" * 80 + "…`)"),
        (
            gzip.compress(b"a,b\n1,2\n", mtime=0),
            "its bytes are packed by gzip (set source.compression: gzip, or let its name end as gzip files do)",
        ),
    ],
)
def test_files_that_are_refused_say_why(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(CorruptFileError) as caught:
        read(data, tmp_path)
    assert message in caught.value.message


def test_a_thousand_columns(tmp_path: Path) -> None:
    names = [f"c{n}" for n in range(1_000)]
    data = "\n".join([",".join(names), *(",".join(str(row * n) for n in range(1_000)) for row in (1, 2))]) + "\n"
    stage = read(data.encode(), tmp_path, tuple(Column(name, "int64") for name in names))
    assert (stage.rows_in, stage.rows_rejected, len(stage.columns)) == (2, 0, 1_000)
    assert rows(stage)[1]["c999"] == 2 * 999


def test_a_header_alone_is_no_rows(tmp_path: Path) -> None:
    assert (read(b"a,b\n", tmp_path).rows_in, read(b"", tmp_path / "x", header=False).rows_in) == (0, 0)


def test_without_a_header_the_schemas_order_is_the_files(tmp_path: Path) -> None:
    stage = read(b"1,x\n2\n", tmp_path, header=False)
    assert rows(stage) == [{"a": 1, "b": "x", "__row": 1}] and summary(stage) == [(2, "parse", b"2")]


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        (["1", "-2", ""], "int64"),
        (["007", "8"], "string"),
        (["1.5", "2"], "float64"),
        (["12345678901234567890"], "string"),
        (["true", "False"], "bool"),
        (["2026-01-05"], "date"),
        (["2026-01-05", "2026-01-05 10:00:00"], "string"),
        (["2026-01-05T10:00:00Z"], "timestamp[tz]"),
        (["", ""], "string"),
    ],
)
def test_inferred_is_the_narrowest_type_of_all_values(tmp_path: Path, values: list[str], type_: str) -> None:
    stage = read(b"x,y\n" + b"".join(b"%s,k\n" % value.encode() for value in values), tmp_path, None)
    assert (stage.columns[0].type, stage.rows_rejected) == (type_, 0)


@pytest.mark.parametrize(("late", "type_"), [(b"x", "string"), (b"0.5", "float64")])
def test_a_late_value_widens_the_inferred_type_and_loses_no_row(tmp_path: Path, late: bytes, type_: str) -> None:
    stage = read(b"x,y\n" + b"1,k\n" * 30_000 + late + b",k\n", tmp_path, None)
    assert (stage.columns[0].type, stage.rows_in, stage.rows_rejected) == (type_, 30_001, 0)


def test_rules_of_columns(tmp_path: Path) -> None:
    columns = (Column("d", "date"), Column("n", "decimal(10,2)"), Column("f", "bool"))
    rules = {
        "d": ColumnRules(format="%d/%m/%Y"),
        "n": ColumnRules(decimal_point=",", thousands="."),
        "f": ColumnRules(true_values=("Y",), false_values=("N",)),
    }
    config = Csv.Config(delimiter=";", columns=rules)
    stage = staged(Csv(config), b"d;n;f\n05/01/2026;1.000,50;Y\n5/1/2026;1,5;N\n", columns, tmp_path)
    assert [str(value) for value in rows(stage)[0].values()] == ["2026-01-05", "1000.50", "True", "1"]
    assert summary(stage) == [(2, "schema", b"5/1/2026;1,5;N")]


def test_rules_for_a_column_that_an_undeclared_file_lacks_are_that_files_matter(tmp_path: Path) -> None:
    """Where columns are declared, `check` says so (tests/config/test_contradictions.py)."""
    reader = Csv(Csv.Config(columns={"zz": ColumnRules()}))
    with pytest.raises(
        CorruptFileError,
        match="rules for `zz`, which is no column of it \\(ask for it again with that column, or take its rules out",
    ):
        staged(reader, b"a,b\n1,x\n", None, tmp_path / "a")
    assert staged(reader, b"a,zz\n1,x\n", None, tmp_path / "b").rows_in == 1
    assert staged(Csv(Csv.Config()), b"a,b\n1,x\n", None, tmp_path / "c").rows_in == 1


_FIELD = st.text(st.sampled_from('ab1, "\n\r;é'), max_size=6).map(lambda text: text.strip(" "))


@settings(max_examples=20, deadline=None)
@given(table=st.lists(st.tuples(_FIELD, _FIELD, _FIELD), min_size=1, max_size=12), end=st.sampled_from(["\n", "\r\n"]))
def test_it_agrees_with_pythons_csv_module(
    table: list[tuple[str, ...]], end: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("x", "y", "z"), *table])
    columns = tuple(Column(name, "string") for name in "xyz")
    stage = read(text.getvalue().encode(), tmp_path_factory.mktemp("csv"), columns)
    assert [(row["x"], row["y"], row["z"]) for row in rows(stage)] == table and not stage.rows_rejected
