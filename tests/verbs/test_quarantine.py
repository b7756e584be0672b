"""Lists of quarantined rows for people: what was seen, every reason by itself, and nothing of a redacted column."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forebay.contracts.causes import SQL, arrow, sentence, sql_sentence
from forebay.encoding.quarantine_rows import schema
from forebay.encoding.work import Work
from forebay.errors import ConfigError
from forebay.model import Cause, Decision
from forebay.quality.redact import MARK
from forebay.verbs import quarantine
from tests.support.nouns import file_run

ODD = 'a/b~c"d'
TITLES = ("expect_a(amount)", "expect_b(amount, state)")
A = Cause(TITLES[0], ("amount",), '{"column": "amount", "min_value": 0}')
B = Cause(TITLES[1], ("amount", "state"), '{"column_list": ["amount", "state"], "regex": "^a; {b}"}')
NO_KEY = Cause(columns=("a",), detail="making the key: null in a")


def listed(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "quarantine.parquet"
    empty = {"columns": [], "rule": "", "raw": b"", "step": "expectation", "reason": "", "causes": []}
    pq.write_table(pa.Table.from_pylist([{**empty, **row} for row in rows], schema=schema()), path)
    return path


def of(*causes: Cause) -> dict[str, Any]:
    """The fields of a row with these causes."""
    return {"causes": [cause.to_json() for cause in causes], "columns": [n for cause in causes for n in cause.columns]}


def unread(column: str, value: str) -> Cause:
    return Cause(columns=(column,), detail="is not int64", value=value)


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"__row": number, **more}


def json_row(number: int, values: dict[str, Any], **more: Any) -> dict[str, Any]:
    return row(number, raw=json.dumps(values, separators=(",", ":")).encode(), **more)


def observed(path: Path, **options: Any) -> list[str]:
    return quarantine.rows(path, **options).column("observed").to_pylist()


def test_what_stood_in_the_columns_is_shown(tmp_path: Path) -> None:
    values = {"amount": -5, "state": "lost", ODD: None, "other": 1}
    path = listed(
        tmp_path,
        json_row(1, values, columns=["amount", "state"]),
        json_row(2, values, columns=[ODD], step="key"),
        json_row(3, values, columns=["gone"]),
        row(4, step="schema", raw=b"a", **of(unread("id", "a, `b`"), unread("x", "1\n2"))),
        row(5, step="parse", raw=b"1,2,3", **of(Cause(detail="record has 3 columns, the file has 2"))),
        row(6, step="decode", raw=b"\xff", **of(Cause(columns=("id",), detail="not UTF-8"))),
        row(7, columns=["id"], raw=b"no json"),
    )
    assert observed(path) == [
        'amount: -5, state: "lost"',
        f"{ODD}: null",
        "gone: null",
        "id: a, `b`, x: 1\n2",
        "",
        "",
        "",
    ]


def test_the_observed_value_of_a_format_that_refuses_is_what_it_says(tmp_path: Path) -> None:
    from forebay import registry
    from forebay.contracts import StageWriter
    from forebay.model import Column, Snapshot, SourceFile

    path = tmp_path / "a.csv"
    path.write_text("id,day\nx,2026-01-05\n1,31.12.2025\n")
    (tmp_path / "stage").mkdir()
    snapshot = Snapshot(SourceFile(path.as_uri(), 9, 0.0), path, "0" * 64, 9)
    plugin = registry.find("formats", "csv")
    stage = plugin(plugin.Config()).read(
        snapshot, path, (Column("id", "int64"), Column("day", "date")), StageWriter(tmp_path / "stage")
    )
    rejects = pq.read_table(stage.rejects)
    made = listed(
        tmp_path,
        *rejects.to_pylist(),
    )
    assert observed(made) == ["id: x", "day: 31.12.2025"]


@pytest.mark.parametrize("number", ["500.00", "12345678901234567890.12", "-0.10", "18446744073709551616", "1e-7"])
@pytest.mark.parametrize("text", ["x", ":5,", "\\", '\\":1,"', "\x01", "7"])
def test_numbers_are_shown_digit_for_digit(number: str, text: str, tmp_path: Path) -> None:
    raw = f'{{{json.dumps(text)}:{json.dumps(text)},"n":{number},"b":true,"z":null,"secret":{number}}}'
    path = listed(tmp_path, row(1, raw=raw.encode(), **(of(A) | {"columns": ["n", text, "b", "z"]})))
    [shown] = quarantine.rows(path).to_pylist()
    assert shown["observed"] == f"n: {number}, {text}: {json.dumps(text)}, b: true, z: null" and shown["raw"] == raw
    [hidden] = quarantine.rows(path, redact=("secret",)).to_pylist()
    assert hidden["observed"] == shown["observed"]
    assert hidden["raw"] == raw.replace(f'"secret":{number}', f'"secret":"{MARK}"')


def test_no_value_of_a_redacted_column_is_shown(tmp_path: Path) -> None:
    path = listed(
        tmp_path,
        json_row(1, {"amount": -5, "state": "secret"}, columns=["amount", "state"]),
        row(2, step="schema", raw=b"x,secret", **of(unread("amount", "x"))),
    )
    found = quarantine.rows(path, redact=("state",)).to_pylist()
    assert "secret" not in json.dumps(found) and "-5" in found[0]["observed"]


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (A, "expect_a(amount): min_value 0"),
        (B, "expect_b(amount, state): regex ^a; {b}"),
        (NO_KEY, "making the key: null in a"),
        (Cause(TITLES[0], detail="{}"), TITLES[0]),
        (Cause(TITLES[0]), TITLES[0]),
        (Cause(TITLES[0], detail="no JSON"), f"{TITLES[0]}: no JSON"),
        (unread("id", "x"), "column `id`: `x` is not int64"),
        (Cause(detail="record has 3 columns; the file has 2"), "record has 3 columns; the file has 2"),
    ],
)
def test_a_cause_is_one_sentence(cause: Cause, words: str) -> None:
    assert sentence(cause) == words


def test_a_cause_without_a_rule_is_the_same_sentence_in_sql(tmp_path: Path) -> None:
    import duckdb

    causes = [NO_KEY, unread("id", "x"), Cause(detail="record has 3 columns; the file has 2")]
    table = pa.table({"causes": pa.array([[cause.to_json() for cause in causes]], arrow())})
    with duckdb.connect() as con:
        con.register("rows", table)
        said = con.sql(f"select list_transform(causes::{SQL}, lambda c: {sql_sentence('c')}) from rows").fetchall()[0][
            0
        ]
    assert said == [sentence(cause) for cause in causes]


def test_every_cause_stands_by_itself(tmp_path: Path) -> None:
    path = listed(tmp_path, json_row(1, {}, **of(A, B, NO_KEY)))
    assert [quarantine.said(line) for line in quarantine.rows(path).to_pylist()] == [
        ("expect_a(amount): min_value 0", "expect_b(amount, state): regex ^a; {b}", "making the key: null in a")
    ]


def test_rules_are_counted_one_by_one_and_unreadable_rows_by_their_columns(tmp_path: Path) -> None:
    path = listed(
        tmp_path,
        json_row(1, {}, **of(A, B)),
        json_row(2, {}, **of(A)),
        row(3, step="schema", **of(unread("id", "x"))),
        row(4, step="schema", **of(unread("id", "y"))),
        row(5, step="parse", **of(Cause(detail="record has 3 columns, the file has 2"))),
    )
    assert [(line["step"], line["why"], line["rows"], line["first_row"]) for line in quarantine.by_reason(path)] == [
        ("expectation", TITLES[0], 2, 1),
        ("schema", "such as column `id`: `x` is not int64", 2, 3),
        ("expectation", TITLES[1], 1, 1),
        ("parse", "record has 3 columns, the file has 2", 1, 5),
    ]


def test_a_list_of_an_earlier_version_shows_each_reason_whole(tmp_path: Path) -> None:
    path = listed(
        tmp_path,
        json_row(1, {"amount": -5}, columns=["amount"], rule="expect_a(amount)", reason="expect_a(amount) {}"),
        row(2, columns=["id"], step="schema", reason="column `id`: `x` is not int64", raw=b"x"),
    )
    table = pq.read_table(path).drop_columns(["causes"])
    pq.write_table(table.rename_columns(["stage" if name == "step" else name for name in table.column_names]), path)
    lines = quarantine.rows(path).to_pylist()
    assert [quarantine.said(line) for line in lines] == [("expect_a(amount) {}",), ("column `id`: `x` is not int64",)]
    assert [(line["observed"], line["raw"]) for line in lines] == [("amount: -5", '{"amount":-5}'), ("", "x")]
    assert [(line["why"], line["first_row"]) for line in quarantine.by_reason(path)] == [
        ("expect_a(amount) {}", 1),
        ("column `id`: `x` is not int64", 2),
    ]


@pytest.mark.parametrize(
    ("rows", "words"), [(1, "is of other settings or another version"), (0, "is not on this machine")]
)
def test_why_a_list_of_earlier_settings_is_not_shown_is_said(
    rows: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(tmp_path / "c5", {"suite": "now"})
    before = tmp_path / "c5/before"
    before.mkdir(parents=True)
    if rows:
        listed(before, row(1, **of(A))).rename(before / work.quarantine(Decision.PUBLISH).name)
    monkeypatch.setattr(quarantine, "work_of", lambda *_: work)
    pipeline = SimpleNamespace(
        quality=SimpleNamespace(redact=("state",)), quarantine_topic="forebay.flights.quarantine"
    )
    file = file_run(quarantined=1)
    with pytest.raises(ConfigError, match=words):
        quarantine.kept(SimpleNamespace(pipeline=pipeline), file)  # type: ignore[arg-type]
