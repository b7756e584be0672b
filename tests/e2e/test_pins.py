"""Columns that nobody declared are pinned by what was published first: a customer has one key every night, or the drift
is said before anything is sent."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.kafka import Cluster, read_all
from tests.support.processes import wait_until_stopped
from tests.support.project import OrdersProject

pytestmark = pytest.mark.kafka
DAY, NEXT = "2026-01-05", "2026-01-06"
PIPELINE = """\
pipeline: {name}
owner: shop
source: {{type: local, path: "drops/{{{{ ds }}}}/*"}}
format: {{type: {format}}}
record: {{key: customer}}
topic: {{name: {name}, partitions: 6, manage: create}}
publish: {{transaction_timeout: 10s}}
"""


def made(folder: Path, name: str, cluster: Cluster, format_: str = "csv", more: str = "") -> OrdersProject:
    shop = OrdersProject.make(folder, name, cluster.bootstrap)
    (shop.root / "include/pipelines/orders.yaml").write_text(PIPELINE.format(name=name, format=format_) + more)
    return shop


@pytest.fixture
def shop(tmp_path: Path, kafka: Cluster, topic_name: str) -> OrdersProject:
    return made(tmp_path, f"orders-{topic_name[-8:]}", kafka)


def keys(shop: OrdersProject, cluster: Cluster) -> list[str]:
    return sorted(message.key().decode() for message in read_all(cluster.config, shop.name))


def test_the_first_published_file_pins_and_the_second_of_the_night_follows(shop: OrdersProject, kafka: Cluster) -> None:
    shop.drop(DAY, "a.csv", "customer,spend\n1001,5\n")
    shop.drop(DAY, "b.csv", "customer,spend\n1001.0,6\n,7\n1004.5,8\n1001,9\n" + "1001.0,1\n" * 1_000)
    answer = shop.forebay("run", shop.name, "--date", DAY, "--json")
    assert (answer.code, [file["published"] for file in answer.json["files"]]) == (0, [1, 1_002]), answer.err
    messages = read_all(kafka.config, shop.name)
    assert {(message.key(), message.partition()) for message in messages} == {(b"1001", messages[0].partition())}
    assert {json.loads(message.value())["customer"] for message in messages} == {1001}
    assert "column `customer`: 1 values are not int64, their rows are quarantined" in answer.err


WITHOUT = (
    "from forebay.verbs import publish; publish.refuse_pinned_meanwhile = lambda *_: None; "
    "from forebay.cli.main import main; main()"
)
"""The command line without the question before the first chunk, for the control."""


def two_first_files(shop: OrdersProject, how: list[str]) -> tuple[int, str]:
    """A first file stands still before its first chunk, while another one of another type is published; what becomes
    of it."""
    shop.drop(DAY, "a.csv", "customer,spend\n1001,5\n1002,5\n")
    shop.drop(NEXT, "b.csv", "customer,spend\nK-1,5\nK-2,5\n")
    first = subprocess.Popen(
        [sys.executable, *how, "run", shop.name, "--date", NEXT, "--json"],
        cwd=shop.root,
        env=shop.environment(FOREBAY_FAILPOINT="after_init@0:stop"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until_stopped(first.pid)
        assert shop.forebay("run", shop.name, "--date", DAY).code == 0
        first.send_signal(signal.SIGCONT)
        said, _ = first.communicate(timeout=180)
    finally:
        first.kill()
    return first.returncode, said


def test_of_two_first_files_at_once_the_first_commit_pins(shop: OrdersProject, kafka: Cluster) -> None:
    code, said = two_first_files(shop, ["-m", "forebay.cli"])
    assert (code, keys(shop, kafka)) == (3, ["1001", "1002"]), said
    assert "columns of another type: `customer` is string, not int64" in said


def test_control_without_the_question_a_customer_has_two_types(shop: OrdersProject, kafka: Cluster) -> None:
    code, said = two_first_files(shop, ["-c", WITHOUT])
    assert (code, keys(shop, kafka)) == (0, ["1001", "1002", "K-1", "K-2"]), said


def test_another_type_is_held_back_and_declaring_it_is_the_way_out(shop: OrdersProject, kafka: Cluster) -> None:
    shop.drop(DAY, "a.csv", "customer,spend\n1001,5\n1002,5\n")
    assert shop.forebay("run", shop.name, "--date", DAY).code == 0
    shop.drop(NEXT, "b.csv", "customer,spend\nK-1,5\nK-2,5\n")
    held = shop.forebay("run", shop.name, "--date", NEXT, "--json")
    assert (held.code, keys(shop, kafka)) == (3, ["1001", "1002"])
    [file] = held.json["files"]
    assert "columns of another type: `customer` is string, not int64" in file["reason"]
    assert "declare them under `schema.columns`" in file["reason"]
    path = shop.root / "include/pipelines/orders.yaml"
    plain = path.read_text()
    path.write_text(plain + "schema: {columns: {customer: string, spend: int64}}\n")
    assert shop.forebay("run", shop.name, "--date", NEXT).code == 0
    path.write_text(plain)  # what was published last is pinned
    shop.drop("2026-01-07", "c.csv", "customer,spend\n1003,5\nK-3,5\n")
    assert shop.forebay("run", shop.name, "--date", "2026-01-07").code == 0
    assert keys(shop, kafka) == ["1001", "1002", "1003", "K-1", "K-2", "K-3"]


@pytest.mark.parametrize(
    ("policy", "body", "code", "words"),
    [
        ("added: block", '{"customer":1,"spend":2,"new":3}', 3, "new columns, left out: `new`"),
        ("added: warn", '{"customer":1,"spend":2,"new":3}', 0, "new columns, left out: `new`"),
        ("missing: warn", '{"customer":1}', 0, "columns missing, null in every row: `spend`"),
        ("missing: block", '{"customer":1}', 1, "no line has the key `spend` (set schema.on_drift.missing: warn)"),
        ("missing: warn", '{"spend":1}', 1, "it lacks `customer` of `record.key`"),
    ],
)
def test_other_columns_than_the_pinned_ones_are_drift_by_policy(
    tmp_path: Path, kafka: Cluster, topic_name: str, policy: str, body: str, code: int, words: str
) -> None:
    shop = made(tmp_path, f"orders-{topic_name[-8:]}", kafka, "json_lines", f"schema: {{on_drift: {{{policy}}}}}\n")
    shop.drop(DAY, "a.jsonl", '{"customer":1,"spend":2}\n')
    assert shop.forebay("run", shop.name, "--date", DAY).code == 0
    shop.drop(NEXT, "b.jsonl", body + "\n")
    answer = shop.forebay("run", shop.name, "--date", NEXT)
    assert answer.code == code and words in answer.err + answer.out
    assert len(keys(shop, kafka)) == (2 if code == 0 else 1)


def without_values(values: list[Any], format_: str) -> bytes:
    """A file of `customer` and `spend`, written by others than forebay."""
    customers = range(1, len(values) + 1)
    if format_ == "parquet":
        sink = io.BytesIO()
        pq.write_table(pa.table({"customer": customers, "spend": pa.array(values)}), sink)
        return sink.getvalue()
    if format_ == "csv":
        lines = ["customer,spend", *(f"{i},{'' if v is None else v}" for i, v in zip(customers, values, strict=True))]
    else:
        lines = [json.dumps({"customer": i, "spend": v}) for i, v in zip(customers, values, strict=True)]
    return "\n".join(lines).encode()


@pytest.mark.parametrize("format_", ["csv", "json_lines", "parquet"])
def test_a_column_without_any_value_is_pinned_by_the_first_file_that_has_one(
    tmp_path: Path, kafka: Cluster, topic_name: str, format_: str
) -> None:
    shop = made(tmp_path, f"orders-{topic_name[-8:]}", kafka, format_)
    nights: tuple[list[Any], ...] = ([None] * 2, [None] * 3, [None, 5], [None] * 4, ["x", "y"])
    codes = []
    for day, values in enumerate(nights, 5):
        shop.drop(f"2026-01-{day:02}", f"{day}.dat", without_values(values, format_))
        answer = shop.forebay("run", shop.name, "--date", f"2026-01-{day:02}")
        codes.append(answer.code)
    assert codes == [0, 0, 0, 0, 3], answer.err
    assert "columns of another type: `spend` is string, not int64" in answer.out + answer.err
    values = [json.loads(message.value())["spend"] for message in read_all(kafka.config, shop.name)]
    assert sorted(values, key=str) == [5, *[None] * 10]


def test_a_half_published_file_keeps_its_types_though_another_one_decided_meanwhile(
    shop: OrdersProject, kafka: Cluster
) -> None:
    path = shop.root / "include/pipelines/orders.yaml"
    path.write_text(path.read_text().replace("10s", "10s, chunk: {rows: 2}"))
    shop.drop(DAY, "a.csv", "customer,spend\n1,\n")
    assert shop.forebay("run", shop.name, "--date", DAY).code == 0
    shop.drop(NEXT, "b.csv", "customer,spend\n11,5\n12,6\n13,7\n14,8\n")
    killed = shop.forebay("run", shop.name, "--date", NEXT, FOREBAY_FAILPOINT="after_flush@1:kill9")
    assert killed.code == -9
    shop.drop("2026-01-07", "c.csv", "customer,spend\n21,x\n")
    assert shop.forebay("run", shop.name, "--date", "2026-01-07").code == 0
    answer = shop.forebay("run", shop.name, "--date", NEXT)
    assert answer.code == 0, answer.err
    messages = read_all(kafka.config, shop.name)
    spent = sorted((int(message.key()), json.loads(message.value())["spend"]) for message in messages)
    assert spent == [(1, None), (11, 5), (12, 6), (13, 7), (14, 8), (21, "x")]


@pytest.mark.parametrize("format_", ["csv", "json_lines"])
def test_one_bad_cell_in_ten_thousand_does_not_make_a_column_text(
    tmp_path: Path, kafka: Cluster, topic_name: str, format_: str
) -> None:
    shop = made(tmp_path, f"orders-{topic_name[-8:]}", kafka, format_)
    numbers = [str(i) for i in range(1, 10_001)]
    numbers[7_000] = "oops" if format_ == "csv" else '"oops"'
    lines = (
        ["customer,spend", *(f"{i},1" for i in numbers)]
        if format_ == "csv"
        else [f'{{"customer":{i},"spend":1}}' for i in numbers]
    )
    shop.drop(DAY, "a", "\n".join(lines))
    answer = shop.forebay("run", shop.name, "--date", DAY, "--json")
    assert [(file["published"], file["quarantined"]) for file in answer.json["files"]] == [(9_999, 1)], answer.err
    assert "column `customer`: 1 values are not int64, their rows are quarantined" in answer.err


def test_a_text_cell_in_an_inferred_column_with_a_numeric_rule_fails_its_file_alone(
    shop: OrdersProject, kafka: Cluster
) -> None:
    rule = {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "spend", "min_value": 0},
        "severity": "critical",
    }
    (shop.root / "include/expectations/orders.json").write_text(json.dumps({"name": "orders", "expectations": [rule]}))
    path = shop.root / "include/pipelines/orders.yaml"
    path.write_text(path.read_text() + "quality: {suite: orders}\n")
    shop.drop(DAY, "a.csv", "customer,spend\n1,x\n")
    shop.drop(DAY, "b.csv", "customer,spend\n2,5\n")
    answer = shop.forebay("run", shop.name, "--date", DAY, "--json")
    assert (answer.code, [file["published"] for file in answer.json["files"]]) == (1, [0, 1]), answer.err
    assert keys(shop, kafka) == ["2"]
