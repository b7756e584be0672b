"""Files of many columns are read by other code than narrow ones (`_wide`): the same bytes must become the same rows and
the same rejects.

Judges: the narrow way itself, on awkward files; the oracles of the narrow tests, run again with every file taken for a
wide one; and Python's own csv and json on files that are wide indeed.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forebay.contracts import Format, Tolerance
from forebay.errors import CorruptFileError
from forebay.formats import _staging, _wide, _witness
from forebay.formats._csv import wide as csv_wide
from forebay.formats._json import reading as json_reading
from forebay.formats._json import wide as json_wide
from forebay.formats._json import witness as json_witness
from forebay.formats.csv import Csv
from forebay.formats.json_lines import JsonLines
from forebay.formats.parquet import Parquet
from forebay.model import Column, Stage
from forebay.testing.formats import rejects, rows, staged
from tests.formats.test_csv_oracle import test_whole_files_have_the_oracles_rows  # noqa: F401 (run again, with every file a wide one)
from tests.formats.test_json_exact import test_a_file_of_odd_lines_is_what_python_says  # noqa: F401


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is a wide one."""
    monkeypatch.setattr(_staging, "WIDE", 1)
    monkeypatch.setattr(json_reading, "WIDE", 0)


def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is a wide one."""
    monkeypatch.setattr(_staging, "WIDE", 1 << 20)
    monkeypatch.setattr(json_reading, "WIDE", 1 << 20)


# ---------------------------------------------------------------- the same as the narrow way

ABC = (Column("a", "int64"), Column("b", "string"), Column("c", "decimal(6,2)"))
_PLAIN = (
    Column("i", "int32"),
    Column("f", "float64"),
    Column("t", "bool"),
    Column("d", "date"),
    Column("m", "timestamp"),
)
_ODD = (Column("z", "timestamp[tz]"), Column("k", "time"), Column("x", "binary"), Column("s", "string"))
ALL = (*_PLAIN, *_ODD)
TYPED = (
    "i,f,t,d,m,z,k,x,s\n1,0.1,true,2026-01-05,2026-01-05 10:00:00,2026-01-05T10:00:00+02:00,10:00:00.5,aGk=,é\n"
    "007,1e400,yes,2026-02-30,2026-01-05 10:00:00+02,2026-01-05,24:00,a,\n,,,,,,,,\n"
    "2147483648,nan,false,0001-01-01,9999-12-31 23:59:59.999999,0000-01-01T00:00:00Z,00:00,,x\n1.0,-0.0,False,,,,,,y\n"
)
ODD = '{"a":1,"b":"x","c":1.10}\n{"a":1.0,"b":2,"c":"2"}\n{"a":12345678901234567890,"b":"é\\n","c":1e1}\n{"a":null,"b":null}\n{"c":0.10,"a":-0,"b":"1\\u00e9"}\n'  # noqa: E501
ODD += (
    '{"a":1,"a":2}\n{"a":[1],"b":{"b":"x"},"c":3}\nnot '
    'json\n[1]\n{"a":1,"new":true,"b":"NaN"}\n\n{"a":NaN}\n{"a":"1","b":true,"c":"9999999.99"}\n{"a":1,"b":[1,],"c":1}\n'
)
CASES: dict[str, tuple[Format[Any], str | bytes, tuple[Column, ...] | None]] = {
    "every type": (Csv(Csv.Config()), TYPED, ALL),
    "every type inferred": (Csv(Csv.Config()), TYPED, None),
    "quotes": (
        Csv(Csv.Config()),
        'a,b,c\n1,"x ""y"",\r\nz",1\n2,5" pipe,2.5\n3, "q" ,3\n4,"a"b,4\n5,x\n"6",,\n7,"",1.005\n',
        ABC,
    ),
    "CR LF": (Csv(Csv.Config()), "a,b,c\r\n1,x,1\r\n\r\n2,y\rz,2\r\n3,,3\r\n", ABC),
    "CR": (Csv(Csv.Config()), "a,b,c\r1,x,1\r2,y,2\r", ABC),
    "null words": (Csv(Csv.Config(null_values=("", "NA"))), 'a,b,c\nNA,NA,"NA"\n1,"NA",NA\nx,"",1\n', ABC),
    "quoted nulls": (Csv(Csv.Config(null_values=("NA",), quoted_nulls=True)), 'a,b,c\nNA,"NA",NA\n1,"",2\n', ABC),
    "trimmed": (Csv(Csv.Config(trim=True)), "a , b,c\n 1,\tx ,2 \n , ,\n", ABC),
    "rules": (
        Csv(
            Csv.Config.model_validate(
                {
                    "columns": {
                        "a": {"loose_numbers": True},
                        "b": {"null_values": ["-"]},
                        "c": {"decimal_point": ",", "thousands": "."},
                    }
                }
            )
        ),
        'a,b,c\n007,-,"1.234,50"\n+1,x,"12.34,5"\n',
        ABC,
    ),
    "a delimiter of two bytes": (Csv(Csv.Config(delimiter="||")), "a||b||c\n1||x|y||2\n2||z||\n", ABC),
    "an escape within quotes": (
        Csv(Csv.Config(escape="\\")),
        'a,b,c\n1,"x \\" \\\\ \\, y",2\n2,x\\y,3\n3,"\\n",4\n4,"""",5\n',
        ABC,
    ),
    "an escape without quotes": (
        Csv(Csv.Config(quote=None, escape="\\")),
        "a,b,c\n1,x\\,y\\\\z\\\nw,2\n2,\\N,3\n",
        ABC,
    ),
    "without a header": (Csv(Csv.Config(header=False)), "\ufeff1,x,1\n2,y\n3,\ufeffz,3\n", ABC),
    "a mark before the first record": (Csv(Csv.Config()), "a,b,c\n\ufeff1,x,1\n2,\ufeff,2\n", ABC),
    "no rows": (Csv(Csv.Config()), "a,b,c\n", ABC),
    "no rows inferred": (Csv(Csv.Config()), "a,b,c\n", None),
    "bytes that are no text": (Csv(Csv.Config()), b"a,b,c\n1,\xff,2\n2,x\x00y,3\n", ABC),
    "other columns than declared": (Csv(Csv.Config()), "z,b,a\n1,x,2\n,y,z\n", ABC),
    "a preamble and a footer": (
        Csv(Csv.Config(preamble_lines=1, footer_lines=1)),
        "made today\na,b,c\n1,x,1\n2,y,2\nend\n",
        ABC,
    ),
    "odd lines": (JsonLines(JsonLines.Config()), ODD, ABC),
    "odd lines inferred": (JsonLines(JsonLines.Config()), ODD, None),
    "loose lines": (JsonLines(JsonLines.Config(loose_scalars=True)), ODD, ABC),
    "one key of many": (JsonLines(JsonLines.Config()), ODD, ABC[1:2]),
    "keys in no line": (
        JsonLines(JsonLines.Config(optional=("q",))),
        ODD,
        (*ABC, Column("q", "int64"), Column("r", "date")),
    ),
    "NaN": (
        JsonLines(JsonLines.Config.model_validate({"columns": {"a": {"allow_nan": True}}})),
        ODD,
        (Column("a", "float64"), *ABC[1:]),
    ),
    "keys that need escapes": (
        JsonLines(JsonLines.Config()),
        '{"a\\"/~b":1,"":2,"é":"x","\\u0061":3}\n{"é":"\\ud800"}\n{"é":"y","a\\"/~b":0.1}\n',
        None,
    ),
    "no keys": (JsonLines(JsonLines.Config()), '{}\n{"b":"x"}\n', ABC[1:2]),
}


def told(format_: Format[Any], data: str | bytes, columns: tuple[Column, ...] | None, folder: Path) -> Any:
    """All that a stage says, or the words with which the file is refused."""
    octets = data if isinstance(data, bytes) else data.encode()
    try:
        stage = staged(format_, octets, columns, folder, tolerance=Tolerance(misfits=0.4, missing=True))
    except CorruptFileError as error:
        return error.message
    kinds = [(field.name, field.type) for field in pq.read_schema(stage.rows)]
    return replace(stage, rows=Path(), rejects=Path()), kinds, repr(rows(stage)), rejects(stage)


@pytest.mark.parametrize("case", CASES)
def test_a_wide_file_becomes_what_a_narrow_one_does(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(*CASES[case], tmp_path / "wide")
    narrow(monkeypatch)
    assert found == told(*CASES[case], tmp_path / "narrow")


def test_the_wide_way_was_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control of the test before: without the wide way its files cannot be read."""

    def gone(*_: Any) -> Any:
        raise RuntimeError("the wide way")

    monkeypatch.setattr(_wide, "copy", gone)
    for case in ("quotes", "odd lines"):
        with pytest.raises(RuntimeError, match="the wide way"):
            told(*CASES[case], tmp_path / case)


# ---------------------------------------------------------------- its second witness

Bend = Callable[[list[Any]], list[Any]]
BENDS: dict[str, Bend] = {
    "drops a row": lambda cells: cells[:3] + cells[4:],
    "doubles a row": lambda cells: [*cells[:4], *cells[3:]],
    "swaps two rows": lambda cells: [*cells[:3], *cells[4:5], *cells[3:4], *cells[5:]],
    "truncates a cell": lambda cells: [*cells[:3], *(cell[:-2] + cell[-1] for cell in cells[3:4]), *cells[4:]],
}
COUNT = 20
NAMES = [f"c{n}" for n in range(5)]
TEXTS = [[f"{'x' * n} {name}" for name in NAMES] for n in range(1, COUNT + 1)]
SCHEMA = tuple(Column(name, "string") for name in NAMES)


def bent_csv(monkeypatch: pytest.MonkeyPatch, bend: Bend) -> None:
    real = csv_wide.columns

    def columns(*of: Any) -> Iterator[list[pa.Array]]:
        for texts in real(*of):
            changed = [bend(column.to_pylist()) for column in texts]
            yield [pa.array(column, pa.string()) for column in changed]

    monkeypatch.setattr(csv_wide, "columns", columns)


def bent_json(monkeypatch: pytest.MonkeyPatch, bend: Bend) -> None:
    real = json_wide.batches

    def batches(*of: Any) -> Iterator[_wide.Batch]:
        for batch in real(*of):
            texts = [pa.array(bend(column.to_pylist()), pa.string()) for column in batch.texts]
            count = len(texts[0])
            sides = {name: pa.concat_arrays([column, column])[:count] for name, column in batch.sides.items()}
            yield _wide.Batch(texts, count, sides, pa.nulls(count, pa.string()))

    monkeypatch.setattr(json_wide, "batches", batches)


CSV = "\n".join([",".join(NAMES), *(",".join(cells) for cells in TEXTS)]).encode()
LINES = "\n".join(json.dumps(dict(zip(NAMES, cells, strict=True))) for cells in TEXTS).encode()


@pytest.mark.parametrize("harm", BENDS)
def test_a_wide_reader_that_lies_is_found_out(harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it read is read again otherwise, or refused."""
    bent_csv(monkeypatch, BENDS[harm])
    bent_json(monkeypatch, BENDS[harm])
    stage = staged(Csv(Csv.Config()), CSV, SCHEMA, tmp_path / "csv")
    assert [list(row.values())[:-1] for row in rows(stage)] == TEXTS and any(
        "Python's csv module" in note for note in stage.notes
    )
    with pytest.raises(CorruptFileError, match="what was read is not what the file holds"):
        staged(JsonLines(JsonLines.Config()), LINES, SCHEMA, tmp_path / "json")


@pytest.mark.parametrize("harm", BENDS)
def test_control_without_the_witness_it_is_believed(harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bent_csv(monkeypatch, BENDS[harm])
    bent_json(monkeypatch, BENDS[harm])
    monkeypatch.setattr(_witness, "parted", lambda *_: None)
    monkeypatch.setattr(json_witness, "difference", lambda *_: None)
    for format_, data in ((Csv(Csv.Config()), CSV), (JsonLines(JsonLines.Config()), LINES)):
        stage = staged(format_, data, SCHEMA, tmp_path / type(format_).__name__)
        assert [row["c0"] for row in rows(stage)] != [cells[0] for cells in TEXTS]


# ---------------------------------------------------------------- files that are wide


def values(stage: Stage) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "__row"} for row in rows(stage)]


def table(names: Sequence[str], count: int) -> list[dict[str, Any]]:
    """Rows of integers, texts and nulls, each cell another."""
    kinds: list[Callable[[int], Any]] = [
        lambda n: n,
        lambda n: f"text, {n}",
        lambda n: None if n % 2 else n,
        lambda n: n + 0.5,
    ]
    return [{name: kinds[at % 4](at * 1_000 + row) for at, name in enumerate(names)} for row in range(count)]


def as_csv(names: Sequence[str], lines: list[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([names, *(["" if row[name] is None else row[name] for name in names] for row in lines)])
    return text.getvalue().encode()


def as_json(names: Sequence[str], lines: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in lines)


def as_parquet(names: Sequence[str], lines: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist(lines, schema=pa.schema([(name, TYPES[at % 4]) for at, name in enumerate(names)])), sink
    )
    return sink.getvalue()


TYPES = [pa.int64(), pa.string(), pa.int64(), pa.float64()]
WRITERS: dict[str, tuple[Format[Any], Callable[[Sequence[str], list[dict[str, Any]]], bytes]]] = {
    "csv": (Csv(Csv.Config()), as_csv),
    "json": (JsonLines(JsonLines.Config()), as_json),
    "parquet": (Parquet(Parquet.Config()), as_parquet),
}
LONG = 'a name of "quotes", commas, \u00e9 and `ticks` '
KINDS = ["int64", "string", "int64", "float64"]


@pytest.mark.parametrize("format_", WRITERS)
def test_fifteen_hundred_columns_of_awkward_names_come_back(
    format_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    names = [f"{LONG * (at % 40)}{at}'\"" for at in range(1_500)]
    reader, write = WRITERS[format_]
    lines = table(names, 3)
    stage = staged(reader, write(names, lines), None, tmp_path)
    assert values(stage) == lines and not rejects(stage)
    assert [column.type for column in stage.columns] == (KINDS * 375)


@pytest.mark.parametrize("format_", ["csv", "json"])
@pytest.mark.parametrize("columns", [1_500, pytest.param(10_000, marks=pytest.mark.long)])
def test_one_bad_cell_next_to_the_last_column_costs_its_row(
    columns: int, format_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    names = [f"c{at}" for at in range(columns)]
    lines = table(names, 5)
    bad = names[columns - 4]  # an integer
    lines[2][bad] = "twelve"
    reader, write = WRITERS[format_]
    stage = staged(
        reader, write(names, lines), tuple(Column(name, KINDS[at % 4]) for at, name in enumerate(names)), tmp_path
    )
    assert values(stage) == lines[:2] + lines[3:]
    [reject] = rejects(stage)
    assert (reject["__row"], reject["columns"]) == (3, [bad]) and reject["raw"] == write(names, lines).splitlines()[
        2 + (format_ == "csv")
    ]
    assert f"column `{bad}`: `" in reject["reason"] and "is not int64" in reject["reason"]


def test_every_cell_of_a_row_can_be_bad_and_is_told_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    names = [f"c{at}" for at in range(600)]
    data = ",".join(names) + "\n" + ",".join(["x"] * 600) + "\n" + ",".join(["1"] * 600) + "\n"
    stage = staged(
        Csv(Csv.Config()),
        data.encode(),
        tuple(Column(name, "date" if at % 2 else "int64") for at, name in enumerate(names)),
        tmp_path,
    )
    assert stage.rows_rejected == 2
    first, second = rejects(stage)
    assert first["columns"] == names and second["columns"] == names[1::2]
    assert first["reason"].split("; ")[:2] == [
        "column `c0`: `x` is not int64",
        "column `c1`: `x` is not date such as 2026-01-05",
    ]


def test_a_name_twice_among_many_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    names = [*(f"c{at}" for at in range(1_500)), "c700"]
    with pytest.raises(CorruptFileError, match="column `c700` is there twice"):
        staged(Csv(Csv.Config()), as_csv(names, []), None, tmp_path / "csv")
    twice = "{" + ",".join(f'"{name}":1' for name in names) + "}\n"
    stage = staged(
        JsonLines(JsonLines.Config()),
        (twice + as_json(names, table(names[:-1], 1)).decode()).encode(),
        None,
        tmp_path / "json",
    )
    assert [(one["__row"], one["reason"]) for one in rejects(stage)] == [(1, "a key is there twice")] and len(
        rows(stage)
    ) == 1


@pytest.mark.parametrize("columns", [1_500, pytest.param(10_000, marks=pytest.mark.long)])
def test_keys_that_differ_from_line_to_line(columns: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    names = [f"k{at:05}" for at in range(columns)]
    lines = [dict.fromkeys(names[at : at + 50], at) for at in range(0, columns, 50)]
    stage = staged(JsonLines(JsonLines.Config()), as_json(names, lines), None, tmp_path)
    assert values(stage) == [dict.fromkeys(names) | line for line in lines]


def test_nested_values_among_many_set_their_lines_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    names = [f"c{at}" for at in range(1_500)]
    lines = table(names, 3)
    data = as_json(
        names,
        [lines[0], lines[1] | {"c1": {"c0": "x", "y": [1, {"c0": 2}]}}, lines[2] | {"c9": "\U0001f600 \\u0041 \n"}],
    )
    stage = staged(JsonLines(JsonLines.Config()), data, None, tmp_path)
    assert [one["__row"] for one in rejects(stage)] == [2] and rejects(stage)[0]["columns"] == ["c1"]
    assert [row["c9"] for row in values(stage)] == [lines[0]["c9"], "\U0001f600 \\u0041 \n"]
