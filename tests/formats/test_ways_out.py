"""What a message names as the way out of a file's trouble is tried: followed, it works."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forebay.config.home import Project
from forebay.errors import ConfigError, CorruptFileError
from forebay.formats._csv.settings import CsvSettings
from forebay.formats._json.settings import JsonLinesSettings
from forebay.formats._rules import ColumnRules
from forebay.formats.csv import Csv
from forebay.formats.json_lines import JsonLines
from forebay.model import Column, Stage
from forebay.testing.formats import rejects, rows, staged

AB = (Column("a", "int64"), Column("b", "string"))


def csv(data: bytes, folder: Path, columns: tuple[Column, ...] | None = AB, **settings: Any) -> Stage:
    return staged(Csv(CsvSettings(**settings)), data, columns, folder)


def json_lines(data: bytes, folder: Path, columns: tuple[Column, ...] | None = AB, **settings: Any) -> Stage:
    return staged(JsonLines(JsonLinesSettings(**settings)), data, columns, folder)


LONG = b"a,b\n1," + b"x" * 5000 + b"\n2,y\n"
QUOTES = b"a,b\n" + b'1,"x\n2,y\n' * 4

FILES: dict[str, tuple[Callable[..., Stage], bytes, dict[str, Any], str, dict[str, Any]]] = {
    "other delimiter": (csv, b"a;b\n1;x\n", {}, "set format.delimiter: ';'", {"delimiter": ";"}),
    "tab": (csv, b"a\tb\n1\tx\n", {}, r"set format.delimiter: '\t'", {"delimiter": "\t"}),
    "delimiter that is the quote": (
        csv,
        b'sep="\na"b\n1"x\n',
        {},
        "check format.quote, format.escape and format.encoding",
        {"quote": None},
    ),
    "delimiter that is the escape": (
        csv,
        b"sep=\\\na\\b\n1\\x\n",
        {"escape": "\\"},
        "check format.quote, format.escape and format.encoding",
        {"escape": None},
    ),
    "delimiter of another encoding": (
        csv,
        b"sep=\xff\na\xffb\n1\xffx\n",
        {},
        "check format.quote, format.escape and format.encoding",
        {"encoding": "latin-1"},
    ),
    "a line of Excel below a preamble": (
        csv,
        b"pre\nsep=;\na;b\n1;x\n",
        {"preamble_lines": 1},
        "set format.delimiter: ';', and raise format.preamble_lines by one",
        {"delimiter": ";", "preamble_lines": 2},
    ),
    "a name of two lines": (
        csv,
        b'a,b,"c\nd"\n1,x,y\n',
        {"multiline": False},
        "check format.quote and format.multiline",
        {"multiline": True},
    ),
    "unclosed quotes": (
        csv,
        QUOTES,
        {"max_unclosed_quotes": 1},
        "raise format.max_unclosed_quotes",
        {"max_unclosed_quotes": 9},
    ),
    "twice": (
        csv,
        b"a,b,b\n1,x,y\n",
        {"columns_": None},
        "declare the columns to be read",
        {"columns_": (Column("a", "int64"),)},
    ),
    "own name": (
        csv,
        b"a,__b\n1,x\n",
        {"columns_": None},
        "name the columns to read, without it, under `schema.columns`",
        {"columns_": AB[:1]},
    ),
    "case only": (
        csv,
        b"b,B\n1,x\n",
        {"columns_": None},
        "name one of them under `schema.columns`",
        {"columns_": AB[1:]},
    ),
    "nested": (
        json_lines,
        b'{"a": 1, "c": {"x": 1}}\n',
        {"columns_": None},
        "declare the columns to be read, without them",
        {"columns_": AB[:1]},
    ),
    "no object": (json_lines, b"1\n", {"columns_": None}, "declare them", {"columns_": AB, "optional": ("a", "b")}),
}
"""What reads it, the file, its settings (`columns_`: the declared columns), the way out, and the settings that follow
it."""


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_refused_can_be_read_as_its_message_says(name: str, tmp_path: Path) -> None:
    read, data, settings, way_out, followed = FILES[name]

    def reading(given: dict[str, Any], folder: Path) -> Stage:
        return read(
            data, folder, given.get("columns_", AB), **{key: value for key, value in given.items() if key != "columns_"}
        )

    with pytest.raises(CorruptFileError) as raised:
        reading(settings, tmp_path / "refused")
    assert way_out in str(raised.value)
    assert reading(followed, tmp_path / "read").rows_in >= 1


@pytest.mark.parametrize("read", [csv, json_lines])
def test_a_record_that_is_too_long_is_read_when_the_limit_is_raised(read: Any, tmp_path: Path) -> None:
    data = LONG if read is csv else b'{"a": 1, "b": "' + b"x" * 5000 + b'"}\n{"a": 2, "b": "y"}\n'
    [reject] = rejects(read(data, tmp_path / "a", max_record_bytes=2048))
    assert "raise format.max_record_bytes" in reject["reason"]
    assert len(rows(read(data, tmp_path / "b", max_record_bytes=6000))) == 2


IDS = [1, 12345678901234567890, -(10**38) + 1, 2**64]


@pytest.mark.parametrize("columns", [None, (Column("a", "int64"),)])
def test_whole_numbers_beyond_64_bits_are_read_as_the_message_says(
    columns: tuple[Column, ...] | None, tmp_path: Path
) -> None:
    """The judge is Python's own reading of JSON."""
    data = "".join(json.dumps({"a": number}) + "\n" for number in IDS).encode()
    reasons = [reject["reason"] for reject in rejects(json_lines(data, tmp_path / "first", columns))]
    assert len(reasons) == 3 and all(reason.endswith(" (declare it `decimal(38,0)`)") for reason in reasons), reasons
    stage = json_lines(data, tmp_path / "declared", (Column("a", "decimal(38,0)"),))
    assert [int(row["a"]) for row in rows(stage)] == [json.loads(line)["a"] for line in data.splitlines()]


def test_a_short_number_and_a_fraction_name_no_such_way_out(tmp_path: Path) -> None:
    columns = (Column("a", "int64"),)
    data = b'{"a": 1.5}\n{"a": "12345678901234567890"}\n{"a": 1' + b"0" * 38 + b"}\n"
    assert all("declare" not in r["reason"] for r in rejects(json_lines(data, tmp_path, columns)))


KINDS = [
    ("date", None),
    ("time", None),
    ("timestamp", None),
    ("timestamp[tz]", None),
    ("date", "%d/%m/%Y"),
    ("date", "%d.%m.%y"),
    ("time", "%H:%M"),
    ("timestamp", "%d/%m/%Y %H:%M:%S"),
    ("timestamp", "%Y%m%d%H%M%S"),
    ("timestamp", "%d-%b-%Y %I:%M:%S %p"),
]


@pytest.mark.parametrize(("kind", "written"), KINDS)
def test_the_example_of_a_value_is_one_of_that_column(kind: str, written: str | None, tmp_path: Path) -> None:
    """With a `format`, it is in that format."""
    columns = (Column("a", "int64"), Column("b", kind))
    reader = Csv(CsvSettings(columns={"b": ColumnRules(format=written)} if written else {}))
    [reject] = rejects(staged(reader, b"a,b\n1,never\n", columns, tmp_path / "a"))
    found = re.search(r" such as (.*?)(, with at most|, without an|, with its|, as `format`|$)", reject["reason"])
    assert found is not None and (written is None) == ("as `format` says" not in reject["reason"])
    assert rejects(staged(reader, f'a,b\n1,"{found[1]}"\n'.encode(), columns, tmp_path / "b")) == []


def test_memory_is_set_as_the_message_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = Project(tmp_path, tmp_path / ".forebay")
    assert (here.memory, here.check_memory) == (512 << 20, 448 << 20)
    monkeypatch.setenv("FOREBAY_MEMORY", "2GiB")
    assert here.memory == 2 << 30
    for wrong in ("much", "1MiB", "-1GiB"):
        monkeypatch.setenv("FOREBAY_MEMORY", wrong)
        with pytest.raises(ConfigError, match="reading FOREBAY_MEMORY: "):
            _ = here.memory
