"""Quarantined rows as a table to edit, and back: what people and spreadsheets do to it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from forebay.errors import ConfigError
from forebay.verbs import repair
from forebay.verbs.repair import numbers_of, text_of

HEAD = "id,name,__fp,__generation,__row,__reason,__form,__raw\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "fixed.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("rows", [[], [1], [1, 2, 3], [3, 7, 8, 9, 12], [5, 7]])
def test_row_numbers_as_text_come_back(rows: list[int]) -> None:
    assert list(numbers_of(text_of(rows))) == rows


def test_rows_are_grouped_by_origin_and_sorted(tmp_path: Path) -> None:
    text = HEAD + "1,a,ff,1,7,r,file,x\n2,b,ee,2,3,r,typed,x\n3,c,ff,1,5,r,file,x\n"
    found = repair.edited(write(tmp_path, text))
    assert {o: t["__row"].to_pylist() for o, t in found.items()} == {
        repair.Origin("ee", 2): [3],
        repair.Origin("ff", 1): [5, 7],
    }


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_spreadsheets_delimiter_and_byte_order_mark_do_no_harm(tmp_path: Path, delimiter: str) -> None:
    text = (
        "\ufeff" + HEAD.replace(",", delimiter) + delimiter.join(["1", "a", "ff", "1", "7", "r", "file", "x"]) + "\r\n"
    )
    [table] = repair.edited(write(tmp_path, text)).values()
    assert table["id"].to_pylist() == ["1"]


def test_an_empty_cell_is_null_and_two_quotes_are_an_empty_text(tmp_path: Path) -> None:
    [table] = repair.edited(write(tmp_path, HEAD + '1,,ff,1,7,r,file,x\n2,"",ff,1,8,r,file,x\n')).values()
    assert table["name"].to_pylist() == [None, ""]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,name\n1,a\n", "no column `__fp`"),
        (HEAD + "1,a,ff,1,seven,r,file,x\n", "`seven` in `__row` is no number"),
        (HEAD + "1,a,ff,1,7,r,file,x\n2,b,ff,1,7,r,file,x\n", "row 7 of `ff` is there twice"),
        (HEAD + "1,a,ff,1\n", "every line needs as many cells"),
        (HEAD.replace("__form", "form"), "column `__form` is missing"),
    ],
)
def test_what_is_no_repair_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        repair.edited(write(tmp_path, text))


def test_formulas_get_a_quote_and_lose_it_again(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = ["=1+1", "'=1+1", "-5.00", "-x", "plain", "'plain", None, ""]
    table = repair._harmless(pa.table({"name": values}), ["name"])
    assert table["name"].to_pylist() == ["'=1+1", "''=1+1", "-5.00", "'-x", "plain", "'plain", None, ""]
    assert pc.replace_substring_regex(table["name"], repair._QUOTED, r"\1").to_pylist() == values


def test_members_of_json_rows_keep_every_digit(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    raw = [b'{"a": 12345678901234567890.1230, "b": "x", "c": [1]}\n', b"no json", b'{"b": null}']
    path = tmp_path / "listed.parquet"
    pq.write_table(
        pa.table(
            {
                "__row": pa.array([4, 5, 6], pa.int64()),
                "step": ["schema"] * 3,
                "causes": [[]] * 3,
                "raw": pa.array(raw, pa.binary()),
            }
        ),
        path,
    )
    table = repair._json_cells(path, ["a", "b", "c"])
    assert table is not None
    assert table.to_pylist() == [
        {"__row": 4, "c0": "12345678901234567890.1230", "c1": "x", "c2": '["1"]'},
        {"__row": 6, "c0": None, "c1": None, "c2": None},
    ]
