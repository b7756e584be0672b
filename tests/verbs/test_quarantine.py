"""Lists of quarantined rows for people: what was seen, every reason by itself, and nothing of a redacted column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forebay.encoding.quarantine_rows import schema
from forebay.verbs import quarantine
from forebay.verbs._causes import causes

ODD = 'a/b~c"d'
TITLES = ("expect_a(amount)", "expect_b(amount, state)")
REASON = (
    'expect_a(amount) {"column": "amount", "min_value": 0}; expect_b(amount, state) {"column_list": ["amount", '
    '"state"], "regex": "^a; {b}"}'
)


def listed(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "quarantine.parquet"
    empty = {"columns": [], "rule": "", "raw": b"", "stage": "expectation", "reason": ""}
    pq.write_table(pa.Table.from_pylist([{**empty, **row} for row in rows], schema=schema()), path)
    return path


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
        json_row(2, values, columns=[ODD], stage="key"),
        json_row(3, values, columns=["gone"]),
        row(
            4,
            columns=["id"],
            stage="schema",
            reason="column `id`: `a, `b`` is not int64; column `x`: `1\n2` is not date such as 2026-01-05",
            raw=b"a",
        ),
        row(5, stage="parse", reason="record has 3 columns, the file has 2", raw=b"1,2,3"),
        row(6, columns=["id"], stage="decode", reason="not UTF-8", raw=b"\xff"),
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
        *(line | {"rule": ""} for line in rejects.select(["__row", "stage", "columns", "reason", "raw"]).to_pylist()),
    )
    assert observed(made) == ["id: x", "day: 31.12.2025"]


def test_no_value_of_a_redacted_column_is_shown(tmp_path: Path) -> None:
    path = listed(
        tmp_path,
        json_row(1, {"amount": -5, "state": "secret"}, columns=["amount", "state"]),
        row(2, columns=["amount"], stage="schema", reason="column `amount`: `x` is not int64", raw=b"x,secret"),
    )
    found = quarantine.rows(path, redact=("state",)).to_pylist()
    assert "secret" not in json.dumps(found) and "-5" in found[0]["observed"]


@pytest.mark.parametrize(
    ("rule", "reason", "told"),
    [
        ("; ".join(TITLES), REASON, ("expect_a(amount): min_value 0", "expect_b(amount, state): regex ^a; {b}")),
        (
            "; ".join(TITLES),
            REASON + "; making the key: null in a",
            ("expect_a(amount): min_value 0", "expect_b(amount, state): regex ^a; {b}", "making the key: null in a"),
        ),
        ("expect_a(amount)", "expect_a(amount) {}", ("expect_a(amount)",)),
        ("expect_a(amount)", "expect_a(amount)", ("expect_a(amount)",)),
        ("", "record has 3 columns; the file has 2", ("record has 3 columns; the file has 2",)),
        (
            "expect_a(x; expect_z(y)",
            "expect_a(x; expect_z(y) {}",
            ("expect_a(x", "expect_z(y)"),
        ),  # a column named to look like a rule costs a line, and loses nothing
    ],
)
def test_every_reason_stands_by_itself(rule: str, reason: str, told: tuple[str, ...]) -> None:
    assert causes(rule, reason) == told


def test_rules_are_counted_one_by_one_and_unreadable_rows_by_their_columns(tmp_path: Path) -> None:
    both = "; ".join(TITLES)
    bad = {"columns": ["id"], "stage": "schema"}
    path = listed(
        tmp_path,
        json_row(1, {}, rule=both, reason=REASON),
        json_row(2, {}, rule=TITLES[0], reason="expect_a(amount) {}"),
        row(3, reason="column `id`: `x` is not int64", **bad),
        row(4, reason="column `id`: `y` is not int64", **bad),
        row(5, reason="record has 3 columns, the file has 2", stage="parse"),
    )
    assert [(line["stage"], line["why"], line["rows"], line["first_row"]) for line in quarantine.by_reason(path)] == [
        ("expectation", TITLES[0], 2, 1),
        ("schema", "such as column `id`: `x` is not int64", 2, 3),
        ("expectation", TITLES[1], 1, 1),
        ("parse", "record has 3 columns, the file has 2", 1, 5),
    ]
