"""JSON lines: one object a line, and no value that changes on its way."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from forebay.errors import CorruptFileError
from forebay.formats.json_lines import JsonLines
from forebay.model import Column, Drift, Stage
from forebay.testing.formats import FormatContract, Rows, rejects, rows, staged

AB = (Column("a", "int64"), Column("b", "string"))


def read(data: bytes, folder: Path, columns: tuple[Column, ...] | None = AB, **options: Any) -> Stage:
    return staged(JsonLines(JsonLines.Config(**options)), data, columns, folder)


class TestJsonLines(FormatContract):
    def make_format(self) -> JsonLines:
        # a small table may be null all through, but its keys are written
        return JsonLines(JsonLines.Config())

    def encode(self, table: Rows) -> bytes:
        return b"".join(json.dumps(row, default=str, ensure_ascii=False).encode() + b"\n" for row in table)


GOOD = b'{"a":1,"b":"x"}'


@pytest.mark.parametrize(
    ("line", "kind", "columns"),
    [
        (b"not json", "parse", []),
        (b'{"a":1,"b":"x"', "parse", []),
        (b'{"a":1,"b":"x",}', "parse", []),
        (b"[1]", "parse", []),
        (b"5", "parse", []),
        (b"null", "parse", []),
        (b'{"a":1,"a":2,"b":"x"}', "parse", []),
        (b'{"a":1,"a" :2}', "parse", []),
        (b'{"a":1,"b":"\xff"}', "decode", []),
        (b'{"a":NaN,"b":"x"}', "schema", ["a"]),
        (b'{"a":"1","b":"x"}', "schema", ["a"]),
        (b'{"a":1.5,"b":"x"}', "schema", ["a"]),
        (b'{"a":12345678901234567890,"b":"x"}', "schema", ["a"]),
        (b'{"a":true,"b":"x"}', "schema", ["a"]),
        (b'{"a":1,"b":5}', "schema", ["b"]),
        (b'{"a":1,"b":{"c":1}}', "schema", ["b"]),
        (b'{"a":[],"b":[]}', "schema", ["a", "b"]),
    ],
)
def test_what_is_no_row_costs_its_line_only(tmp_path: Path, line: bytes, kind: str, columns: list[str]) -> None:
    stage = read(GOOD + b"\n\n" + line + b"\n" + GOOD, tmp_path)
    assert [row["__row"] for row in rows(stage)] == [1, 3]
    [reject] = rejects(stage)
    assert (reject["__row"], reject["step"], reject["columns"], reject["raw"]) == (2, kind, columns, line)


@pytest.mark.parametrize(
    "data", [b"\xef\xbb\xbf" + GOOD, GOOD + b"\r\n" + GOOD + b"\r\n", b'  {"b" : "x" , "a" : 1 }  ']
)
def test_other_ways_to_write_the_same(tmp_path: Path, data: bytes) -> None:
    stage = read(data, tmp_path)
    assert rows(stage)[0] == {"a": 1, "b": "x", "__row": 1} and not stage.rows_rejected


def test_numbers_keep_all_their_digits(tmp_path: Path) -> None:
    columns = (Column("d", "decimal(38,20)"), Column("f", "float64"))
    data = b'{"d":0.12345678901234567891,"f":0.30000000000000004}\n{"d":"1.10","f":1e5}\n{"d":1,"f":1e400}\n{"d":1,"f":0.1000000000000000055}'  # noqa: E501
    stage = read(data, tmp_path, columns)
    assert [(row["d"], row["f"]) for row in rows(stage)] == [
        (Decimal("0.12345678901234567891"), 0.30000000000000004),
        (Decimal("1.1").quantize(Decimal(10) ** -20), 1e5),
    ]
    assert [reject["columns"] for reject in rejects(stage)] == [["f"], ["f"]]


def test_loose_scalars(tmp_path: Path) -> None:
    stage = read(b'{"a":"7","b":5}\n{"a":1,"b":[5]}\n', tmp_path, loose_scalars=True)
    assert rows(stage) == [{"a": 7, "b": "5", "__row": 1}] and stage.rows_rejected == 1


def test_escapes_are_decoded(tmp_path: Path) -> None:
    assert rows(read(rb'{"a":1,"b":"\u00e9\n\"\\\u0000"}', tmp_path))[0]["b"] == 'é\n"\\\0'


def test_unknown_keys_and_empty_lines_are_told(tmp_path: Path) -> None:
    stage = read(GOOD + b'\n\n{"a":2,"z":1}\n', tmp_path)
    assert (stage.notes, stage.drift) == (("empty lines skipped, not counted as rows: 1",), Drift(added=("z",)))


def test_an_optional_column_may_be_in_no_line(tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match="no line has the key `b`"):
        read(b'{"a":1}', tmp_path)
    assert rows(read(b'{"a":1}', tmp_path / "x", optional=["b"])) == [{"a": 1, "b": None, "__row": 1}]


def test_inference_takes_the_keys_of_all_lines(tmp_path: Path) -> None:
    stage = read(b'{"b":1,"a":"007"}\n{"b":2.5,"c":true}\n', tmp_path, None)
    assert [(column.name, column.type) for column in stage.columns] == [
        ("b", "float64"),
        ("a", "string"),
        ("c", "bool"),
    ]
