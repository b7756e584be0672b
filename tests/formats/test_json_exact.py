"""JSON lines against Python's own `json`, which shares no code with the reader: each value's text survives exactly, or
its line is quarantined."""

from __future__ import annotations

import json
import random
import tempfile
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from forebay.errors import CorruptFileError
from forebay.formats import _staging
from forebay.formats._json import split as json_split
from forebay.formats.json_lines import JsonLines
from forebay.model import Column, Stage
from forebay.support.sql import literal, parquet
from forebay.testing.formats import rejects, rows, staged

VALUES = [
    "1",
    "-0",
    "0",
    "1.10",
    "19.9900000000000001",
    "19.990000000000000",
    "1e5",
    "1E22",
    "0.1",
    "-0.0",
    "12345678901234567890",
    "123456789012345678.5",
    "true",
    "null",
    "NaN",
    "nan",
    "-Infinity",
    "01",
    ".5",
    "1.",
    "1e400",
    "0.30000000000000004",
    "1.7976931348623157e308",
    "5e-324",
    "-1.50",
    "1e-7",
    "0.00001",
    "1001.0",
    "[1,]",
    '{"t":1,}',
    "[]",
    "{}",
    '{"t":19.990000000000000}',
    '""',
    '"x"',
    '"1.10"',
    '"é"',
]
VALUES += [
    r'"\u0041"',
    r'"\ud800"',
    r'"\ud83d\ude00"',
    r'"a\"b\":5"',
    r'"\\"',
    '"\t"',
    '"\x00"',
    '[1.5,{"t":9}]',
    r'"t\":3"',
    '"NaN, ]"',
    r'"\u0022"',
    '"1234567890123456, with commas"',
]
KEYS = ["t", "s", "t", "s", "i", "", "x", r"t\"s", r"\u0074", "é", "p"]


class Number(str):
    """A number's own text."""


def judge(line: bytes) -> dict[str, Any] | None:
    """The members of a line that is one strict JSON object with distinct keys, numbers as they are written; None for
    any other line."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    try:
        found = json.loads(
            line.decode(), object_pairs_hook=tuple, parse_float=Number, parse_int=Number, parse_constant=refuse
        )
        json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, tuple) or len(dict(found)) < len(found):
        return None
    return dict(found)


def expected(members: dict[str, Any], loose: bool) -> str | type[Exception] | None:
    """The text of the string column `s`; `ValueError` where the line is to be quarantined."""
    value = members.get("s")
    if value is None or (isinstance(value, str) and not isinstance(value, Number)):
        return value
    if loose and isinstance(value, bool | Number):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return ValueError


def same(token: Any, held: Any) -> bool:
    if held is None or token is None:
        return held is token
    return float(token) == held if isinstance(held, float) else Decimal(token) == held


def made(chance: random.Random) -> bytes:
    def blank() -> str:
        return chance.choice(["", "", "", "", " ", "\t"])

    members = [
        f'{blank()}"{chance.choice(KEYS)}"{blank()}:{blank()}{chance.choice(VALUES)}{blank()}'
        for _ in range(chance.choice([0, 1, 2, 2, 3, 4]))
    ]
    text = "{" + blank() + ",".join(members) + "}"
    at = chance.randrange(len(text))
    match chance.randrange(20):
        case 0 | 1:
            text = text[:at] + chance.choice([",", "}", '"', "{", ":", "x", " ", "\\", "0", "]"]) + text[at:]
        case 2:
            text = text[:at] + text[at + 1 :]
    line = text.encode()
    return line[:2] + b"\xff" + line[2:] if chance.random() < 0.01 else line


def hold_against_python(seed: int, folder: Path) -> None:
    chance = random.Random(seed)
    lines = [b'{"s":"first"}', *(made(chance) for _ in range(chance.choice([1, 5, 60, 400])))]
    loose = chance.random() < 0.5
    columns = (Column("t", chance.choice(["decimal(38,18)", "float64"])), Column("s", "string"), Column("i", "int64"))
    config = JsonLines.Config(loose_scalars=loose, optional=("t", "s", "i"))
    end = chance.choice([b"\n", b"\r\n"])
    stage = staged(JsonLines(config), end.join(lines) + chance.choice([b"", end]), columns, folder)
    good, bad = {row["__row"]: row for row in rows(stage)}, {row["__row"]: row for row in rejects(stage)}
    assert sorted([*good, *bad]) == list(range(1, len(lines) + 1))
    for number, line in enumerate(lines, 1):
        members = judge(line)
        text = ValueError if members is None else expected(members, loose)
        if number in bad:
            assert bad[number]["raw"] == line
            assert members is None or text is ValueError or bad[number]["columns"], line
            continue
        assert members is not None and text is not ValueError, line
        row = good[number]
        assert row["s"] == text and same(members.get("t"), row["t"]) and same(members.get("i"), row["i"]), line


@pytest.mark.parametrize("seed", range(100))
def test_a_file_of_odd_lines_is_what_python_says(seed: int, tmp_path: Path) -> None:
    hold_against_python(seed, tmp_path)


def differs(seed: int) -> str:
    """What is wrong with this seed's file, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            hold_against_python(seed, Path(folder))
        except Exception:
            return f"seed {seed}: {traceback.format_exc(limit=-2)}"
    return ""


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_ten_thousand_files_of_odd_lines_are_what_python_says(part: int) -> None:
    """In processes of their own, one a core: what they take is the time to open an engine for each file."""
    first = 100 + 1_000 * part
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        assert [found for found in pool.map(differs, range(first, first + 1_000), chunksize=25) if found] == []


def read(data: bytes, folder: Path, columns: tuple[Column, ...], **options: Any) -> Stage:
    return staged(JsonLines(JsonLines.Config(**options)), data, columns, folder)


TOTAL = (Column("total", "decimal(38,20)"),)


@pytest.mark.parametrize(
    "line",
    [
        '{"p":{"total":19.990000000000000},"total":19.9900000000000001}',
        r'{"p":"\"total\":5.0","total":19.9900000000000001}',
        '{"total": 19.9900000000000001, "note": "x"}',
        r'{"x\"total":19.990000000000000,"total":19.9900000000000001}',
        r'{"tot\u0061l":19.9900000000000001}',
    ],
)
def test_a_number_keeps_its_own_digits_wherever_its_key_stands(tmp_path: Path, line: str) -> None:
    assert rows(read(line.encode(), tmp_path, TOTAL))[0]["total"] == Decimal("19.9900000000000001")


@pytest.mark.parametrize("number", ["1.10", "-0", "1E22", "1e400", "0.30000000000000004000", "12345678901234567890.0"])
@pytest.mark.parametrize(
    "line", ['{"id":"1","v":%s}', '{ "v" : %s,"id":"1"}', r'{"v":%s,"id":"\"1"}', '{"id":"1","v":%s,"more":[{"v":1}]}']
)
def test_a_number_kept_as_text_is_as_it_was_written(tmp_path: Path, line: str, number: str) -> None:
    stage = read(
        (line % number).encode(), tmp_path, (Column("id", "string"), Column("v", "string")), loose_scalars=True
    )
    assert rows(stage)[0]["v"] == number


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id":"1","x":[1,]}', "a comma stands before a closing bracket, at byte 18"),
        ('{"id":"1","x":NaN}', "NaN is no JSON"),
        ('{"id":"1","x":{"y":[Infinity]}}', "Infinity is no JSON, at byte 21"),
        ('{"id":"1","x":nan}', "malformed JSON, at byte 15"),
        ('{"id":"1","x":01}', "malformed JSON"),
        (r'{"id":"1","x":"\ud800"}', "a string has half of a surrogate pair, at byte 15"),
        ('{"id":"1","x":"\x01"}', "malformed JSON, at byte 15"),
        ('{"id":"1"} x', "more text follows the value, at byte 12"),
        ('{"id":"1"', "malformed JSON: it ends too early"),
        (r'{"id":"1","\u0069d":"2"}', "a key is there twice"),
        ('["id"]', "not a JSON object: an array"),
        ("   ", "malformed JSON"),
    ],
)
def test_what_is_no_json_is_set_aside_whether_its_key_is_declared_or_not(
    tmp_path: Path, line: str, reason: str
) -> None:
    good = '{"id":"0"}'
    stage = read(f"{good}\n{line}\n{good}".encode(), tmp_path, (Column("id", "string"),))
    [reject] = rejects(stage)
    assert reason in reject["reason"] and (reject["__row"], reject["step"], reject["raw"].decode()) == (
        2,
        "parse",
        line,
    )
    assert [row["__row"] for row in rows(stage)] == [1, 3]


def test_a_key_without_a_name_is_left_out_and_ends_nothing(tmp_path: Path) -> None:
    stage = read(b'{"id":"1"}\n{"":2,"id":"3"}', tmp_path / "a", (Column("id", "string"),))
    assert (len(rows(stage)), stage.drift.added) == (2, ("",))
    inferred = staged(JsonLines(JsonLines.Config()), b'{"id":"1"}\n{"":2,"id":"3"}', None, tmp_path / "b")
    assert inferred.columns == (Column("id", "string"),) and inferred.rows_in == 2


def test_nested_ten_thousand_deep_costs_nothing(tmp_path: Path) -> None:
    deep = b'{"id":"1","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
    assert len(rows(read(deep + b"\n" + deep[:-1], tmp_path, (Column("id", "string"),)))) == 1


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_end_with_any_one_kind_of_line_end(tmp_path: Path, end: bytes) -> None:
    stage = read(
        b"\xef\xbb\xbf" + end.join([b'{"id":"1"}', b"", b'{"id":"2"}', b"x"]), tmp_path, (Column("id", "string"),)
    )
    assert [row["id"] for row in rows(stage)] == ["1", "2"] and rejects(stage)[0]["raw"] == b"x"
    assert "empty lines skipped, not counted as rows: 1" in stage.notes


@pytest.mark.parametrize("size", [1_023, 1_024, 1_025, 1_026, 3_000, 40_000])
@pytest.mark.parametrize("block", [64, 1_000, 1 << 22])
def test_a_line_that_is_too_long_costs_itself_only(
    tmp_path: Path, size: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_split, "BLOCK", block)
    long = b'{"id":"%s"}' % (b"x" * (size - 9))
    stage = read(
        b'{"id":"1"}\n' + long + b'\r\n{"id":"3"}\n\xff\n{"id":"5"}',
        tmp_path,
        (Column("id", "string"),),
        max_record_bytes=1024,
    )
    fits = size <= 1_024
    assert [row["__row"] for row in rows(stage)] == ([1, 2, 3, 5] if fits else [1, 3, 5])
    assert [(reject["__row"], reject["step"]) for reject in rejects(stage)] == ([] if fits else [(2, "parse")]) + [
        (4, "decode")
    ]


@pytest.mark.parametrize("count", [2_047, 2_048, 2_049, 122_879, 122_881])
def test_files_around_the_engines_limits(tmp_path: Path, count: int) -> None:
    lines = [b'{"id":"%d"}' % i for i in range(1, count + 1)]
    bad = {1, 2_048, 2_049, 65_537, 122_880, count}
    stage = read(
        b"\n".join(b"{" if i in bad else line for i, line in enumerate(lines, 1)), tmp_path, (Column("id", "string"),)
    )
    assert [row["__row"] for row in rejects(stage)] == sorted(i for i in bad if i <= count)
    assert all(row["id"] == str(row["__row"]) for row in rows(stage)) and stage.rows_in == count


# ---------------------------------------------------------------- the second witness

Tamper = Callable[[str], str]
TAMPERS: dict[str, Tamper] = {
    "drops a row": lambda source: f"SELECT * FROM {source} WHERE __number <> 500",
    "doubles a row": lambda source: (
        f"SELECT * FROM (FROM {source} UNION ALL FROM {source} WHERE __number = 500) ORDER BY __number"
    ),
    "swaps two rows": lambda source: (
        f"SELECT * FROM {source} ORDER BY CASE __number WHEN 500 THEN 501 WHEN 501 THEN 500 ELSE __number END"
    ),
    "swaps two rows but for their numbers": lambda source: (
        "SELECT * REPLACE (CASE __number WHEN 500 THEN 501 WHEN 501 THEN 500 ELSE __number END AS __number) "
        f"FROM {source} "
        "ORDER BY CASE __number WHEN 500 THEN 501 WHEN 501 THEN 500 ELSE __number END DESC"
    ),
    "loses the last part": lambda source: f"SELECT * FROM {source} WHERE __number < 900",
    "truncates a cell": lambda source: (
        f"SELECT * REPLACE (CASE __number WHEN 500 THEN s[:-2] ELSE s END AS s) FROM {source}"
    ),
    "swaps CR LF for LF": lambda source: f"SELECT * REPLACE (replace(s, chr(13), '') AS s) FROM {source}",
    "bends a number": lambda source: f"SELECT * REPLACE (n + 1 AS n) FROM {source}",
}
LINES = b"\n".join(b'{"n":%d,"s":"row %d\\r\\n."}' % (i, i) for i in range(1, 1_001))
NS = (Column("n", "int64"), Column("s", "string"))


@pytest.mark.parametrize("harm", TAMPERS)
@pytest.mark.parametrize("always", [True, False])
def test_a_reader_that_bends_a_file_is_found_out_and_read_again(
    tmp_path: Path, harm: str, always: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = _staging.copy, []

    def copy(connection: Any, statement: str, folder: Path) -> _staging.Typed:
        typed = real(connection, statement, folder)
        calls.append(harm)
        if len(calls) > 1 and not always:
            return typed
        other = folder / "bent.parquet"
        connection.execute(f"COPY ({TAMPERS[harm](parquet(typed.path))}) TO {literal(other)} ({_staging.PARQUET})")
        other.replace(typed.path)
        [(readable, bad)] = connection.execute(
            f"SELECT count(*), count(__reason) FROM {parquet(typed.path)}"
        ).fetchall()
        return _staging.Typed(typed.path, readable, bad)

    monkeypatch.setattr(_staging, "copy", copy)
    if always:
        with pytest.raises(CorruptFileError, match=r"what was read is not what the file holds: .*line \d+"):
            read(LINES, tmp_path, NS)
    else:
        assert [row["n"] for row in rows(read(LINES, tmp_path, NS))] == list(range(1, 1_001))
    assert len(calls) == 2


# ---------------------------------------------------------------- what is no JSON lines


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[\n  {"id": "1"},\n  {"id": "2"}\n]\n', "one JSON array"),
        ('[{"id":"1"},{"id":"2"}]', "one JSON array"),
        ("[" + ",\n".join(f'{{"id":"{i}"}}' for i in range(9_000)) + "]", "one JSON array"),
        ("[" + ",".join(f'{{"id":"{i}"}}' for i in range(9_000)) + "]", "one JSON array"),
        ('{\n  "id": "1"\n}\n{\n  "id": "2"\n}\n', "spread over several lines"),
        ('{\n"id": [\n{"id":"1"},\n{"id":"2"}\n]\n}', "spread over several lines"),
        ('{"id":"1"}{"id":"2"}', "without line ends"),
        ('{"id":"1"} {"id":"2"}\n', "without line ends"),
        ('{"id":"1"},\n{"id":"2"}', "joined by commas"),
    ],
)
def test_json_that_is_no_json_lines_is_refused_with_its_shape_and_a_way_out(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(CorruptFileError, match=words) as error:
        read(text.encode(), tmp_path, (Column("id", "string"),))
    assert "`jq -c" in error.value.message


@pytest.mark.parametrize(
    "text", ['{"id":"1",\n"x":2}\n{"id":"2"}', '[1]\n{"id":"2"}', '{"id":"1\n{"id":"2"}', '{"id":"1"}{\n{"id":"2"}']
)
def test_a_broken_line_does_not_make_it_another_shape(tmp_path: Path, text: str) -> None:
    assert [row["id"] for row in rows(read(text.encode(), tmp_path, (Column("id", "string"),)))] == ["2"]
