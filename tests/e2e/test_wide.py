"""Files of many columns from the built command to an ordinary consumer, judged cell by cell by Python's csv and json
and by pyarrow."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.kafka import Cluster, read_all
from tests.support.project import OrdersProject

pytestmark = pytest.mark.kafka
DAY = "2026-01-05"
KINDS = ("int64", "string", "float64", "bool", "date")
PARQUET = {"int64": pa.int64(), "string": pa.string(), "float64": pa.float64(), "bool": pa.bool_(), "date": pa.string()}


def value(row: int, at: int) -> Any:
    """The cell of a row (0-based) in a column; every tenth but for the key is null."""
    n = row * 7_919 + at * 104_729
    if at and n % 10 == 3:
        return None
    return (n if at else row, f'text "{n}", é', n / 8 + 0.1, bool(n % 2), f"2026-01-{1 + n % 28:02}")[at % 5]


def names_of(columns: int) -> list[str]:
    return [f"column {at}" for at in range(columns)]


def as_csv(path: Path, names: list[str], table: list[list[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [names, *([json.dumps(v) if isinstance(v, bool) else v for v in cells] for cells in table)]
        )


def as_json(path: Path, names: list[str], table: list[list[Any]]) -> None:
    path.write_text(
        "".join(json.dumps(dict(zip(names, cells, strict=True)), ensure_ascii=False) + "\n" for cells in table), "utf-8"
    )


def as_parquet(path: Path, names: list[str], table: list[list[Any]]) -> None:
    columns = zip(*table, strict=True)
    pq.write_table(
        pa.table(
            {
                name: pa.array(cells, PARQUET[KINDS[at % 5]])
                for at, (name, cells) in enumerate(zip(names, columns, strict=True))
            }
        ),
        path,
    )


WRITERS: dict[str, tuple[str, Callable[[Path, list[str], list[list[Any]]], None]]] = {
    "csv": ("csv", as_csv),
    "json": ("json_lines", as_json),
    "parquet": ("parquet", as_parquet),
}


def laid(
    tmp_path: Path, kafka: Cluster, topic: str, written: str, columns: int, rows: int, declared: bool
) -> OrdersProject:
    """A project with one wide file and a suite of three rules, the last of the columns in one of them."""
    kind, write = WRITERS[written]
    names = names_of(columns)
    shop = OrdersProject.make(tmp_path, topic, kafka.bootstrap)
    (tmp_path / "include/pipelines/orders.yaml").unlink()
    kinds = ["string" if KINDS[at % 5] == "date" and written != "csv" else KINDS[at % 5] for at in range(columns)]
    schema = (
        "schema:\n  columns:\n" + "".join(f"    {name}: {kind}\n" for name, kind in zip(names, kinds, strict=True))
        if declared
        else ""
    )
    (tmp_path / "include/pipelines/wide.yaml").write_text(
        f"pipeline: {topic}\nowner: tests\nsource: {{type: local, path: 'drops/{{{{ ds }}}}/*'}}\nformat: {{type: "
        f"{kind}}}\n{schema}"
        f"quality: {{suite: wide}}\nrecord: {{key: column 0}}\ntopic: {{name: {topic}, manage: create}}\n"
    )
    last = names[(columns - 1) // 5 * 5]
    rules = [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": names[0]}, "severity": "critical"},
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": last, "min_value": 0},
            "severity": "critical",
        },
        {
            "type": "expect_table_row_count_to_be_between",
            "kwargs": {"min_value": 1, "max_value": 1_000},
            "severity": "critical",
        },
    ]
    (tmp_path / "include/expectations/wide.json").write_text(json.dumps({"name": "wide", "expectations": rules}))
    path = shop.drop(DAY, f"wide.{written}", "")
    write(path, names, [[value(row, at) for at in range(columns)] for row in range(rows)])
    return shop


def judge(shop: OrdersProject, kafka: Cluster, written: str, columns: int, rows: int) -> None:
    """Every cell of every record is what another reader finds in the file."""
    path = shop.root / "drops" / DAY / f"wide.{written}"
    if written == "csv":
        with path.open(newline="", encoding="utf-8") as file:
            names, *lines = csv.reader(file)
        right = [dict(zip(names, map(text_of, line, range(columns)), strict=True)) for line in lines]
    elif written == "json":
        right = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    else:
        right = pq.read_table(path).to_pylist()
    found = sorted(
        (json.loads(message.value()) for message in read_all(kafka.config, shop.name)), key=lambda one: one["column 0"]
    )
    assert len(found) == rows and [list(one) for one in found] == [list(one) for one in right]
    assert found == right


def text_of(text: str, at: int) -> Any:
    """What the text of a CSV's cell means."""
    if not text:
        return None
    kinds: dict[str, Callable[[str], Any]] = {"int64": int, "float64": float, "bool": json.loads}
    return kinds.get(KINDS[at % 5], str)(text)


@pytest.mark.parametrize("written", WRITERS)
def test_fifteen_hundred_columns_are_published_cell_by_cell(
    written: str, tmp_path: Path, kafka: Cluster, topic_name: str
) -> None:
    shop = laid(tmp_path, kafka, f"wide-{topic_name[-8:]}", written, 1_500, 3, declared=written != "json")
    answer = shop.run()
    assert answer.code == 0, answer.err
    judge(shop, kafka, written, 1_500, 3)


@pytest.mark.long
@pytest.mark.parametrize("rows", [2, 100])
@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("written", WRITERS)
def test_ten_thousand_columns_are_published_within_a_gigabyte(
    written: str, declared: bool, rows: int, tmp_path: Path, kafka: Cluster, topic_name: str
) -> None:
    """Processor time instead of the clock, as others may use the machine; the memory is that of the largest of the
    command's processes."""
    shop = laid(tmp_path, kafka, f"wide-{topic_name[-8:]}", written, 10_000, rows, declared)
    words = [sys.executable, "-m", "forebay.cli", "run", shop.name, "--date", DAY, "--json"]
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        process = subprocess.Popen(words, cwd=shop.root, env=shop.environment(), stdout=out, stderr=err)
        _, status, used = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, (tmp_path / "err").read_text()[-2_000:]
    judge(shop, kafka, written, 10_000, rows)
    assert used.ru_maxrss < 1 << 20
    assert used.ru_utime + used.ru_stime < 60
