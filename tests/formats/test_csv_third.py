"""Where DuckDB reads a CSV otherwise than its bytes say, on several threads and on one, Python's csv module reads the
part in doubt."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from forebay.errors import CorruptFileError
from forebay.formats._csv import third as csv_third
from forebay.formats._csv.source import Source
from forebay.formats._csv.third import Third
from forebay.formats.csv import Csv
from forebay.model import Column, Stage
from forebay.testing.formats import rejects, rows, staged

COLUMNS = (Column("id", "int64"), Column("note", "string"), Column("more", "string"))
NOTES = ['"a, b"', "", '""', "plain", '"two\nlines"', '5" pipe', ' "x" ', '"NA"', "NA", "é"]
Lie = Callable[[str], str]


def text(count: int) -> bytes:
    return b"id,note,more\n" + "".join(f"{n},{NOTES[n % len(NOTES)]},m{n % 7}\n" for n in range(count)).encode()


def expected(count: int) -> list[tuple[Any, ...]]:
    held = ["a, b", None, "", "plain", "two\nlines", '5" pipe', "x", "NA", None, "é"]
    return [(n, held[n % len(held)], f"m{n % 7}", n + 1) for n in range(count)]


def lying(monkeypatch: pytest.MonkeyPatch, lie: Lie) -> list[bool]:
    """From now on DuckDB's reader does so, in both modes; returns the modes that were tried."""
    true, modes = Source.sql, []

    def sql(self: Source) -> str:
        modes.append(self.parallel)
        return lie(true(self))

    monkeypatch.setattr(Source, "sql", sql)
    return modes


def read(data: bytes, folder: Path) -> Stage:
    return staged(Csv(Csv.Config(null_values=("", "NA"))), data, COLUMNS, folder)


LIES: dict[str, Lie] = {
    "drops a row": lambda source: f"(SELECT * FROM {source} WHERE c0 <> '700')",
    "doubles a row": lambda source: (
        f"(SELECT c0, c1, c2 FROM (SELECT *, unnest(CASE c0 WHEN '700' THEN [1, 2] ELSE [1] END) FROM {source}))"
    ),
    "drops the last part": lambda source: f"(SELECT * FROM {source} LIMIT 3000)",
    "cuts a cell": lambda source: f"(SELECT c0, CASE c0 WHEN '703' THEN 'plai' ELSE c1 END AS c1, c2 FROM {source})",
}


@pytest.mark.parametrize("lie", LIES)
def test_the_part_in_doubt_is_read_by_python(lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = lying(monkeypatch, LIES[lie])
    stage = read(text(9_000), tmp_path)
    assert [tuple(row.values()) for row in rows(stage)] == expected(9_000)
    assert {True, False} <= set(modes) and rejects(stage) == []
    assert any(re.fullmatch(r"rows \d+ to \d+ were read by Python's csv module, .*", note) for note in stage.notes)


@pytest.mark.parametrize("lie", LIES)
def test_control_without_it_the_file_is_refused_with_both_counts_and_the_place(
    lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lying(monkeypatch, LIES[lie])
    monkeypatch.setattr(Third, "doubt", lambda *_: False)
    with pytest.raises(
        CorruptFileError,
        match=r"it has 9000 readable records by its bytes, and \d+ by the CSV reader, which part at byte \d+",
    ):
        read(text(9_000), tmp_path)


def test_a_reader_that_is_wrong_everywhere_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_third, "PART", 64)
    lying(monkeypatch, lambda source: f"(SELECT * FROM {source} WHERE c0 NOT LIKE '%00')")
    data = text(9_000)
    with pytest.raises(CorruptFileError, match="it has 9000 readable records") as caught:
        read(data, tmp_path)
    place = int(re.findall(r"at byte (\d+)", caught.value.message)[0]) - 1
    assert data[place:].startswith(b"900,")  # behind eight parts


def test_bad_rows_keep_their_numbers_around_a_part_in_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lying(monkeypatch, LIES["drops a row"])
    data = text(2_000).replace(b"\n650,", b'\n"6"50,').replace(b"\n710,", b"\n710,,,,x,")
    stage = read(data, tmp_path)
    assert [row["__row"] for row in rejects(stage)] == [651, 711]
    assert [tuple(row.values()) for row in rows(stage)] == [row for row in expected(2_000) if row[3] not in {651, 711}]


def test_a_reader_that_gives_up_on_several_threads_is_asked_on_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB says now and then that its parallel reader does not support a file."""
    from forebay.formats._csv.reading import Reading

    typed = Reading._typed

    def refusing(self: Reading, types: Any) -> Any:
        if isinstance(self.source, Source) and self.source.parallel:
            raise duckdb.NotImplementedException(
                "The Parallel CSV Reader currently does not support a full read on this file."
            )
        return typed(self, types)

    monkeypatch.setattr(Reading, "_typed", refusing)
    stage = read(text(50), tmp_path)
    assert [tuple(row.values()) for row in rows(stage)] == expected(50)
