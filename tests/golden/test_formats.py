"""Awkward files, each beside what must become of it (`formats/FORMAT/NAME.json`): rows kept, quarantined rows with
reason and raw text, or the refusal.

The expectations were written from the rule (a value arrives as it was, or its row is quarantined), not from what the
reader says. `rows` are `[row number, values…]`, values that JSON has no word for as text. Bytes that are not UTF-8 are
written as lone surrogates (`\\udcff` is 0xff).
"""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay import registry
from forebay.errors import CorruptFileError, ForebayError
from forebay.model import Column, Stage
from forebay.testing.formats import rejects, rows, staged

FOLDER = Path(__file__).parent / "formats"
CASES = sorted(path for path in FOLDER.rglob("*.json"))
JSON_WORDS = (int, float, str, bool, type(None))


def data_of(case: Path) -> Path:
    """The file that an expectation belongs to."""
    [found] = [path for path in case.parent.glob(f"{case.stem}.*") if path != case]
    return found


def read(case: Path, expected: dict[str, Any], folder: Path) -> Stage:
    plugin = registry.find("formats", case.parent.name)
    declared = expected["columns"]
    columns = None if declared is None else tuple(Column(name, type_) for name, type_ in declared.items())
    return staged(plugin(plugin.Config(**expected.get("options", {}))), data_of(case).read_bytes(), columns, folder)


def seen(stage: Stage) -> list[list[Any]]:
    """Rows as an expectation writes them."""
    return [
        [row.pop("__row"), *(v if isinstance(v, JSON_WORDS) else str(v) for v in row.values())] for row in rows(stage)
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.stem}")
def test_an_awkward_file_becomes_what_stands_beside_it(case: Path, tmp_path: Path) -> None:
    expected = json.loads(case.read_text("utf-8"))
    if "error" in expected:
        with pytest.raises(ForebayError) as caught:
            read(case, expected, tmp_path)
        assert expected["error"] in caught.value.message and "file:///in/orders" in caught.value.message
        return
    stage = read(case, expected, tmp_path)
    found = rejects(stage)
    assert json.dumps(seen(stage)) == json.dumps(expected["rows"])  # as text: 1 is not true, 0.0 is not -0.0
    shape = [(r["row"], r["step"], r["columns"], r["raw"]) for r in expected["rejects"]]
    assert [(r["__row"], r["step"], r["columns"], r["raw"].decode("utf-8", "surrogateescape")) for r in found] == shape
    assert [
        (r["reason"], e["reason"])
        for r, e in zip(found, expected["rejects"], strict=True)
        if e["reason"] not in r["reason"]
    ] == []
    assert [note for note in expected.get("notes", []) if note not in stage.notes] == []
    assert stage.drift.added == tuple(expected.get("added", stage.drift.added))
    assert {c.name: c.type for c in stage.columns} == (expected.get("types") or expected["columns"])
    every_row_has_one_fate(stage)


def every_row_has_one_fate(stage: Stage) -> None:
    """No row is lost, none is kept and quarantined, and the numbers have no gap."""
    fates = sorted([row["__row"] for row in rows(stage)] + [reject["__row"] for reject in rejects(stage)])
    assert fates == list(range(1, stage.rows_in + 1))
    assert stage.rows_rejected == len(rejects(stage))


def test_every_awkward_file_has_its_expectation_and_every_format_has_files() -> None:
    files = {path for path in FOLDER.rglob("*") if path.is_file() and path.suffix != ".json"}
    assert files == {data_of(case) for case in CASES}
    assert {path.parent.name for path in files} == set(registry.names("formats"))


FOUR = (Column("id", "int64"), Column("name", "string"), Column("amount", "decimal(10,2)"), Column("day", "date"))
BREAKS = {
    "short": (b"%d,short", "parse", "record has 2 columns, the file has 4"),
    "long": (b"%d,long,1.00,2026-01-05,more", "parse", "record has 5 columns, the file has 4"),
    "bad UTF-8": (b"%d,\xff\xfe,1.00,2026-01-05", "decode", "column `name`: bytes are not UTF-8"),
    "text in a number": (b"%d,x,ten,2026-01-05", "schema", "column `amount`: `ten` is not decimal(10,2)"),
    "unclosed quote": (b'%d,"never,1.00,2026-01-05', "parse", "a quote is opened and never closed"),
}


@pytest.mark.parametrize("seed", range(4))
def test_five_broken_rows_of_ten_thousand_cost_themselves_wherever_they_are(seed: int, tmp_path: Path) -> None:
    """Short, long, bad UTF-8, text in a number and an unclosed quote among 10,000 rows, some of which have quotes and
    several lines."""
    chance = random.Random(seed)
    lines = [
        b'%d,"n %d, ""q""%s",%d.50,2026-01-05' % (i, i, b"\nmore" if chance.random() < 0.1 else b"", i)
        for i in range(1, 10_001)
    ]
    places = [1, 2, 5_000, 5_001, 10_000] if seed == 0 else chance.sample(range(1, 10_001), 5)
    chance.shuffle(places)
    broken = {}
    for place, (text, stage_, reason) in zip(places, BREAKS.values(), strict=True):
        lines[place - 1] = text % place
        broken[place] = (stage_, reason, text % place)
    stage = staged(_csv(), b"id,name,amount,day\n" + b"\n".join(lines) + b"\n", FOUR, tmp_path)
    assert {r["__row"]: (r["step"], r["reason"], r["raw"]) for r in rejects(stage)} == broken
    found = rows(stage)
    assert (
        [row["id"] for row in found]
        == [row["__row"] for row in found]
        == [i for i in range(1, 10_001) if i not in broken]
    )
    assert all(
        row["name"].startswith(f'n {row["id"]}, "q"') and str(row["amount"]) == f"{row['id']}.50" for row in found
    )
    assert (stage.rows_in, stage.rows_rejected) == (10_000, 5)


def _csv(**options: Any) -> Any:
    plugin = registry.find("formats", "csv")
    return plugin(plugin.Config(**options))


@pytest.mark.parametrize(("size", "kept"), [(1_000_000, True), (2_100_000, False)])
def test_a_huge_field_is_data_up_to_the_limit_and_named_beyond(size: int, kept: bool, tmp_path: Path) -> None:
    """The limit is `max_record_bytes`; what is longer costs its row, not its neighbours."""
    data = b"id,name,amount,day\n1,a,1.00,2026-01-05\n2," + b"x" * size + b",1.00,2026-01-05\n3,c,1.00,2026-01-05\n"
    stage = staged(_csv(), data, FOUR, tmp_path)
    assert [(row["id"], len(row["name"])) for row in rows(stage)] == [(1, 1), *([(2, size)] if kept else []), (3, 1)]
    assert [(r["__row"], "longer than 2000000 bytes" in r["reason"]) for r in rejects(stage)] == (
        [] if kept else [(2, True)]
    )


_TEXT = st.text(st.sampled_from('ab1, ;"\n\r\té\u2028\0'), max_size=8).map(lambda text: text.strip(" "))


@settings(max_examples=40, deadline=None)
@given(
    table=st.lists(st.tuples(_TEXT, _TEXT), min_size=0, max_size=30),
    end=st.sampled_from(["\n", "\r\n"]),
    delimiter=st.sampled_from(",;|\t"),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_well_formed_files_have_as_many_rows_as_pythons_csv_module_says(
    table: list[tuple[str, str]], end: str, delimiter: str, quoting: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And the same fields: no reader may be right alone."""
    if quoting == csv.QUOTE_MINIMAL:  # it leaves a lone CR without quotes: not well-formed
        table = [(x.replace("\r", ""), y.replace("\r", "")) for x, y in table]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=quoting, delimiter=delimiter).writerows([("x", "y"), *table])
    theirs = list(csv.reader(io.StringIO(text.getvalue(), newline=""), delimiter=delimiter))[1:]
    columns = (Column("x", "string"), Column("y", "string"))
    stage = staged(_csv(delimiter=delimiter), text.getvalue().encode(), columns, tmp_path_factory.mktemp("csv"))
    assert (stage.rows_in, stage.rows_rejected) == (len(theirs), 0)
    assert [[row["x"] or "", row["y"] or ""] for row in rows(stage)] == theirs


_WELL = b'a,b\n1,x\n2,"y, z"\n3,"p\nq"\n4,"say ""hi"""\n5,\n\n6,caf\xc3\xa9\n7,end\n'
_PIECES = st.sampled_from(
    [
        b'"',
        b'""',
        b",",
        b"\n",
        b"\r\n",
        b"\r",
        b"\n\n",
        b"\0",
        b"\xff",
        b"\xe2\x80",
        b" ",
        b"\t",
        b'",',
        b',"',
        b"x" * 300,
    ]
)


@settings(max_examples=40, deadline=None)
@given(
    hits=st.lists(st.tuples(st.integers(4, len(_WELL)), st.integers(0, 3), _PIECES), min_size=1, max_size=4),
    repeat=st.sampled_from([1, 40]),
)
def test_any_damage_leaves_every_row_with_one_fate(
    hits: list[tuple[int, int, bytes]], repeat: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Bytes put in or taken out anywhere: the file is refused, or its rows are kept or quarantined, each once, and what
    is kept stands there."""
    body = bytearray(_WELL)
    for at, cut, piece in hits:
        body[at : at + cut] = piece
    data = bytes(body) + _WELL[4:] * (repeat - 1)
    try:
        stage = staged(_csv(), data, (Column("a", "int64"), Column("b", "string")), tmp_path_factory.mktemp("damaged"))
    except CorruptFileError:
        return
    every_row_has_one_fate(stage)
    text = _bare(data.decode("utf-8", "surrogateescape"))
    assert [row["b"] for row in rows(stage) if row["b"] and _bare(row["b"]) not in text] == []
    assert [r["raw"] for r in rejects(stage) if _bare(r["raw"].decode("utf-8", "surrogateescape")) not in text] == []


def _bare(text: str) -> str:
    """Text without quotes (doubled or not) and with one kind of line end."""
    return text.replace('"', "").replace("\r\n", "\n").replace("\r", "\n")
